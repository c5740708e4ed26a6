"""From the polygons and run lengths of a COCO annotation to masks, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bpkd.datasets.coco_file import Annotation, ImageEntry
from bpkd.datasets.instances import Instances, boxes_of
from bpkd.errors import UserError
from bpkd.support.extras import extra


def mask_api(user: str) -> Any:
    """faster-coco-eval's functions on masks.

    Raises:
        UserError: it is not installed.
    """
    return extra("faster_coco_eval.core.mask", user, "instance")


def decoded(entry: ImageEntry, labels: dict[int, int]) -> Instances:
    """The instances of an image's entry.

    Args:
        entry: of the file.
        labels: category id -> class; annotations of other categories are left out.

    Raises:
        UserError: run lengths that make no mask.
    """
    chosen = [each for each in entry.annotations if each.category in labels]
    masks = _masks(chosen, entry)
    boxes, areas = torch.zeros(len(chosen), 4), torch.zeros(len(chosen), dtype=torch.float64)
    for i, each in enumerate(chosen):
        if each.bbox is None:
            boxes[i] = boxes_of(masks[i : i + 1])[0]
        else:
            x, y, width, height = each.bbox
            boxes[i] = torch.tensor([x, y, x + width, y + height])
        areas[i] = masks[i].sum() if each.area is None else each.area
    classes = torch.tensor([labels[each.category] for each in chosen], dtype=torch.int64)
    crowd = torch.tensor([each.crowd for each in chosen], dtype=torch.bool)
    return Instances(masks, classes, boxes, crowd, None, areas)


def _masks(annotations: Sequence[Annotation], entry: ImageEntry) -> Tensor:
    if not annotations:
        return torch.zeros(0, entry.height, entry.width, dtype=torch.bool)
    api = mask_api("a COCO data set")
    return torch.stack([_mask(each, entry, api) for each in annotations])


def _mask(annotation: Annotation, entry: ImageEntry, api: Any) -> Tensor:
    """One mask (H, W)."""
    try:
        runs = api.segmToRle(annotation.segmentation, entry.width, entry.height)
        return torch.from_numpy(api.decode(runs)).bool().contiguous()
    # The decoder, in C++, meets damaged run lengths with exceptions of several kinds.
    except Exception as error:
        where = f"{entry.file_name}: annotation {annotation.id}"
        why = str(error).splitlines()[0][:80]
        raise UserError(f"{where} has run lengths that make no mask ({why}): replace it") from None
