"""How a new run takes the place of an old one: the old one stays until the new one counts.

1. The new run is written into ``.bpkd.new``, a folder in the run's folder. Whatever cuts it off
   there, the old run is as it was.
2. With its first checkpoint, that folder is renamed to ``.bpkd.ready``: from here the new run
   counts. The old one's files go.
3. The folder is renamed to ``.bpkd.moving``, and its files move up; it goes when it is empty.

Whoever opens the folder next first finishes what was cut off in 2 or 3.
"""

from __future__ import annotations

import os
from pathlib import Path

from bpkd.errors import UserError
from bpkd.runs.names import MOVING, NEW, READY, remove_own
from bpkd.support.files import sync_folder


def take_over(folder: Path) -> None:
    """Put the new run in the place of the old one."""
    os.rename(folder / NEW, folder / READY)
    sync_folder(folder)
    finish_move(folder)


def finish_move(folder: Path) -> None:
    """Go on with a replacement that was cut off; nothing where there was none."""
    ready, moving = folder / READY, folder / MOVING
    if ready.is_dir():
        # TensorBoard's files of the new run are in their place already.
        remove_own(folder, before=(ready / "recipe.yaml").stat().st_mtime)
        os.rename(ready, moving)
        sync_folder(folder)
    if moving.is_dir():
        for file in sorted(moving.iterdir()):
            os.replace(file, folder / file.name)
        moving.rmdir()
        sync_folder(folder)


def check_whole(folder: Path) -> None:
    """Refuse a run's folder in which a replacement was cut off.

    Raises:
        UserError: says how to finish it.
    """
    if (folder / READY).is_dir() or (folder / MOVING).is_dir():
        raise UserError(
            f"{folder}: a new run was just taking the place of the old one here; train it with "
            "--resume, which finishes that"
        )
