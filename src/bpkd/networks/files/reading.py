"""Files of networks, read: by their endings, and by what they say of themselves."""

from __future__ import annotations

from pathlib import Path

from bpkd.errors import UserError
from bpkd.networks.files.described import described
from bpkd.networks.files.instances import InstanceFile
from bpkd.networks.files.network import FileNetwork, Program
from bpkd.recipe.dotted import resolve
from bpkd.support.formats import endings, format_of


def open_program(path: str | Path, threads: int | None = None) -> Program:
    """What runs a file.

    Raises:
        UserError: no such file, none of a known ending, or not what its ending says.
    """
    kind = format_of(path)
    if kind is None:
        raise UserError(f"{path}: no file of a network; expected {endings()}")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; bpkd export RUN --format {kind.name} writes one")
    program: Program = resolve(kind.reader)(str(path), threads)
    return program


def read_network(path: str | Path, threads: int | None = None) -> FileNetwork:
    """A network's file, ready to use.

    Args:
        path: the file; its ending says what it is.
        threads: that it may use; None: as many as there are.

    Raises:
        UserError: no such file, not what its ending says, no classes known, or other classes than
            it says; or a task that cannot be run from a file.
    """
    program = open_program(path, threads)
    known = described(path, program.metadata)
    if known.task == "instance" and hasattr(program, "every"):
        return InstanceFile(str(path), program, known)
    if known.task != "semantic":
        raise UserError(
            f"{path}: is for {known.task} segmentation; such a file can be run here as onnx alone"
        )
    return FileNetwork(str(path), program, known)
