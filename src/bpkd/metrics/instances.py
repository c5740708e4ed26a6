"""AP of instances by masks and by boundaries, over all images and processes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch import distributed as dist

from bpkd.datasets.decoding import mask_api
from bpkd.datasets.instances import Instances, areas_of, size_names
from bpkd.errors import UserError
from bpkd.metrics.measures import Scores
from bpkd.support.extras import extra

_NO_NUMBER = -1  # of faster-coco-eval, where there is nothing to average


class InstanceMeasures(nn.Module):
    """COCO's AP and AR of masks, and the same by Boundary AP, as fractions.

    ``AP`` is the mean over IoU thresholds 0.50, 0.55 ... 0.95 and the classes, ``AP50`` and
    ``AP75`` are at one threshold, ``APs``, ``APm``, ``APl`` count instances of one size, ``AR`` is
    the mean recall, ``class_AP`` lists the classes. The same names with ``boundary_`` before them
    take the lesser of the masks' IoU and the boundaries' (Cheng et al., *Boundary IoU*, CVPR 2021).
    What there is no instance of is nan and left out of means. Sizes go by
    :func:`~bpkd.datasets.instances.areas_of`; what overlaps a crowd counts neither way. Matching
    and sums are those of faster-coco-eval.

    Args:
        num_classes: number of classes.
        max_detections: of an image and class, those of the highest scores.
        size_limits: sides of the squares at which medium and large begin, in pixels.
        boundary: also Boundary AP.
        dilation_ratio: the boundary's width as a share of the image's diagonal.

    Example:
        >>> import torch
        >>> square = torch.zeros(1, 8, 8).bool()
        >>> square[:, 2:6, 2:6] = True
        >>> truth = Instances.of(square, torch.tensor([0]))
        >>> measures = InstanceMeasures(num_classes=2, boundary=False)
        >>> measures.update([truth._replace(scores=torch.tensor([0.5]))], [truth])
        >>> scores = measures.compute()
        >>> [round(scores[name], 4) for name in ("AP", "AP50", "APs", "APl", "AR")]
        [1.0, 1.0, 1.0, nan, 1.0]
    """

    def __init__(
        self,
        num_classes: int,
        max_detections: int = 100,
        size_limits: tuple[float, float] = (32, 96),
        boundary: bool = True,
        dilation_ratio: float = 0.02,
    ) -> None:
        super().__init__()
        if num_classes < 1 or max_detections < 1 or not 0 < size_limits[0] < size_limits[1]:
            raise UserError(
                f"num_classes {num_classes}, max_detections {max_detections}, size_limits "
                f"{size_limits}: expected numbers from 1, and two sides of ascending size"
            )
        self.num_classes, self.max_detections = num_classes, max_detections
        self.sizes, self.dilation_ratio = size_names(size_limits), dilation_ratio
        self.kinds = {"": "segm"} | ({"boundary_": "boundary"} if boundary else {})
        self._masks = mask_api("mask AP")
        self._evaluator = extra("faster_coco_eval.core.faster_eval_api", "mask AP", "instance")
        self._images: list[_Image] = []

    def update(self, predictions: Sequence[Instances], targets: Sequence[Instances]) -> None:
        """Count some images: what was predicted, with scores, and what is true.

        Raises:
            UserError: not as many of one as of the other, masks of another size, no scores, or a
                class that there is not.
        """
        if len(predictions) != len(targets):
            raise UserError(f"{len(predictions)} predictions for {len(targets)} targets")
        for predicted, true in zip(predictions, targets, strict=True):
            self._check(predicted, true)
            self._images.append(
                {
                    "size": tuple(true.masks.shape[1:]),
                    "true": self._annotations(true, areas_of(true)),
                    "predicted": self._annotations(predicted, predicted.scores),
                }
            )

    def compute(self) -> Scores:
        """The numbers over all that was counted, in all processes: each of them must ask."""
        images = gathered(self._images)
        truth, results = self._coco(images)
        if not any(image["true"] for image in images):
            warnings.warn("no instance in any image: every AP and AR is nan", stacklevel=2)
        scores: Scores = {}
        for prefix, kind in self.kinds.items():
            evaluation = self._evaluator.COCOeval_faster(
                truth,
                results,
                kind,
                ranges={name: list(size) for name, size in self.sizes.items()},
                boundary_dilation_ratio=self.dilation_ratio,
                rle_iou_max_workers=1,
            )
            evaluation.params.maxDets = [self.max_detections]
            evaluation.evaluate()
            evaluation.accumulate()
            scores |= {prefix + name: value for name, value in self._summary(evaluation).items()}
        return scores

    def reset(self) -> None:
        """Forget what was counted."""
        self._images = []

    def _check(self, predicted: Instances, true: Instances) -> None:
        if predicted.masks.shape[1:] != true.masks.shape[1:]:
            raise UserError(
                f"predicted masks are {tuple(predicted.masks.shape[1:])} and true ones "
                f"{tuple(true.masks.shape[1:])} (height, width): resize them to the image"
            )
        if predicted.scores is None and len(predicted.labels):
            raise UserError("the predicted instances have no scores: AP needs their ranking")
        for name, each in (("predicted", predicted), ("true", true)):
            wrong = each.labels[(each.labels < 0) | (each.labels >= self.num_classes)]
            if wrong.numel():
                raise UserError(
                    f"{name} instances have the class {int(wrong[0])}: expected 0 to "
                    f"{self.num_classes - 1}"
                )

    def _annotations(self, instances: Instances, values: Tensor | None) -> list[_Annotation]:
        """Class, run lengths, crowd, and an area or a score, of each."""
        if not len(instances.labels):
            return []
        assert values is not None
        masks = instances.masks.permute(1, 2, 0).cpu().numpy()
        runs = self._masks.encode(np.asfortranarray(masks, dtype=np.uint8))
        numbers = (instances.labels.tolist(), instances.crowd.tolist(), values.double().tolist())
        return list(zip(runs, *numbers, strict=True))

    def _coco(self, images: Sequence[_Image]) -> tuple[Any, Any]:
        """All as the evaluator wants it: truth and predictions, classes and images from 1."""
        coco = extra("faster_coco_eval.core.coco", "mask AP", "instance").COCO
        frame = {
            "images": [
                {"id": i, "height": image["size"][0], "width": image["size"][1]}
                for i, image in enumerate(images, start=1)
            ],
            "categories": [
                {"id": label + 1, "name": str(label)} for label in range(self.num_classes)
            ],
        }
        both = []
        for which, value in (("true", "area"), ("predicted", "score")):
            annotations: list[dict[str, Any]] = []
            for i, image in enumerate(images, start=1):
                for runs, label, crowd, number in image[which]:
                    entry = {
                        "id": len(annotations) + 1,
                        "image_id": i,
                        "category_id": label + 1,
                        "segmentation": runs,
                        "iscrowd": int(crowd),
                        "area": float(self._masks.area(runs)),
                    }
                    annotations.append(entry | {value: number})
            both.append(coco(frame | {"annotations": annotations}))
        return both[0], both[1]

    def _summary(self, evaluation: Any) -> Scores:
        # Precision (thresholds, recalls, classes, sizes, 1) and recall (thresholds, classes, ...).
        precision, recall = evaluation.eval["precision"][..., 0], evaluation.eval["recall"][..., 0]
        thresholds = evaluation.params.iouThrs
        at = {"50": np.isclose(thresholds, 0.5), "75": np.isclose(thresholds, 0.75)}
        scores: Scores = {"AP": _mean(precision[..., 0])}
        scores |= {f"AP{name}": _mean(precision[where][..., 0]) for name, where in at.items()}
        by_size = list(enumerate(self.sizes, start=1))
        scores |= {f"AP{name}": _mean(precision[..., index]) for index, name in by_size}
        scores["AR"] = _mean(recall[..., 0])
        scores |= {f"AR{name}": _mean(recall[..., index]) for index, name in by_size}
        scores["class_AP"] = [_mean(precision[:, :, c, 0]) for c in range(self.num_classes)]
        return scores


_Annotation = tuple[Any, int, bool, float]
_Image = dict[str, Any]


def gathered(items: list[Any]) -> list[Any]:
    """The items of all processes, as one process would have come upon them.

    Process r has the images r, r + P, ... of the data set, see
    :func:`~bpkd.datasets.loading.eval_loader`: taken in turn, they are in its order again, so that
    instances of one score are ranked as they are by a single process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return items
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, items)
    longest = max(map(len, parts))
    return [part[i] for i in range(longest) for part in parts if i < len(part)]


def _mean(values: npt.NDArray[np.float64]) -> float:
    """Without what there is no number of; nan where that is all."""
    known = values[values > _NO_NUMBER]
    return float(known.mean()) if known.size else float("nan")
