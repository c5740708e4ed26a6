"""How much a loss counts, as a function of the iteration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi

from bpkd.recipe.sections import Decay


@dataclass(frozen=True)
class Weighted:
    """A weight for each term of a loss, and a factor over the iterations for all of them.

    Iterations count from 0. The factor is 0 before ``start`` and from ``until`` on. In between it
    rises linearly to 1 in ``ramp`` iterations, and then stays there, or decays to 0 at ``until``.
    It depends on nothing but the iteration, so a run that is resumed goes on exactly.

    Args:
        weights: by term.
        ramp: iterations of the linear rise; 0 for none.
        start: the first iteration in which the loss counts.
        until: the first one in which it does not any more; None: it counts to the end.
        decay: how it falls from the end of the ramp to 0 at ``until``, which has to be there
            then: ``linear``, 1 - t, or ``cosine``, (1 + cos πt) / 2 with t from 0 to 1.

    Example:
        >>> weighted = Weighted({"edge": 10.0}, ramp=2, start=1, until=7, decay="linear")
        >>> [weighted.at("edge", iteration) for iteration in range(8)]
        [0.0, 5.0, 10.0, 10.0, 7.5, 5.0, 2.5, 0.0]
    """

    weights: Mapping[str, float]
    ramp: int = 0
    start: int = 0
    until: int | None = None
    decay: Decay | None = None

    def at(self, term: str, iteration: int) -> float:
        """The weight of a term at an iteration."""
        return self.weights[term] * self.factor(iteration)

    def active(self, iteration: int) -> bool:
        """Whether the loss counts at an iteration; where it does not, it need not be computed."""
        return self.start <= iteration and (self.until is None or iteration < self.until)

    def factor(self, iteration: int) -> float:
        """What all weights are multiplied by.

        Example:
            >>> half = Weighted({}, until=8, decay="cosine")
            >>> [round(half.factor(iteration), 4) for iteration in (0, 2, 4, 6, 8)]
            [1.0, 0.8536, 0.5, 0.1464, 0.0]
        """
        if not self.active(iteration):
            return 0.0
        begun = iteration - self.start
        if begun < self.ramp:
            return (begun + 1) / self.ramp
        if self.decay is None or self.until is None:
            return 1.0
        t = (begun - self.ramp) / (self.until - self.start - self.ramp)
        return 1 - t if self.decay == "linear" else (1 + cos(pi * t)) / 2
