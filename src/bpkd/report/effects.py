"""The difference of two methods, with intervals by drawing seeds and images again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bpkd.inference.image_counts import Counts, iou_of

Array = npt.NDArray[np.float64]
#: Lower and upper end of 95 %.
_ENDS = (2.5, 97.5)
#: A class is thin where so much of its labelled area lies in the narrow trimap band.
THIN, THIN_WIDTH = 0.5, 3


@dataclass(frozen=True)
class Effect:
    """What a method gains on a baseline in one score, in points.

    Attributes:
        method: its name.
        score: of ``COLUMNS``, or the same of thin classes.
        seeds: pairs of runs.
        difference: mean over the pairs.
        error: standard error over the pairs; nan for a single one.
        by_seeds, by_images, by_both: 95 % intervals of the difference, drawn again over the pairs
            (nan for a single one), over the images, and over both at once.
    """

    method: str
    score: str
    seeds: int
    difference: float
    error: float
    by_seeds: tuple[float, float]
    by_images: tuple[float, float]
    by_both: tuple[float, float]


def mean_iou(
    counts: npt.NDArray[Any], weights: Array, classes: Sequence[int] | None = None
) -> Array:
    """Mean IoU of each of B selections of images.

    Args:
        counts: (I, 2, C) as :mod:`bpkd.inference.image_counts` has them.
        weights: (B, I) how often each image is in a selection.
        classes: those that count; None for all.

    Returns:
        (B,); classes that are nowhere are left out.

    Example:
        One image with IoU 1 / 3, one with 1; both together have 3 / 5.

        >>> counts = np.array([[[1], [4]], [[2], [4]]])
        >>> mean_iou(counts, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])).round(4).tolist()
        [0.3333, 1.0, 0.6]
    """
    chosen = counts if classes is None else counts[..., list(classes)]
    sums = (weights @ chosen.reshape(len(chosen), -1)).reshape(len(weights), 2, -1)
    iou = iou_of(sums)
    known = ~np.isnan(iou)
    total = np.where(known, iou, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean: Array = total / known.sum(axis=1)
    return mean


def effect(
    method: str,
    score: str,
    pairs: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    classes: Sequence[int] | None = None,
    samples: int = 2000,
) -> Effect:
    """The effect of a method on one score, from pairs of counts: the method's, the baseline's.

    Args:
        method: its name.
        score: its name.
        pairs: one a seed, each (I, 2, C).
        classes: those that count; None for all.
        samples: how often is drawn; the draws are always the same ones.
    """
    draw = np.random.default_rng(0)
    images, seeds = len(pairs[0][0]), len(pairs)
    once = np.ones((1, images))
    weights = draw.multinomial(images, np.full(images, 1 / images), size=samples).astype(float)
    weights = np.concatenate([once, weights])
    points = np.stack(
        [100 * (mean_iou(a, weights, classes) - mean_iou(b, weights, classes)) for a, b in pairs],
        axis=1,
    )
    each, again = points[0], points[1:]  # of all images, one a seed; the same of drawn images
    chosen = draw.integers(seeds, size=(samples, seeds))
    lone = (float("nan"), float("nan"))
    return Effect(
        method,
        score,
        seeds,
        float(each.mean()),
        float(each.std(ddof=1) / seeds**0.5) if seeds > 1 else float("nan"),
        _interval(each[chosen].mean(axis=1)) if seeds > 1 else lone,
        _interval(again.mean(axis=1)),
        _interval(np.take_along_axis(again, chosen, axis=1).mean(axis=1)),
    )


def effect_of_scores(method: str, score: str, pairs: Sequence[tuple[float, float]]) -> Effect:
    """The effect of a method on one score of all images, from pairs: the method's, the baseline's.

    What single images add is not known, as it is not of AP: there are no intervals over images.

    Args:
        method: its name.
        score: its name.
        pairs: one a seed, fractions.

    Example:
        >>> found = effect_of_scores("bpkd", "AP", [(0.5, 0.4), (0.5, 0.2)])
        >>> round(found.difference, 6), round(found.error, 6), found.by_images
        (20.0, 10.0, (nan, nan))
    """
    each, seeds = np.array([100 * (a - b) for a, b in pairs]), len(pairs)
    lone = (float("nan"), float("nan"))
    error, by_seeds = float("nan"), lone
    if seeds > 1:
        error = float(each.std(ddof=1) / seeds**0.5)
        chosen = np.random.default_rng(0).integers(seeds, size=(2000, seeds))
        by_seeds = _interval(each[chosen].mean(axis=1))
    return Effect(method, score, seeds, float(each.mean()), error, by_seeds, lone, lone)


def _interval(values: Array) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    low, high = np.percentile(values, _ENDS) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def thin_classes(counts: Counts) -> list[int]:
    """The classes of which at least half lies within 3 pixels of an outline, by the labels.

    Example:
        >>> counts = {"labels": np.array([[9, 4]]), "labels@3": np.array([[3, 4]])}
        >>> thin_classes(counts)
        [1]
    """
    if f"labels@{THIN_WIDTH}" not in counts:
        return []
    inside, whole = (counts[name].sum(axis=0) for name in (f"labels@{THIN_WIDTH}", "labels"))
    return [int(c) for c in np.flatnonzero((whole > 0) & (inside >= THIN * whole))]
