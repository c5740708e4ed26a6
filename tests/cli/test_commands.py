"""The command line: what each command leaves behind, and one line for each bad input."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from bpkd.datasets.classes_file import read_classes
from tests.commands import bpkd, done, refused
from tests.runs import TINY

CWD = "losses={cwd: {use: bpkd.losses.cwd.CWD}}"
OWN = "data: {use: bpkd.datasets.folder.Folder, root: '.', classes: [road, car, tree]}\n"


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, and a run of it as teacher and student."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.yaml").write_text(TINY)
    with contextlib.chdir(folder):
        out = done("train", "tiny.yaml", "--quiet")
    assert "bpkd evaluate runs/tiny" in out
    return folder


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


# Help ---------------------------------------------------------------------------------------------


def test_help_is_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = done("--help")
    assert all(len(line) <= 80 for line in page.splitlines())
    for command in ("train", "evaluate", "predict", "compare", "demo"):
        assert f"│ {command} " in page
    assert "\n  bpkd train student.yaml" in page  # an example on a line of its own
    assert "\n    use: bpkd.datasets.folder.Folder" in page  # the recipe keeps its shape


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["KEY=VALUE", "--resume", "--overwrite", "--quiet"]),
        ("evaluate", ["KEY=VALUE", "--split", "--checkpoint"]),
        ("predict", ["--out", "--window", "--checkpoint"]),
        ("compare", ["--split", "--out", "--image", "--markdown", "--csv"]),
        ("demo", ["--out", "--seed"]),
    ],
)
def test_help_of_each_command(command: str, words: list[str]) -> None:
    page = done(command, "--help")
    assert all(word in page for word in words)
    assert "--no-" not in page


def test_version() -> None:
    assert done("--version").startswith("bpkd 0.")


def test_no_such_command_or_option() -> None:
    for arguments in (["trian"], ["train"], ["train", "tiny.yaml", "--resum"]):
        assert bpkd(*arguments)[0] == 2


# Commands -----------------------------------------------------------------------------------------


def test_train_with_a_teacher(place: Path) -> None:
    recipe = place / "taught.yaml"
    recipe.write_text(
        "base: tiny.yaml\nteacher: runs/tiny\nlosses: {cwd: {use: bpkd.losses.cwd.CWD}}\n"
    )
    done("train", "taught.yaml", "run=taught", "--quiet")
    assert "cwd" in (place / "taught/training.csv").read_text()
    assert "already holds a run" in refused("train", "taught.yaml", "run=taught", "--quiet")
    done("train", "taught.yaml", "run=taught", "--quiet", "--resume")
    done("train", "taught.yaml", "run=taught", "--quiet", "--overwrite", "max_iters=1")
    assert json.loads((place / "taught/environment.json").read_text())["torch"]


def test_an_own_class_beside_the_recipe(place: Path) -> None:
    source = "from bpkd.networks.pspnet import PSPNet\nclass Mine(PSPNet):\n    pass\n"
    (place / "my_networks.py").write_text(source)
    done("train", "tiny.yaml", "run=mine", "student.use=my_networks.Mine", "max_iters=1", "--quiet")
    assert (place / "mine/student.safetensors").is_file()


def test_evaluate(place: Path) -> None:
    out = done("evaluate", "runs/tiny")
    assert all(name in out for name in read_classes(Path("runs/tiny"))[0])
    scores = json.loads((place / "runs/tiny/evaluation_test.json").read_text())["scores"]
    assert f"{100 * scores['mIoU']:.1f}" in out
    done("evaluate", "runs/tiny", "data.count=1", "--split", "val", "--checkpoint", "best")


@pytest.mark.parametrize("options", [[], ["--window", "20"]], ids=["whole", "slide"])
def test_predict(place: Path, tmp_path: Path, options: list[str]) -> None:
    draw = np.random.default_rng(0)
    for name, size in (("a.jpg", (40, 56)), ("deep/b.png", (33, 32))):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(256, size=(*size, 3), dtype=np.uint8)).save(
            tmp_path / "photos" / name
        )
    out = done("predict", "runs/tiny", tmp_path / "photos", "--out", tmp_path / "out", *options)
    assert out.startswith("2 images:")
    assert files(tmp_path / "out") == {
        "labels/a.png",
        "labels/deep/b.png",
        "overlays/a.png",
        "overlays/deep/b.png",
    }
    palette = read_classes(Path("runs/tiny"))[1]
    with Image.open(tmp_path / "out/labels/a.png") as labels:
        assert (labels.mode, labels.size) == ("P", (56, 40))
        assert np.asarray(labels).max() < len(palette)
        colours = labels.getpalette() or []
        assert colours[: 3 * len(palette)] == [value for colour in palette for value in colour]
    with Image.open(tmp_path / "out/overlays/deep/b.png") as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (32, 33))


def test_compare(place: Path, tmp_path: Path) -> None:
    for name, change in (("other", "seed=1"), ("wide", "student.channels=12")):
        if not Path("runs", name).exists():
            done("train", "tiny.yaml", f"run=runs/{name}", change, "--quiet")
    runs = ["runs/tiny", "runs/other", "runs/wide"]
    table, figure = tmp_path / "table.csv", tmp_path / "picture.png"
    out = done("compare", *runs, "--out", figure, "--csv", table, "--markdown", "--image", 1)
    lines = out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| tiny", "| runs/wide"]
    assert "±" in lines[2] and "±" not in lines[3]
    with table.open(newline="") as stream:
        assert [row["run"] for row in csv.DictReader(stream)] == ["tiny", "tiny", "runs/wide"]
    with Image.open(figure) as picture:
        assert picture.width > 300
    assert "tiny" in done("compare", "runs/tiny", "--out", figure)


# Bad input ----------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pairs of an image and a label map in each split, and a recipe beside them."""
    draw = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for stem in "abc":
            for part, shape, top in (("images", (32, 48, 3), 256), ("labels", (32, 48), 3)):
                file = tmp_path / part / split / f"{stem}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(draw.integers(top, size=shape, dtype=np.uint8)).save(file)
    lines = [line for line in TINY.splitlines() if not line.startswith("data:")]
    (tmp_path / "own.yaml").write_text("\n".join([*lines, OWN.replace("'.'", str(tmp_path))]))
    return tmp_path


