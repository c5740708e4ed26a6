"""`bpkd model`: what it prints and writes, and one line for each bad name."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from bpkd.datasets.classes_file import write_classes
from bpkd.networks.cost import CONVENTION, parameters
from bpkd.recipe.loading import dump, load_recipe
from bpkd.report.model import counted
from bpkd.support.tensors import write_tensors
from bpkd.training.building import build_student
from tests.commands import done, refused
from tests.networks.test_cost import TABLE

NARROW = ["PSPNet", "backbone=test_efficientnet.r160_in1k", "output_stride=16", "channels=8"]
RECIPE = """
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 2}
student: {use: bpkd.networks.PSPNet, backbone: test_efficientnet.r160_in1k, channels: 8,
          output_stride: 16, auxiliary: false, weights: gone.pth}
"""
TAUGHT = "{base: own.yaml, teacher: TEACHER, losses: {cwd: {use: bpkd.losses.cwd.CWD}}}"
SMALL = ["--size", "32", "48"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recipes, and the folder of a run with four classes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(RECIPE)
    (tmp_path / "by_run.yaml").write_text(TAUGHT.replace("TEACHER", "runs/four"))
    teacher = "{use: bpkd.networks.PSPNet, backbone: test_resnet.r160_in1k, checkpoint: gone.pth}"
    (tmp_path / "by_network.yaml").write_text(TAUGHT.replace("TEACHER", teacher))
    mapped = teacher.replace("{", "{num_classes: 6, class_map: [[0, 1], 2, 5], ", 1)
    (tmp_path / "mapped.yaml").write_text(TAUGHT.replace("TEACHER", mapped))
    recipe = load_recipe("own.yaml", ["student.weights=null"])
    run = tmp_path / "runs/four"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text(dump(recipe))
    write_classes(run, SimpleNamespace(classes=list("abcd"), palette=[(0, 0, 0)] * 4))
    write_tensors(build_student(recipe, 4), run / "student.safetensors")
    return tmp_path


def lines_of(page: str) -> dict[str, list[str]]:
    """Label -> cells of each line of a Markdown table."""
    cells = [line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in cells}


def test_two_networks_side_by_side(place: Path) -> None:
    out = done("model", *NARROW, *NARROW, "auxiliary=false", *SMALL, "--classes", 7)
    assert " ".join(CONVENTION.split()) in " ".join(out.split())
    assert out.count("channels=8") == 2 and "auxiliary=false" in out
    (total,) = (line.split() for line in out.splitlines() if line.split()[:1] == ["parameters"])
    assert total[1:] != total[3:] and len(total) == 5
    for words in ("classes 7 7", "output stride 16 16", "Measured here: batch 1, float32, on the"):
        assert words in " ".join(out.split())
    measured = [line.split() for line in out.splitlines() if line.strip().startswith("millisec")]
    assert all(float(cell) > 0 for cell in measured[0][1:])
    assert len([line for line in out.splitlines() if " MiB" in line]) == 5


def test_many_networks_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bpkd.cli.model.console", narrow_console)
    out = done("model", *NARROW * 4, *SMALL, "--no-timing")
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("backbone=test_efficientnet.r160_in1k") == 4
    assert out.count("output stride") == 4  # one network a table


def narrow_console() -> object:
    from rich.console import Console

    return Console(width=80)


def test_markdown_and_csv(place: Path) -> None:
    file = place / "table.csv"
    out = done("model", *NARROW, *SMALL, "--no-timing", "--markdown", "--csv", file)
    lines = lines_of(out)
    assert lines["classes"] == ["19"]
    assert "milliseconds" not in out and "memory" not in out and "Measured" not in out
    with file.open(newline="") as stream:
        table = {line["part"]: line for line in csv.DictReader(stream)}
    for figure, label in (("parameters", "parameters"), ("multiply_adds", "multiply-adds")):
        numbers = {part: int(line[figure]) for part, line in table.items() if line[figure]}
        total = numbers.pop("total")
        assert lines[label] == [counted(total)]
        if figure == "multiply_adds":
            numbers.pop("auxiliary head")
        assert sum(numbers.values()) == total
    assert table["total"]["milliseconds"] == table["total"]["bytes"] == ""


def test_a_recipe_and_its_teachers() -> None:
    def names_and_classes(*arguments: str) -> list[tuple[str, str]]:
        lines = lines_of(done("model", *arguments, *SMALL, "--no-timing", "--markdown"))
        return list(zip(lines[""], lines["classes"], strict=True))

    assert names_and_classes("own.yaml", "student.channels=6") == [
        ("own.yaml student student.channels=6", "10")
    ]
    assert names_and_classes("by_network.yaml", "--classes", "3") == [
        ("by_network.yaml student", "3"),
        ("by_network.yaml teacher", "3"),
    ]
    assert names_and_classes("mapped.yaml", "--classes", "3")[1:] == [("mapped.yaml teacher", "6")]
    # A run keeps its classes; a shipped recipe whose teacher is not trained yet shows no teacher.
    assert names_and_classes("by_run.yaml", "demo/bpkd", "--classes", "5") == [
        ("by_run.yaml student", "5"),
        ("by_run.yaml teacher", "4"),
        ("demo/bpkd student", "5"),
    ]


def test_a_run() -> None:
    lines = lines_of(done("model", "runs/four", *SMALL, "--no-timing", "--markdown"))
    network = build_student(load_recipe("own.yaml", ["student.weights=null"]), 4)
    assert lines["classes"] == ["4"]
    assert lines["parameters"] == [counted(parameters(network)["total"])]


def test_an_own_network_beside_the_command(place: Path) -> None:
    source = """
