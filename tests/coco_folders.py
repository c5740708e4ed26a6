"""A small data set in COCO's format, for tests to break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.pictures import save

SQUARE = [[2, 1, 6, 1, 6, 5, 2, 5]]  # 16 pixels, box 2, 1, 4, 4
TWO_PARTS = [[0, 0, 2, 0, 2, 2, 0, 2], [10, 6, 12, 6, 12, 8, 10, 8]]
CROWD = {"size": [8, 12], "counts": [8, 16, 72]}  # columns 1 and 2


def annotation(own: int, image: int, category: int, segmentation: Any, **more: Any) -> Any:
    """An entry of the file's annotations."""
    return {
        "id": own, "image_id": image, "category_id": category, "segmentation": segmentation, **more,
    }  # fmt: skip


def content() -> dict[str, Any]:
    """Two images of 12x8 and one of 8x6 without instances; categories with gaps, out of order."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 8, "width": 12},
            {"id": 3, "file_name": "b.png", "height": 8, "width": 12},
            {"id": 9, "file_name": "c.png", "height": 6, "width": 8},
        ],
        "categories": [{"id": 90, "name": "kite"}, {"id": 1, "name": "person"}],
        "annotations": [
            annotation(1, 7, 90, SQUARE, bbox=[2.25, 1, 3.5, 4], area=15.5, iscrowd=0),
            annotation(2, 7, 1, CROWD, bbox=[1, 0, 2, 8], area=16, iscrowd=1),
            annotation(5, 3, 1, TWO_PARTS),
        ],
    }


def write(root: Path, entries: Any, split: str = "train2017", images: str | None = None) -> Path:
    """COCO's layout, or another folder of images; the root."""
    file = root / f"annotations/instances_{split}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    for name, size in (("a", (8, 12)), ("b", (8, 12)), ("c", (6, 8))):
        save(root / (images or split) / f"{name}.png", np.zeros((*size, 3)))
    return root
