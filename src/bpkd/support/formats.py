"""The kinds of file that a network can leave as: a table, from which all else is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bpkd.errors import UserError
from bpkd.support.messages import suggestion


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: on the command line.
        ending: of the file.
        extra: of this package, to be installed for it; empty where none is.
        writer: dotted path of what writes it, see :mod:`bpkd.export.writing`.
        reader: dotted path of what runs it, see :class:`bpkd.networks.files.network.Program`.
        precisions: of its numbers.
        runs_on: what a stranger runs it with.
        cannot: what it is not for.
    """

    name: str
    ending: str
    extra: str
    writer: str
    reader: str
    precisions: tuple[str, ...]
    runs_on: str
    cannot: str


_FILES = "bpkd.networks.files"
_WRITING = "bpkd.export.writing"
FORMATS = (
    Format(
        "onnx",
        ".onnx",
        "export",
        f"{_WRITING}.onnx",
        f"{_FILES}.onnx.OnnxProgram",
        ("fp32", "fp16", "int8"),
        "ONNX Runtime and most others, in any language",
        "fp16 is no faster on a CPU",
    ),
    Format(
        "openvino",
        ".xml",
        "openvino",
        f"{_WRITING}.openvino",
        f"{_FILES}.openvino.OpenVinoProgram",
        ("fp32", "fp16", "int8"),
        "OpenVINO, on Intel's and ARM's processors",
        "two files: the weights lie beside it as .bin; fp16 is how they are stored",
    ),
    Format(
        "exported",
        ".pt2",
        "",
        f"{_WRITING}.exported",
        f"{_FILES}.programs.TorchProgram",
        ("fp32",),
        "PyTorch, without the network's code",
        "no fp16 or int8; a program: open none from strangers",
    ),
    Format(
        "torchscript",
        ".ts",
        "",
        f"{_WRITING}.torchscript",
        f"{_FILES}.programs.TorchProgram",
        ("fp32",),
        "PyTorch and libtorch, C++ included",
        "no fp16 or int8; PyTorch itself calls it outdated; a program: open none from strangers",
    ),
)
PRECISIONS = ("fp32", "fp16", "int8")


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UserError: there is none.

    Example:
        >>> format_named("onnx").ending
        '.onnx'
    """
    for each in FORMATS:
        if each.name == name:
            return each
    raise UserError(f"format {name!r}: {suggestion(name, [each.name for each in FORMATS])}")


def format_of(file: str | Path) -> Format | None:
    """The format that a file's ending says, or None.

    Example:
        >>> format_of("runs/student.int8.onnx").name, format_of("runs/student")
        ('onnx', None)
    """
    ending = Path(file).suffix.lower()
    return next((each for each in FORMATS if each.ending == ending), None)


def is_network_file(source: str | Path) -> bool:
    """Whether this names a file of a network, there or not, and no run's folder."""
    return format_of(source) is not None and not Path(source).is_dir()


def names() -> str:
    """All formats, for the command line.

    >>> names()
    'onnx, openvino, exported or torchscript.'
    """
    *others, last = (each.name for each in FORMATS)
    return f"{', '.join(others)} or {last}."


def endings() -> str:
    """All endings, for messages.

    >>> endings()
    '.onnx, .xml, .pt2 or .ts'
    """
    *others, last = (each.ending for each in FORMATS)
    return f"{', '.join(others)} or {last}"
