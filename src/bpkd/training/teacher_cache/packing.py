"""A tensor as a record holds it: rounded, perhaps with the likeliest classes alone; and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Precision = Literal["float16", "bfloat16", "float32"]


@dataclass(frozen=True)
class Packing:
    """How maps of one kind are kept.

    With ``top_k``, a pixel keeps its k largest logits and their classes, and of all others the
    logit that gives each an equal share of what they have together: probabilities of the k stay.

    Attributes:
        shape: of one sample's maps, channels first.
        dtype: what numbers are rounded to.
        top_k: of a pixel's logits, or None for all channels.

    Example:
        >>> packing = Packing((4, 1, 1), "float32", top_k=2)
        >>> logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().view(1, 4, 1, 1)
        >>> kept = packing.unpacked(packing.packed(logits))
        >>> kept.softmax(1).flatten()
        tensor([0.4000, 0.3000, 0.1500, 0.1500])
    """

    shape: tuple[int, ...]
    dtype: Precision = "float16"
    top_k: int | None = None

    @property
    def sparse(self) -> bool:
        """Whether not all channels are kept."""
        return self.top_k is not None and self.top_k < self.shape[0]

    def parts(self) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """Shapes and types of the tensors that a sample is kept as."""
        number: torch.dtype = getattr(torch, self.dtype)
        if not self.sparse:
            return [(self.shape, number)]
        assert self.top_k is not None
        index = torch.uint8 if self.shape[0] <= 256 else torch.int16
        few = (self.top_k, *self.shape[1:])
        return [(few, number), (few, index), ((1, *self.shape[1:]), number)]

    @property
    def size(self) -> int:
        """Bytes of a sample."""
        return sum(prod(shape) * dtype.itemsize for shape, dtype in self.parts())

    def packed(self, maps: Tensor) -> list[Tensor]:
        """Maps (N, *shape) -> the tensors of :meth:`parts`, each (N, ...)."""
        types = [dtype for _, dtype in self.parts()]
        if not self.sparse:
            return [maps.detach().to(types[0])]
        assert self.top_k is not None
        maps = maps.detach().float()
        values, classes = maps.topk(self.top_k, dim=1)
        others = maps.scatter(1, classes, -torch.inf).logsumexp(dim=1, keepdim=True)
        others = others - log(self.shape[0] - self.top_k)
        return [part.to(t) for part, t in zip((values, classes, others), types, strict=True)]

    def unpacked(self, parts: Sequence[Tensor]) -> Tensor:
        """The tensors of :meth:`packed` -> maps (N, *shape), float32."""
        if not self.sparse:
            return parts[0].float()
        values, classes, others = parts
        maps = others.float().expand(-1, *self.shape).clone()
        return maps.scatter_(1, classes.long(), values.float())


def to_bytes(parts: Sequence[Tensor]) -> list[bytes]:
    """The tensors of a batch, each (N, ...) -> the content of each of its N records.

    Channels last, as networks here work: what is read is in the order that it was computed in.
    """
    inward = [part.movedim(1, -1).cpu().contiguous() for part in parts]
    flat = [part.flatten(1).view(torch.uint8) for part in inward]
    return [row.tobytes() for row in torch.cat(flat, dim=1).numpy()]


def from_bytes(packing: Packing, contents: Sequence[bytes]) -> list[Tensor]:
    """The contents of N records -> the tensors of a batch, on the CPU."""
    rows = torch.from_numpy(
        np.frombuffer(bytearray().join(contents), np.uint8).reshape(len(contents), -1)
    )
    parts, begin = [], 0
    for shape, dtype in packing.parts():
        end = begin + prod(shape) * dtype.itemsize
        maps = rows[:, begin:end].contiguous().view(dtype).view(-1, *shape[1:], shape[0])
        parts.append(maps.movedim(-1, 1))
        begin = end
    return parts
