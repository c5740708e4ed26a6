"""One street, exported as each annotation tool writes it: all of them must be read alike.

The images are 48x32 (width x height). A road covers the lower half, a car lies over it, partly
above it, and every image has its car elsewhere. The third of the six images is for validation in
the formats that have splits.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT, COUNT = 48, 32, 6
CLASSES = ["background", "road", "car"]
COLOURS = {"background": (0, 0, 0), "road": (128, 64, 128), "car": (0, 0, 142)}
ROAD = (0, 16, 48, 32)  # left, top, right, bottom


def name(index: int) -> str:
    return f"street_{index}"


def car(index: int) -> tuple[int, int, int, int]:
    return 4 + 4 * index, 10, 16 + 4 * index, 24


def corners(box: tuple[int, int, int, int]) -> list[list[int]]:
    left, top, right, bottom = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def mask(box: tuple[int, int, int, int]) -> npt.NDArray[np.bool_]:
    left, top, right, bottom = box
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[top:bottom, left:right] = True
    return inside


def labels(index: int) -> npt.NDArray[np.uint8]:
    """What every format must be read as."""
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[mask(ROAD)] = 1
    wanted[mask(car(index))] = 2
    return wanted


def split(index: int) -> str:
    return "valid" if index == 2 else "train"


def photo(file: Path, index: int, **options: Any) -> Path:
    """Noise over the labels, so that there is something to learn."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(index).integers(0, 60, (HEIGHT, WIDTH, 3))
    pixels = (labels(index)[..., None] * 90 + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, **options)
    return file


def png(file: Path, values: Any, palette: bool = False, **options: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values))
    if palette:
        image.putpalette([c for n in CLASSES for c in COLOURS[n]] + [0] * (253 * 3))
    image.save(file, **options)


def encoded(values: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, format="PNG")
    return stream.getvalue()


def dump(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def column_runs(inside: npt.NDArray[np.bool_]) -> list[int]:
    """COCO's uncompressed run lengths: by columns, beginning with what is outside."""
    return runs(inside.T)


def runs(inside: npt.NDArray[np.bool_]) -> list[int]:
    flat = np.concatenate([[False], inside.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [inside.size]])).tolist()


def coco(root: Path) -> None:
    """As the data set itself: a file a split, images in a folder a split, ids with gaps."""
    for part, indices in (("train", [0, 1, 3, 4, 5]), ("val", [2])):
        images, annotations = [], []
        for index in indices:
            photo(root / f"{part}2017" / f"{name(index)}.jpg", index)
            number = index + 100
            images.append(
                {"id": number, "file_name": f"{name(index)}.jpg", "width": WIDTH, "height": HEIGHT,
                 "license": 1}
            )  # fmt: skip
            # The road as one outline, the car as run lengths; the smaller one lies over the other.
            road = [[float(v) for corner in corners(ROAD) for v in corner]]
            rle = {"counts": column_runs(mask(car(index))), "size": [HEIGHT, WIDTH]}
            for place, (kind, shape) in enumerate(((7, rle), (3, road))):
                annotations.append(
                    {"id": 10 * number + place, "image_id": number, "category_id": kind,
                     "segmentation": shape, "area": 1.0, "bbox": [0, 0, 1, 1], "iscrowd": 0}
                )  # fmt: skip
        categories = [
            {"id": 7, "name": "car", "supercategory": "vehicle"},
            {"id": 3, "name": "road", "supercategory": "ground"},
        ]
        content = {"info": {}, "licenses": [], "images": images, "annotations": annotations,
                   "categories": categories}  # fmt: skip
        dump(root / "annotations" / f"instances_{part}2017.json", content)


