"""The findings on instances as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bpkd.datasets.checking.instances import SIZES, InstanceSummary
from bpkd.datasets.checking.tables import colour_rows, extent_rows
from bpkd.support.columns import Columns

_SIZE_TITLES = {"s": "small, below 32x32", "m": "medium", "l": "large, from 96x96"}


def instance_splits_table(summaries: Sequence[InstanceSummary]) -> Columns:
    """A column a split: images, their sizes, instances by size, crowds."""
    rows = [[title, *cells] for title, cells in _split_rows(summaries)]
    return Columns(["", *(summary.split for summary in summaries)], rows)


def _split_rows(summaries: Sequence[InstanceSummary]) -> Iterator[tuple[str, list[str]]]:
    yield from extent_rows(summaries)
    yield "images without instances", [f"{s.each[0]:,}" for s in summaries]
    yield "instances", [f"{s.labelled:,}" for s in summaries]
    for place, size in enumerate(SIZES):
        counts = [int(s.counts[:, place].sum()) for s in summaries]
        yield (
            f"  {_SIZE_TITLES[size]} (% of instances)",
            [_share(c, s.labelled) for c, s in zip(counts, summaries, strict=True)],
        )
    yield (
        "instances an image, mean",
        [f"{s.labelled / s.images:.1f}" if s.images else "-" for s in summaries],
    )
    yield "instances an image, max", [f"{max(s.each, default=0):,}" for s in summaries]
    yield "crowds", [f"{s.crowds:,}" for s in summaries]
    yield from colour_rows(summaries)


def instance_classes_table(summaries: Sequence[InstanceSummary]) -> Columns:
    """A row a class: its instances of each size, and its number of images, in each split."""
    headings = [f"{s.split}\n{what}" for s in summaries for what in (*SIZES, "all", "images")]
    rows = []
    for index, name in enumerate(summaries[0].classes):
        cells = [f"{index} {name}"]
        for summary in summaries:
            counts = summary.counts[index]
            numbers = [*counts, counts.sum(), summary.occurs[index]]
            cells += [f"{int(number):,}" if number else "-" for number in numbers]
        rows.append(cells)
    return Columns(["class", *headings], rows)


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.0f})" if whole else "-"
