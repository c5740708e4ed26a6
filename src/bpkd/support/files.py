"""Writing files whole, or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bpkd.errors import UserError


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
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well.

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
    # A name may be as long as the system takes, which the temporary one must not exceed.
    name = os.fsdecode(os.fsencode(path.name)[:200])
    temporary = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path}: cannot be written: {reason}; nothing was changed there"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_csv(path: Path) -> Iterator[TextIO]:
    """As :func:`replacing`, opened for a CSV writer."""
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        yield stream
