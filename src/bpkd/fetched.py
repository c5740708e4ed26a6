"""Published files by their address: fetched once, and kept in a folder of one's own."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import torch.hub

from bpkd.errors import UserError
from bpkd.files import check_writable
from bpkd.messages import one_line


def is_address(path: str | Path) -> bool:
    """Whether it is the address of a file on the net.

    Example:
        >>> is_address("https://example.org/a.pth"), is_address("weights/a.pth")
        (True, False)
    """
    return str(path).startswith(("https://", "http://"))


def fetched(address: str) -> Path:
    """The file of an address, below the folder that ``WEIGHTS`` names (``weights`` by default).

    If a file of that name is there, it is taken, and nothing is fetched: so it can also be put
    there by hand. OpenMMLab and PyTorch end their files' names with the beginning of their
    SHA-256, ``-5c106cde.pth``; what arrives is held against it.

    Raises:
        UserError: it cannot be fetched, or is not what its name says: nothing is left behind.
    """
    folder = Path(os.environ.get("WEIGHTS", "weights"))
    name = urlsplit(address).path.rpartition("/")[2]
    if not name:
        raise UserError(f"{address}: expected the address of a file, e.g. https://HOST/FILE.pth")
    file = folder / name
    if file.is_file():
        return file
    check_writable(file)
    folder.mkdir(parents=True, exist_ok=True)
    sum_in_name = re.search(r"-([0-9a-f]{8,})\.\w+$", name)
    print(f"fetching {address} into {folder}", file=sys.stderr, flush=True)
    try:
        torch.hub.download_url_to_file(
            address, str(file), sum_in_name and sum_in_name[1], progress=sys.stderr.isatty()
        )
    # Errors of the net and of the disk are OSErrors; a wrong sum is a RuntimeError.
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        with suppress(OSError):
            folder.rmdir()  # if it is empty
        raise UserError(
            f"{address} cannot be fetched: {one_line(error)}; get it by other means and put it "
            f"into {folder}, or set WEIGHTS to the folder that has it"
        ) from error
    return file