def lose_the_folder(root: Path) -> str:
    shutil.rmtree(root / "images")
    return "images/train is no folder"


def lose_a_label_map(root: Path) -> str:
    (root / "labels/train/b.png").unlink()
    return "labels/train/b.png (1 of 3 images have none)"


def change_a_size(root: Path) -> str:
    Image.new("L", (20, 30)).save(root / "labels/train/c.png")
    return "labels/train/c.png is 20x30"


def use_a_wrong_label(root: Path) -> str:
    Image.new("L", (48, 32), 7).save(root / "labels/train/a.png")
    return "labels/train/a.png holds the label value 7"


def use_a_wrong_label_in_val(root: Path) -> str:
    Image.new("L", (48, 32), 9).save(root / "labels/val/b.png")
    return "labels/val/b.png holds the label value 9"


def cut_a_jpeg(root: Path) -> str:
    file = root / "images/train/a.jpg"
    with Image.open(root / "images/train/a.png") as image:
        image.save(file)
    (root / "images/train/a.png").unlink()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return "images/train/a.jpg cannot be read"


def empty_a_split(root: Path) -> str:
    for file in (root / "images/val").iterdir():
        file.unlink()
    return "split 'val' has no images"


@pytest.mark.parametrize(
    "damage",
    [
        lose_the_folder,
        lose_a_label_map,
        change_a_size,
        use_a_wrong_label,
        use_a_wrong_label_in_val,
        cut_a_jpeg,
        empty_a_split,
    ],
)
def test_bad_data(photos: Path, damage: Callable[[Path], str]) -> None:
    words = damage(photos)
    line = refused("train", photos / "own.yaml", f"run={photos / 'run'}", "--quiet")
    assert words in line
    assert str(photos) in line
    # What was trained before the damaged pair came is kept.
    assert not (photos / "run").exists() or (photos / "run/training.csv").is_file()


def test_bad_data_out_of_a_worker_in_a_process_of_its_own(photos: Path) -> None:
    words = use_a_wrong_label(photos)
    command = ["train", photos / "own.yaml", f"run={photos / 'run'}", "workers=1"]
    program = "from bpkd.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, [*command, "--quiet"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("bpkd: ") and ended.stderr.count("\n") == 1
    assert words in ended.stderr
    assert not (photos / "run").exists()


def test_bad_data_once_trained(photos: Path) -> None:
    run = photos / "run"
    done("train", photos / "own.yaml", f"run={run}", "--quiet", "max_iters=1")
    before = files(run)
    Image.new("L", (48, 32), 7).save(photos / "labels/test/a.png")
    assert "label value 7" in refused("evaluate", run)
    assert "label value 7" in refused("compare", run, "--out", photos / "picture.png")
    assert files(run) == before
    assert not (photos / "picture.png").exists()
    (photos / "images/test/b.png").write_bytes(b"no image")
    code, out, _ = bpkd("predict", run, photos / "images/test", "--out", photos / "out")
    assert code == 1 and "images/test/b.png cannot be read" in out
    others = {file.name for file in (photos / "images/test").iterdir()} - {"b.png"}
    assert f"{len(others)} images: " in out and others
    assert files(photos / "out") == {
        f"{part}/{name[:1]}.png" for part in ("labels", "overlays") for name in others
    }


