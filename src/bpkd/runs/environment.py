"""``environment.json``: where, with what and on what a run was trained. Notes, never needed."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import nn

import bpkd
from bpkd.support.addresses import told_command
from bpkd.support.files import replacing

NAME = "environment.json"


def read_notes(folder: Path) -> dict[str, Any] | None:
    """What the file holds; None where there is none, or it is damaged."""
    try:
        notes = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return notes if isinstance(notes, dict) else None


def note(folder: Path, **facts: str) -> None:
    """Add facts to the file; one that is damaged or gone is made anew."""
    known = read_notes(folder) or environment()
    with replacing(folder / NAME, make_folder=False) as file:
        file.write_text(json.dumps(known | facts, indent=2) + "\n", encoding="utf-8")


def environment() -> dict[str, str]:
    """Versions and machine, for the run's folder."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    modules = {"bpkd": bpkd, "torch": torch, "torchvision": torchvision, "timm": timm}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {
        **versions,
        "lightning": version("lightning"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpu": gpu,
        "threads": str(torch.get_num_threads()),
        "command": told_command(sys.argv),
    }


def fingerprint(network: nn.Module, *settings: str) -> str:
    """A hash of a network's weights and of settings."""
    digest = hashlib.sha256("\n".join(settings).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
