"""When a loss counts how much: the factor, the recipe's keys, and a run that follows them."""

from __future__ import annotations

from math import cos, pi
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError, train
from bpkd.recipe.loading import dump, load_recipe
from bpkd.runs.recorder import Recorder
from bpkd.support.tensors import read_tensors
from bpkd.training.schedules import Weighted
from tests.runs import TINY, killed, rows, run

TAUGHT = "base: tiny.yaml\nteacher: teacher\nlosses: {spy: {use: tests.losses.test_schedule.Spy}}\n"


class Spy(nn.Module):
    """Counts its calls in a buffer, and holds a parameter, as a loss with a memory and a head."""

    weights = {"seen": 1.0}
    seen: list[Tensor] = []

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, student, teacher, labels) -> dict[str, Tensor]:
        self.calls += 1
        Spy.seen.append(teacher.logits)
        return {"seen": self.scale * (student.logits - teacher.logits).square().mean()}


def factors(length: int, **arguments) -> list[float]:
    weighted = Weighted({"a": 2.0}, **arguments)
    found = [weighted.factor(iteration) for iteration in range(length)]
    assert [weighted.at("a", i) for i in range(length)] == [2 * factor for factor in found]
    for iteration in range(length):
        assert weighted.active(iteration) or found[iteration] == 0
    return found


def test_factors_by_hand() -> None:
    assert factors(3) == [1, 1, 1]
    assert factors(5, ramp=4) == [0.25, 0.5, 0.75, 1, 1]
    assert factors(6, start=2, until=4) == [0, 0, 1, 1, 0, 0]
    assert factors(6, start=1, ramp=2) == [0, 0.5, 1, 1, 1, 1]
    assert factors(6, until=4, decay="linear") == [1, 0.75, 0.5, 0.25, 0, 0]
    assert factors(6, start=1, until=5, ramp=2, decay="linear") == [0, 0.5, 1, 1, 0.5, 0]
    assert factors(5, until=4, decay="cosine") == pytest.approx(
        [1, (1 + cos(pi / 4)) / 2, 0.5, (1 - cos(pi / 4)) / 2, 0]
    )
    assert factors(4, until=3, ramp=3, decay="cosine") == pytest.approx([1 / 3, 2 / 3, 1, 0])


# In a recipe --------------------------------------------------------------------------------------


@pytest.fixture
def taught(recipe: Path) -> Path:
    """A recipe with the spy, and the teacher's run beside it."""
    teacher = run(recipe, "teacher", "max_iters=1")
    file = recipe.parent / "taught.yaml"
    file.write_text(TAUGHT.replace("teacher: teacher", f"teacher: {teacher}"))
    Spy.seen = []
    return file


@pytest.fixture
def unrun(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    file = tmp_path / "taught.yaml"
    file.write_text(TAUGHT)
    return file


def test_from_is_read_and_written(unrun: Path) -> None:
    given = ["losses.spy.from=2", "losses.spy.until=5", "losses.spy.decay=cosine"]
    found = load_recipe(unrun, given)
    loss = found.losses["spy"]
    assert (loss.start, loss.until, loss.decay, loss.arguments) == (2, 5, "cosine", {})
    assert "from: 2" in dump(found) and "start" not in dump(found)
    copy = unrun.with_name("copy.yaml")
    copy.write_text(dump(found))
    assert load_recipe(copy) == found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("from: -1", r"losses\.spy\.from: expected at least 0, got -1"),
        ("from: soon", r"losses\.spy\.from: expected a whole number, got 'soon'"),
        ("from: 6", r"losses\.spy\.from: .* before max_iters, which is 6, got 6"),
        ("from: 3, until: 3", r"losses\.spy\.from: .* before losses\.spy\.until, which is 3"),
        ("from: 7, until: 9", r"losses\.spy\.from: .* before max_iters, which is 6, got 7"),
        ("until: 0", r"losses\.spy\.until: expected a number above 0, got 0"),
        ("ramp: 7", r"losses\.spy\.ramp: expected at most 6 iterations, .* got 7"),
        ("from: 2, until: 4, ramp: 3", r"losses\.spy\.ramp: expected at most 2 .*spy\.until"),
        ("decay: sudden", r"losses\.spy\.decay: expected 'cosine' or 'linear', got 'sudden'"),
        ("start: 3", r"losses\.spy\.start: .* no such argument; known: .*from, until"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(unrun: Path, given: str, words: str) -> None:
    use = "use: tests.losses.test_schedule.Spy"
    with pytest.raises(UserError, match=words) as caught:
        load_recipe(unrun, [f"losses.spy={{{use}, {given}}}"])
    assert "\n" not in str(caught.value) and str(unrun) in str(caught.value)


# In a run -----------------------------------------------------------------------------------------


def test_a_loss_that_rests_is_not_computed(taught: Path) -> None:
    folder = run(taught, "student", "losses.spy.from=1", "losses.spy.until=3", "evaluation.every=6")
    assert len(Spy.seen) == 2
    assert read_tensors(folder / "last.ckpt")["losses.spy.calls"].item() == 2


def test_what_it_trains_moves_while_it_counts_only(
    taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither momentum nor weight decay reaches the parameters of a loss that rests."""
    scales: list[float] = []
    before = Recorder.on_train_batch_end

    def look(self: Recorder, trainer, module, *rest) -> None:
        scales.append(module.losses["spy"].scale.item())
        before(self, trainer, module, *rest)

    monkeypatch.setattr(Recorder, "on_train_batch_end", look)
    run(taught, "student", "losses.spy.from=1", "losses.spy.until=3", "data.val=null")
    assert scales[0] == 1 != scales[1] != scales[2]
    assert scales[3:] == [scales[2]] * 3


def test_the_teacher_rests_with_them(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bpkd.networks.base import SegNetwork

    calls: list[bool] = []
    forward = SegNetwork.forward

    def counted(self: SegNetwork, images: Tensor):
        calls.append(self.training)
        return forward(self, images)

    monkeypatch.setattr(SegNetwork, "forward", counted)
    run(taught, "student", "losses.spy.until=2", "data.val=null")
    assert (calls.count(True), calls.count(False)) == (6, 2)


@pytest.mark.parametrize("after", [2, 3])
def test_killed_and_resumed_in_the_middle_of_a_schedule(taught: Path, after: int) -> None:
    schedule = "from: 1, until: 5, ramp: 2, decay: cosine"
    memory = "use: bpkd.losses.cirkd_memory.CIRKDMemory, pixel_slots: 20, region_slots: 5"
    options = [f"losses.spy={{{memory}, {schedule}}}", "evaluation.every=1"]
    whole = run(taught, "whole", *options)

    with killed(after + 1):
        run(taught, "killed", *options)
    resumed = train(
        taught, f"run={taught.parent / 'killed'}", *options, resume=True, progress=False
    )
    expected, found = read_tensors(whole / "last.ckpt"), read_tensors(resumed / "last.ckpt")
    assert expected["losses.spy.calls"].item() == 4
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    assert rows(whole / "metrics.csv") == rows(resumed / "metrics.csv")


def test_training_csv_shows_no_stale_number(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init = Recorder.__init__

    def every(self: Recorder, *arguments, **options) -> None:
        init(self, *arguments, **options)
        self.every = 1

    monkeypatch.setattr(Recorder, "__init__", every)
    folder = run(taught, "student", "losses.spy.from=1", "losses.spy.until=3", "data.val=null")
    numbers = [row["loss/spy.seen"] for row in rows(folder / "training.csv")]
    assert [bool(number) for number in numbers] == [False, True, True, False, False, False]
