"""The formats as a list and as a table, made from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from bpkd.datasets.annotations.catalogue import formats
from bpkd.datasets.annotations.format import Format

_OVER = {"later": "the later one", "smaller": "the smaller one", None: "—"}


def entries() -> Iterator[str]:
    """Each format in some lines, for a terminal."""
    for each in formats():
        needs = f"\n    needs the extra {each.extra}" if each.extra else ""
        yield (
            f"{each.name}: {each.title}\n    taken for it by: {each.recognised}\n"
            f"    holds {_kinds(each)}; of two objects, over the other lies: "
            f"{_OVER[each.overlap]}\n    cannot hold: {each.cannot}{needs}"
        )


def markdown() -> str:
    """All of them as a table."""
    lines = [
        "| `format` | tool | taken for it by | holds | lies over | cannot hold |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in formats():
        cells = [f"`{each.name}`", each.title, each.recognised, _kinds(each),
                 _OVER[each.overlap], each.cannot]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _kinds(each: Format) -> str:
    return "classes, instances" if each.instances else "classes"
