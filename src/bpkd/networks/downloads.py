"""Trained weights from a hub: what the libraries say on the way is not for bpkd's users."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def quiet_hub(*names: str) -> Iterator[None]:
    """Inside, libraries that load weights print nothing, and log what is worse than an error.

    Without a connection huggingface_hub writes two lines for each of its attempts, and from a
    folder it prints that it is one.

    Args:
        names: of further loggers.

    Example:
        >>> with quiet_hub():
        ...     print("Loading weights from local directory")
    """
    logs = [logging.getLogger(name) for name in ("huggingface_hub", *names)]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
