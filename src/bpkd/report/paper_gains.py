"""What BPKD gains in the published tables, beside what the paper's text says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bpkd.report.paper_grid import Grid
from bpkd.report.paper_numbers import (
    DATA,
    PACKAGED,
    TABLES,
    instance_numbers,
    networks,
    read_numbers,
    read_rows,
    trimap_numbers,
)

OVER = {"plain": "the raw student", "cwd": "CWD"}
NOTE = "Differences of two numbers of the table; %: as a share of the number that is gained over."


def gains(number: str) -> list[Grid]:
    """A grid a data set: BPKD over the student alone and over CWD, and the text's numbers."""
    source, parts = _numbers(number)
    said = {(row["table"], row["data"], row["over"]): row["said"] for row in _text()}
    grids = []
    for data, (title, items) in parts.items():
        rows: list[list[str]] = []
        records: list[dict[str, Any]] = []
        for item, by_method in items.items():
            cells = [item]
            record: dict[str, Any] = {"table": number, "data": data, "item": item}
            for over in OVER:
                points = by_method["bpkd"] - by_method[over]
                share = 100 * points / by_method[over]
                cells += [f"{points:+.2f}", f"{share:+.2f} %"]
                record |= {f"over_{over}": round(points, 2), f"over_{over}_%": round(share, 2)}
            rows.append(cells)
            records.append(record)
        text = [said.get((number, data, over), "") for over in OVER]
        if any(text):
            rows.append(["the text says", text[0], "", text[1], ""])
        header = ["BPKD"]
        for name in OVER.values():
            header += [f"over {name}", "%"]
        breaks = {len(items) - 1} if any(text) else ()
        grids.append(Grid(title, header, rows, breaks, f"{source}. {NOTE}", records))
    return grids


#: Of a data set: a title, and what is measured -> method -> per cent.
_Part = tuple[str, dict[str, Mapping[str, float]]]


def _numbers(number: str) -> tuple[str, dict[str, _Part]]:
    """A table's source and numbers, by data set."""
    if number == "3":
        source, classes = trimap_numbers()
        return source, {"cityscapes": ("Table 3, Cityscapes: trimap IoU", dict(classes))}
    if number == "4":
        source, methods = instance_numbers()
        measures = {
            measure: {method: values[measure] for method, values in methods.items()}
            for measure in methods["bpkd"]
        }
        return source, {"coco": ("Table 4, COCO: mask AP", dict(measures))}
    rows = TABLES[number]
    source, numbers = read_numbers(rows.file)
    parts: dict[str, _Part] = {}
    for data in rows.data:
        items: dict[str, Mapping[str, float]] = {}
        for pair in rows.pairs:
            title = networks()[pair, "student"]["title"]
            items[title] = {
                method: values["mIoU"]
                for (d, p, method), values in numbers.items()
                if (d, p) == (data, pair)
            }
        parts[data] = f"Table {number}, {DATA[data]}: mIoU", items
    return source, parts


def _text() -> Iterator[dict[str, Any]]:
    yield from read_rows(PACKAGED / "text.csv")[1]
