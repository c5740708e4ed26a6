"""Files of networks (ONNX, TorchScript, exported programs): without its code, as a teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.files.programs import last_line, load_program
from bpkd.networks.files.reading import open_program
from bpkd.networks.foreign.normalisation import IMAGENET, Colour, normalisation
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.support.formats import format_of


class Elsewhere(nn.Module):
    """A network that another library than PyTorch runs, on the CPU.

    Args:
        run: images (N, 3, H, W) on the CPU -> logits.
    """

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> logits (N, C, h, w), on the images' device."""
        return self.run(images.detach()).to(images.device, images.dtype)


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
            raise UserError(
                f"{self.path}: does not take images of shape {tuple(images.shape)}: "
                f"{last_line(error)}; export it with dynamic batch, height and width, or "
                "train on crops of its size"
            ) from error


def from_file(
    num_classes: int | None = None,
    path: str = "",
    *,
    mean: Colour | None = None,
    std: Colour | None = None,
    scale: float | None = None,
    rgb: bool | None = None,
    gives: str | None = None,
) -> ForeignNetwork:
    """An ONNX, OpenVINO or TorchScript file or an exported program, as a teacher.

    A TorchScript file (``.pt``, ``.ts``) or exported program (``.pt2``) is a program: load none
    from strangers. An ONNX (``.onnx``) or OpenVINO (``.xml``) file is data, and runs on the CPU.
    Each has logits, and no features by name. Write it in evaluation mode, with dynamic batch size,
    height and width.

    Args:
        num_classes: C; None to take what it gives.
        path: the file.
        mean: of the images, default ImageNet's; 0 and 1 where the program itself normalises, as
            what ``bpkd export`` wrote does.
        std: the same.
        scale: what images in [0, 1] are multiplied by first.
        rgb: False for a network that wants blue first.
        gives: ``softmax`` or ``sigmoid`` where it ends with one: logits are made of them.

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
        raise UserError("path is missing: expected an ONNX, TorchScript or .pt2 file")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give an ONNX, TorchScript or .pt2 file")
    program, metadata = _program(path)
    defaults = {"mean": (0, 0, 0), "std": (1, 1, 1)} if "bpkd" in metadata else IMAGENET
    given = normalisation(defaults, mean=mean, std=std, scale=scale, rgb=rgb)
    names = json.loads(metadata.get("classes", "null")) if "bpkd" in metadata else None
    if metadata.get("output") == '"labels"':
        raise UserError(f"{path}: gives labels, a teacher needs logits: export without --argmax")
    own = num_classes if names is None or num_classes is not None else len(names)
    foreign = ForeignNetwork(program, given, own, path, gives=gives)
    foreign.classes = names
    foreign.teacher_only = True
    return foreign


def _program(path: str) -> tuple[nn.Module, dict[str, str]]:
    """What runs the file, and what it says of itself."""
    kind = format_of(path)
    if kind is not None and kind.extra:
        program = open_program(path)
        return Elsewhere(program), program.metadata
    module, text = load_program(path)
    return Program(module, path), json.loads(text or "{}")
