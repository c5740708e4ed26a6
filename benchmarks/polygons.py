"""How well polygons become pixels: areas and overlap beside COCO's own code and Pillow.

python -m benchmarks.polygons instances_val2017.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco
from PIL import Image, ImageDraw

from bpkd.datasets.annotations.polygons import Polygon, outline, united


def main() -> None:
    """Print a table: total area in pixels, and mean IoU with COCO's masks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("annotations", type=Path)
    content = json.loads(parser.parse_args().annotations.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    objects = [each for each in content["annotations"] if not each["iscrowd"]]
    areas = dict.fromkeys(("COCO's own", "here", "Pillow"), 0)
    overlaps: dict[str, list[float]] = {name: [] for name in areas}
    for each in objects:
        masks = _masks(each["segmentation"], *sizes[each["image_id"]])
        wanted = masks["COCO's own"]
        for name, mask in masks.items():
            areas[name] += int(mask.sum())
            if (mask | wanted).any():
                overlaps[name].append((mask & wanted).sum() / (mask | wanted).sum())
    print(f"{len(objects)} objects; their annotated area: {sum(e['area'] for e in objects):,.0f}")
    print("| | area | mean IoU with COCO's own |\n| --- | ---: | ---: |")
    for name, area in areas.items():
        print(f"| {name} | {area:,} | {np.mean(overlaps[name]):.3f} |")


def _masks(parts: list[list[float]], height: int, width: int) -> dict[str, Any]:
    theirs = coco.decode(coco.merge(coco.frPyObjects(parts, height, width))) > 0
    here = np.zeros((height, width), bool)
    mask, left, top = united([Polygon((outline(part, ""),)) for part in parts]).patch(height, width)
    here[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    picture = Image.new("1", (width, height))
    for part in parts:
        ImageDraw.Draw(picture).polygon(part, fill=1)
    return {"COCO's own": theirs, "here": here, "Pillow": np.asarray(picture)}


if __name__ == "__main__":
    main()
