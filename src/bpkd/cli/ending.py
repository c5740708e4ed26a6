"""How a command ends: done, a line about what the user can mend, or a signal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, NoReturn

from bpkd.errors import UserError
from bpkd.support.messages import printable
from bpkd.support.signals import Signalled, Stopped, at_once, handling, name


@contextmanager
def ending() -> Iterator[None]:
    """The block is a command: whatever ends it early becomes one line and an exit code.

    2: something the user can mend; 128 + the signal's number where a signal ended it.
    """
    try:
        with handling(at_once):
            try:
                yield
            finally:
                sys.stdout.flush()
    except Stopped as stop:
        _end(128 + stop.number, f"{stop}; the checkpoint is written: go on with --resume")
    except Ended as stop:
        _end(128 + stop.number, f"stopped by {name(stop.number)}")
    except KeyboardInterrupt as stop:
        number = getattr(stop, "number", 2)
        _end(128 + number, f"stopped by {name(number)}")
    except Exception as error:
        line = mendable(error)
        if line is None:
            raise
        _end(2, line)


class Ended(BaseException):
    """A signal, past those who take a KeyboardInterrupt for their own."""

    def __init__(self, signal: KeyboardInterrupt) -> None:
        self.number = signal.number if isinstance(signal, Signalled) else 2
        super().__init__(name(self.number))


def mendable(error: Exception) -> str | None:
    """The line about an error that the user can mend; None about one of this package's own."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or 'a file or the output'}: {error.strerror}"
    if isinstance(error, MemoryError | RuntimeError):
        from bpkd.support.memory import out_of_memory

        return out_of_memory(error, "take smaller images or windows, or a smaller batch")
    return None


@contextmanager
def log() -> Iterator[None]:
    """Inside the block, output that cannot be written, as on a full disk, is let go."""
    with redirect_stdout(_Log(sys.stdout)), redirect_stderr(_Log(sys.stderr)):
        yield


class _Log:
    """A stream that never fails."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write it now."""
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.stream, attribute)


def _end(code: int, line: str) -> NoReturn:
    with suppress(OSError):
        if code < 128 or _first():  # a signal is for all processes of a run, and one says so
            print(printable(f"bpkd: {' '.join(line.split())}"), file=sys.stderr, flush=True)
    with suppress(OSError):
        try:
            sys.stdout.flush()
        except OSError:  # what is still in Python's buffer goes nowhere, instead of failing at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _first() -> bool:
    """Whether this is the first, or the only, process of a run."""
    known = sys.modules.get("lightning_utilities.core.rank_zero")
    return getattr(getattr(known, "rank_zero_only", None), "rank", 0) in (0, None)
