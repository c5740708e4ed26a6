"""Out of memory: one line that names what takes less."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

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
