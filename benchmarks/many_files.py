"""Processor time and memory of ``bpkd init`` and of opening a data set, by format, over many files.

python -m benchmarks.many_files            # 10,000 images of 320x240 in a temporary folder
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 320, 240
RING = [[20, 30], [200, 40], [180, 200], [60, 220], [10, 120]]
MEASURE = """
import resource, sys, time
from pathlib import Path
import bpkd.training.run, bpkd.starting.init
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.process_time()
{work}
seconds = time.process_time() - begin
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, (after - before) / 1024)
"""
INIT = "bpkd.starting.init.init(sys.argv[1], out=sys.argv[2], weights=None, overwrite=True)"
OPEN = (
    "from bpkd.recipe.loading import load_recipe\n"
    "load_recipe(Path(sys.argv[2]) / 'teacher.yaml').data.build(split='train')"
)


def labelme(root: Path, count: int) -> None:
    """A JSON an image."""
    shape = {"label": "car", "points": RING, "shape_type": "polygon", "group_id": None}
    for index in range(count):
        content = {"version": "5", "flags": {}, "shapes": [shape] * 5, "imagePath": f"{index}.jpg",
                   "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        (root / f"{index}.json").write_text(json.dumps(content))


def coco(root: Path, count: int) -> None:
    """One JSON."""
    flat = [[float(v) for point in RING for v in point]]
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(count)
    ]
    annotations = [
        {"id": i, "image_id": i // 5, "category_id": 1, "segmentation": flat, "iscrowd": 0}
        for i in range(count * 5)
    ]
    content = {"images": images, "annotations": annotations,
               "categories": [{"id": 1, "name": "car"}]}  # fmt: skip
    (root / "annotations.json").write_text(json.dumps(content))


def masks(root: Path, count: int) -> None:
    """A PNG an image."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[80:200, 40:240] = 1
    values[100:140, 100:180] = 2
    (root / "masks").mkdir()
    Image.fromarray(values).save(root / "masks" / "0.png")
    for index in range(1, count):
        os.link(root / "masks" / "0.png", root / "masks" / f"{index}.png")


FORMATS: dict[str, Callable[[Path, int], None]] = {
    "labelme": labelme, "coco": coco, "index-masks": masks,
}  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    print("| format | `bpkd init`, processor s | MiB | opening a split, processor s | MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, write in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            root, out = Path(folder, "photos"), Path(folder, "out")
            root.mkdir()
            noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            Image.fromarray(noise).save(root / "0.jpg", quality=50)
            for index in range(1, count):
                os.link(root / "0.jpg", root / f"{index}.jpg")
            write(root, count)
            cells = [cell for work in (INIT, OPEN) for cell in _measured(work, root, out)]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _measured(work: str, root: Path, out: Path) -> list[str]:
    """Seconds of processor time, and MiB above what the libraries take."""
    command = [sys.executable, "-c", MEASURE.format(work=work), str(root), str(out)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, mebibytes = map(float, printed.split())
    return [f"{seconds:.1f}", f"{mebibytes:.0f}"]


if __name__ == "__main__":
    main()
