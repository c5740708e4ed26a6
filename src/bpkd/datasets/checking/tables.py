"""The findings as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bpkd.datasets.checking.summary import Summary, share
from bpkd.datasets.checking.walked import Walked
from bpkd.support.columns import Columns


def splits_table(summaries: Sequence[Summary]) -> Columns:
    """A column a split: counts, sizes, and the shares of what is ignored and on a boundary."""
    rows = [[title, *cells] for title, cells in _split_rows(summaries)]
    return Columns(["", *(summary.split for summary in summaries)], rows)


def _split_rows(summaries: Sequence[Summary]) -> Iterator[tuple[str, list[str]]]:
    yield from extent_rows(summaries)
    yield (
        "boundary pixels, % of labelled",
        [f"{100 * share(s.boundary, s.labelled):.1f}" for s in summaries],
    )
    yield (
        "ignored pixels, % of all",
        [f"{100 * share(s.ignored, s.ignored + s.labelled):.1f}" for s in summaries],
    )
    yield from colour_rows(summaries)


def classes_table(summaries: Sequence[Summary]) -> Columns:
    """A row a class: its share of the labelled pixels and its number of images, in each split."""
    headings = [
        heading for s in summaries for heading in (f"{s.split}\n% pixels", f"{s.split}\nimages")
    ]
    rows = []
    for index, name in enumerate(summaries[0].classes):
        cells = [f"{index} {name}"]
        for summary in summaries:
            cells += [_percent(summary.shares()[index]), f"{summary.occurs[index]:,}"]
        rows.append(cells)
    return Columns(["class", *headings], rows)


def _percent(part: float) -> str:
    """Shares down to a thousandth of a per cent; what is there never reads as nothing.

    >>> _percent(0.25), _percent(0.0004), _percent(1e-7), _percent(0)
    ('25.00', '0.04', '<0.01', '-')
    """
    if part == 0:
        return "-"
    return f"{100 * part:.2f}" if part >= 5e-5 else "<0.01"


def extent_rows(summaries: Sequence[Walked]) -> Iterator[tuple[str, list[str]]]:
    """How many images there are, and of what sizes."""
    yield "images", [f"{s.images:,}" for s in summaries]
    yield "broken pairs", [f"{len(s.problems):,}" for s in summaries]
    for name in ("min", "median", "max"):
        sizes = [s.extent().get(name) for s in summaries]
        yield (
            f"size, {name}" + (" (width x height)" if name == "min" else ""),
            [f"{size[1]}x{size[0]}" if size else "-" for size in sizes],
        )
    yield "different sizes", [f"{len(s.sizes):,}" for s in summaries]


def colour_rows(summaries: Sequence[Walked]) -> Iterator[tuple[str, list[str]]]:
    """Mean and deviation of the images, where they were asked for."""
    if all(s.colours is not None for s in summaries):
        for index, colour in enumerate(("red", "green", "blue")):
            pairs = [s.mean_and_deviation()[index] for s in summaries]
            yield f"{colour}, mean ± deviation", [f"{m:.1f} ± {d:.1f}" for m, d in pairs]
