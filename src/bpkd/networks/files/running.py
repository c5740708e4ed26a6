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
from bpkd.networks.files.instances import InstanceFile
from bpkd.networks.files.reading import read_network
from bpkd.recipe.trust import trusted

_REFUSED = 3


def run_apart(file: Path, folder: Path) -> None:
    """For each ``NAME.images.npy`` in a folder, write what the file gives as ``NAME.found.npz``.

    It holds ``logits``, or the outputs of a file that finds objects by their names.

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
            batch = torch.from_numpy(np.load(images))
            if isinstance(network, InstanceFile):
                network(batch)  # checks
                found = network.every(batch)
            else:
                found = {"logits": network(batch).logits}
            arrays = {name: value.numpy() for name, value in found.items()}
            np.savez(images.with_name(images.name.replace(".images.npy", ".found.npz")), **arrays)  # type: ignore[arg-type]
    except UserError as error:
        print(error, file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
