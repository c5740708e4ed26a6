"""The optimizer, and its learning rate over the iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Schedule


def decay(schedule: Schedule, max_iters: int, lr: float) -> Callable[[int], float]:
    """Polynomial decay to a floor, or steps, as a factor of ``lr``, after a linear warm-up.

    lr_t = (lr - floor) (1 - t / max_iters)^power + floor, or, with milestones, lr gamma^n with n
    of them passed.

    Example:
        >>> factor = decay(Schedule(power=1.0, floor=0.0), max_iters=10, lr=0.5)
        >>> [factor(t) for t in (0, 5, 10)]
        [1.0, 0.5, 0.0]
        >>> steps = Schedule(milestones=[4, 8], gamma=0.5, warmup=2, warmup_factor=0.5)
        >>> [decay(steps, max_iters=10, lr=1.0)(t) for t in (0, 1, 2, 3, 4, 8)]
        [0.5, 0.75, 1.0, 1.0, 0.5, 0.25]
    """
    floor = schedule.floor / lr

    def factor(iteration: int) -> float:
        warm = min(1.0, (iteration + 1) / (schedule.warmup + 1))
        if schedule.warmup_factor is not None and iteration < schedule.warmup:
            first = schedule.warmup_factor
            warm = first + (1 - first) * iteration / schedule.warmup
        if schedule.milestones:
            passed = sum(iteration >= milestone for milestone in schedule.milestones)
            return float(warm * schedule.gamma**passed)
        left = max(0.0, 1 - iteration / max_iters) ** schedule.power
        return float(warm * ((1 - floor) * left + floor))

    return factor


def optimization(recipe: Recipe) -> Callable[[nn.Module, nn.Module], dict[str, Any]]:
    """How to make the optimizer and its schedule of a student and its losses.

    The backbone learns at the recipe's rate, everything else at ``head_lr`` times that.
    """
    lr = float(recipe.optimizer.arguments.get("lr", 1e-3))
    rates = (lr, lr * recipe.head_lr)
    factors = [decay(recipe.schedule, recipe.max_iters, rate) for rate in rates]

    def configure(student: nn.Module, losses: nn.Module) -> dict[str, Any]:
        trunk = getattr(student, "backbone", None)
        slow = list(trunk.parameters()) if isinstance(trunk, nn.Module) else []
        known = {id(parameter) for parameter in slow}
        others = [p for p in (*student.parameters(), *losses.parameters()) if p.requires_grad]
        rest = [p for p in others if id(p) not in known]
        parts = [
            ({"params": parameters, "lr": rate}, factor)
            for parameters, rate, factor in zip((slow, rest), rates, factors, strict=True)
            if parameters
        ]
        optimizer = recipe.optimizer.built("optimizer", [group for group, _ in parts])
        scheduler = LambdaLR(optimizer, [factor for _, factor in parts])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    return configure
