"""What instances cost before a network sees them, and what the painted scenes are made of.

    python -m benchmarks.instance_data [ROOT OF COCO] [--images 60]

Processor time, in one process with one thread: an image painted; and, where there is a folder in
COCO's layout, an image of its val split read, its masks decoded, the published transform (long side
768, SOLOv2 light), and AP of predictions that are the truth, an image counted and all computed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from bpkd.datasets.coco import COCO
from bpkd.datasets.images import read_image
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instance_transforms import instance_transform
from bpkd.datasets.instances import Instances, areas_of
from bpkd.metrics.instances import InstanceMeasures

_SIZES = [(768, 512), (768, 480), (768, 448), (768, 416), (768, 384), (768, 352)]


def timed(work: Callable[[int], Any], count: int) -> tuple[float, list[Any]]:
    """Milliseconds an item, and the items."""
    start = time.process_time()
    made = [work(i) for i in range(count)]
    return 1e3 * (time.process_time() - start) / count, made


def scenes(count: int) -> Iterator[str]:
    """What the painted scenes are made of."""
    spent, made = timed(InstanceScenes("val", count=count).__getitem__, count)
    yield f"painted scene, 256x256: {spent:.1f} ms"
    areas = torch.cat([areas_of(found) for _, found in made]).numpy()
    pieces = np.array([ndimage.label(mask)[1] for _, found in made for mask in found.masks])
    yield f"objects: {len(areas)} in {count} scenes"
    for limits in ((16, 48), (32, 96)):
        edges = [0, limits[0] ** 2, limits[1] ** 2, np.inf]
        for low, high in pairwise(edges):
            chosen = (areas >= low) & (areas < high)
            split = 100 * (pieces[chosen] > 1).mean() if chosen.any() else 0
            yield (
                f"  {low:5.0f} to {high:5.0f} pixels: {100 * chosen.mean():4.1f} %, of which "
                f"{split:4.1f} % in several pieces"
            )


def coco(root: str, most: int) -> Iterator[str]:
    """What COCO costs."""
    data = COCO(root, "val")
    count = min(most, len(data))
    reading, _ = timed(lambda i: read_image(data.files[i]), count)
    both, made = timed(data.__getitem__, count)
    yield f"COCO, an image read: {reading:.1f} ms; its masks decoded: {both - reading:.1f} ms"
    transform = instance_transform(_SIZES)
    spent, _ = timed(lambda i: transform(*made[i]), count)
    yield f"COCO, resized and flipped: {spent:.1f} ms"
    targets = [found for _, found in made]
    for boundary in (False, True):
        measures = InstanceMeasures(len(data.classes), boundary=boundary)
        yield from _measured(measures, targets, "mask and boundary AP" if boundary else "mask AP")


def _measured(measures: InstanceMeasures, targets: list[Instances], name: str) -> Iterator[str]:
    found = [each._replace(scores=torch.ones(len(each.labels))) for each in targets]
    counting, _ = timed(lambda i: measures.update([found[i]], [targets[i]]), len(targets))
    computing, _ = timed(lambda _: measures.compute(), 1)
    yield (
        f"{name}: {counting:.1f} ms an image counted, {computing / len(targets):.1f} ms computed"
    )


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", nargs="?", help="a folder in COCO's layout")
    parser.add_argument("--images", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in scenes(arguments.images):
        print(line)
    if arguments.root:
        for line in coco(arguments.root, arguments.images):
            print(line)


if __name__ == "__main__":
    main()
