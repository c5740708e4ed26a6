"""Write small exports with the annotation tools' own libraries.

``python -m tests.datasets.annotations.real.make DIR [FORMAT ...]``, in an environment that has them
(README.md says which versions wrote the files). The tests only read what it wrote.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

from tests import exports

COUNT = 2
OBJECTS = ("road", "car")  # the car is painted later, and is the smaller one


def boxes(index: int) -> list[tuple[int, int, int, int]]:
    return [exports.ROAD, exports.car(index)]


def photo(root: Path, index: int) -> Path:
    return exports.photo(root / f"{exports.name(index)}.png", index)


def labelme(root: Path) -> None:
    """LabelMe's own writer; its windows are not needed for that."""
    for name in ("PyQt5", "PyQt5.QtCore", "PyQt5.QtGui", "PyQt5.QtWidgets", "onnxruntime"):
        sys.modules.setdefault(name, MagicMock())
    from labelme._label_file import write_label_file

    for index in range(COUNT):
        file = photo(root, index)
        shapes = [
            {"label": label, "points": [list(map(float, p)) for p in exports.corners(box)],
             "group_id": None, "description": "", "shape_type": "polygon", "flags": {},
             "mask": None}
            for label, box in zip(OBJECTS, boxes(index), strict=True)
        ]  # fmt: skip
        write_label_file(
            str(file.with_suffix(".json")),
            shapes=shapes,
            image_path=file.name,
            image_height=exports.HEIGHT,
            image_width=exports.WIDTH,
            image_data=file.read_bytes() if index == 0 else None,
        )


def _supervision(root: Path) -> Any:
    import supervision

    found, files = {}, []
    for index in range(COUNT):
        file = photo(root / "photos", index)
        masks = np.stack([exports.mask(box) for box in boxes(index)])
        found[str(file)] = supervision.Detections(
            xyxy=np.array(boxes(index), float), mask=masks, class_id=np.array([0, 1])
        )
        files.append(str(file))
    return supervision.DetectionDataset(list(OBJECTS), files, found)


def coco(root: Path) -> None:
    """Roboflow's supervision."""
    data = _supervision(root)
    data.as_coco(str(root / "train"), str(root / "train/_annotations.coco.json"))
    shutil.rmtree(root / "photos")


def yolo(root: Path) -> None:
    """Roboflow's supervision."""
    data = _supervision(root)
    data.as_yolo(str(root / "train/images"), str(root / "train/labels"), str(root / "data.yaml"))
    shutil.rmtree(root / "photos")


def _datumaro(shape: str) -> Any:
    from datumaro.components.annotation import (
        AnnotationType,
        LabelCategories,
        Mask,
        MaskCategories,
        Polygon,
    )
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    items = []
    for index in range(COUNT):
        noise = np.random.default_rng(index).integers(0, 255, (exports.HEIGHT, exports.WIDTH, 3))
        marks: list[Any] = []
        for order, box in enumerate(boxes(index)):
            if shape == "mask":
                inside = exports.mask(box)
                marks.append(Mask(inside, label=order, z_order=order, group=order + 1))
            else:
                points = [float(v) for point in exports.corners(box) for v in point]
                marks.append(Polygon(points, label=order, z_order=order))
        image = Image.from_numpy(noise.astype(np.uint8))
        items.append(
            DatasetItem(exports.name(index), subset="train", media=image, annotations=marks)
        )
    labels = LabelCategories.from_iterable(OBJECTS)
    categories = {AnnotationType.label: labels}
    if shape == "mask":  # CVAT gives each label a colour
        colours = [exports.COLOURS[name] for name in ("background", *OBJECTS)]
        labels = LabelCategories.from_iterable(("background", *OBJECTS))
        categories[AnnotationType.label] = labels
        categories[AnnotationType.mask] = MaskCategories(dict(enumerate(colours)))
        for mark in (mark for item in items for mark in item.annotations):
            mark.label += 1
    return Dataset.from_iterable(items, categories=categories)


def cvat(root: Path) -> None:
    """CVAT's datumaro."""
    _datumaro("polygon").export(str(root), "cvat", save_media=True, image_ext=".png")


