"""SKDS, the holistic term: a discriminator cannot tell the student's maps from the teacher's.

Liu et al., Structured Knowledge Distillation for Semantic Segmentation, CVPR 2019; the penalty is
Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.losses.common import Output, labelled_pixels, logit_maps
from bpkd.losses.discriminator import SMALLEST, Discriminator
from bpkd.losses.features import mean_over_processes


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

    The discriminator is trained by :meth:`own_step`, which is called after the student's
    backward pass, with the same outputs. Its parameters ask for a gradient in there alone, so the
    student's optimizer does not hold them; its own optimizer's state goes into checkpoints.

    Args:
        num_classes: channels of the logits.
        adversarial: ``wgan-gp`` (SKDS, IFVD) or ``hinge`` (CIRKD; no penalty).
        penalty: factor of the gradient penalty.
        width: channels of the discriminator's first layer.
        learning_rate: of the discriminator's Adam.
        ignore_index: label of pixels that are set to 0; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"holistic": 0.001}
    task: ClassVar[str] = "semantic"
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
        self.discriminator = Discriminator(num_classes, width).requires_grad_(False)
        # Adam as in IFVD and CIRKD.
        self.optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=learning_rate, betas=(0.9, 0.99)
        )
        self.adversarial = adversarial
        self.penalty = penalty
        self.ignore_index = ignore_index

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``holistic``."""
        logits, _ = self._maps(student, teacher, labels)
        return {"holistic": -self.discriminator(logits).mean()}

    def discriminator_loss(
        self, student: Output, teacher: Output, labels: Tensor
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

    def own_step(
        self,
        student: Output,
        teacher: Output,
        labels: Tensor,
        share: float = 1.0,
        last: bool = True,
    ) -> dict[str, Tensor]:
        """Train the discriminator for a step, in step on all processes; its terms, for the log.

        Args:
            student: outputs of the student.
            teacher: outputs of the teacher.
            labels: (N, H, W).
            share: of this batch in the step's gradient, where several are accumulated.
            last: whether the step is made now.
        """
        parameters = list(self.discriminator.requires_grad_(True).parameters())
        terms = self.discriminator_loss(student, teacher, labels)
        total = torch.stack([self.discriminator_weights[n] * t for n, t in terms.items()]).sum()
        gradients = torch.autograd.grad(total, parameters)
        self.discriminator.requires_grad_(False)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            mean = share * mean_over_processes(gradient)
            parameter.grad = mean if parameter.grad is None else parameter.grad + mean
        if last:
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {name: term.detach() for name, term in terms.items()}

    def get_extra_state(self) -> dict[str, Any]:
        """The optimizer's state, for checkpoints."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the optimizer's state from a checkpoint."""
        self.optimizer.load_state_dict(state)

    def _maps(self, student: Output, teacher: Output, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Both networks' logits at the student's size, 0 where pixels are ignored."""
        logits, target = logit_maps(student, teacher)
        valid = labelled_pixels(labels, logits, self.ignore_index)
        if valid is not None:
            logits, target = logits * valid, target * valid
        return logits, target
