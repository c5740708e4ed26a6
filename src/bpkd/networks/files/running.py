"""A network's file run in a process of its own: ``python -m bpkd.networks.files.running``.

It shares nothing with the process that wrote the file: what it gives is what a stranger gets.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from bpkd.errors import UserError
from bpkd.networks.files.reading import read_network
from bpkd.recipe.trust import trusted

_REFUSED = 3


def run_apart(file: Path, folder: Path) -> None:
    """For each ``NAME.images.npy`` in a folder, write what the file gives as ``NAME.found.npy``.

    Raises:
        UserError: the file cannot be read or run there: says what that process said.
    """
    command = [sys.executable, "-m", "bpkd.networks.files.running", str(file), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode}"]
        raise UserError(lines[-1] if ended.returncode == _REFUSED else f"{file}: {lines[-1]}")


def main(file: str, folder: str) -> int:
    """Run the file over the folder's images; 3 and a line where it cannot be."""
    try:
        with trusted():  # the process that wrote the file asks
            network = read_network(file)
        for images in sorted(Path(folder).glob("*.images.npy")):
            logits = network(torch.from_numpy(np.load(images))).logits
            np.save(images.with_name(images.name.replace(".images.", ".found.")), logits.numpy())
    except UserError as error:
        print(error, file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
