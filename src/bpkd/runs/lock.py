"""One run a folder: a lock that names the process that holds it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from bpkd.errors import UserError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = ".bpkd.lock"


class Lock:
    """The lock of a run's folder, held by this process.

    The file tells host and process. One whose process is gone from this host is taken over, by
    one process alone: the file is read and written under the system's own lock on it. A process
    of another host cannot be asked, so its lock stands.

    Args:
        folder: the run's; it exists.

    Raises:
        UserError: another run is on in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / NAME
        self.own = _owner(os.getpid())
        with _exclusively(self.file) as descriptor:
            owner = _read(descriptor)
            if owner is not None and _alive(owner):
                raise UserError(_busy(folder, owner))
            _write(descriptor, self.own)
            # Reaches the file wherever its folder is moved to.
            self._descriptor = os.open(self.file, os.O_RDWR)

    def check(self) -> None:
        """Refuse to write where the folder has gone, or another process has it.

        Raises:
            UserError: says which.
        """
        if not self.folder.is_dir():
            raise UserError(
                f"{self.folder}: the run's folder has gone while the run was on; what it held is "
                "where it was moved to: go on there with run=FOLDER --resume"
            )
        try:
            owner = json.loads(self.file.read_text())
        except (OSError, ValueError):
            owner = None
        if owner != self.own:
            raise UserError(
                f"{self.folder}: another process has taken this folder ({NAME} is no longer this "
                "run's own), so nothing more is written there"
            )

    def release(self) -> None:
        """Take the lock's file away; where the folder was moved, it names nobody any more."""
        with suppress(OSError), _exclusively(self.file, create=False) as descriptor:
            if _read(descriptor) == self.own:
                self.file.unlink()
        with suppress(OSError):
            if _read(self._descriptor) == self.own:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


@contextmanager
def _exclusively(file: Path, create: bool = True) -> Iterator[int]:
    """The lock's file, opened, and no other process in the same block."""
    while True:
        descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
        try:
            if fcntl is not None:
                with suppress(OSError):  # a file system without such locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else its holder took it away while we waited
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _read(descriptor: int) -> dict[str, Any] | None:
    """Who holds the lock; None where it is new, or damaged and so names nobody."""
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return None
    return owner if isinstance(owner, dict) else None


def _write(descriptor: int, owner: dict[str, Any]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode() + b"\n", 0)


def _owner(process: int) -> dict[str, Any]:
    return {"host": socket.gethostname(), "process": process, "began": _began(process)}


def _began(process: int) -> str:
    """When a process began, as Linux tells it: numbers of processes are used again."""
    try:
        # Of /proc/N/stat, behind the name, which may hold anything: the 20th field.
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(owner: dict[str, Any]) -> bool:
    """Whether the holder may still be at work."""
    process = owner.get("process")
    if not isinstance(process, int) or process <= 0:
        return False
    if owner.get("host") != socket.gethostname():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return owner.get("began") in ("", None, _began(process))


def _busy(folder: Path, owner: dict[str, Any]) -> str:
    here = owner.get("host") == socket.gethostname()
    where = "this machine" if here else f"the machine {owner.get('host')}"
    again = "" if here else f" (if that machine is down, remove {folder / NAME})"
    return (
        f"{folder}: a run is on in this folder, process {owner.get('process')} on {where}; wait "
        f"for it, stop it, or choose another run=FOLDER{again}"
    )
