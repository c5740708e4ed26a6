"""Mask and boundary AP: against pycocotools, merged over processes, and where there is nothing."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pycocotools import mask as pymask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torch.nn import functional as F

from bpkd.datasets.instances import Instances, areas_of
from bpkd.errors import UserError
from bpkd.metrics.instances import InstanceMeasures, gathered

Images = list[tuple[Instances, Instances]]
CLASSES = 4
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
RECALLS = {"AR": 8, "ARs": 9, "ARm": 10, "ARl": 11}


def blobs(generator: torch.Generator, count: int, size: int = 160) -> Tensor:
    """Ellipses of all three of COCO's sizes."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centre = torch.rand(count, 2, 1, 1, generator=generator) * size
    half = 4 + torch.rand(count, 2, 1, 1, generator=generator) ** 2 * 76
    inside = ((x - centre[:, 0]) / half[:, 0]) ** 2 + ((y - centre[:, 1]) / half[:, 1]) ** 2 <= 1
    return inside[inside.flatten(1).any(1)]


def made_up(seed: int, images: int = 12) -> Images:
    """Predictions that are the truth shifted, doubled, mislabelled, with scores that are tied."""
    generator = torch.Generator().manual_seed(seed)
    pairs: Images = []
    for _ in range(images):
        masks = blobs(generator, int(torch.randint(1, 9, (), generator=generator)))
        true = Instances.of(masks, torch.randint(CLASSES, (len(masks),), generator=generator))
        crowd = torch.rand(len(masks), generator=generator) < 0.15
        # What an annotation file says of areas is not what the masks have.
        true = true._replace(crowd=crowd, areas=areas_of(true) * 0.9)
        pick = torch.randint(len(masks), (len(masks) + 3,), generator=generator)
        shift = torch.randint(-5, 6, (len(pick), 2), generator=generator).tolist()
        moved = torch.stack([masks[i].roll(s, (0, 1)) for i, s in zip(pick, shift, strict=True)])
        labels = true.labels[pick].clone()
        labels[torch.rand(len(pick), generator=generator) < 0.2] = 0
        scores = (torch.rand(len(pick), generator=generator) * 10).round() / 10
        pairs.append((Instances.of(moved, labels, scores), true))
    return pairs


def measured(pairs: Images, **arguments: Any) -> dict[str, Any]:
    measures = InstanceMeasures(CLASSES, **arguments)
    for predicted, true in pairs:
        measures.update([predicted], [true])
    return measures.compute()


