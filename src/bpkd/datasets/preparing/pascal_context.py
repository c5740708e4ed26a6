"""Pascal Context: label maps of the 59 classes and lists, from the MATLAB files or the JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bpkd.datasets.pascal_context import PascalContext
from bpkd.datasets.preparing.common import Make, Report, Request, convert, link, write_list
from bpkd.datasets.preparing.finding import nearest, own, packed, voc_in, voc_root
from bpkd.datasets.preparing.inspecting import inspected
from bpkd.datasets.preparing.mat import needs_scipy
from bpkd.datasets.preparing.pascal_annotations import (
    LAYOUT,
    FromMat,
    from_json,
    from_masks,
    from_mats,
    numbers,
)
from bpkd.errors import UserError

_PARTS = ("VOCdevkit", "VOC2010", "trainval")


def prepare(request: Request) -> Report:
    """Write ``SegmentationClassContext/*.png`` and ``ImageSets/SegmentationContext/*.txt``.

    Value 0 is what is none of the 59 classes; 1 to 59 are the classes in the order of
    :data:`bpkd.datasets.pascal_context.CLASSES`, whatever the order of the source.

    Raises:
        UserError: the images and one kind of annotations are not both near the source, nor are
            label maps that are made already.
    """
    source = request.source
    if (found := nearest(source, _PARTS, _found)) is None:
        raise _refusal(source)
    voc, annotations = found
    if annotations is None:
        root = voc_root(source, voc, 2010)
        return inspected(PascalContext, root, {"train": 4998, "val": 5105}, request)
    return _converted(voc, annotations, request)


def _found(places: Sequence[Path]) -> tuple[Path, Path | None] | None:
    """VOC's folder, and the annotations unless their label maps are made already."""
    voc, annotations = voc_in(places, 2010), _annotations(places)
    made = voc is not None and (voc / "SegmentationClassContext").is_dir()
    return (voc, annotations) if voc is not None and (annotations or made) else None


def _annotations(places: Sequence[Path]) -> Path | None:
    """The folder of MATLAB files, or else the JSON file."""
    inner = ("", "VOC2010", "VOCdevkit", "VOCdevkit/VOC2010")
    near = [place / name for place in places for name in inner]
    mats = (place / "trainval" for place in near if any((place / "trainval").glob("*.mat")))
    merged = (place / "trainval_merged.json" for place in near)
    return next(mats, None) or next(filter(Path.is_file, merged), None)


def _refusal(source: Path) -> UserError:
    places = own(source, _PARTS)
    voc, annotations = voc_in(places, 2010), _annotations(places)
    parts = {"VOC2010/JPEGImages": voc, "annotations": annotations}
    lacks = " and no ".join(name for name, part in parts.items() if part is None)
    archives = {} if voc else {"VOCtrainval*2010*.tar*": ""}
    archives |= {} if annotations else {"trainval.t*gz": "", "trainval.tar": ""}
    return UserError(
        f"{source} is not Pascal Context, it has no {lacks}: expected it to hold {LAYOUT}"
        + packed(source, archives)
    )


def _converted(voc: Path, annotations: Path, request: Request) -> Report:
    """Convert, and list what could be converted."""
    folder = voc if request.out is None else request.out / "VOC2010"
    labels = folder / "SegmentationClassContext"
    make: Make = from_masks
    if annotations.is_dir():
        needs_scipy(annotations)
        make = FromMat(numbers(annotations.parent))
        jobs, splits = from_mats(annotations, voc, labels)
    else:
        jobs, splits = from_json(annotations, labels)
    report = convert(jobs, make, request)
    report.lines.insert(0, f"taken: {voc}, {annotations}")
    link(voc / "JPEGImages", folder / "JPEGImages")
    counts = []
    for split, listed in splits.items():
        names = [name for name in listed if labels / f"{name}.png" not in report.failed]
        write_list(names, folder / "ImageSets/SegmentationContext" / f"{split}.txt")
        counts.append(f"{split}: {len(names)} images")
    report.lines.append(", ".join(counts))
    report.ready(request.out or voc_root(request.source, voc, 2010))
    return report
