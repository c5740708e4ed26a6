"""Random numbers that are nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers that follow from the seed inside the block, and are untouched after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
