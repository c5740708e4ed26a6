"""Which parameters learn, and how fast."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bpkd.inference.windows import whole
from bpkd.metrics.measures import Measures
from bpkd.networks.base import SegOutput
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Schedule
from bpkd.tasks.semantic import Semantic
from bpkd.training.distiller import Distiller
from bpkd.training.optimization import decay as decayed
from bpkd.training.optimization import optimization


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
    factor = decayed(Schedule(power=0.9, floor=1e-4), max_iters=100, lr=0.01)
    rates = [0.01 * factor(t) for t in (0, 50, 100, 150)]
    halfway = (0.01 - 1e-4) * 0.5**0.9 + 1e-4
    assert rates == pytest.approx([0.01, halfway, 1e-4, 1e-4])


@pytest.mark.parametrize(
    ("arguments", "rates", "decay"),
    [
        # 0.0099 * 0.75^0.9 + 0.0001, 0.0099 * 0.5^0.9 + 0.0001, 0.0099 * 0.25^0.9 + 0.0001
        ({}, [0.01, 0.00774171, 0.00540528, 0.00294303, 1e-4], 5e-4),
        # Pascal Context: 0.0039 in the place of 0.0099.
        (
            {"lr": 0.004, "weight_decay": 1e-4},
            [0.004, 0.00311037, 0.00218996, 0.00121998, 1e-4],
            1e-4,
        ),
    ],
    ids=["default", "pascal context"],
)
def test_the_published_protocol(arguments: Any, rates: list[float], decay: float) -> None:
    """SGD, momentum 0.9, decay 0.9 to 1e-4 at each of 40,000 iterations, no warm-up."""
    plain = recipe(max_iters=40_000, optimizer=arguments)
    made = optimization(plain)(Student(), nn.ModuleDict())
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert type(optimizer).__name__ == "SGD"
    for group in optimizer.param_groups:
        assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.9, decay, False)
    factor = schedule.lr_lambdas[0]
    found = [arguments.get("lr", 0.01) * factor(t) for t in range(0, 40_001, 10_000)]
    assert found == pytest.approx(rates, rel=1e-5)
    assert plain.auxiliary_weight == 0.4


def test_the_rate_of_iteration_t_is_that_of_its_step() -> None:
    """The first step is made at the full rate, and each step moves the schedule by one."""
    made = optimization(recipe(max_iters=4, schedule={"power": 1.0, "floor": 0.0}))(
        nn.Linear(1, 1), nn.ModuleDict()
    )
    used = []
    for _ in range(4):
        used.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    assert used == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


def test_warm_up_is_linear() -> None:
    factor = decayed(Schedule(power=0.0, floor=0.0, warmup=3), max_iters=100, lr=1.0)
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


def test_the_auxiliary_loss_counts_two_fifths() -> None:
    class TwoHeads(nn.Module):
        def forward(self, images: Tensor) -> SegOutput:
            return SegOutput(images, {}, images * 3)

    distiller = Distiller(TwoHeads(), None, {}, {}, lambda *_: {}, Semantic(Measures(3), whole))
    images, labels = torch.rand(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    found = distiller.training_step((images, labels), 0)
    main, second = (nn.functional.cross_entropy(images * k, labels) for k in (1, 3))
    torch.testing.assert_close(found, main + 0.4 * second)
