"""A first look at the data before a network learns from them: what makes its numbers meaningless.

The one place that all data pass on their way into training. Small sets are looked at as a whole,
of large ones a seeded sample, for a few seconds at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from bpkd.datasets.checking.examining import Examiner, Problem
from bpkd.datasets.checking.instances import InstanceExaminer, InstanceSummary
from bpkd.datasets.checking.remarks import shared
from bpkd.datasets.checking.summary import Summary
from bpkd.datasets.checking.suspicions import on_classes, on_pixels, on_range, one_class
from bpkd.datasets.classes import check_names
from bpkd.datasets.labelled import Labelled
from bpkd.datasets.unlabelled import Unlabelled
from bpkd.errors import UserError
from bpkd.recipe.sections import Data
from bpkd.support.messages import printable

_PAIRS = 64  # of a split; as many or fewer are all of it
_FEW = 8  # so many at least, however long they take
_SECONDS = 2.0


@dataclass
class Looked:
    """What a first look found.

    Attributes:
        remarks: what wants a second look, a line each.
        summaries: of the pairs that were looked at, a split each.
        sizes: all pairs of these splits.
        value_range: black and white of images of more than 8 bits, where it was measured.
    """

    remarks: list[str] = field(default_factory=list)
    summaries: list[Summary | InstanceSummary] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    value_range: tuple[float, float] | None = None

    def lines(self) -> Iterator[str]:
        """The remarks, as they are printed."""
        return (printable(f"warning: {remark}") for remark in self.remarks)

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "value_range": self.value_range,
            "remarks": self.remarks,
            "looked_at": [
                {"split": summary.split, "pairs": summary.images, "of": size}
                | {"ignored_share": summary.ignored_share, "shares": summary.shares()}
                for summary, size in zip(self.summaries, self.sizes, strict=True)
            ],
        }


def look(data: Any, val: Any = None, section: Data | None = None) -> Looked:
    """Look at the data to train and to validate on.

    Where the images have more than 8 bits and their range was measured, ``val`` is from here on
    read in that of ``data``.

    Args:
        data: to train on, by the contract of :mod:`bpkd.datasets`.
        val: to validate on, or None.
        section: of the recipe, for what messages call the splits.

    Raises:
        UserError: a broken pair; one class alone; no labelled pixel in a whole split; a name that
            would command the terminal.

    >>> from bpkd.datasets.scenes import Scenes
    >>> looked = look(Scenes("train", size=(32, 32), count=4))
    >>> looked.summaries[0].images, looked.sizes
    (4, [4])
    """
    check_names(list(map(str, data.classes)), "the data set's classes")
    if fault := one_class(data):
        raise UserError(f"data: {fault}")
    looked = Looked()
    if isinstance(data, Labelled) and data.reading.measured:
        looked.value_range = data.reading.value_range
        if isinstance(val, Labelled) and (val.reading.measured or not val.reading.value_range):
            val.reading = data.reading
    called = [section.train, str(section.val)] if section else ["train", "val"]
    splits = [(called[0], data)] + ([] if val is None else [(called[1], val)])
    for name, part in splits:
        summary = _sample(part, name, "train" if part is data else "val")
        complete = summary.images == len(part)
        looked.summaries.append(summary)
        looked.sizes.append(len(part))
        if isinstance(summary, InstanceSummary):
            continue
        if part is data:
            looked.remarks += [*on_classes(data, summary, complete), *on_range(name, data)]
        looked.remarks += on_pixels(part, summary)
    looked.remarks += shared(splits)
    return looked


def _sample(data: Any, name: str, role: str) -> Summary | InstanceSummary:
    """Some pairs, or all; and on, until one has a labelled pixel.

    Args:
        data: by the contract of :mod:`bpkd.datasets`.
        name: the split's own.
        role: train or val.

    Raises:
        UserError: one is broken, or none of all has a labelled pixel.
    """
    summary: Any = Summary(name, list(data.classes))
    examine: Any = Examiner(data, outlines=False)
    if instances := getattr(data, "task", "semantic") == "instance":
        summary, examine = InstanceSummary(name, list(data.classes)), InstanceExaminer(data)
    bare = role == "train" and isinstance(data, Unlabelled)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    begin = time.monotonic()
    with torch.random.fork_rng(devices=[]):  # a data set may draw numbers of its own
        for index in order:
            late = summary.images >= _FEW and time.monotonic() - begin > _SECONDS
            if (summary.labelled or bare) and (late or summary.images >= _PAIRS):
                break
            summary.add(examine(index))
            if summary.problems:
                raise _broken(summary.problems[0], name)
    if not summary.labelled and not bare:
        use = "learnt from" if role == "train" else "measured on"
        if instances:
            raise UserError(
                f"data: {name}: no instance in {len(data):,} images, so nothing can be {use} it: "
                "see data.classes"
            )
        raise UserError(
            f"data: {name}: no pixel of {len(data):,} label maps has a class, all are ignore_index "
            f"{data.ignore_index}, so nothing can be {use} it: see data.ignore and data.label_map"
            + ("" if role == "train" else ", or take another split; data.val=null takes none")
        )
    found: Summary | InstanceSummary = summary
    return found


def _broken(problem: Problem, name: str) -> UserError:
    return UserError(
        f"data: {name}: {problem.name}: {problem.message} (found before training; bpkd data check "
        "lists every such pair)"
    )
