"""Addresses of files on the net: which text is one, and what of it may be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

#: Keys whose values nobody else should read, and these.
_KEYS = re.compile(
    r"(?i)((?<![a-z])(?:[\w.-]*[._-])?(?:api_?key|access_?key|secret|password|passwd|token)"
    r"\s*[=:]\s*)(?!null\b)(?:'[^']*'|\"[^\"]*\"|[^,}\]]+)"
)


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


def told_command(words: Sequence[str]) -> str:
    """A command as it may be written down: without passwords, in addresses and in keys.

    Example:
        >>> told_command(["bpkd", "train", "loggers.wandb.api_key=12 3", "x={token: 'abc'}", "n=3"])
        'bpkd train loggers.wandb.api_key=*** x={token: ***} n=3'
    """
    return without_secrets(" ".join(_KEYS.sub(r"\1***", word) for word in words))
