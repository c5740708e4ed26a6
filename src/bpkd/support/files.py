"""Writing files whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bpkd.errors import UserError

#: The longest name that common file systems take, in bytes.
_LONGEST = 255


def check_writable(path: Path) -> None:
    """Refuse a place where nothing can be written, before the work that is to be written there.

    Raises:
        UserError: it is a folder, or its folder is none, or does not take files.
    """
    try:
        if path.exists() and not path.is_file():
            code = errno.EISDIR if path.is_dir() else errno.EACCES  # a device, say
            raise OSError(code, os.strerror(code))
        # The folder itself may be made later, in the first one above it that there is.
        folder = next(above for above in path.absolute().parents if above.exists())
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror}; name a file in a folder of your own"
        ) from error


@contextmanager
def replacing(path: Path, *, make_folder: bool = True, sync: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well.

    The content is on the disk before the name is, so that after a power cut the name still stands
    for a whole file.

    Args:
        path: the file.
        make_folder: make the file's folder where it is missing.
        sync: wait for the disk; one of a thousand pictures need not.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), temporary.exists()
        ('whole', False)

    Raises:
        UserError: the disk is full or the folder cannot be written to.
    """
    if not path.name:
        raise UserError(f"{path}: is a folder; name a file")
    temporary = path.with_name(temporary_name(path.name))
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if sync:
            sync_file(temporary)
        os.replace(temporary, path)
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path}: cannot be written: {reason}; nothing was changed there"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_name(name: str) -> str:
    """The name of this process's temporary file for a file of that name.

    >>> temporary_name("a.txt") == f".a.txt.{os.getpid()}.part"
    True
    >>> len(temporary_name("x" * 255)) < 255
    True
    """
    end = f".{os.getpid()}.part"
    if len(os.fsencode(name)) + 1 + len(end) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{name}{end}"


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where the system knows such a thing."""
    with suppress(OSError):
        sync_file(folder)


@contextmanager
def replacing_csv(path: Path, *, make_folder: bool = True) -> Iterator[TextIO]:
    """As :func:`replacing`, opened for a CSV writer."""
    with (
        replacing(path, make_folder=make_folder) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        yield stream
