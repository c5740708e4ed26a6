"""Figure 2 of the paper: the scheme of BPKD, drawn from the loss's own tensors on one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import log_softmax

from bpkd.datasets.building import build_data
from bpkd.datasets.classes_file import read_classes
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.overlay import colourise
from bpkd.losses.bpkd import BPKD
from bpkd.losses.common import full_precision, labelled_pixels, like_student
from bpkd.losses.edge_reduction import pixel_weights
from bpkd.losses.edge_trust import trusted_share
from bpkd.losses.pre_mask import edge_divergence, filtered
from bpkd.networks.base import SegOutput, resize
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.report.figures import check_label_maps
from bpkd.runs.loading import load
from bpkd.training.teachers import build_teacher


@dataclass
class Scheme:
    """What BPKD makes of one image, at the size of the student's logits (h, w).

    Attributes:
        masks: M (C, h, w).
        divergence: φ (h, w), the KL divergence of each pixel's classes.
        edge: (h, w), what each pixel adds to the edge loss; its sum is ``terms["edge"]``.
        body: (C, h, w), what each class and pixel adds to the body loss; likewise.
        student, teacher: predicted classes (H, W), at the labels' size.
        terms: the loss's values, of this image alone.
    """

    masks: Tensor
    divergence: Tensor
    edge: Tensor
    body: Tensor
    student: Tensor
    teacher: Tensor
    terms: dict[str, Tensor]


@dataclass
class Drawing:
    """One image, and what is drawn of it.

    Attributes:
        image: uint8 (3, H, W).
        labels: (H, W).
        scheme: the loss's tensors.
        classes, palette: of the data set.
        title: stands above all.
        ignore_index: label of pixels that are left out.
    """

    image: Tensor
    labels: Tensor
    scheme: Scheme
    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    title: str
    ignore_index: int = 255


@torch.no_grad()
def scheme(loss: BPKD, student: SegOutput, teacher: SegOutput, labels: Tensor) -> Scheme:
    """The tensors of one image.

    Args:
        loss: with its settings.
        student, teacher: outputs for a batch of one image.
        labels: (1, H, W).
    """
    logits = full_precision(student.logits)
    target = like_student(full_precision(teacher.logits), logits)
    masks = loss.masks(labels, logits, teacher.logits).to(logits.dtype)
    ignored = None if loss.edges == "teacher" else loss.ignore_index
    valid = labelled_pixels(labels, logits, ignored)
    counted = masks
    if not loss.post_mask:
        counted = torch.ones_like(masks) if valid is None else valid.to(masks).expand_as(masks)
    if loss.where != "all":
        counted = counted * trusted_share(logits, target, labels, loss.where, loss.ignore_index)
    weights = pixel_weights(counted, loss.class_weights, loss.reduction, valid)
    phi = edge_divergence(logits, target, masks, loss.temperature, loss.pre_mask)[0]
    edge = loss.temperature**2 * phi * weights[0]
    body = _body(loss, logits, target, masks, valid)
    size = (labels.shape[-2], labels.shape[-1])
    own, theirs = (resize(z, size).argmax(dim=1)[0] for z in (logits, target))
    return Scheme(masks[0], phi, edge, body, own, theirs, loss(student, teacher, labels))


def _body(
    loss: BPKD, student: Tensor, teacher: Tensor, masks: Tensor, valid: Tensor | None
) -> Tensor:
    """p log(p / q) of each class and pixel, with T² and over the number of classes, as CWD has it.

    Unlike a divergence this may be below 0: only its sum over the pixels may not.
    """
    log_q, log_p = (
        log_softmax(
            (z if valid is None else z.masked_fill(~valid, -torch.inf)).flatten(2), dim=2
        ).view_as(z)
        for z in (
            filtered(each, 1 - masks, loss.temperature, loss.body_pre_mask)
            for each in (student, teacher)
        )
    )
    terms = log_p.exp() * (log_p - log_q)
    if valid is not None:
        terms = terms.where(valid, 0.0)
    return loss.temperature**2 / len(terms[0]) * terms[0]


def of_run(run: str | Path, *overrides: str, split: str = "test", index: int = 0) -> Drawing:
    """What :func:`edges_figure` draws, of one image of a split.

    Args:
        run: the folder of a run that was taught; its BPKD's settings are taken, or the defaults
            where it learned by something else.
        overrides: ``key=value``, dotted.
        split: train, val or test.
        index: of the image.

    Raises:
        UserError: no run, no teacher, no such image, or it has no labels.
    """
    student = load(run)
    recipe = load_recipe(Path(run) / "recipe.yaml", overrides)
    data = build_data(recipe, split)
    check_label_maps(data)
    if not 0 <= index < len(data):
        raise UserError(f"image {index}: the split has {len(data)} images, 0 to {len(data) - 1}")
    teacher = build_teacher(recipe, read_classes(Path(run))[0])
    if teacher is None:
        raise UserError(f"{run} had no teacher; give one, e.g. teacher=runs/teacher")
    image, labels = data[index]
    images = to_float(image)[None]
    loss, name = _loss(recipe, data.ignore_index)
    with torch.no_grad():
        outputs = student(images), teacher.eval()(images)
    drawn = scheme(loss, *outputs, labels[None].long())
    title, ignored = f"{data.name(index)}, {name}", data.ignore_index
    return Drawing(image, labels.long(), drawn, data.classes, data.palette, title, ignored)


def _loss(recipe: Recipe, ignore_index: int) -> tuple[BPKD, str]:
    """The BPKD of a recipe, and what it is called."""
    for name, entry in recipe.losses.items():
        if entry.use.startswith("bpkd.losses.bpkd."):
            loss = entry.built(f"losses.{name}")
            if isinstance(loss, BPKD):
                return loss, f"losses.{name}: {entry.use.rpartition('.')[2]}"
    return BPKD(ignore_index=ignore_index), "BPKD with its defaults"


def edges_figure(drawing: Drawing) -> Figure:
    """Three lines: the image and what is said of it; the outlines' pipeline; the bodies'."""
    drawn, classes = drawing.scheme, drawing.classes
    height, breadth = drawing.labels.shape
    figure = Figure(figsize=(13, 0.4 + 3 * (0.3 + 2.85 * height / breadth)), layout="constrained")
    figure.suptitle(drawing.title, fontsize=10)
    axes = figure.subplots(3, 4)
    for axis in axes.flat:
        axis.set_axis_off()
    most = int(drawn.masks.sum(dim=(1, 2)).argmax())
    known = drawing.labels != drawing.ignore_index
    maps = (drawing.labels, *(z.where(known, -1) for z in (drawn.teacher, drawn.student)))
    axes[0, 0].imshow(drawing.image.permute(1, 2, 0).numpy())
    for axis, each in zip(axes[0, 1:], maps, strict=True):
        axis.imshow(colourise(each, drawing.palette), interpolation="nearest")
    titles = ["image", "labels", "teacher", "student"]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    edge, body = drawn.masks.amax(dim=0), 1 - drawn.masks.amax(dim=0)
    _map(axes[1, 0], edge, "edge mask M, largest of all classes", "gray", 1)
    _map(axes[1, 1], drawn.masks[most], f"edge mask M of {classes[most]}", "gray", 1)
    _map(axes[1, 2], drawn.divergence, "teacher to student, KL over classes: φ")
    _map(axes[1, 3], drawn.edge, f"edge loss, φ M weighed{_value(drawn, 'edge')}")
    _map(axes[2, 0], body, "body mask 1 - M, smallest of all classes", "gray", 1)
    _map(axes[2, 1], 1 - drawn.masks[most], f"body mask 1 - M of {classes[most]}", "gray", 1)
    _map(axes[2, 2], drawn.body[most], f"teacher to student, over pixels: {classes[most]}")
    _map(axes[2, 3], drawn.body.sum(dim=0), f"body loss, all classes{_value(drawn, 'body')}")
    return figure


def _value(drawn: Scheme, term: str) -> str:
    """The loss that a map adds up to; none where the run leaves the term out."""
    return f": sum {float(drawn.terms[term]):.3g}" if term in drawn.terms else " (not in this run)"


def _map(axis: Any, values: Tensor, title: str, colours: str = "", top: float = 0.0) -> None:
    """Values (h, w); those below 0, which single pixels of the body loss may have, are blue."""
    pixels = values.cpu().numpy()
    largest = top or max(float(abs(pixels).max()), 1e-12)
    lowest = 0.0 if pixels.min() >= 0 else -largest
    colours = colours or ("magma" if lowest == 0 else "RdBu_r")
    drawn = axis.imshow(pixels, cmap=colours, vmin=lowest, vmax=largest, interpolation="nearest")
    axis.figure.colorbar(drawn, ax=axis, shrink=0.7, pad=0.01).ax.tick_params(labelsize=6)
    axis.set_title(title, fontsize=9)
