"""What this machine has to train with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bpkd.datasets.parallel import cores

_GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        cores: that this process may use.
        gpu: name of the graphics card; "" where there is none.
        memory: of the card, in GiB.
    """

    cores: int
    gpu: str = ""
    memory: float = 0.0

    def __str__(self) -> str:
        """For a comment.

        >>> print(Machine(2)), print(Machine(16, "NVIDIA H100", 79.2))
        2 processor cores, no GPU
        NVIDIA H100 with 79 GiB, 16 processor cores
        (None, None)
        """
        count = f"{self.cores} processor core{'s' if self.cores != 1 else ''}"
        return f"{self.gpu} with {self.memory:.0f} GiB, {count}" if self.gpu else f"{count}, no GPU"


def this_machine() -> Machine:
    """The machine that this runs on; of several cards the smallest."""
    if not torch.cuda.is_available():
        return Machine(cores())
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    least = min(cards, key=lambda card: int(card.total_memory))
    return Machine(cores(), least.name, least.total_memory / _GIB)
