"""What a user gets wrong on the way from own images to a run: one line, and nothing left behind."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from torch import Tensor, nn

from bpkd.cli.common import app
from bpkd.networks.downloads import quiet_hub
from tests.commands import bpkd, refused
from tests.runs import TINY, run

HERE = "tests.cli.test_mistakes"
FOREIGN = "bpkd.networks.foreign"
BPKD = "losses.bpkd={use: bpkd.losses.bpkd.BPKD}"


class Crash(nn.Module):
    """A network that cannot be made."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        raise RuntimeError("no GPU here")


class Raw(nn.Module):
    """A network that gives a tensor."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits."""
        return self.classifier(images)


class Blind(Raw):
    """A network whose code fails at the first image."""

    def forward(self, images: Tensor) -> Tensor:
        """Images of one channel too few."""
        return self.classifier(images[:, :2])


def number(num_classes: int) -> int:
    """What is no network."""
    return num_classes


def test_a_folder_is_no_recipe() -> None:
    assert refused("train", ".") == "bpkd: . is a folder; give the file of a recipe in it\n"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("max_iters=-1", "max_iters: expected at least 0, got -1"),
        ("batch_size=0", "batch_size: expected a number above 0, got 0"),
        ("data.count=none", "data.count: expected a whole number"),
        (
            "evaluation={window: [8, 8], stride: [9, 9]}",
            r"evaluation: expected a stride .* the stride is \[9, 9\]$",
        ),
        ("student.backbone=resnet19", "^bpkd: student: timm knows no network 'resnet19'"),
        ("student.checkpoint=README", "^bpkd: student.checkpoint: README: no such file"),
        (f"student={{use: {FOREIGN}.from_module}}", "^bpkd: student: module is missing"),
        (f"student={{use: {FOREIGN}.from_file}}", "^bpkd: student: path is missing"),
        (f"student={{use: {HERE}.Raw}}", "^bpkd: student.use: .* gives Tensor, .*from_module"),
        (f"student={{use: {HERE}.number}}", "student: .* gives int, expected a torch.nn.Module"),
        ("teacher=nowhere", "teacher: nowhere is no run; expected the folder of a run"),
        ("teacher=tiny.yaml", "teacher: tiny.yaml is a file; expected the folder of a run"),
        ("losses.mse={use: torch.nn.MSELoss}", "losses.mse: torch.nn.MSELoss has no weights"),
        ("losses.bpkd.kernel_size=4", "^bpkd: losses.bpkd: BPKD: kernel_size"),
        ("augment.scale=[2, 1]", "augment.scale: expected"),
        ("batch_size=1", "batch_size 1 is too small"),
    ],
)
def test_one_line_and_no_folder(
    change: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    about_teacher = change.startswith(("teacher", "losses"))
    taught = [f"teacher={{use: {HERE}.Raw}}", BPKD] if about_teacher else []
    said = refused("train", "tiny.yaml", "run=student", *taught, change)
    assert re.search(line, said.strip())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_a_network_that_cannot_be_made_says_where(recipe: Path) -> None:
    for use in (f"{{use: {HERE}.Crash}}", f"{{use: {FOREIGN}.from_module, module: {HERE}.Crash}}"):
        code, _, said = bpkd("train", recipe, f"student={use}", f"run={recipe.parent / 'run'}")
        assert code == 2
        assert re.search(r"Crash cannot be built: .*no GPU here \(test_mistakes\.py:\d+\)\n", said)


def test_a_run_whose_network_fails_leaves_no_folder(recipe: Path) -> None:
    with pytest.raises(RuntimeError, match="channels"):
        run(recipe, "student", f"student={{use: {FOREIGN}.from_module, module: {HERE}.Blind}}")
    assert not (recipe.parent / "student").exists()


def test_a_checkpoint_that_a_run_does_not_have(recipe: Path) -> None:
    folder = run(recipe, "student", "max_iters=0")
    said = refused("evaluate", folder, "--checkpoint", "best")
    assert said.endswith("has no checkpoint 'best'; it has student\n")


def test_a_file_of_something_else_is_no_checkpoint(recipe: Path) -> None:
    file = recipe.with_name("teacher.pth")
    file.write_text("hello")  # torch's reader stops at it with a KeyError
    said = refused("train", recipe, f"student.checkpoint={file}", f"run={recipe.parent / 'run'}")
    assert said.startswith(f"bpkd: student.checkpoint: {file}: not a readable file of tensors")


@pytest.mark.parametrize(
    "teacher",
    [
        "from_smp, arch: FPN, encoder_name: tu-test_resnet",
        "from_torchvision, model: lraspp_mobilenet_v3_large",
        "from_transformers, config: {model_type: segformer, depths: [1, 1, 1, 1], "
        "hidden_sizes: [8, 8, 8, 8], num_attention_heads: [1, 1, 1, 1], decoder_hidden_size: 8}",
    ],
)
def test_a_teacher_of_random_weights_is_refused(recipe: Path, teacher: str) -> None:
    use = f"teacher={{use: {FOREIGN}.{teacher}}}"
    said = refused("train", recipe, use, BPKD, f"run={recipe.parent / 'run'}")
    assert "has no trained classifier for 10 classes" in said and "give checkpoint" in said


@pytest.mark.parametrize(
    ("student", "line"),
    [
        ("from_smp", "expected arch, e.g. Unet, or model"),
        ("from_smp, arch: FPN, encoder_name: resnet19", "did you mean 'resnet18'?"),
        ("from_smp, arch: FPN, decoder: 3", "decoder: FPN has no such argument"),
        ("from_torchvision, weights_backbone: best", "torchvision has no 'best'"),
        ("from_transformers, config: {model_type: segfomer}", "did you mean 'segformer'?"),
        ("from_transformers, config: {model_type: segformer, dpths: [1]}", "mean 'depths'?"),
        (
            "from_transformers, config: {model_type: segformer, depths: [1]}",
            "no segformer can be built of it",
        ),
    ],
)
def test_what_a_library_would_pass_over(recipe: Path, student: str, line: str) -> None:
    change = f"student={{use: {FOREIGN}.{student}}}"
    code, _, said = bpkd("train", recipe, change, f"run={recipe.parent / 'run'}")
    assert code == 2 and said.startswith("bpkd: student: ") and said.count("\n") == 1
    assert line in said


def test_a_wrong_picture_is_said_before_measuring(recipe: Path) -> None:
    folder = run(recipe, "student", "max_iters=0")
    assert "image 99" in refused("compare", folder, "--image", 99, "--split", "val")
    assert not (folder / "evaluation_val.json").exists()


def commands(group: typer.Typer) -> Iterator[tuple[list[str], str]]:
    """The words of each command, and its docstring."""
    for command in group.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        yield [name], inspect.cleandoc(command.callback.__doc__ or "")
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        for words, text in commands(inner.typer_instance):
            yield [str(inner.name), *words], text


def test_examples_stand_on_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    for words, text in commands(app):
        page = [line.strip() for line in bpkd(*words, "--help")[1].splitlines()]
        for example in re.findall(r"^ {4}(bpkd .*)$", text, re.MULTILINE):
            assert example in page, f"{' '.join(words)}: {example}"


def test_libraries_that_load_are_quiet(capsys, caplog) -> None:
    log = logging.getLogger("huggingface_hub.utils")
    with quiet_hub():
        print("Loading weights from local directory")
        log.warning("Retrying in 1s")
    assert capsys.readouterr().out == "" and not caplog.records
    log.warning("heard again")
    assert len(caplog.records) == 1
