"""A loss that learns on the teacher first: in training, written, read again, stopped, resumed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError, train
from bpkd.losses.freekd import FreeKD
from bpkd.losses.maskd import MasKD
from bpkd.losses.maskd_levels import MasKDLevels
from bpkd.losses.tokens import read_tokens
from bpkd.runs.recorder import Stopped
from bpkd.support.tensors import read_checkpoint, read_tensors, write_tensors
from bpkd.training.preparation import Preparation
from tests.runs import killed, run

MASKD = "losses={maskd: {use: bpkd.losses.maskd.MasKD, num_tokens: 3, token_iters: 4}}"


@pytest.fixture(scope="module")
def teacher(recipe_of_module: Path) -> Path:
    return run(recipe_of_module, "teacher", "max_iters=1", "evaluation.every=1")


@pytest.fixture(scope="module")
def recipe_of_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.runs import TINY

    file = tmp_path_factory.mktemp("prepared") / "tiny.yaml"
    file.write_text(TINY)
    return file


def tokens(folder: Path) -> Tensor:
    state: dict[str, Tensor] = read_checkpoint(folder / "last.ckpt")["state_dict"]
    return state["losses.maskd.tokens"]


def test_tokens_are_learnt_written_and_taken_by_another_run(
    recipe_of_module: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"teacher={teacher}", "max_iters=2", "evaluation.every=2"]
    first = run(recipe_of_module, "first", *given, MASKD)
    again = run(recipe_of_module, "again", *given, MASKD)
    assert torch.equal(tokens(first), tokens(again))
    file = first / "maskd.safetensors"
    assert torch.equal(read_tokens(str(file), tokens(first).shape[1]), tokens(first))
    capsys.readouterr()
    use = f"losses={{maskd: {{use: bpkd.losses.maskd.MasKD, tokens: {file}}}}}"
    second = run(recipe_of_module, "second", *given, use)
    assert torch.equal(tokens(second), tokens(first))
    assert not (second / "maskd.safetensors").exists()
    rows = [(folder / "training.csv").read_text() for folder in (first, second)]
    assert "loss/maskd.maskd" in rows[0]


def test_a_killed_run_goes_on_with_its_tokens(recipe_of_module: Path, teacher: Path) -> None:
    given = [f"teacher={teacher}", "max_iters=4", "evaluation.every=2", MASKD]
    whole = run(recipe_of_module, "whole", *given)
    with killed(4):
        run(recipe_of_module, "killed", *given)
    file = recipe_of_module.parent / "killed/maskd.safetensors"
    file.unlink()
    train(recipe_of_module, f"run={file.parent}", *given, resume=True, progress=False)
    assert not file.exists()  # nothing was learnt again
    theirs = read_checkpoint(whole / "last.ckpt")["state_dict"]
    ours = read_checkpoint(file.parent / "last.ckpt")["state_dict"]
    assert all(torch.equal(value, ours[key]) for key, value in theirs.items())


def test_a_run_that_is_stopped_while_it_learns_begins_anew(
    recipe_of_module: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [f"teacher={teacher}", "max_iters=2", "evaluation.every=2", MASKD]
    before = Preparation.batches

    def stopping(self: Preparation, *arguments: object) -> object:
        self.run.stop = True
        return before(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Preparation, "batches", stopping)
    with pytest.raises(Stopped):
        run(recipe_of_module, "stopped", *given)
    monkeypatch.undo()
    folder = recipe_of_module.parent / "stopped"
    train(recipe_of_module, f"run={folder}", *given, resume=True, progress=False)
    assert (folder / "maskd.safetensors").is_file()


# Tokens -------------------------------------------------------------------------------------------


class Classifier(nn.Module):
    """Four classes by colour; has statistics that training mode moves."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(4, affine=False)

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.norm(images), auxiliary=None)


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    labels = [torch.randint(4, (2, 6, 6), generator=draw) for _ in range(count)]
    return [(nn.functional.one_hot(each, 4).movedim(3, 1).float(), each) for each in labels]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_tokens_lower_their_loss_and_leave_the_teacher(mode: str) -> None:
    from bpkd.losses.maskd import maskd_tokens

    teacher, given = Classifier().eval(), batches(60)
    state = {name: value.clone() for name, value in teacher.state_dict().items()}
    torch.manual_seed(0)
    module = MasKD(4, num_tokens=3, token_iters=60, teacher_mode=mode)  # type: ignore[arg-type]
    images, labels = given[0]
    logits = teacher(images).logits
    before = sum(maskd_tokens(logits, module.tokens, labels))
    module.prepare(teacher, given, lambda output, target: torch.zeros(()))
    assert sum(maskd_tokens(logits, module.tokens, labels)) < before - 0.05
    assert module.prepare_iters == 0 and not teacher.training
    assert all(torch.equal(value, state[name]) for name, value in teacher.state_dict().items())


def test_a_file_without_tokens_of_that_many_classes(tmp_path: Path) -> None:
    file = tmp_path / "tokens.safetensors"
    write_tensors(MasKD(4), file)
    with pytest.raises(UserError, match=r"expected one tensor of tokens \(K, 5\).*tokens \[8, 4\]"):
        MasKD(5, tokens=str(file))
    assert MasKD(4, tokens=str(file)).prepare_iters == 0


class Detector(nn.Module):
    """A pyramid of two levels behind a ``neck``, and a head that reads them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.neck = Neck()
        self.head = nn.Conv2d(6, 4, kernel_size=1)

    def forward(self, images: Tensor) -> SimpleNamespace:
        levels = self.neck(images)
        scores = [self.head(level) for level in levels]
        return SimpleNamespace(scores=scores, features=dict(zip(("p2", "p3"), levels, strict=True)))


class Neck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 6, 3, 2, padding=1)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.fine(images)
        return [fine, self.coarse(fine)]


def own_loss(output: SimpleNamespace, target: Tensor) -> Tensor:
    return torch.stack([score.square().mean() for score in output.scores]).sum()


@pytest.mark.parametrize("cls", [MasKDLevels, FreeKD])
def test_tokens_of_a_pyramid(cls: type[MasKDLevels] | type[FreeKD], tmp_path: Path) -> None:
    teacher, given = Detector().eval().requires_grad_(False), batches(20)
    names = ["p2", "p3"]
    module = cls(5, 6, num_tokens=3, token_iters=20, features=names)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    untouched = teacher(given[0][0]).scores[0]
    module.prepare(teacher, given, own_loss)
    moved = [n for n, v in module.state_dict().items() if not torch.equal(v, before[n])]
    assert "tokens.0" in moved and "tokens.1" in moved and "learned" in moved
    assert not any(name.startswith("adapters") for name in moved)
    assert module.prepare_iters == 0
    assert not any(p.requires_grad for p in module.learnable().parameters())
    assert torch.equal(teacher(given[0][0]).scores[0], untouched)  # the hook is gone

    file = tmp_path / "levels.safetensors"
    write_tensors(module, file)
    taken = cls(5, 6, num_tokens=3, features=names, tokens=str(file))
    assert taken.prepare_iters == 0
    found = read_tensors(file)
    assert all(
        torch.equal(value, found[name]) for name, value in taken.learnable().state_dict().items()
    )
    with pytest.raises(UserError, match="of another shape"):
        cls(5, 6, num_tokens=4, features=names, tokens=str(file))


def test_a_teacher_without_a_pyramid() -> None:
    with pytest.raises(UserError, match="this one has none; give tokens: FILE"):
        MasKDLevels(6, 6, features=["p2"]).prepare(Classifier(), batches(1), own_loss)
