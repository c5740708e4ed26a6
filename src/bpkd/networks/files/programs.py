"""PyTorch's own files of networks: exported programs and TorchScript."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.recipe.trust import require
from bpkd.support.messages import one_line

#: The name under which these files hold their metadata, as JSON.
METADATA = "bpkd.json"


def load_program(path: str) -> tuple[nn.Module, str]:
    """The program that a file holds, and the metadata in it (empty where there is none).

    Such a file is a program: load none from strangers.

    Raises:
        UserError: it holds something else, e.g. a state dict.
    """
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it writes a traceback of each attempt
    inside: dict[str, Any] = {METADATA: ""}
    try:
        if path.endswith(".pt2"):
            program = torch.export.load(path, extra_files=inside).module()
            return program, _text(inside[METADATA])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript's age
            script: nn.Module = torch.jit.load(path, map_location="cpu", _extra_files=inside)  # type: ignore[no-untyped-call]
        return script.eval(), _text(inside[METADATA])
    except Exception as error:  # whatever the readers meet damaged or other files with
        reason = one_line(error).split(". ")[0]
        raise UserError(
            f"{path}: holds no program: {reason}; expected what torch.jit.save (.pt) or "
            "torch.export.save (.pt2) wrote; weights alone go under checkpoint, beside the network"
        ) from error
    finally:
        log.setLevel(level)


def _text(content: Any) -> str:
    return content.decode() if isinstance(content, bytes) else str(content)


def last_line(error: BaseException) -> str:
    """What PyTorch says at the end of a long message."""
    return str(error).strip().rsplit("\n", maxsplit=1)[-1]


class TorchProgram:
    """An exported program (``.pt2``) or a TorchScript file, see :class:`Program`.

    Args:
        path: the file.
        threads: of PyTorch, for the whole process; None leaves them as they are.

    Raises:
        UserError: nobody has consented to run programs, or the file holds none.
    """

    def __init__(self, path: str, threads: int | None = None) -> None:
        require("torch.export.load" if path.endswith(".pt2") else "torch.jit.load")
        self.path, self.threads = path, threads
        self.program, text = load_program(path)
        content = json.loads(text) if text else {}
        self.metadata: dict[str, str] = content
        size = json.loads(content.get("size", "null"))
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.channels: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), float32 -> what the program gives."""
        before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            with torch.no_grad():
                found: Tensor = self.program(images)
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"{self.path}: does not take images of {tuple(images.shape)}: {last_line(error)}"
            ) from error
        finally:
            torch.set_num_threads(before)
        return found
