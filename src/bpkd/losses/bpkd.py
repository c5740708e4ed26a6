"""BPKD: outlines and bodies of objects are distilled apart.

Liu et al., BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation, WACV 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from bpkd.boundary import edge_masks
from bpkd.boundary.falloff import fading_edge_masks
from bpkd.errors import UserError
from bpkd.losses.balance import Balance
from bpkd.losses.common import Output, as_output, labelled_pixels, logit_maps
from bpkd.losses.cwd import cwd
from bpkd.losses.edge_reduction import Reduction, pixel_weights
from bpkd.losses.edge_trust import Where, trusted_share
from bpkd.losses.pre_mask import PreMask, edge_divergence, filtered
from bpkd.networks.base import resize

_NAMES = {
    "reduction": get_args(Reduction),
    "pre_mask": (True, False, "centred"),
    "body_pre_mask": (True, False, "centred"),
    "terms": ("both", "edge", "body"),
    "edges": ("labels", "teacher", "both"),
    "where": get_args(Where),
    "falloff": ("flat", "linear"),
}


def edge_loss(
    student: Tensor,
    teacher: Tensor,
    masks: Tensor,
    class_weights: float | Tensor = 1.0,
    temperature: float = 1.0,
    *,
    pre_mask: PreMask = True,
    post_mask: bool = True,
    reduction: Reduction = "sum",
    valid: Tensor | None = None,
    trust: Tensor | None = None,
) -> Tensor:
    """T² times a reduction of α_c φ_i M_ci, with φ the KL divergence of each pixel's classes.

    - ``sum``: Σ_c α_c / n_c Σ_i φ_i M_ci, n_c = Σ_i M_ci: class means, summed;
    - ``classes``: the mean of these over the classes that have an edge;
    - ``mean``: Σ_c Σ_i α_c φ_i M_ci over C times the pixels that are not ignored (N h w where
      all count): the mean over all elements of (N, C, h, w);
    - ``band``: Σ_c Σ_i α_c φ_i M_ci over Σ_c Σ_i M_ci: the mean over the band.

    The filtered logits Z M are zero, not minus infinity: every class stays in the softmax. So a
    number added to all logits of a pixel changes the divergence, though no prediction; after
    ``centred`` it does not. No tensor is repeated over classes: see :func:`pixel_weights`.

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        masks: M (N, C, h, w) in [0, 1].
        class_weights: α, a number or (C,).
        temperature: T > 0.
        pre_mask: filter the logits by M; ``centred``: after each pixel's mean is taken off.
        post_mask: weigh φ by M; without it every valid pixel counts alike for every class
            (M_ci is 1 and n_c the number of those pixels).
        reduction: a name of the list above.
        valid: (N, 1, h, w) booleans, the pixels that count without ``post_mask`` and for
            ``mean``; None for all.
        trust: (N, 1, h, w) in [0, 1], a further factor of M after the softmax (in n_c too);
            None: 1.

    Returns:
        A scalar >= 0; exactly 0, with a gradient, where there is no edge.

    Example:
        >>> teacher = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1)
        >>> student = torch.zeros(1, 2, 1, 1)  # KL = 0.1308 at the one pixel, for two classes
        >>> round(edge_loss(student, teacher, torch.ones(1, 2, 1, 1)).item(), 4)
        0.2616
    """
    counted = masks
    if not post_mask:
        counted = torch.ones_like(masks) if valid is None else valid.to(masks).expand_as(masks)
    if trust is not None:
        counted = counted * trust
    weights = pixel_weights(counted, class_weights, reduction, valid)
    divergence = edge_divergence(student, teacher, masks, temperature, pre_mask)
    return temperature**2 * (divergence * weights).sum()


def body_loss(
    student: Tensor,
    teacher: Tensor,
    masks: Tensor,
    temperature: float = 1.0,
    *,
    pre_mask: PreMask = True,
    valid: Tensor | None = None,
) -> Tensor:
    """Channel-wise distillation of what lies off the outlines: CWD of Z (1 - M).

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        masks: M (N, C, h, w) in [0, 1].
        temperature: T > 0.
        pre_mask: filter the logits by 1 - M before the softmax; ``centred``: without each
            pixel's mean; without it this is CWD of the whole image.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> logits = torch.tensor([[[[0.0, 1.0]]]])
        >>> body_loss(logits, -logits, torch.ones(1, 1, 1, 2)).item()  # all edge: no body
        0.0
    """
    if not pre_mask:
        return cwd(student, teacher, temperature, valid)
    # The temperature goes into the filter: two passes over the logits fewer.
    rest = 1 - masks
    student, teacher = (filtered(z, rest, temperature, pre_mask) for z in (student, teacher))
    return temperature**2 * cwd(student, teacher, 1.0, valid)


class BPKD(nn.Module):
    """Both terms, ``edge`` and ``body``, with the masks made from the labels.

    The defaults are what a search on CamVid's validation images found (docs/results.md), not the
    published settings: those are :func:`published`. The edge term is a mean over the band, so its
    weight means the same for 2 classes and for 150.

    Args:
        kernel_size: the window of the edge detection, odd, in label pixels.
        class_weights: α of the edge loss, a number or one a class.
        temperature: T > 0, of both terms.
        terms: ``both``, ``edge`` or ``body``.
        pre_mask: filter the logits before the softmax, as published; ``centred``: after each
            pixel's mean over the classes is taken off.
        post_mask: weigh the edge loss's divergence by the mask.
        reduction: of the edge loss: over the ``band`` (the default), ``sum`` of class means, their
            mean over ``classes``, or ``mean`` over pixels and classes.
        body_pre_mask: ``pre_mask`` of the body loss; None: the same.
        average: what ``reduction`` was before it had names: true is ``classes``.
        edges: where outlines come from: the ``labels``, the ``teacher``'s own prediction (then
            nothing needs to be labelled), or ``both``: a class has an edge where either has it.
        where: the edge loss counts on ``all`` of the outline, or on the share of it where the
            teacher's class is the label (``teacher_right``), or where it holds the label more
            likely than the student does (``teacher_better``).
        falloff: of the mask round an outline: ``flat``, or ``linear`` in the distance to it.
        balance: bring each term to the size of the task's gradient in the first so many
            iterations (:class:`bpkd.losses.balance.Balance`); 0: as the weights say alone.
        ignore_index: label of pixels that are left out.
    """

    weights: dict[str, float] = {"edge": 1.7, "body": 6.5}  # noqa: RUF012
    task: ClassVar[str] = "semantic"
    class_weights: Tensor

    def __init__(
        self,
        kernel_size: int = 7,
        class_weights: float | Sequence[float] = 1.0,
        temperature: float = 1.0,
        *,
        terms: Literal["both", "edge", "body"] = "both",
        pre_mask: PreMask = False,
        post_mask: bool = True,
        reduction: Reduction | None = None,
        body_pre_mask: PreMask | None = None,
        average: bool = False,
        edges: Literal["labels", "teacher", "both"] = "labels",
        where: Where = "all",
        falloff: Literal["flat", "linear"] = "flat",
        balance: int = 0,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UserError(f"BPKD: kernel_size is an odd number of pixels, got {kernel_size}")
        if temperature <= 0:
            raise UserError(f"BPKD: temperature is above 0, got {temperature}")
        if average and reduction is not None:
            raise UserError(f"BPKD: average: true is reduction: classes, beside {reduction!r}")
        self.reduction: Reduction = "classes" if average else reduction or "band"
        self.pre_mask, self.post_mask = pre_mask, post_mask
        self.body_pre_mask = pre_mask if body_pre_mask is None else body_pre_mask
        self.kernel_size = kernel_size
        self.temperature = temperature
        self.terms = terms
        self.edges, self.where, self.falloff = edges, where, falloff
        self.ignore_index = ignore_index
        for name, known in _NAMES.items():
            if (given := getattr(self, name)) not in known:
                names = ", ".join(str(name).lower() for name in known)
                raise UserError(f"BPKD: {name} is one of {names}, got {given!r}")
        if edges == "teacher" and (where != "all" or balance):
            raise UserError("BPKD: where and balance need labels; edges: teacher does without")
        if balance < 0:
            raise UserError(f"BPKD: balance is a number of iterations, got {balance}")
        terms_used = [name for name in self.weights if terms in ("both", name)]
        self.balance = Balance(terms_used, balance, ignore_index) if balance else None
        alpha = torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", alpha, persistent=False)

    def masks(self, labels: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
        """The edge masks (N, C, h, w) at the student logits' size."""
        size = (student.shape[-2], student.shape[-1])
        make = edge_masks if self.falloff == "flat" else fading_edge_masks
        given = student.shape[1], self.kernel_size, size, self.ignore_index
        if self.edges == "labels":
            return make(labels, *given)
        predicted = resize(teacher.detach(), labels.shape[-2:]).argmax(dim=1)
        if self.edges == "teacher":
            return make(predicted, *given)
        predicted = predicted.masked_fill(labels == self.ignore_index, self.ignore_index)
        return torch.maximum(make(labels, *given), make(predicted, *given))

    def check_weights(self, num_classes: int) -> None:
        """Refuse α for another number of classes.

        Raises:
            UserError: names both numbers.
        """
        given = self.class_weights.numel()
        if self.class_weights.ndim and given != num_classes:
            raise UserError(
                f"BPKD: class_weights is one number, or one for each of the {num_classes} "
                f"classes; it has {given}"
            )

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms ``edge`` and ``body``."""
        logits, target = logit_maps(student, teacher)
        self.check_weights(logits.shape[1])
        masks = self.masks(labels, logits, as_output(teacher).logits).to(logits.dtype)
        # The teacher's outlines are for unlabelled images: there every pixel counts.
        ignored = None if self.edges == "teacher" else self.ignore_index
        valid = labelled_pixels(labels, logits, ignored)

        def terms(of: Tensor) -> dict[str, Tensor]:
            return self._terms(of, target, labels, masks, valid)

        if self.balance is None:
            return terms(logits)
        self.balance.measure(terms, logits, labels)
        return self.balance.scaled(terms(logits))

    def _terms(
        self, logits: Tensor, target: Tensor, labels: Tensor, masks: Tensor, valid: Tensor | None
    ) -> dict[str, Tensor]:
        """The terms as a function of the student's logits."""
        given, temperature = (logits, target, masks), self.temperature
        out: dict[str, Tensor] = {}
        if self.terms != "body":
            how: dict[str, Any] = {"pre_mask": self.pre_mask, "post_mask": self.post_mask}
            how |= {"reduction": self.reduction, "valid": valid}
            if self.where != "all":
                how["trust"] = trusted_share(logits, target, labels, self.where, self.ignore_index)
            out["edge"] = edge_loss(*given, self.class_weights, temperature, **how)
        if self.terms != "edge":
            out["body"] = body_loss(*given, temperature, pre_mask=self.body_pre_mask, valid=valid)
        return out


def published() -> BPKD:
    """The settings that readers of the paper report, reduced as its text says.

    Edge 50, body 20, α 2, kernel 7, both masks; the "average reduction" of the supplement's
    section 2 is taken as ``mean`` (docs/methods/bpkd.md says why), the unknown temperature as 1.

    Example:
        >>> published().weights, published().reduction
        ({'edge': 50.0, 'body': 20.0}, 'mean')
    """
    return _reported("mean")


def published_sum() -> BPKD:
    """:func:`published` with the formula that readers quote, the sum of class means."""
    return _reported("sum")


def _reported(reduction: Reduction) -> BPKD:
    loss = BPKD(kernel_size=7, class_weights=2.0, pre_mask=True, reduction=reduction)
    loss.weights = {"edge": 50.0, "body": 20.0}
    return loss
