"""An axis of a chart: from values to places, with numbers at round values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, MaxNLocator

#: From the largest to the smallest value, from where on each power of ten has the same room.
_RANGE = 30


@dataclass
class Axis:
    """From values to places.

    Attributes:
        low, high: values at its ends, their logarithms where it is logarithmic.
        begin, end: the places of these.
        log: whether it is logarithmic.
        ticks: places with their numbers.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool
    ticks: list[tuple[float, str]]

    def place(self, value: float) -> float:
        """Where a value is, to a tenth."""
        value = math.log10(value) if self.log else value
        share = (value - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)


def axis(values: Sequence[float], begin: float, end: float, log: bool = False) -> Axis:
    """An axis that has room for all values.

    Args:
        values: finite.
        begin, end: the places of its ends.
        log: logarithmic, if the values are above 0 and far apart.

    Example:
        >>> made = axis([0.0, 40.0], 0, 100)
        >>> made.place(10.0), made.ticks[-1]
        (25.0, (100.0, '40'))
        >>> axis([0.01, 10.0], 0, 90, log=True).ticks
        [(0.0, '0.01'), (30.0, '0.1'), (60.0, '1'), (90.0, '10')]
    """
    low, high = min(values), max(values)
    log = log and low > 0 and high > _RANGE * low
    if low == high:  # a line of its own height in the middle
        room = abs(low) / 10 or 1.0
        low, high = low - room, high + room
    if log:
        ticks = [float(t) for t in LogLocator(numticks=6).tick_values(low, high)]
        made = Axis(math.log10(low), math.log10(high), begin, end, True, [])
    else:
        ticks = [float(t) for t in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)]
        made = Axis(low, high, begin, end, False, [])
    left, right = sorted((begin, end))
    places = ((made.place(tick), _text(tick)) for tick in ticks)
    made.ticks = [(place, text) for place, text in places if left <= place <= right]
    return made


def _text(value: float) -> str:
    """A tick's number; thousands as k, so that it has room.

    >>> _text(0.1), _text(40000.0), _text(0.00001)
    ('0.1', '40k', '1e-05')
    """
    return f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:g}"
