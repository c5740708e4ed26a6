"""A complete package, honest lower bounds, workflows and forms that can be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import bpkd
from tools.lowest import lowest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src/bpkd"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def data() -> set[str]:
    """What lies in the package and is no program."""
    files = {path for path in PACKAGE.rglob("*") if path.is_file()}
    return {
        str(path.relative_to(PACKAGE).as_posix())
        for path in files
        if path.suffix not in (".py", ".pyc")
    }


def test_package_data_name_all_that_lies_in_the_package() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["bpkd"]
    named = {
        path.relative_to(PACKAGE).as_posix()
        for pattern in patterns
        for path in PACKAGE.glob(pattern)
    }
    missing = data() - named
    assert not missing, f"a wheel would lack {sorted(missing)}: see [tool.setuptools.package-data]"
    for pattern in patterns:
        assert any(PACKAGE.glob(pattern)), f"{pattern} names nothing"


def test_the_version_is_one() -> None:
    version = PROJECT["project"]["version"]
    assert bpkd.__version__ == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == version
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", each) for each in headings[1:])


def test_every_requirement_has_a_lower_bound_that_constraints_meet() -> None:
    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    )

    def numbers(version: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version)]

    for line in lowest():
        name, bound = line.lower().replace("_", "-").split("==")
        assert name in pinned, f"constraints.txt does not say which {name} was tested"
        assert numbers(pinned[name]) >= numbers(bound), name


def test_a_requirement_without_a_bound_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\nname = "x"\ndependencies = ["torch"]\n[project.optional-dependencies]\n'
    )
    with pytest.raises(ValueError, match="torch: expected NAME>=VERSION"):
        lowest(file)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows(file: Path) -> None:
    text = file.read_text("utf-8")
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for job in flow["jobs"].values():
        for step in job["steps"]:
            if "uses" in step:  # a major version, or a branch that its authors keep for that
                assert re.fullmatch(r"[\w/-]+@(v\d+|release/v\d+)", step["uses"])
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                assert target in targets, target
    if file.stem == "tests":
        matrix = flow["jobs"]["tests"]["strategy"]["matrix"]
        assert min(matrix["python"]) == PROJECT["project"]["requires-python"].removeprefix(">=")


def test_forms_and_dependabot_are_read() -> None:
    for file in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(file.read_text("utf-8"))
        if file.stem != "config":
            assert {"name", "description", "body"} <= set(form), file
            ids = [part["id"] for part in form["body"]]
            assert len(ids) == len(set(ids))
    found = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))["updates"]
    assert {each["package-ecosystem"] for each in found} == {"github-actions", "pip"}


# The package as a user gets it ------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    # What this environment has is enough to build by: nothing is fetched.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    return out


@pytest.mark.slow
def test_wheel_and_sdist_are_complete(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bpkd/{name}" for name in data()} <= held
    assert {f"bpkd/{p.relative_to(PACKAGE).as_posix()}" for p in PACKAGE.rglob("*.py")} <= held
    assert {name.partition("/")[0] for name in held} == {
        "bpkd",
        f"bpkd-{bpkd.__version__}.dist-info",
    }
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"} <= names


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_works_outside_the_tree(built: Path, tmp_path: Path) -> None:
    """A new environment with the wheel; the libraries are lent to it, bpkd's own tree is not."""
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=False)
    site = tmp_path / "empty" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    zipfile.ZipFile(wheel).extractall(site)
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = tmp_path / "empty" / Path(sys.executable).relative_to(sys.prefix)

    def call(*arguments: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [python, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert Path(call("-c", "import bpkd; print(bpkd.__file__)").strip()).is_relative_to(site)
    assert "table2/cityscapes/pspnet/bpkd" in call("-m", "bpkd", "recipes", "table2", "cityscapes")
    assert "pspnet" in call("-m", "bpkd", "table", "1").lower()
    tiny = ["max_iters=2", "batch_size=2", "data.size=[32,48]", "data.count=3"]
    told = call("-m", "bpkd", "demo", "--out", "demo", *tiny, "augment.crop=[32,32]")
    assert "BPKD" in told.upper() and (tmp_path / "demo/compare.png").is_file()
