"""Published files by their address: fetched once, and kept in a folder of one's own."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import zipfile
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.request import urlopen

from rich.console import Console
from rich.progress import wrap_file
from safetensors import SafetensorError, safe_open

from bpkd.errors import UserError
from bpkd.support.addresses import without_secrets
from bpkd.support.files import replacing
from bpkd.support.messages import one_line

#: Seconds without an answer.
_PATIENCE = 60
#: The environment variable that sets the most bytes of a file.
_LIMIT = "WEIGHTS_LIMIT"


def fetched(address: str) -> Path:
    """The file of an address, below the folder that ``WEIGHTS`` names (``weights`` by default).

    Once it is there, nothing is fetched any more: so it can also be put there by hand. Several
    processes that find nothing each fetch it, and the last one's file stays.

    Raises:
        UserError: it cannot be fetched, is not whole or not what the sum in its name says: nothing
            is left behind.
    """
    file = place(address)
    if file.is_file():
        return file
    made = not file.parent.exists()
    named = without_secrets(address)
    print(f"fetching {named} into {file.parent}", file=sys.stderr, flush=True)
    try:
        with replacing(file) as temporary:
            _fetch(address, temporary)
    except UserError as error:
        if made:
            with suppress(OSError):
                file.parent.rmdir()
        raise UserError(
            f"{named} cannot be fetched: {without_secrets(str(error))}; get it by other means and "
            f"put it there as {file}, or set WEIGHTS to the folder that has it"
        ) from error
    return file


def place(address: str) -> Path:
    """Where the file of an address is kept.

    Under its own name if that has a sum of the content; otherwise files of one name have to be
    told apart by their addresses.

    Example:
        >>> place("https://example.org/net-5c106cde.pth").name
        'net-5c106cde.pth'
        >>> place("https://example.org/one/model.pth").name
        'model-96cbe0dd.pth'
    """
    name = Path(_name(address))
    if not name.name:
        raise UserError(
            f"{without_secrets(address)}: expected the address of a file, e.g. "
            "https://HOST/FILE.pth"
        )
    folder = Path(os.environ.get("WEIGHTS", "weights")).expanduser()
    if _sum(name.name):
        return folder / name
    own = hashlib.sha256(address.encode()).hexdigest()[:8]
    return folder / f"{name.stem}-{own}{name.suffix}"


def _name(address: str) -> str:
    return re.split(r"[?#]", address)[0].rpartition("/")[2]


def _sum(name: str) -> str:
    """The beginning of the SHA-256 with which OpenMMLab and PyTorch end the names of their files.

    Example:
        >>> _sum("net-5c106cde.pth"), _sum("net-20210903.pth"), _sum("net.pth")
        ('5c106cde', '', '')
    """
    found = re.search(r"-([0-9a-f]{8,})\.\w+$", name)
    return found[1] if found and not re.fullmatch(r"20\d{6}", found[1]) else ""


def _fetch(address: str, file: Path) -> None:
    """Write what an address has to a file: all of it, and nothing else.

    Raises:
        UserError: why not.
    """
    name, errors = _name(address), Console(stderr=True)
    hidden = not errors.is_terminal
    limit = _limit()
    if not address.lower().startswith("https://") and not _sum(name):
        raise UserError(
            "over http it could be anybody's file; give an https address, or a name that ends with "
            "the beginning of its SHA-256, as FILE-1a2b3c4d.pth"
        )
    try:
        with urlopen(address, timeout=_PATIENCE) as answer, file.open("wb") as out:
            if not answer.url.lower().startswith("https://") and not _sum(name):
                raise UserError("it is answered from an http address, without a sum in its name")
            size = int(answer.headers.get("Content-Length") or 0)
            if size > limit:
                raise UserError(f"it has {size:,} bytes, above {_LIMIT}, {limit:,}")
            bar = wrap_file(answer, size, description=name, console=errors, disable=hidden)
            with bar as stream:
                _copy(stream, out, name, limit)
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(one_line(error)) from error
    if size and file.stat().st_size != size:
        raise UserError(f"the connection broke off at {file.stat().st_size:,} of {size:,} bytes")
    if not found.startswith(_sum(name)):
        raise UserError(f"its SHA-256 begins with {found[:8]}, not as its name says")
    if not _is_whole(file, name):
        raise UserError(f"its {file.stat().st_size:,} bytes are not a whole file of weights")


def _limit() -> int:
    """The most bytes that a file may have."""
    given = os.environ.get(_LIMIT, "")
    return int(given) if given.isdigit() else 20 * 10**9


def _copy(stream: Any, out: BinaryIO, name: str, limit: int) -> None:
    """Copy what comes, if it begins as such a file does, and does not go on for ever."""
    taken = 0
    while block := stream.read(1 << 20):
        if not taken and not _begins_as(name, block):
            start = block[:20].decode("utf-8", "replace").strip()
            raise UserError(
                f"what comes is no file of weights: it begins {start!r} (a page to log in, or of "
                "an error?)"
            )
        taken += len(block)
        if taken > limit:
            raise UserError(f"it has more than {_LIMIT}, {limit:,} bytes")
        out.write(block)


def _begins_as(name: str, block: bytes) -> bool:
    """Whether the first bytes are those of a file of that name.

    Example:
        >>> _begins_as("a.pth", b"PK\\x03\\x04"), _begins_as("a.pth", b"<!DOCTYPE html>")
        (True, False)
    """
    kind = Path(name).suffix.lower()
    if kind == ".safetensors":
        return block[8:9] == b"{"
    if kind in (".pth", ".pt", ".ckpt", ".bin", ".pt2", ".ts"):
        return block.startswith((b"PK\x03\x04", b"\x80"))
    return not block.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml"))


def _is_whole(file: Path, name: str) -> bool:
    """Whether a file that came without its length has its end."""
    with file.open("rb") as stream:
        begin = stream.read(8)
    if Path(name).suffix.lower() == ".safetensors":
        try:
            with safe_open(file, "pt"):
                return True
        except SafetensorError:
            return False
    return zipfile.is_zipfile(file) if begin.startswith(b"PK\x03\x04") else True
