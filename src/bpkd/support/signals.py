"""Signals that end a command: Ctrl-C, and what schedulers, containers and terminals send."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Ctrl-C; docker's, Kubernetes' and SLURM's; a terminal that closes; what SLURM scripts ask for.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")


class Stopped(Exception):
    """A signal stopped the run; its last checkpoint is written.

    Attributes:
        number: the signal's.
        iteration: the checkpoint's.
    """

    def __init__(self, number: int, iteration: int) -> None:
        super().__init__(f"stopped by {name(number)} at iteration {iteration}")
        self.number, self.iteration = number, iteration


class Signalled(KeyboardInterrupt):
    """A signal ends the command here and now, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(name(number))
        self.number = number


def name(number: int) -> str:
    """What people call a signal.

    >>> name(signal.SIGINT), name(signal.SIGTERM)
    ('Ctrl-C', 'SIGTERM')
    """
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def of_a_worker(_: int = 0) -> None:
    """What a loader's worker begins with: the first signal is its parent's business.

    Schedulers, containers and terminals signal every process of a group. A worker that ended by it
    would take its parent down before the checkpoint is written. The parent ends its workers, and
    they end by themselves where it is gone; a second signal ends them at once.
    """
    for each in _NAMES:
        if hasattr(signal, each):
            signal.signal(getattr(signal, each), _once)


def _once(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)


@contextmanager
def handling(handler: Callable[[int], None]) -> Iterator[None]:
    """Inside the block, a signal that would end this process calls ``handler`` with its number.

    What the process was started to ignore (``nohup`` and SIGHUP) stays ignored. Python allows
    handlers in the main thread alone; in another one the block runs without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = os.getpid()

    def called(number: int, frame: object) -> None:
        if os.getpid() == own:
            handler(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:  # a worker that was forked off ends as any process does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    numbers = [getattr(signal, each) for each in _NAMES if hasattr(signal, each)]
    before = {n: signal.getsignal(n) for n in numbers}
    taken = {n: old for n, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, called)
    try:
        yield
    finally:
        for number, old in taken.items():
            signal.signal(number, old)


def at_once(number: int) -> None:
    """A handler: end the command where it is.

    Raises:
        Signalled: always.
    """
    raise Signalled(number)
