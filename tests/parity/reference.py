"""Reference numbers of published implementations, and how near to them is equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"


class Reference:
    """The arrays of one method and seed, by name; floats as float64.

    Args:
        method: name of the file.
        seed: 0 or 1.
        folder: of the files, in ``tests/parity/data``.
    """

    def __init__(self, method: str, seed: int, folder: str = "losses") -> None:
        with np.load(DATA / folder / f"{method}.npz") as arrays:
            self.arrays = {
                name.removeprefix(f"s{seed}_"): torch.from_numpy(arrays[name])
                for name in arrays.files
                if name.startswith(f"s{seed}_")
            }

    def __getitem__(self, name: str) -> Tensor:
        value = self.arrays[name]
        return value.double() if value.is_floating_point() else value.long()

    def input(self, name: str) -> Tensor:
        """One that the gradient is wanted of."""
        return self[name].requires_grad_()

    def check(self, value: Tensor, name: str) -> None:
        """Equal to 1e-9 of the reference's largest entry."""
        expected = self[name]
        assert value.dtype == torch.float64 and value.shape == expected.shape
        assert (value - expected).abs().max() <= 1e-9 * expected.abs().max()

    def check_loss(self, loss: Tensor, name: str, **inputs: Tensor) -> None:
        """``name``_loss, and the gradient of each of ``inputs`` under its own name."""
        self.check(loss.detach(), f"{name}_loss")
        gradients = torch.autograd.grad(loss, list(inputs.values()), retain_graph=True)
        for key, gradient in zip(inputs, gradients, strict=True):
            self.check(gradient, key)
