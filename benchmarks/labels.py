"""What labels are worth: all of them, a quarter, a quarter and the rest without, none at all.

    python -m benchmarks.labels prepare scenes
    python -m benchmarks.labels prepare camvid --data CAMVID
    python -m benchmarks.labels run scenes [--part 0/2] [KEY=VALUE ...]
    python -m benchmarks.labels table scenes

The studies are those of benchmarks/labels.yaml: a teacher of all labels, and, as ``scenes-quarter``
and ``camvid-quarter``, one of a quarter. ``prepare`` paints the scenes into files, or links those
of CamVid, and sets every fourth training image apart: of CamVid's video, every fourth frame.
``run`` is :mod:`benchmarks.evidence`'s: it trains what is not finished, goes on where it was
stopped, and shares the runs between processes by parts; a teacher that is there is taken. The
seeds of a regime read one cache of the teacher. ``table`` measures on the test split.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from benchmarks import evidence
from bpkd import UserError
from bpkd.datasets.image_files import files_below
from bpkd.datasets.scenes import SPLITS, Scenes
from bpkd.report.table import COLUMNS, spread
from bpkd.support.files import replacing_csv

GRID = Path(__file__).with_suffix(".yaml")
SCORES = ["mIoU", "trimap_mIoU@3", "boundary_mIoU"]


def prepare(
    name: str, folder: Path, data: Path | None = None, counts: dict[str, int] = SPLITS
) -> None:
    """Files of a data set below the folder, with ``quarter`` and ``rest`` beside ``train``.

    Args:
        name: ``scenes`` or ``camvid``.
        folder: LABELS.
        data: CamVid's own folder.
        counts: scenes a split.

    Raises:
        UserError: CamVid is not there.
    """
    root = folder / name
    if name == "scenes":
        paint(root, counts)
        kinds = [root / kind / "{}" for kind in ("images", "labels")]
    else:
        if data is None or not (data / "trainannot").is_dir():
            raise UserError(f"--data {data}: expected CamVid's folder, with train and trainannot")
        for part in (f"{split}{end}" for split in SPLITS for end in ("", "annot")):
            link((data / part).iterdir(), root / part)
        kinds = [root / "{}", root / "{}annot"]
    for kind in kinds:
        files = files_below(Path(str(kind).format("train")))
        link(files[::4], Path(str(kind).format("quarter")))
        link((file for i, file in enumerate(files) if i % 4), Path(str(kind).format("rest")))


def paint(root: Path, counts: dict[str, int]) -> None:
    """The embedded scenes as a folder of images beside one of label maps."""
    for split, count in counts.items():
        scenes = Scenes(split, count=count)
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, labels = scenes[index]
            name = f"{scenes.name(index)}.png"
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / "images" / split / name)
            Image.fromarray(labels.numpy()).save(root / "labels" / split / name)
    with replacing_csv(root / "classes.csv") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "r", "g", "b"])
        writer.writerows(
            [name, *colour] for name, colour in zip(scenes.classes, scenes.palette, strict=True)
        )


def link(files: Iterable[Path], folder: Path) -> None:
    """Links to files, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        place = folder / file.name
        if not place.is_symlink():
            place.symlink_to(file.resolve())


def table(name: str, folder: Path, grid: Path = GRID) -> str:
    """The finished runs in Markdown: mean ± standard deviation over the seeds, in per cent.

    Raises:
        UserError: no run is finished.
    """
    (raw, *_) = evidence.table(name, folder / "results", folder / "runs", grid=grid)
    with raw.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    lines = ["| labels | method | seeds | " + " | ".join(COLUMNS[score] for score in SCORES) + " |"]
    lines.append("| --- | --- | ---: |" + " ---: |" * len(SCORES))
    for regime, method in dict.fromkeys((row["regime"], row["method"]) for row in rows):
        here = [row for row in rows if (row["regime"], row["method"]) == (regime, method)]
        cells = [spread([float(row[score]) for row in here]) for score in SCORES]
        lines.append(f"| {regime} | {method} | {len(here)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["prepare", "list", "run", "table"])
    parser.add_argument("study")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--part", default="0/1", help="0/2: the first half of the runs")
    parser.add_argument("--folder", type=Path, default=Path("runs/labels"), help="LABELS")
    parser.add_argument("--data", type=Path, help="CamVid's own folder")
    parser.add_argument("--grid", type=Path, default=GRID)
    given = parser.parse_args(arguments)
    os.environ["LABELS"] = str(given.folder.resolve())
    if given.what == "prepare":
        prepare(given.study, given.folder, given.data)
    elif given.what == "table":
        print(table(given.study, given.folder, given.grid))
    else:
        where = ["--runs", str(given.folder / "runs"), "--grid", str(given.grid)]
        evidence.main([given.what, given.study, *given.overrides, *where, "--part", given.part])


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
