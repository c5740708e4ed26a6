"""Distillation terms brought to the size of the task's own gradient, once, and then left there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from bpkd.networks.base import resize

#: Logits -> terms by name.
Terms = Callable[[Tensor], dict[str, Tensor]]


class Balance(nn.Module):
    """A factor a term: the geometric mean of ‖∂CE/∂z‖ / ‖∂term/∂z‖ over the first iterations.

    z are the student's logits and CE the plain cross-entropy at the labels' size, whatever the
    recipe adds to the student's own loss. A term with weight w then begins with w times the
    task's gradient, however many classes or pixels there are. In the first iterations the factor
    is the mean so far; after them it is frozen. It is kept in buffers, so in the run's
    checkpoints: a run that is resumed goes on exactly.

    Args:
        terms: names of the terms.
        iterations: calls in training that are measured.
        ignore_index: label of pixels that are left out.

    Example:
        CE's gradient at one pixel of two equal logits is (1/2, -1/2); the term's is three times
        that.

        >>> balance = Balance(["edge"], iterations=1)
        >>> def terms(z): return {"edge": 1.5 * (z[:, 0] - z[:, 1]).sum()}
        >>> z = torch.zeros(1, 2, 1, 1, requires_grad=True)
        >>> balance.measure(terms, z, torch.tensor([[[1]]]))
        >>> round(balance.scaled({"edge": torch.tensor(6.0)})["edge"].item(), 4)
        2.0
        >>> balance.measure(terms, 5 * z + 7, torch.tensor([[[1]]]))  # frozen: nothing changes
        >>> int(balance.seen), int(balance.counted)
        (1, 1)
    """

    seen: Tensor
    counted: Tensor
    logarithms: Tensor

    def __init__(self, terms: Sequence[str], iterations: int, ignore_index: int = 255) -> None:
        super().__init__()
        self.names = list(terms)
        self.iterations = iterations
        self.ignore_index = ignore_index
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("counted", torch.zeros(len(self.names), dtype=torch.int64))
        self.register_buffer("logarithms", torch.zeros(len(self.names), dtype=torch.float64))
        self.done: int | None = None  # `seen` without asking the device

    def measure(self, terms: Terms, logits: Tensor, labels: Tensor) -> None:
        """Measure one batch, unless this is not training, or enough have been measured.

        Args:
            terms: the loss as a function of the student's logits.
            logits: (N, C, h, w).
            labels: (N, H, W).
        """
        if not self.training or not torch.is_grad_enabled() or self._frozen():
            return
        leaf = logits.detach().requires_grad_()
        resized = resize(leaf, labels.shape[-2:])
        own = F.cross_entropy(resized, labels.long(), ignore_index=self.ignore_index)
        wanted = _gradient(own, leaf)
        values = terms(leaf)
        given = torch.stack([_gradient(values[name], leaf) for name in self.names])
        ratios = (wanted / given).double().log()
        usable = ratios.isfinite()  # a batch without an outline says nothing of the edge term
        sums = torch.stack([torch.where(usable, ratios, 0.0), usable.double()])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        # New tensors: what a checkpoint holds of the old ones stays.
        self.logarithms = self.logarithms + sums[0]
        self.counted = self.counted + sums[1].long()
        self.seen = self.seen + 1
        self.done = (self.done or 0) + 1

    def _frozen(self) -> bool:
        if self.done is None:
            self.done = int(self.seen)  # 0, or what a checkpoint says
        return self.done >= self.iterations

    def _load_from_state_dict(self, *args: object, **named: object) -> None:
        super()._load_from_state_dict(*args, **named)  # type: ignore[arg-type]
        self.done = None

    def scaled(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms times their factors; a term that was never measured keeps its size."""
        factors = (self.logarithms / self.counted.clamp(min=1)).exp()
        return {
            name: terms[name] * factors[index].to(terms[name].dtype)
            for index, name in enumerate(self.names)
        }


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    """The Euclidean norm of a value's gradient; 0 where it has none."""
    if not value.requires_grad:
        return leaf.new_zeros(())
    (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True)
    norm: Tensor = torch.linalg.vector_norm(leaf * 0 if gradient is None else gradient)
    return norm
