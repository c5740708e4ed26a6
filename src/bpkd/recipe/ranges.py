"""What a search may change in a recipe: a key's range, or its choices."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from bpkd.recipe.sections import Number, Section


class Range(Section):
    """``{low: 0.1, high: 10, log: true}`` or ``{choices: [labels, teacher]}``.

    Example:
        >>> Range(low=1, high=100, log=True).at(0.5)
        10.0
        >>> [Range(choices=["a", "b"]).at(share) for share in (0.0, 0.49, 0.5, 1.0)]
        ['a', 'a', 'b', 'b']
    """

    low: Annotated[float, Number] | None = None
    high: Annotated[float, Number] | None = None
    log: bool = False
    choices: Annotated[list[Any], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        ends = self.low is not None and self.high is not None
        if ends == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("expected low and high, or choices")
        if ends and (self.low >= self.high or (self.log and self.low <= 0)):  # type: ignore[operator]
            raise ValueError(
                f"expected low below high, above 0 with log; they are {self.low} and {self.high}"
            )
        return self

    def at(self, share: float) -> Any:
        """The value at a share of the range, 0 its beginning and 1 its end, to four digits."""
        if self.choices is not None:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        assert self.low is not None and self.high is not None
        if self.log:
            return float(f"{self.low * (self.high / self.low) ** share:.4g}")
        return float(f"{self.low + (self.high - self.low) * share:.4g}")
