"""TorchScript files and exported programs: a network without its code, as a teacher."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.foreign.normalisation import IMAGENET, Colour, normalisation
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.support.messages import one_line


class Program(nn.Module):
    """A network that was written to a file, in the mode in which it was written.

    Args:
        program: what the file holds.
        path: the file, for messages.
    """

    def __init__(self, program: nn.Module, path: str) -> None:
        super().__init__()
        self.program = program
        self.path = path

    def train(self, mode: bool = True) -> Program:
        """A program has one mode; an exported one refuses to be asked."""
        self.training = mode
        return self

    def forward(self, images: Tensor) -> Any:
        """Images (N, 3, H, W) -> what the program gives."""
        try:
            return self.program(images)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().rsplit("\n", maxsplit=1)[-1]
            raise UserError(
                f"{self.path}: does not take images of shape {tuple(images.shape)}: {reason}; "
                "export it with dynamic batch, height and width, or train on crops of its size"
            ) from error


def from_file(
    num_classes: int | None = None,
    path: str = "",
    *,
    mean: Colour | None = None,
    std: Colour | None = None,
    scale: float | None = None,
    rgb: bool | None = None,
) -> ForeignNetwork:
    """A TorchScript file (``.pt``, ``.ts``) or an exported program (``.pt2``), as a teacher.

    Such a file is a program: load none from strangers. It has logits, and no features by name.
    Write it in evaluation mode, with dynamic batch size, height and width.

    Args:
        num_classes: C; None to take what it gives.
        path: the file that ``torch.jit.save`` or ``torch.export.save`` wrote.
        mean: of the images, default ImageNet's; 0 and 1 where the program itself normalises.
        std: the same.
        scale: what images in [0, 1] are multiplied by first.
        rgb: False for a network that wants blue first.

    Raises:
        UserError: no such file, or one that holds something else, e.g. a state dict.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/teacher.pt2"
        >>> images = (torch.zeros(1, 3, 8, 8),)
        >>> torch.export.save(torch.export.export(nn.Conv2d(3, 5, 1).eval(), images), path)
        >>> from_file(5, path)(*images).logits.shape
        torch.Size([1, 5, 8, 8])
    """
    if not path:
        raise UserError("path is missing: expected a TorchScript or .pt2 file")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give a TorchScript or .pt2 file")
    given = normalisation(IMAGENET, mean=mean, std=std, scale=scale, rgb=rgb)
    program = Program(_load(path), path)
    foreign = ForeignNetwork(program, given, num_classes, path)
    foreign.teacher_only = True
    return foreign


def _load(path: str) -> nn.Module:
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it writes a traceback of each attempt
    try:
        if path.endswith(".pt2"):
            return torch.export.load(path).module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of TorchScript's age
            program: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        return program.eval()
    except Exception as error:  # whatever the readers meet damaged or other files with
        reason = one_line(error).split(". ")[0]
        raise UserError(
            f"{path}: holds no program: {reason}; expected what torch.jit.save (.pt) or "
            "torch.export.save (.pt2) wrote; weights alone go under checkpoint, beside the network"
        ) from error
    finally:
        log.setLevel(level)
