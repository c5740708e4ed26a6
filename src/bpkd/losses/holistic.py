"""Holistic distillation: a discriminator cannot tell the student's maps from the teacher's.

Liu et al., Structured Knowledge Distillation for Semantic Segmentation, CVPR 2019; the penalty is
Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from bpkd.losses.common import full_precision, labelled_pixels, like_student
from bpkd.losses.discriminator import SMALLEST, Discriminator
from bpkd.networks.base import SegOutput


def wgan(student_scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """What the discriminator minimises: mean D(student) - mean D(teacher).

    Example:
        >>> wgan(torch.tensor([1.0, 3.0]), torch.tensor([5.0])).item()
        -3.0
    """
    return student_scores.mean() - teacher_scores.mean()


def hinge(student_scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """The same by choice: mean relu(1 - D(teacher)) + mean relu(1 + D(student)).

    Example:
        >>> hinge(torch.tensor([1.0, -3.0]), torch.tensor([0.5])).item()  # 1 + 0.5
        1.5
    """
    return F.relu(1 - teacher_scores).mean() + F.relu(1 + student_scores).mean()


def gradient_penalty(
    discriminator: nn.Module, student: Tensor, teacher: Tensor, share: Tensor
) -> Tensor:
    """Mean over images of (G - 1)², G the norm of the scores' gradient between both maps.

    G_b is the norm over (C, h, w) of d Σ D(x) / dx at x = share * teacher + (1 - share) * student.

    Args:
        discriminator: (N, C, h, w) -> scores.
        student: logits (N, C, h, w); no gradient flows to them.
        teacher: logits of the same shape; no gradient flows to them.
        share: (N, 1, 1, 1) in [0, 1].

    Returns:
        A scalar >= 0, without a factor (published: 10).

    Example:
        >>> maps = torch.zeros(1, 1, 1, 4)
        >>> double = nn.Conv2d(1, 1, kernel_size=1)
        >>> _ = nn.init.constant_(double.weight, 2.0)  # the gradient is 2 at each of 4 pixels
        >>> gradient_penalty(double, maps, maps, torch.rand(1, 1, 1, 1)).item()  # (4 - 1)²
        9.0
    """
    with torch.enable_grad():
        between = (share * teacher + (1 - share) * student).detach().requires_grad_()
        scores = discriminator(between)
        (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    norms = torch.linalg.vector_norm(gradient, dim=(1, 2, 3))
    penalty: Tensor = (norms - 1).square().mean()
    return penalty


class Holistic(nn.Module):
    """The student's side, -mean D(student logits), and the discriminator it plays against.

    Needs logits of 64x64 pixels or more, and is 0 nowhere in particular: the value is a score.
    Ignored pixels are 0 in both networks' maps.

    The discriminator has its own optimizer, :meth:`discriminator_optimizer`, over
    ``discriminator.parameters()``; the student's optimizer must not hold these. A training step
    is one of the student, with :meth:`forward` (which leaves no gradient on the discriminator),
    then one of the discriminator, on the sum of the terms of :meth:`discriminator_loss` times
    ``discriminator_weights``, with the same outputs.

    Args:
        num_classes: channels of the logits.
        adversarial: ``wgan-gp`` (SKDS, IFVD) or ``hinge`` (CIRKD; no penalty).
        penalty: factor of the gradient penalty.
        width: channels of the discriminator's first layer.
        learning_rate: of the discriminator's Adam.
        ignore_index: label of pixels that are set to 0; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"holistic": 0.001}
    discriminator_weights: ClassVar[dict[str, float]] = {
        "discriminator": 0.1,
        "gradient_penalty": 0.1,
    }
    minimum_size = SMALLEST

    def __init__(
        self,
        num_classes: int,
        *,
        adversarial: Literal["wgan-gp", "hinge"] = "wgan-gp",
        penalty: float = 10.0,
        width: int = 64,
        learning_rate: float = 4e-4,
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__()
        self.discriminator = Discriminator(num_classes, width)
        self.adversarial = adversarial
        self.penalty = penalty
        self.learning_rate = learning_rate
        self.ignore_index = ignore_index

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``holistic``."""
        logits, _ = self._maps(student, teacher, labels)
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        return {"holistic": -functional_call(self.discriminator, frozen, (logits,)).mean()}

    def discriminator_loss(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor
    ) -> dict[str, Tensor]:
        """The same arguments -> the term ``discriminator``, and ``gradient_penalty`` in wgan-gp.

        No gradient flows to either network.
        """
        logits, target = (maps.detach() for maps in self._maps(student, teacher, labels))
        real = self.discriminator(target)
        fake = self.discriminator(logits)
        if self.adversarial == "hinge":
            return {"discriminator": hinge(fake, real)}
        share = torch.rand(len(logits), 1, 1, 1, device=logits.device, dtype=logits.dtype)
        penalty = gradient_penalty(self.discriminator, logits, target, share)
        return {"discriminator": wgan(fake, real), "gradient_penalty": self.penalty * penalty}

    def discriminator_optimizer(self) -> torch.optim.Optimizer:
        """Adam as in IFVD and CIRKD: betas 0.9 and 0.99."""
        parameters = self.discriminator.parameters()
        return torch.optim.Adam(parameters, lr=self.learning_rate, betas=(0.9, 0.99))

    def _maps(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both networks' logits at the student's size, 0 where pixels are ignored."""
        logits = full_precision(student.logits)
        target = like_student(full_precision(teacher.logits), logits)
        valid = labelled_pixels(labels, logits, self.ignore_index)
        if valid is not None:
            logits, target = logits * valid, target * valid
        return logits, target
