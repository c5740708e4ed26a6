"""The discriminator of holistic distillation: it scores whole maps of logits.

The network of Zhang et al., Self-Attention Generative Adversarial Networks, ICML 2019, as in the
code of SKDS, IFVD and CIRKD: raw logits in, behind a batch norm; no image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError

SMALLEST = 64  # four halvings and a 4x4 convolution


class InputNorm(nn.Module):
    """Batch norm that always takes the batch's own statistics, so it has none to store.

    Not ``nn.BatchNorm2d``: that may be turned into a synchronised one, which has no second
    derivative, and the gradient penalty needs it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)


class SpectralConv(nn.Conv2d):
    """4x4 convolution, stride 2, whose weight is divided by its largest singular value.

    The value comes from one step of the power iteration a call (Miyato et al., Spectral
    Normalization for Generative Adversarial Networks, ICLR 2018): v from the stored u, then u
    from v; both are constants for the gradient.
    """

    u: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=4, stride=2, padding=1)
        self.register_buffer("u", F.normalize(torch.randn(out_channels), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) -> (N, out_channels, h // 2, w // 2)."""
        return F.conv2d(x, self.weight / self.sigma(), self.bias, self.stride, self.padding)

    def sigma(self) -> Tensor:
        """The largest singular value of the weight, as (out_channels, rest); moves u."""
        rows = self.weight.flatten(1)
        with torch.no_grad():
            v = _unit(rows.T @ self.u)
            u = _unit(rows @ v)
            if self.training:
                self.u.copy_(u)
        return torch.dot(u, torch.mv(rows, v))


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / (torch.linalg.vector_norm(vector) + 1e-12)
    return unit


class SelfAttention(nn.Module):
    """x + gamma * values mixed by the softmax over positions j of query_i · key_j.

    Args:
        channels: of the map, 8 or more; query and key have an eighth.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, kernel_size=1)
        self.key = nn.Conv2d(channels, channels // 8, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        attention = F.softmax(query.transpose(1, 2) @ key, dim=2)
        mixed = (value @ attention.transpose(1, 2)).view_as(x)
        out: Tensor = x + self.gamma * mixed
        return out


class Discriminator(nn.Module):
    """Scores of a map of logits, raw: 1x1 for 64x64 pixels, 1x5 for 64x128.

    Args:
        num_classes: channels of the logits.
        width: channels of the first layer, 2 or more; 64 in published code.
    """

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.norm = InputNorm(num_classes)
        self.l1 = SpectralConv(num_classes, width)
        self.l2 = SpectralConv(width, 2 * width)
        self.l3 = SpectralConv(2 * width, 4 * width)
        self.attn1 = SelfAttention(4 * width)
        self.l4 = SpectralConv(4 * width, 8 * width)
        self.attn2 = SelfAttention(8 * width)
        self.last = nn.Conv2d(8 * width, 1, kernel_size=4)

    def forward(self, logits: Tensor) -> Tensor:
        """Logits (N, C, h, w), at least 64x64 -> scores (N, 1, h', w').

        Raises:
            UserError: the map is smaller.
        """
        h, w = logits.shape[-2:]
        if min(h, w) < SMALLEST:
            raise UserError(
                f"holistic distillation needs logits of {SMALLEST}x{SMALLEST} pixels or more, got "
                f"{h}x{w}: take a larger crop (512x512 at output stride 8) or leave this loss out"
            )
        x = self.norm(logits)
        for layer in (self.l1, self.l2, self.l3):
            x = F.leaky_relu(layer(x), 0.1)
        x = F.leaky_relu(self.l4(self.attn1(x)), 0.1)
        scores: Tensor = self.last(self.attn2(x))
        return scores