def labelme(root: Path) -> None:
    """A JSON beside each photo; the road as a polygon, the car as a mask or a rectangle."""
    for index in range(COUNT):
        photo(root / f"{name(index)}.jpg", index)
        left, top, right, bottom = car(index)
        road = {"label": "road", "points": corners(ROAD), "shape_type": "polygon", "mask": None}
        box = {"label": "car", "points": [[right, bottom], [left, top]], "mask": None,
               "shape_type": "rectangle"}  # fmt: skip
        if index % 2:
            data = base64.b64encode(encoded(np.full((bottom - top, right - left), 255, np.uint8)))
            box = {"label": "car", "points": [[left, top], [right - 1, bottom - 1]],
                   "shape_type": "mask", "mask": data.decode()}  # fmt: skip
        line = {"label": "kerb", "points": [[0, 0], [9, 9]], "shape_type": "line", "mask": None}
        more = {"group_id": None, "description": "", "flags": {}}
        content = {
            "version": "5.5.0", "flags": {}, "shapes": [each | more for each in (road, line, box)],
            "imagePath": f"{name(index)}.jpg", "imageData": None, "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }  # fmt: skip
        dump(root / f"{name(index)}.json", content)


def cvat(root: Path) -> None:
    """CVAT for images 1.1: layers that put the car, which is listed first, over the road."""
    entries = []
    for index in range(COUNT):
        photo(root / "images" / f"{name(index)}.png", index)
        left, top, right, bottom = car(index)
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(ROAD))
        road = f'<polygon label="road" source="manual" occluded="0" points="{points}" z_order="0"/>'
        over = (
            f'<box label="car" source="manual" occluded="0" xtl="{left}.00" ytl="{top}.00" '
            f'xbr="{right}.00" ybr="{bottom}.00" z_order="1"/>'
        )
        if index % 2:
            size = (right - left) * (bottom - top)
            over = (
                f'<mask label="car" source="manual" occluded="0" rle="0, {size}" left="{left}" '
                f'top="{top}" width="{right - left}" height="{bottom - top}" z_order="1"/>'
            )
        line = '<polyline label="car" points="0.0,0.0;9.0,9.0" z_order="0"/>'
        subset = {"train": "Train", "valid": "Validation"}[split(index)]
        entries.append(
            f'<image id="{index}" name="{name(index)}.png" subset="{subset}" width="{WIDTH}" '
            f'height="{HEIGHT}">{over}{road}{line}</image>'
        )
    named = "".join(
        f"<label><name>{n}</name><color>#{bytes(COLOURS[n]).hex()}</color><type>any</type>"
        "<attributes></attributes></label>"
        for n in CLASSES[1:]
    )
    (root / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>'
        f"<meta><task><id>1</id><labels>{named}</labels></task></meta>{''.join(entries)}"
        "</annotations>\n",
        encoding="utf-8",
    )


def _voc_lists(root: Path) -> None:
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part, file in (("train", "train.txt"), ("valid", "val.txt")):
        stems = [name(index) for index in range(COUNT) if split(index) == part]
        (lists / file).write_text("\n".join(stems) + "\n", encoding="utf-8")


