"""A file of records of one size, by number: each is whole, or it is not there.

A record carries a checksum of its content, its number and the image that it is of. So one that a
kill or a full disk left torn, one that never was (a hole in the file), one that two processes wrote
at once and one of another image all read as absent, and nothing has to be locked.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any
from zlib import crc32

from bpkd.errors import UserError

#: The first bytes of a file say, as JSON, what its records are.
HEAD = 4096
ENDING = ".records"
_MARK = b"bpkd"
_PREFIX = Struct("<4sIIQ")  # mark, the image's print, checksum, number


@dataclass
class Found:
    """What a walk over a file's records counted."""

    whole: int = 0
    torn: int = 0


class Records:
    """One file of records; several processes may have it open and write to it.

    Args:
        path: the file; it is made where there is none.
        about: what the records are; another file's ``about`` is refused.
        size: bytes of a record's content.

    Raises:
        UserError: the file is there, and its records are others; or it cannot be opened.

    Example:
        >>> import tempfile
        >>> records = Records(Path(tempfile.mkdtemp()) / "a.records", {"shape": [3]}, size=3)
        >>> records.write(7, seen=1, content=b"abc")
        >>> records.read(7, seen=1), records.read(6, seen=1), records.read(7, seen=2)
        (b'abc', None, None)
    """

    def __init__(self, path: Path, about: dict[str, Any], size: int) -> None:
        self.path, self.size, self.whole = path, size, _PREFIX.size + size
        self.other_image = False  # whether a whole record was met that is of another image
        self.writable = True
        try:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not path.is_file():
                raise UserError(f"{path}: cannot be written: {error.strerror}") from error
            self.file, self.writable = os.open(path, os.O_RDONLY), False
        wanted = about | {"bytes": size}
        known = read_head(os.pread(self.file, HEAD, 0))
        if known is None and self.writable:
            os.pwrite(self.file, json.dumps(wanted).encode().ljust(HEAD), 0)
        elif known != wanted:
            raise UserError(
                f"{path}: holds other records than this run writes ({known} instead of {wanted}); "
                "take the file away"
            )

    def read(self, number: int, seen: int) -> bytes | None:
        """The content of a record of an image whose print is ``seen``; None where it is absent."""
        found = os.pread(self.file, self.whole, self._place(number))
        image = image_of(found, number)
        if image is None:
            return None
        if image != seen:
            self.other_image = True
            return None
        return found[_PREFIX.size :]

    def write(self, number: int, seen: int, content: bytes) -> None:
        """Put a record there.

        Raises:
            OSError: the disk is full, or fails; the record then reads as absent.
        """
        place = self._place(number)
        rest = _PREFIX.pack(_MARK, seen, _checksum(number, seen, content), number) + content
        while rest:
            written = os.pwrite(self.file, rest, place)
            place, rest = place + written, rest[written:]

    def allocated(self) -> int:
        """Bytes on the disk; holes take none."""
        return os.fstat(self.file).st_blocks * 512

    def _place(self, number: int) -> int:
        return HEAD + number * self.whole

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


def image_of(record: bytes, number: int) -> int | None:
    """The print of the image that a record is of; None for one that is torn or absent."""
    if len(record) <= _PREFIX.size:
        return None
    mark, seen, checksum, own = _PREFIX.unpack_from(record)
    content = memoryview(record)[_PREFIX.size :]
    if mark != _MARK or own != number or checksum != _checksum(number, seen, content):
        return None
    return int(seen)


def read_head(head: bytes) -> dict[str, Any] | None:
    """What a file says of its records; None where it says nothing, yet or any more."""
    try:
        about = json.loads(head)
        return about if isinstance(about["bytes"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def count(path: Path, thorough: bool = False) -> Found:
    """How many records a file holds.

    Args:
        path: the file.
        thorough: read each whole and compare its checksum; otherwise only those that end before
            the file does are counted, by their marks.
    """
    found = Found()
    with path.open("rb") as stream:
        about = read_head(stream.read(HEAD))
        if about is None:
            return found
        whole = _PREFIX.size + about["bytes"]
        for number in _written(stream.fileno(), whole):
            place = HEAD + number * whole
            record = os.pread(stream.fileno(), whole if thorough else 4, place)
            if not thorough:
                found.whole += record == _MARK
            elif image_of(record, number) is not None:
                found.whole += 1
            elif any(record):
                found.torn += 1
    return found


def _written(file: int, whole: int) -> Iterator[int]:
    """The numbers of the records that a file may hold, its holes passed over."""
    end, number = os.fstat(file).st_size, 0
    while (place := HEAD + number * whole) < end:
        try:
            data = os.lseek(file, place, os.SEEK_DATA)
        except OSError as error:  # ENXIO: a hole up to the end
            if error.errno == errno.ENXIO:
                return
            raise
        if data >= place + whole:
            number = (data - HEAD) // whole
            continue
        yield number
        number += 1


def _checksum(number: int, seen: int, content: bytes | memoryview) -> int:
    return crc32(content, crc32(number.to_bytes(8, "little") + seen.to_bytes(4, "little")))