import torch
def convolution(num_classes, width):
    layers = torch.nn.Conv2d(3, width, 1, bias=False), torch.nn.Conv2d(width, num_classes, 1)
    return torch.nn.Sequential(*layers)
"""
    (place / "my_own_networks.py").write_text(source)
    name = "my_own_networks.convolution"
    lines = lines_of(done("model", name, "width=4", *SMALL, "--markdown", "--classes", 2))
    assert lines["parameters"] == ["22"]
    assert lines["multiply-adds"] == [counted((32 * 48) * (4 * 3 + 2 * 4 + 4 * 2))]
    assert float(lines["milliseconds"][0]) >= 0
    assert "width is missing" in refused("model", name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pspnet_r19"], "did you mean 'pspnet_r18'?"),
        (["runs/fuor"], "did you mean 'runs/four'?"),
        (["own.yml"], "did you mean 'own.yaml'?"),
        (["own.yaml", "student.chanels=3"], "did you mean 'channels'?"),
        (["runs/four", "channels=3"], "runs/four is a run, as it was trained"),
        ([*NARROW[:1], "backbone=restnet18"], "timm knows no network 'restnet18'"),
        ([*NARROW, "--size", "0", "8"], "--size 0 8: expected sides of at least 1"),
        ([*NARROW, "--device", "tpu"], "device 'tpu': expected cpu"),
        (["my.networks.Net"], "my.networks"),
    ],
)
def test_bad_arguments(arguments: list[str], words: str) -> None:
    assert words in refused("model", *arguments)


def test_data_that_is_not_there() -> None:
    line = refused("model", "camvid/plain", "data.root=none")
    assert "none is no folder" in line and "give the number of --classes" in line
    # The weights' file is not there either; what the network costs does not depend on it.
    done("model", "camvid/plain", "data.root=none", "--classes", 3, *SMALL, "--no-timing")


def test_help() -> None:
    page = done("model", "--help")
    for word in ("--size", "--classes", "--device", "--no-timing", "--markdown", "--csv"):
        assert word in page
    assert "bpkd model pspnet_r101 pspnet_r18 --size 512 512 --classes 19" in page


# The page -----------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs/networks.md"


def test_the_pages_table_is_the_papers() -> None:
    # test_cost.py holds our counts against the same numbers.
    lines = {name.strip("`"): cells for name, cells in lines_of(PAGE.read_text()).items()}
    for name, (count, cost) in TABLE.items():
        assert lines[name] == [f"{count:.2f}"] * 2 + [f"{cost:.2f}"] * 2


def test_the_pages_own_network(place: Path) -> None:
    (source,) = re.findall(r"```python\n# my_networks.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (place / "networks_of_the_page.py").write_text(source)
    name = "networks_of_the_page.small"
    out = done("model", name, "backbone=test_resnet.r160_in1k", *SMALL, "--no-timing", "--markdown")
    lines = lines_of(out)
    assert lines["output stride"] == ["16"]
    assert lines["· decode head"] != ["-"]