def test_an_empty_split_of_an_own_data_set(place: Path) -> None:
    (place / "my_data.py").write_text(
        "from bpkd.datasets.scenes import Scenes\n"
        "class Few(Scenes):\n    def __len__(self):\n        return 0\n"
    )
    line = refused("train", "tiny.yaml", "run=few", "data.use=my_data.Few", "--quiet")
    assert "the split 'train' of my_data.Few is empty" in line
    assert not Path("few").exists()


def test_a_checkpoint_of_another_network(place: Path, tmp_path: Path) -> None:
    shutil.copytree("runs/tiny", tmp_path / "run")
    recipe = tmp_path / "run/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("channels: 8", "channels: 9"))
    for checkpoint in ("student", "best", "last"):
        line = refused("evaluate", tmp_path / "run", "--checkpoint", checkpoint)
        assert "a checkpoint of another network: 0 of" in line
        assert "of another shape (" in line
    file = tmp_path / "run/student.safetensors"
    weights = safetensors.torch.load_file(file)
    safetensors.torch.save_file({f"x{k}": v for k, v in weights.items()}, file)
    line = refused("train", "tiny.yaml", f"run={tmp_path / 'x'}", f"student.checkpoint={file}")
    assert f"{len(weights)} of {len(weights)} keys missing, {len(weights)} unknown" in line
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "tiny.yaml", "max_itrs=1"], "unknown key 'max_itrs'; did you mean 'max_iters'?"),
        (["train", "tiny.yml"], "did you mean 'tiny.yaml'?"),
        (["train", "tiny.yaml", "teacher=runs/none", "run=x"], "a teacher and no losses"),
        (
            ["train", "tiny.yaml", "teacher=runs/none", "run=x", CWD],
            "teacher: runs/none is no run",
        ),
        (["train", "tiny.yaml", "data.train=trian", "run=x"], "trian"),
        (["evaluate", "runs/none"], "runs/none: no run here"),
        (["evaluate", "runs/tiny", "--checkpoint", "frist"], "no checkpoint 'frist'"),
        (["evaluate", "runs/tiny", "--split", "tset"], "tset"),
        (["evaluate", "runs/tiny", "evaluation.modes=slide"], "did you mean 'mode'?"),
        (["predict", "runs/none", "."], "runs/none: no run here"),
        (["predict", "runs/tiny", "none.jpg"], "none.jpg: no such image or folder"),
        (["predict", "runs/tiny", "runs"], "runs: no image in this folder"),
        (["predict", "runs/tiny", "tiny.yaml"], "tiny.yaml cannot be read"),
        (["compare", "runs/tiny", "runs/none"], "runs/none: no run here"),
        (["compare", "runs/tiny", "--image", "9"], "image 9: the split has 5 images, 0 to 4"),
        (["compare", "runs/tiny", "--out", "x.xyz"], "x.xyz: no kind of picture"),
    ],
)
def test_bad_arguments(place: Path, arguments: list[str], words: str) -> None:
    before = files(place)
    assert words in refused(*arguments)
    assert files(place) - {"runs/tiny/evaluation_test.json"} <= before


def test_two_images_of_one_name(tmp_path: Path) -> None:
    for folder in "xy":
        (tmp_path / folder).mkdir()
        Image.new("RGB", (40, 40)).save(tmp_path / folder / "a.png")
    line = refused("predict", "runs/tiny", tmp_path / "x", tmp_path / "y", "--out", tmp_path / "o")
    assert "would both be written to a.png" in line
    assert not (tmp_path / "o").exists()


def full(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    shutil.copytree("runs/tiny", tmp_path / "run")
    (tmp_path / "run/evaluation_test.json").unlink(missing_ok=True)
    before = files(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        assert "No space left" in refused("train", "tiny.yaml", f"run={tmp_path / 'a'}", "--quiet")
        assert "not kept for the next time: " in (out := done("evaluate", tmp_path / "run"))
        assert "No space left" in out
    with monkeypatch.context() as patched:
        patched.setattr(safetensors.torch, "save_file", full)
        line = refused("train", "tiny.yaml", f"run={tmp_path / 'b'}", "--quiet")
        assert "b/student.safetensors: cannot be written: No space left on device" in line
    done("train", "tiny.yaml", f"run={tmp_path / 'b'}", "--quiet", "--resume")
    shutil.rmtree(tmp_path / "b")
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", full)
        line = refused("predict", "runs/tiny", tmp_path / "photo.png", "--out", tmp_path / "out")
        assert "photo.png: cannot be written: No space left on device" in line
    assert files(tmp_path) == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    for arguments in (
        ["train", "tiny.yaml", f"run={tmp_path / 'file/run'}", "--quiet"],
        ["predict", "runs/tiny", tmp_path / "photo.png", "--out", tmp_path / "file"],
    ):
        assert "cannot be written" in refused(*arguments)
