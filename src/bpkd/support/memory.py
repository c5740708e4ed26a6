"""Out of memory: one line that names what takes less."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from bpkd.errors import UserError

#: How PyTorch, CUDA's libraries and the loader's workers say it.
_SAID = re.compile(
    r"DefaultCPUAllocator|not enough memory|out of memory|cannot allocate memory|can't allocate"
    r"|_STATUS_ALLOC_FAILED|killed by signal: Killed|unable to allocate",
    re.IGNORECASE,
)
#: The memory that workers hand batches over in; in containers it is small.
_SHARED = re.compile(r"shared memory|/torch_\d+|bus error", re.IGNORECASE)

#: What is needed and less is not worth a question.
_SMALL = 2**27
#: A container's limit and what it uses of it, in today's kernels and in older ones.
_GROUPS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """What runs out of memory inside is said in one line.

    Args:
        advice: what takes less memory, e.g. "take a smaller batch_size".

    Raises:
        UserError: names how much was asked for, where that is known.
    """
    try:
        yield
    except UserError:
        raise
    except (MemoryError, RuntimeError, OSError) as error:
        if (line := out_of_memory(error, advice)) is None:
            raise
        raise UserError(line) from error


def out_of_memory(error: BaseException, advice: str = "") -> str | None:
    """The line about an error that is a lack of memory; None about any other.

    Example:
        >>> out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "less")
        'out of memory (2.00 GiB were asked for); less'
        >>> out_of_memory(RuntimeError("shapes differ")) is None
        True
    """
    text = str(error)
    if isinstance(error, RuntimeError | OSError) and _SHARED.search(text):
        return (
            "out of shared memory, in which workers hand over batches: set workers=0, or give a "
            "container more of it (docker: --shm-size=8g)"
        )
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    known = known or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if not known and not (isinstance(error, RuntimeError) and _SAID.search(text)):
        return None
    asked = re.search(r"allocate ([\d.]+ ?(?:[KMGT]i?B|bytes))", text)
    size = f" ({_readable(asked[1])} were asked for)" if asked else ""
    return f"out of memory{size}" + (f"; {advice}" if advice else "")


def _readable(size: str) -> str:
    """Bytes as GiB where they are many.

    >>> _readable("5368709120 bytes"), _readable("2.00 GiB")
    ('5.00 GiB', '2.00 GiB')
    """
    count, _, unit = size.partition(" ")
    if unit != "bytes":
        return size
    return f"{int(count) / 2**30:.2f} GiB" if int(count) >= 2**24 else size


def check_room(needed: int, what: str, advice: str) -> None:
    """Refuse what the machine has no memory for, before it is begun.

    A system that promises more than it has ends the process instead, without a word.

    Args:
        needed: bytes.
        what: takes them, for the message.
        advice: what takes less.

    Raises:
        UserError: more than are free.
    """
    if needed < _SMALL:
        return
    free = available()
    if free is not None and needed > free:
        raise UserError(
            f"out of memory: {what} takes {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB "
            f"are free; {advice}"
        )


def available() -> int | None:
    """Bytes of memory that this process can still have; None where the system does not say.

    The least of what the machine has left, what a container's limit leaves, and ``ulimit -v``.

    Example:
        >>> (available() or 1) > 0
        True
    """
    found: list[int] = []
    with suppress(OSError, ValueError, IndexError):
        text = Path("/proc/meminfo").read_text()
        found.append(int(text.split("MemAvailable:")[1].split()[0]) * 1024)
    for limit, used in _GROUPS:
        with suppress(OSError, ValueError):
            group = Path("/sys/fs/cgroup")
            most = int((group / limit).read_text())
            # Pages of files count as used, and are given back when they are needed.
            taken = int((group / used).read_text()) - _files(group / used)
            found.append(max(most - taken, 0))
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415  # not on Windows

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            found.append(max(most - pages * resource.getpagesize(), 0))
    return min(found, default=None)


def _files(beside: Path) -> int:
    """Bytes of a container that hold pages of files."""
    numbers = dict(
        line.split() for line in beside.with_name("memory.stat").read_text().splitlines()
    )
    return int(numbers.get("inactive_file", 0)) + int(numbers.get("active_file", 0))
