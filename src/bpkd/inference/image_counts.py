"""What each image of a split adds to the scores: kept, so that images can be drawn again.

A mean IoU is a ratio of sums over images. With each image's part of the sums, the score of any
selection of images is known without a network.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.files import replacing

#: Arrays by name, see :meth:`bpkd.metrics.measures.Measures.counts`, with images first.
Counts = dict[str, npt.NDArray[np.int64]]
_QUESTION = "fingerprint"


class ImageCounts:
    """Counts a batch image by image: the sums are the same, and each image's part is known."""

    def __init__(self) -> None:
        self.totals: list[dict[str, Tensor]] = []

    def update(self, measures: Any, prediction: Any, target: Any) -> None:
        """Count a batch in ``measures``; those of another task than label maps count as ever."""
        if not hasattr(measures, "counts"):
            measures.update(prediction, target)
            return
        for one, labels in zip(prediction, target, strict=True):
            measures.update(one[None], labels[None])
            self.totals.append({name: total.cpu() for name, total in measures.counts().items()})

    def arrays(self) -> Counts:
        """Each image's own part of the counts."""
        if not self.totals:
            return {}
        stacked = {
            name: np.stack([total[name].numpy() for total in self.totals])
            for name in self.totals[0]
        }
        return {name: np.diff(sums, axis=0, prepend=0) for name, sums in stacked.items()}


def keep_counts(file: Path, question: str, counts: Counts) -> None:
    """Keep counts beside the scores of the same question; where there is no room, it goes without.

    Args:
        file: ``evaluation_SPLIT.npz`` of a run.
        question: as :func:`bpkd.inference.kept.asked` gives it.
        counts: as :meth:`ImageCounts.arrays` gives them.
    """
    if not counts:
        return
    small = {name: array.astype(np.int32) for name, array in counts.items()}
    try:
        with replacing(file, make_folder=False) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **{_QUESTION: np.array(question)}, **small)  # type: ignore[arg-type]
    except UserError:
        return


def kept_counts(file: Path, question: str | None = None) -> Counts | None:
    """The counts that a file holds; None where it has none, or those of another question.

    Args:
        file: ``evaluation_SPLIT.npz`` of a run.
        question: None: whatever it was.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            held = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    asked = str(held.pop(_QUESTION, ""))
    if question not in (None, asked) or "IoU" not in held:
        return None
    return {name: array.astype(np.int64) for name, array in held.items()}


def iou_of(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """IoU by class (..., C) of summed counts (..., 2, C); nan for 0 / 0.

    Example:
        >>> iou_of(np.array([[2, 0], [6, 0]])).tolist()  # 2 / (6 - 2)
        [0.5, nan]
    """
    both, total = np.moveaxis(counts, -2, 0).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou: npt.NDArray[np.float64] = both / (total - both)
    return iou
