"""Broken pairs by what is wrong with them: many files are most often broken for one reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bpkd.datasets.checking.examining import Problem
from bpkd.datasets.faults import mending

_EXAMPLES = 3
_VALUES = "label values that are no class"


def lines(split: str, problems: Sequence[Problem], data: Any, every: bool) -> Iterator[str]:
    """A line a broken pair; where more than three are alike, how many and three of them.

    Args:
        split: its name.
        problems: of its pairs.
        data: the split's data set, or None; it says what would mend label values.
        every: whether all are listed.

    >>> alike = [Problem(f"p{i}", f"in/p{i}.png is no image") for i in range(9)]
    >>> print(*lines("val", alike, None, every=False), sep="\\n")
    broken: val: 9 pairs alike, --all lists them: FILE is no image
    broken: val: p0: in/p0.png is no image
    broken: val: p1: in/p1.png is no image
    broken: val: p2: in/p2.png is no image
    """
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        alike.setdefault(_VALUES if problem.values else _reason(problem), []).append(problem)
    for reason, group in alike.items():
        shown = group if every or len(group) <= _EXAMPLES else group[:_EXAMPLES]
        if len(shown) < len(group):
            mend = _mend(group, data)
            yield f"broken: {split}: {len(group):,} pairs alike, --all lists them: {reason}{mend}"
        for problem in shown:
            yield f"broken: {split}: {problem.name}: {problem.message}"


def _reason(problem: Problem) -> str:
    """A message without what differs from pair to pair.

    >>> _reason(Problem("a 7", "photos/a 7.png is 20x30 and its label map y/a 7.png is 2x3"))
    'FILE is WxH and its label map FILE is WxH'
    >>> _reason(Problem("b", "x/b.jpg cannot be read (truncated, 12 bytes): replace it"))
    'FILE cannot be read (truncated, N bytes): replace it'
    """
    text = re.sub(f"(?<=/){re.escape(problem.name)}", "NAME", problem.message)
    text = re.sub(r"[^ (]*/[^ ,;:]+", "FILE", text)
    text = re.sub(r"\d+x\d+", "WxH", text)
    return re.sub(r"\d+", "N", text)


def _mend(group: Sequence[Problem], data: Any) -> str:
    """The values of all, and the settings under which they would be known."""
    values = sorted({value for problem in group for value in problem.values})
    if not values:
        return ""
    shown = ", ".join(map(str, values[:9])) + (", ..." if len(values) > 9 else "")
    if data is None:
        return f": {shown}"
    zero = any(problem.zero for problem in group)
    mend = mending(values, len(data.classes), data.ignore_index, zero)
    expected = f"expected 0 to {len(data.classes) - 1} or ignore_index {data.ignore_index}"
    return f": {shown}; {expected}; set {mend}"