def cvat_masks(root: Path) -> None:
    """Segmentation mask 1.1: RGB in the colours of labelmap.txt, which need not be in order."""
    lines = ["# label:color_rgb:parts:actions"]
    lines += [f"{n}:{','.join(map(str, COLOURS[n]))}::" for n in ("background", "car", "road")]
    root.mkdir(parents=True, exist_ok=True)
    (root / "labelmap.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _voc_lists(root)
    colours = np.array([COLOURS[n] for n in CLASSES], np.uint8)
    for index in range(COUNT):
        photo(root / "JPEGImages" / f"{name(index)}.jpg", index)
        png(root / "SegmentationClass" / f"{name(index)}.png", colours[labels(index)])
        objects = np.array([(0, 0, 0), (250, 50, 83), (36, 179, 83)], np.uint8)[labels(index)]
        png(root / "SegmentationObject" / f"{name(index)}.png", objects)


def voc(root: Path) -> None:
    """As labelme2voc writes it, in palette PNGs."""
    root.mkdir(parents=True, exist_ok=True)
    names = ["__ignore__", "_background_", *CLASSES[1:]]
    (root / "class_names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    _voc_lists(root)
    for index in range(COUNT):
        photo(root / "JPEGImages" / f"{name(index)}.jpg", index)
        for folder in ("SegmentationClass", "SegmentationObject"):
            png(root / folder / f"{name(index)}.png", labels(index), palette=True)


def _brush(inside: npt.NDArray[np.bool_]) -> list[int]:
    """Label Studio's packing, in runs of one pixel's four numbers."""
    bits = f"{inside.size * 4:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    # Runs of 65536 numbers at most: one row at a time.
    for row in inside:
        for count, value in zip(runs(row), [0, 255] * WIDTH, strict=False):
            if count:
                bits += f"1{3:02b}{count * 4 - 1:016b}{value:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def label_studio(root: Path) -> None:
    """A JSON export: uploads with digits before their names, per cent, a cancelled annotation."""
    tasks = []
    for index in range(COUNT):
        photo(root / "images" / f"{name(index)}.jpg", index)
        left, top, right, bottom = car(index)
        more = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
                "to_name": "image"}  # fmt: skip
        points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners(ROAD)]
        road = {"id": "r", "type": "polygonlabels", "from_name": "label",
                "value": {"points": points, "closed": True, "polygonlabels": ["road"]}}  # fmt: skip
        value: dict[str, Any] = {"format": "rle", "rle": _brush(mask(car(index))),
                                 "brushlabels": ["car"]}  # fmt: skip
        kind = "brushlabels"
        if index % 2:
            kind = "rectanglelabels"
            value = {"x": 100 * left / WIDTH, "y": 100 * top / HEIGHT, "rotation": 0,
                     "width": 100 * (right - left) / WIDTH,
                     "height": 100 * (bottom - top) / HEIGHT, kind: ["car"]}  # fmt: skip
        over = {"id": "c", "type": kind, "from_name": "tag", "value": value}
        point = {"id": "k", "type": "keypointlabels", "from_name": "point",
                 "value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["car"]}}  # fmt: skip
        done = {"id": 1, "was_cancelled": False, "ground_truth": False,
                "result": [road | more, over | more, point | more]}  # fmt: skip
        cancelled = {"id": 0, "was_cancelled": True, "result": []}
        address = f"/data/upload/1/0a1b2c3d-{name(index)}.jpg"
        tasks.append({"id": index, "annotations": [cancelled, done], "data": {"image": address}})
    dump(root / "project-1-at-2025.json", tasks)


def label_studio_png(root: Path) -> None:
    """Brush labels to PNG, and JSON-MIN that says which photo a task has."""
    tasks = []
    for index in range(COUNT):
        photo(root / "images" / f"{name(index)}.jpg", index)
        for label, box in (("road", ROAD), ("car", car(index))):
            number = f"task-{index}-annotation-{index + 7}-by-a@b.org-tag-{label}-0.png"
            png(root / "png" / number, mask(box).astype(np.uint8) * 255)
        address = f"/data/upload/1/0a1b2c3d-{name(index)}.jpg"
        tasks.append({"image": address, "id": index, "annotator": 1, "annotation_id": index + 7})
    dump(root / "project-1.json", tasks)


def roboflow(root: Path) -> None:
    """Semantic segmentation masks."""
    for index in range(COUNT):
        folder = root / split(index)
        stem = f"{name(index)}_jpg.rf.0123456789abcdef"
        photo(folder / f"{stem}.jpg", index)
        png(folder / f"{stem}_mask.png", labels(index))
        with (folder / "_classes.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = [["Pixel Value", " Class"], *([n, f" {c}"] for n, c in enumerate(CLASSES))]
            csv.writer(stream).writerows(rows)


def supervisely(root: Path) -> None:
    """A polygon, whose points are pixels, with a hole; a bitmap that fills the hole."""
    classes = [
        {"id": n, "title": title, "shape": "any", "color": f"#{bytes(COLOURS[title]).hex()}"}
        for n, title in enumerate(CLASSES[1:])
    ]
    dump(root / "meta.json", {"classes": classes, "tags": [], "projectType": "images"})
    for index in range(COUNT):
        home = root / split(index)
        photo(home / "img" / f"{name(index)}.jpg", index)
        left, top, right, bottom = car(index)
        # Half a pixel out of the image on each side, for the centres of pixels are the points.
        road = {"classTitle": "road", "geometryType": "polygon", "points": {
            "exterior": [[-1, 15.5], [48, 15.5], [48, 32], [-1, 32]],
            "interior": [[[left, 17], [right, 17], [right, 20], [left, 20]]],
        }}  # fmt: skip
        rgba = np.full((bottom - top, right - left, 4), 255, np.uint8)
        data = base64.b64encode(zlib.compress(encoded(rgba))).decode()
        over = {"classTitle": "car", "geometryType": "bitmap",
                "bitmap": {"origin": [left, top], "data": data}}  # fmt: skip
        # The hole lies under the car but for a column that a second piece of road covers.
        patch = {"classTitle": "road", "geometryType": "rectangle",
                 "points": {"exterior": [[left, 17], [right, 20]], "interior": []}}  # fmt: skip
        dump(home / "ann" / f"{name(index)}.jpg.json", {
            "description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH},
            "objects": [road, patch, over],
        })  # fmt: skip


def yolo(root: Path) -> None:
    """As its training reads it; the car is listed first, and lies over the road as the smaller."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(
        "path: .\ntrain: images/train\nval: images/valid\nnames:\n  0: road\n  1: car\n",
        encoding="utf-8",
    )
    for index in range(COUNT):
        photo(root / "images" / split(index) / f"{name(index)}.jpg", index)
        lines = []
        for kind, box in ((1, car(index)), (0, ROAD)):
            shares = [f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in corners(box)]
            lines.append(f"{kind} {' '.join(shares)}")
        file = root / "labels" / split(index) / f"{name(index)}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def via(root: Path) -> None:
    """A project of VIA 2."""
    entries = {}
    for index in range(COUNT):
        file = photo(root / f"{name(index)}.jpg", index)
        left, top, right, bottom = car(index)
        xs, ys = zip(*corners(ROAD), strict=True)
        road = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
        over = {"name": "rect", "x": left, "y": top, "width": right - left, "height": bottom - top}
        point = {"name": "point", "cx": 1, "cy": 1}
        regions = [
            {"shape_attributes": shape, "region_attributes": {"class": label}}
            for shape, label in ((road, "road"), (point, "road"), (over, "car"))
        ]
        size = file.stat().st_size
        entries[f"{file.name}{size}"] = {"filename": file.name, "size": size, "regions": regions,
                                         "file_attributes": {}}  # fmt: skip
    dump(root / "via_project.json", {
        "_via_settings": {}, "_via_img_metadata": entries, "_via_attributes": {},
        "_via_data_format_version": "2.0.10",
    })  # fmt: skip


def _masks(root: Path, write: Callable[[Path, int], None], names: bool = True) -> None:
    for index in range(COUNT):
        photo(root / "images" / f"{name(index)}.jpg", index)
        write(root / "masks" / f"{name(index)}.png", index)
    if names:
        lines = ["name,r,g,b", *(",".join(map(str, (n, *COLOURS[n]))) for n in CLASSES)]
        (root / "classes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def several_masks(root: Path) -> None:
    """A folder a class."""
    for index in range(COUNT):
        photo(root / "images" / f"{name(index)}.jpg", index)
        for label, box in (("road", ROAD), ("car", car(index))):
            file = root / "masks" / label / f"{name(index)}.png"
            png(file, mask(box).astype(np.uint8) * 255)


def index_masks(root: Path) -> None:
    _masks(root, lambda file, index: png(file, labels(index)))


def binary_masks(root: Path) -> None:
    """Of the car alone."""
    _masks(root, lambda file, i: png(file, mask(car(i)).astype(np.uint8) * 255), names=False)


def colour_masks(root: Path) -> None:
    colours = np.array([COLOURS[n] for n in CLASSES], np.uint8)
    _masks(root, lambda file, index: png(file, colours[labels(index)]))


def transparent_masks(root: Path) -> None:
    """RGBA where nothing is painted on the background, in whatever colour it was erased."""
    colours = np.array([(9, 9, 9, 0), (*COLOURS["road"], 255), (*COLOURS["car"], 255)], np.uint8)
    _masks(root, lambda file, index: png(file, colours[labels(index)]))


def npy_masks(root: Path) -> None:
    _masks(root, lambda file, index: _save(file.with_suffix(".npy"), labels(index)))


def _save(file: Path, values: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, values)


EXPORTS: dict[str, Callable[[Path], None]] = {
    "coco": coco, "labelme": labelme, "cvat": cvat, "cvat-masks": cvat_masks,
    "label-studio": label_studio, "label-studio-png": label_studio_png, "roboflow": roboflow,
    "supervisely": supervisely, "yolo": yolo, "via": via, "voc": voc,
    "several-masks": several_masks, "index-masks": index_masks, "binary-masks": binary_masks,
    "colour-masks": colour_masks, "transparent-masks": transparent_masks, "npy-masks": npy_masks,
}  # fmt: skip


def save_size(file: Path, size: tuple[int, int]) -> None:
    """Another photo of that width and height."""
    Image.new("RGB", size).save(file)
