"""Which parameters learn, and how fast."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from bpkd.optimization import optimization, poly
from bpkd.recipe import Recipe, Schedule


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.decode_head = nn.Linear(2, 3)


def recipe(**changes: Any) -> Recipe:
    use = {"use": "bpkd.datasets.scenes.Scenes"}
    fields = {"name": "r", "run": "r", "data": use, "student": use, "max_iters": 10}
    return Recipe.model_validate(fields | changes)


def test_poly_decays_to_the_floor_and_stays_there() -> None:
    factor = poly(Schedule(power=0.9, floor=1e-4), max_iters=100, lr=0.01)
    rates = [0.01 * factor(t) for t in (0, 50, 100, 150)]
    halfway = (0.01 - 1e-4) * 0.5**0.9 + 1e-4
    assert rates == pytest.approx([0.01, halfway, 1e-4, 1e-4])


def test_warm_up_is_linear() -> None:
    factor = poly(Schedule(power=0.0, floor=0.0, warmup=3), max_iters=100, lr=1.0)
    assert [factor(t) for t in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_the_head_learns_faster_and_what_is_frozen_not_at_all() -> None:
    losses = nn.ModuleDict({"adapter": nn.Linear(1, 1), "rival": nn.Linear(1, 1)})
    losses["rival"].requires_grad_(False)
    student = Student()
    made = optimization(recipe(head_lr=10.0))(student, losses)
    slow, fast = made["optimizer"].param_groups
    assert made["lr_scheduler"]["interval"] == "step"
    assert (slow["initial_lr"], fast["initial_lr"]) == (0.01, 0.1)
    assert {id(p) for p in slow["params"]} == {id(p) for p in student.backbone.parameters()}
    expected = [*student.decode_head.parameters(), *losses["adapter"].parameters()]
    assert {id(p) for p in fast["params"]} == {id(p) for p in expected}
    assert (slow["momentum"], slow["weight_decay"]) == (0.9, 5e-4)


def test_any_optimizer_by_its_path() -> None:
    change = {"use": "torch.optim.AdamW", "lr": 0.002, "weight_decay": 0.01}
    made = optimization(recipe(optimizer=change))(nn.Linear(2, 2), nn.ModuleDict())
    assert type(made["optimizer"]).__name__ == "AdamW"
    assert [group["initial_lr"] for group in made["optimizer"].param_groups] == [0.002]
