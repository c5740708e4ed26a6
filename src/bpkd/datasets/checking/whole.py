"""A data set checked as a whole: every split opened, walked through, and what there is to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bpkd.datasets.checking.groups import lines
from bpkd.datasets.checking.instance_tables import instance_classes_table, instance_splits_table
from bpkd.datasets.checking.instances import InstanceSummary
from bpkd.datasets.checking.opening import Opened
from bpkd.datasets.checking.remarks import remarks
from bpkd.datasets.checking.splits import open_splits
from bpkd.datasets.checking.summary import Summary, check
from bpkd.datasets.checking.tables import classes_table, splits_table
from bpkd.datasets.parallel import Progress
from bpkd.support.columns import Columns


@dataclass
class Checked:
    """What is in a data set, and what is wrong with it.

    Attributes:
        summaries: of the splits that could be opened.
        failures: the others by name, and why they could not.
        warnings: what wants a second look, a line each.
        data: the data sets of the splits that could be opened.
    """

    summaries: Sequence[Summary | InstanceSummary]
    failures: dict[str, str]
    warnings: list[str]
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether a pair or a split is broken."""
        return bool(self.failures) or any(summary.problems for summary in self.summaries)

    def lines(self, every: bool = False) -> Iterator[str]:
        """The warnings, the broken splits and pairs, a line each; and how many these are.

        Args:
            every: list all broken pairs, not some of those that are alike.

        >>> print(*Checked([], {"test": "labels/test is no folder"}, []).lines(), sep="\\n")
        broken: test: labels/test is no folder
        0 broken of 0 pairs; splits that cannot be opened: test
        """
        for warning in self.warnings:
            yield f"warning: {warning}"
        for split, message in self.failures.items():
            yield f"broken: {split}: {message}"
        for summary in self.summaries:
            data = self.data.get(summary.split)
            yield from lines(summary.split, summary.problems, data, every)
        broken = sum(len(summary.problems) for summary in self.summaries)
        images = sum(summary.images for summary in self.summaries)
        counted = f"{broken:,} broken of {broken + images:,} pairs"
        if any(isinstance(summary, InstanceSummary) for summary in self.summaries):
            # An image may have several broken annotations, and be in good order but for them.
            counted = f"{broken:,} broken annotations or files, {images:,} images read"
        absent = f"; splits that cannot be opened: {', '.join(self.failures)}"
        yield counted + (absent if self.failures else "")

    def tables(self) -> tuple[Columns, Columns]:
        """What is in the classes, and in the splits."""
        instances = [each for each in self.summaries if isinstance(each, InstanceSummary)]
        if instances:
            return instance_classes_table(instances), instance_splits_table(instances)
        labels = [each for each in self.summaries if isinstance(each, Summary)]
        return classes_table(labels), splits_table(labels)

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "splits": [summary.as_json() for summary in self.summaries],
            "not_opened": self.failures,
            "warnings": self.warnings,
        }


def check_all(
    found: Opened,
    *,
    workers: int | None = 0,
    colours: bool = False,
    progress: Callable[[str], Progress] = lambda split: iter,
) -> Checked:
    """Open every split, then read every pair of each once.

    Args:
        found: the data.
        workers: processes that read, see :func:`~bpkd.datasets.parallel.each`.
        colours: also mean and standard deviation of the images.
        progress: name of a split -> what wraps that which is gone through.

    Raises:
        UserError: no split can be opened.
    """
    splits, failures = open_splits(found)
    summaries = [
        check(
            split.data,
            split.name,
            known=split.problems,
            workers=workers,
            colours=colours,
            progress=progress(split.name),
        )
        for split in splits
    ]
    said = remarks(splits, summaries, found.data)
    return Checked(summaries, failures, said, {split.name: split.data for split in splits})
