"""Addresses of files on the net: which text is one, and what of it may be shown."""

from __future__ import annotations

import re
from pathlib import Path


def is_address(path: str | Path) -> bool:
    """Whether it is the address of a file on the net.

    Example:
        >>> is_address("https://example.org/a.pth"), is_address("weights/a.pth")
        (True, False)
    """
    return bool(re.match(r"https?://", str(path), re.IGNORECASE))


def without_secrets(text: str) -> str:
    """A text whose addresses have lost what nobody else should read: passwords and keys.

    Example:
        >>> without_secrets("get https://me:pass@example.org/a.pth?token=1 now")
        'get https://example.org/a.pth now'
    """
    text = re.sub(r"(?i)(https?://)[^\s/@'\"]*@", r"\1", text)
    return re.sub(r"(?i)(https?://[^\s?#'\"]*)\?[^\s'\"]*", r"\1", text)
