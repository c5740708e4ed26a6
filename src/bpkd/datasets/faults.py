"""What is wrong with label values, kept as numbers: what would mend them follows from all files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bpkd.errors import UserError


class UnknownValues(UserError):
    """A label map holds values that are no class.

    Attributes:
        values: they, in order.
        zero: whether it holds the value 0, too.
    """

    def __init__(self, message: str, values: Sequence[int], zero: bool) -> None:
        super().__init__(message)
        self.values, self.zero = tuple(values), zero

    def __reduce__(self) -> Any:  # it comes back from worker processes
        return type(self), (str(self), self.values, self.zero)


def mending(values: Sequence[int], num_classes: int, ignore_index: int, zero_occurs: bool) -> str:
    """The settings under which the unknown values of a data set's label maps would be known.

    Args:
        values: those that are no class, of all files that were looked at.
        num_classes: C.
        ignore_index: where 255 is unknown, it most often stands for no class.
        zero_occurs: whether some file holds the value 0.

    >>> mending([128], 2, 255, True)
    'label_map: {128: 1}'
    >>> mending([3], 3, 255, False)
    'label_map: {1: 0, 2: 1, 3: 2}, for values that count from 1'
    >>> mending([2], 2, 255, True)
    'label_map: {2: 1}'
    >>> mending([3], 3, 255, True)
    'ignore: [0] with label_map: {1: 0, 2: 1, 3: 2}, where 0 is no class; or one more of classes'
    >>> mending([127, 254], 3, 255, True)
    'label_map: {127: 1, 254: 2}, where they stand for the classes in this order'
    >>> mending([7, 9, 200], 2, 255, True)
    'ignore: [7, 9, 200], or label_map: {7: CLASS, ...}'
    """
    known, last = sorted(set(values)), num_classes - 1
    if 255 in known and ignore_index != 255 and num_classes > 2:
        rest = (
            mending([v for v in known if v != 255], num_classes, 255, zero_occurs)
            if known[1:]
            else ""
        )
        return "ignore: [255]" + (f"; {rest}" if rest else "")
    if num_classes == 1:
        return "classes: [background, NAME], for one class cannot be told from nothing"
    if known == [num_classes] and num_classes > 2:
        shifted = ", ".join(f"{value}: {value - 1}" for value in range(1, num_classes + 1))
        shifted = (
            f"label_map: {{{shifted}}}" if num_classes <= 9 else "label_map: {1: 0, 2: 1, ...}"
        )
        if not zero_occurs:
            return f"{shifted}, for values that count from 1"
        return f"ignore: [0] with {shifted}, where 0 is no class; or one more of classes"
    if len(known) == last and min(known) > last:
        pairs = ", ".join(f"{value}: {index}" for index, value in enumerate(known, 1))
        order = ", where they stand for the classes in this order" if last > 1 else ""
        return f"label_map: {{{pairs}}}{order}"
    shown = ", ".join(map(str, known[:9])) + (", ..." if len(known) > 9 else "")
    return f"ignore: [{shown}], or label_map: {{{known[0] if known else 0}: CLASS, ...}}"