def by_pycocotools(pairs: Images, kind: type[COCOeval] = COCOeval) -> COCOeval:
    truth: list[Any] = []
    results: list[Any] = []
    for i, (predicted, true) in enumerate(pairs, start=1):
        for k in range(len(true.labels)):
            truth.append(
                entry(true, k, i)
                | {"id": len(truth) + 1, "area": areas_of(true)[k].item()}
                | {"iscrowd": int(true.crowd[k]), "bbox": [0, 0, 1, 1]}
            )
        assert predicted.scores is not None
        for k in range(len(predicted.labels)):
            results.append(entry(predicted, k, i) | {"score": predicted.scores[k].item()})
    coco = COCO()
    size = {"height": 160, "width": 160}
    coco.dataset = {
        "images": [{"id": i + 1} | size for i in range(len(pairs))],
        "categories": [{"id": c + 1, "name": str(c)} for c in range(CLASSES)],
        "annotations": truth,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = kind(coco, coco.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    evaluation.stats[evaluation.stats == -1] = np.nan  # of what there is no instance
    return evaluation


def entry(instances: Instances, k: int, image: int) -> dict[str, Any]:
    runs = pymask.encode(np.asfortranarray(instances.masks[k].numpy().astype(np.uint8)))
    return {"image_id": image, "category_id": int(instances.labels[k]) + 1, "segmentation": runs}


class BoundaryEval(COCOeval):  # type: ignore[misc]
    """pycocotools with the IoU of Cheng et al., by a plain erosion."""

    def computeIoU(self, imgId: int, catId: int) -> Any:
        ious = super().computeIoU(imgId, catId)
        if len(ious) == 0:
            return ious
        true = self._gts[imgId, catId]
        found = sorted(self._dts[imgId, catId], key=lambda each: -each["score"])
        crowd = np.array([each["iscrowd"] for each in true], dtype=bool)
        bands = [[band(each["segmentation"]) for each in group] for group in (found, true)]
        thin = np.array([[(a & b).sum() / (a | b).sum() for b in bands[1]] for a in bands[0]])
        ious[:, ~crowd] = np.minimum(ious, thin)[:, ~crowd]
        return ious


def band(runs: Any) -> Any:
    """The pixels of a mask within d pixels, by rows and columns, of its outside."""
    mask = torch.from_numpy(pymask.decode(runs)).float()[None]
    d = max(1, round(0.02 * math.hypot(*mask.shape[1:])))
    outside = F.max_pool2d(F.pad(1 - mask, (d, d, d, d), value=1), 2 * d + 1, 1)
    return ((mask > 0) & (outside > 0))[0].numpy()


@pytest.mark.parametrize("seed", range(3))
def test_equals_pycocotools(seed: int) -> None:
    pairs = made_up(seed)
    scores = measured(pairs, boundary=False)
    theirs = by_pycocotools(pairs)
    for place, name in enumerate(NAMES):
        assert scores[name] == pytest.approx(theirs.stats[place], abs=1e-12, nan_ok=True)
    for name, place in RECALLS.items():
        assert scores[name] == pytest.approx(theirs.stats[place], abs=1e-12, nan_ok=True)
    by_class = theirs.eval["precision"][:, :, :, 0, 2].mean((0, 1))
    assert scores["class_AP"] == pytest.approx(by_class.tolist(), abs=1e-12)
    assert 0.05 < scores["AP"] < 0.95


@pytest.mark.parametrize("seed", range(2))
def test_boundary_ap(seed: int) -> None:
    pairs = made_up(seed)
    scores = measured(pairs)
    theirs = by_pycocotools(pairs, BoundaryEval).stats
    for place, name in enumerate(NAMES):
        assert scores[f"boundary_{name}"] == pytest.approx(theirs[place], abs=1e-12, nan_ok=True)
    assert scores["boundary_AP"] < scores["AP"]


def test_perfect_empty_and_nothing() -> None:
    pairs = made_up(0)
    perfect: Images = []
    for _, true in pairs:
        kept = true.only(~true.crowd)
        perfect.append((kept._replace(scores=torch.ones(len(kept.labels))), kept))
    scores = measured(perfect)
    assert all(scores[name] == 1 for name in (*NAMES, *RECALLS, "boundary_AP"))
    assert scores["class_AP"] == [1] * CLASSES
    none = Instances.none(160, 160)
    empty = none._replace(scores=torch.zeros(0))
    scores = measured([(empty, true) for _, true in perfect])
    assert all(scores[name] == 0 for name in (*NAMES, *RECALLS, "boundary_AP"))
    with pytest.warns(UserWarning, match="no instance in any image"):
        scores = measured([(perfect[0][0], none), (none, none)])
    assert all(math.isnan(scores[name]) for name in (*NAMES, *RECALLS, "boundary_AP"))
    with pytest.warns(UserWarning, match="no instance in any image"):
        assert math.isnan(InstanceMeasures(1).compute()["AP"])


def test_sizes_can_be_those_of_small_images() -> None:
    mask = torch.zeros(1, 64, 64).bool()
    mask[:, :20, :20] = True  # 400 pixels: small by COCO's limits, medium by half of them
    one = Instances.of(mask, torch.tensor([0]), torch.ones(1))
    coco, halved = measured([(one, one)]), measured([(one, one)], size_limits=(16, 48))
    assert coco["APs"] == 1 and math.isnan(coco["APm"])
    assert halved["APm"] == 1 and math.isnan(halved["APs"])
    said = one._replace(areas=torch.tensor([3000.0]))  # the annotation's word counts
    assert measured([(one, said)])["APm"] == 1


def test_only_the_best_of_too_many() -> None:
    mask = torch.ones(1, 8, 8).bool()
    true = Instances.of(mask, torch.tensor([0]))
    wrong = torch.zeros(1, 8, 8).bool()
    wrong[0, 0, 0] = True
    both = Instances.of(torch.cat([mask, wrong]), torch.zeros(2), torch.tensor([0.1, 0.9]))
    assert measured([(both, true)], max_detections=1)["AP"] == 0
    assert measured([(both, true)], max_detections=2)["AP"] == pytest.approx(0.5)


def test_reset_and_refusals() -> None:
    predicted, true = made_up(0)[0]
    measures = InstanceMeasures(CLASSES)
    measures.update([predicted], [true])
    measures.reset()
    with pytest.warns(UserWarning):
        assert math.isnan(measures.compute()["AP"])
    for pair, words in (
        (([predicted], []), "1 predictions for 0 targets"),
        (([predicted._replace(scores=None)], [true]), "have no scores"),
        (([predicted], [true._replace(masks=true.masks[:, 1:])]), "resize them to the image"),
        (([predicted], [true._replace(labels=true.labels + 9)]), "true instances have the class"),
    ):
        with pytest.raises(UserError, match=words):
            measures.update(*pair)
    with pytest.raises(UserError, match="ascending"):
        InstanceMeasures(2, size_limits=(96, 32))


def test_processes_take_turns() -> None:
    assert gathered([1, 2]) == [1, 2]


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    torch.save(measured(made_up(1, images=7)[rank::2]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_what_one_does(tmp_path: Path) -> None:
    method = "fork" if sys.platform == "linux" else "spawn"
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method=method)
    expected = measured(made_up(1, images=7))
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        np.testing.assert_equal(found, expected)  # nan equals nan