def cvat_masks(root: Path) -> None:
    """CVAT's datumaro, as CVAT calls it for segmentation masks 1.1."""
    _datumaro("mask").export(
        str(root), "voc_segmentation", save_media=True, apply_colormap=True, label_map="source"
    )


def datumaro_coco(root: Path) -> None:
    """CVAT's datumaro, as CVAT calls it for COCO 1.0."""
    _datumaro("polygon").export(str(root), "coco_instances", save_media=True, image_ext=".png")


def label_studio(root: Path) -> None:
    """Label Studio's brush, packed by its own converter."""
    from label_studio_sdk.converter import brush

    tasks = []
    for index in range(COUNT):
        file = photo(root, index)
        results = []
        for number, (label, box) in enumerate(zip(OBJECTS, boxes(index), strict=True)):
            mask = (exports.mask(box) * 255).astype(np.uint8)
            value = {"format": "rle", "rle": brush.mask2rle(mask), "brushlabels": [label]}
            size = {"original_width": exports.WIDTH, "original_height": exports.HEIGHT}
            about = {"type": "brushlabels", "from_name": "tag", "to_name": "image"}
            results.append(
                {"id": f"r{index}{number}", "image_rotation": 0, "value": value, **size, **about}
            )
        annotation = {"id": index, "was_cancelled": False, "ground_truth": False, "result": results}
        image = f"/data/upload/1/{index:08x}-{file.name}"
        tasks.append({"id": index + 1, "data": {"image": image}, "annotations": [annotation]})
    exports.dump(root / "export.json", tasks)


def label_studio_png(root: Path) -> None:
    """The same tasks, turned into PNGs by Label Studio's converter."""
    from label_studio_sdk.converter.converter import Converter, Format

    label_studio(root)
    config = (
        '<View><Image name="image" value="$image"/><BrushLabels name="tag" toName="image">'
        '<Label value="road"/><Label value="car"/></BrushLabels></View>'
    )
    converter = Converter(config, str(root), download_resources=False)
    tasks_file = str(root / "export.json")
    converter.convert(tasks_file, str(root), Format.BRUSH_TO_PNG, is_dir=False)
    tasks = json.loads((root / "export.json").read_text())
    (root / "export.json").unlink()
    short = [{"id": task["id"], "image": task["data"]["image"]} for task in tasks]
    exports.dump(root / "min.json", short)


def supervisely(root: Path) -> None:
    """Supervisely's own project folder."""
    import supervisely as sly

    classes = [
        sly.ObjClass("road", sly.Polygon, [128, 64, 128]),
        sly.ObjClass("car", sly.Bitmap, [0, 0, 142]),
    ]
    project = sly.Project(str(root / "project"), sly.OpenMode.CREATE)
    project.set_meta(sly.ProjectMeta(obj_classes=sly.ObjClassCollection(classes)))
    data = project.create_dataset("train")
    for index in range(COUNT):
        file = photo(root / "photos", index)
        left, top, right, bottom = exports.ROAD
        # Its points are pixels: the last ones belong to the road.
        ring = [(top, left), (top, right - 1), (bottom - 1, right - 1), (bottom - 1, left)]
        road = sly.Polygon([sly.PointLocation(*point) for point in ring])
        car = sly.Bitmap(exports.mask(exports.car(index)))
        marks = [sly.Label(road, classes[0]), sly.Label(car, classes[1])]
        annotation = sly.Annotation((exports.HEIGHT, exports.WIDTH), marks)
        data.add_item_file(file.name, str(file), annotation)
    shutil.rmtree(root / "photos")


ALL: dict[str, Callable[[Path], None]] = {
    "labelme": labelme, "coco": coco, "yolo": yolo, "cvat": cvat, "cvat-masks": cvat_masks,
    "coco-datumaro": datumaro_coco, "label-studio": label_studio,
    "label-studio-png": label_studio_png, "supervisely": supervisely,
}  # fmt: skip


if __name__ == "__main__":
    for name in sys.argv[2:] or ALL:
        shutil.rmtree(Path(sys.argv[1]) / name, ignore_errors=True)
        (Path(sys.argv[1]) / name).mkdir(parents=True)
        ALL[name](Path(sys.argv[1]) / name)
        print(name, flush=True)
