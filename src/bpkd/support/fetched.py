"""Published files by their address: fetched once, and kept in a folder of one's own."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from rich.console import Console
from rich.progress import wrap_file

from bpkd.errors import UserError
from bpkd.support.files import replacing
from bpkd.support.messages import one_line

#: Seconds without an answer.
_PATIENCE = 60


def is_address(path: str | Path) -> bool:
    """Whether it is the address of a file on the net.

    Example:
        >>> is_address("https://example.org/a.pth"), is_address("weights/a.pth")
        (True, False)
    """
    return str(path).startswith(("https://", "http://"))


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
    print(f"fetching {address} into {file.parent}", file=sys.stderr, flush=True)
    try:
        with replacing(file) as temporary:
            _fetch(address, temporary)
    except UserError as error:
        if made:
            with suppress(OSError):
                file.parent.rmdir()
        raise UserError(
            f"{address} cannot be fetched: {error}; get it by other means and put it "
            f"there as {file}, or set WEIGHTS to the folder that has it"
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
        raise UserError(f"{address}: expected the address of a file, e.g. https://HOST/FILE.pth")
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
    try:
        with urlopen(address, timeout=_PATIENCE) as answer, file.open("wb") as out:
            size = int(answer.headers.get("Content-Length") or 0)
            bar = wrap_file(answer, size, description=name, console=errors, disable=hidden)
            with bar as stream:
                shutil.copyfileobj(stream, out, 1 << 20)
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(one_line(error)) from error
    if size and file.stat().st_size != size:
        raise UserError(f"the connection broke off at {file.stat().st_size:,} of {size:,} bytes")
    if not found.startswith(_sum(name)):
        raise UserError(f"its SHA-256 begins with {found[:8]}, not as its name says")
