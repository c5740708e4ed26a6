"""The words of messages: one line, the nearest known name, a value cut short."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from traceback import extract_tb
from typing import Any
from unicodedata import category

# Of writing, embedded and isolated: U+202A to U+202E, U+2066 to U+2069.
_DIRECTIONS = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or the first of them.

    Example:
        >>> suggestion("loses", ["losses", "student"])
        "did you mean 'losses'?"
        >>> suggestion("x", ["losses", "student"])
        'known: losses, student'
    """
    known = list(known)
    near = get_close_matches(word, known, n=1)
    more = ", ..." if len(known) > 12 else ""
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:12])}{more}"


def one_line(error: Exception) -> str:
    """An exception's message without line breaks; its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    """A text without what would command the terminal; line breaks stay.

    Example:
        >>> printable("a" + chr(27) + "[31m.png")
        'a\\\\x1b[31m.png'
    """
    return "".join(c if c == "\n" or not _commands(c) else _escaped(c) for c in text)


def _commands(character: str) -> bool:
    """Whether a character is for terminals: control, or turning the direction of writing; or is
    none: a byte of a file's name that is no text."""
    return category(character) in ("Cc", "Cs") or character in _DIRECTIONS


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code & 0xFF if 0xDC80 <= code <= 0xDCFF else code:02x}"


def raised(error: Exception) -> str:
    """An exception of somebody's own code: its type, its message, and where it was raised.

    Example:
        >>> try:
        ...     {}["car"]
        ... except KeyError as error:
        ...     raised(error).partition(" (")[0]
        "KeyError: 'car'"
    """
    last = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {one_line(error)} ({Path(last.filename).name}:{last.lineno})"


def shown(value: Any, longest: int = 60) -> str:
    """A value as a message shows it: never long, never several lines."""
    text = " ".join(repr(value).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def say(text: str) -> None:
    """Print a line of a run's log; one that cannot be written does not stop the run."""
    with suppress(OSError):
        print(text, flush=True)


def typed(path: object) -> str:
    """A path as it can be typed after a command: in quotes where it has to be, never an option.

    Example:
        >>> typed("runs/a"), typed("my run"), typed("-x")
        ('runs/a', "'my run'", './-x')
    """
    text = str(path)
    return quote(f"./{text}" if text.startswith("-") else text)
