"""The folder of a run: whether it is free, how far the run in it got, what it begins with.

A run that is cut off anywhere goes on to the same files, for it writes in this order, each file
whole and on the disk before its name (:func:`bpkd.support.files.replacing`):

1. **begin**: environment.json, classes.csv, student.yaml where there is one, data.json, recipe.yaml
   (and class_weights.csv, which can be made again). Without recipe.yaml nothing was begun; without
   anything trained the folder is free for another recipe.
2. **iteration** t: a row of training.csv, in some of them.
3. **checkpoint** of iteration t: last.ckpt. Training now counts up to t; on resume, rows of later
   iterations are dropped and made again. Weights that are not finite never get there.
4. **validation** of iteration t, always after its checkpoint: student.safetensors, then the row of
   metrics.csv. The validation now counts; without its row, resume begins with the validation.
5. **best**: where that row is the best, best.ckpt, a copy of last.ckpt; resume makes up for it.
6. **end**: without a validation split, student.safetensors follows the last checkpoint.

A run is done when it has the last iteration's student and, with a validation split, its row.

``--overwrite`` writes the new run into a folder of its own inside the old one, until its first
checkpoint: see :mod:`bpkd.runs.overwriting`. Only names of :mod:`bpkd.runs.names` are ever written
or removed, and all of it under the folder's lock (:mod:`bpkd.runs.lock`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from torch import nn

from bpkd.datasets.checking.first_look import Looked
from bpkd.datasets.classes_file import write_classes
from bpkd.errors import UserError
from bpkd.recipe.loading import dump
from bpkd.recipe.schema import Recipe
from bpkd.runs.data import write_data
from bpkd.runs.environment import fingerprint, note
from bpkd.runs.loading import write_student
from bpkd.runs.lock import Lock
from bpkd.runs.names import (
    NEW,
    is_run,
    is_trained,
    remove_leftovers,
    remove_own,
    strangers,
)
from bpkd.runs.overwriting import finish_move, take_over
from bpkd.runs.resuming import check_same, is_done, reached, repair, same_recipe
from bpkd.support.files import replacing
from bpkd.support.memory import out_of_memory


@dataclass
class RunFolder:
    """A run's folder while the run is on.

    Attributes:
        folder: the run's.
        place: where it is written now: the same, or a folder in it until the run that it replaces
            may go.
        start: iterations that were done before.
        resumed: whether a run that was begun before goes on.
        done: whether nothing is left to do.
        lock: None in further processes, which write nothing.
    """

    folder: Path
    place: Path
    start: int = 0
    resumed: bool = False
    done: bool = False
    lock: Lock | None = None

    def begin(
        self,
        recipe: Recipe,
        data: Any,
        student: nn.Module,
        teacher: nn.Module | None = None,
        best_by: str = "mIoU",
        looked: Looked | None = None,
    ) -> None:
        """Begin the folder, now that everything that the recipe names is there; or go on with it.

        Raises:
            UserError: the run that goes on began with another teacher or other data.
        """
        if self.lock is None:
            return
        for line in looked.lines() if looked else ():
            with suppress(OSError):
                print(line, file=sys.stderr)
        facts = {"images": str(len(data))}
        if teacher is not None:
            facts["teacher"] = fingerprint(teacher)
        if self.resumed:
            check_same(self.folder, data.classes, facts)
            repair(self.folder, data, self.start, best_by)
            return
        self.place.mkdir(exist_ok=True)
        remove_own(self.place)
        note(self.place, **facts)
        write_classes(self.place, data)
        write_student(self.place, student)
        if looked is not None:
            write_data(self.place, looked.as_json())
        with replacing(self.place / "recipe.yaml", make_folder=False) as file:
            file.write_text(dump(recipe), encoding="utf-8")

    def take_over(self) -> None:
        """The new run counts from here; the one that it replaces goes."""
        if self.lock is not None:
            self.lock.check()
            if self.place != self.folder:
                take_over(self.folder)
                self.place = self.folder

    def _withdraw(self) -> None:
        """Take away what a run began with that never trained anything."""
        with suppress(OSError):
            if not self.resumed and not is_trained(self.place):
                if self.place != self.folder or not is_trained(self.folder):
                    remove_own(self.place)
                if self.place != self.folder:
                    self.place.rmdir()


def is_first() -> bool:
    """Whether this is the run's first process, before there is a trainer to ask."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


@contextmanager
def opened(recipe: Recipe, resume: bool = False, overwrite: bool = False) -> Iterator[RunFolder]:
    """A run's folder for the time of the block: free, or with how far the run in it got.

    A run that fails before anything is trained takes its own files away again, unless memory ran
    out; after that, nothing that it wrote is lost.

    Raises:
        UserError: the folder is in use, holds another run or something else, or cannot be written.
    """
    folder = Path(recipe.run)
    if not is_first():  # further processes find the folder that the first one began
        start = reached(folder) if resume else 0
        done = resume and is_done(folder, recipe, start)
        yield RunFolder(folder, folder, start, resume, done)
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written: {error.strerror}; choose another run=FOLDER"
        ) from error
    try:
        run = _claimed(folder, recipe, resume, overwrite)
        run.lock = lock
        try:
            yield run
        except Exception as error:
            if out_of_memory(error) is None:
                run._withdraw()
            raise _with_evidence(error, run) from error
    finally:
        lock.release()
        for path in missing:  # what stays empty goes again
            with suppress(OSError):
                path.rmdir()


def _claimed(folder: Path, recipe: Recipe, resume: bool, overwrite: bool) -> RunFolder:
    """See that the folder is free, or find how far the run in it got."""
    finish_move(folder)
    remove_leftovers(folder)
    if not is_run(folder):
        if found := strangers(folder):
            raise UserError(
                f"{folder} holds files that are no run ({', '.join(found[:3])}); choose another "
                "run=FOLDER"
            )
        return RunFolder(folder, folder)
    if not is_trained(folder):  # nothing to lose, nothing to go on with
        return RunFolder(folder, folder)
    if overwrite:
        return RunFolder(folder, folder / NEW)
    if not resume:
        raise UserError(
            f"{folder} already holds a run; go on with it by --resume, replace it by "
            "--overwrite, or choose another folder by run=FOLDER"
        )
    same_recipe(folder, recipe)
    start = reached(folder)
    return RunFolder(folder, folder, start, True, is_done(folder, recipe, start))


def _with_evidence(error: Exception, run: RunFolder) -> Exception:
    """The error, with where the new run is that did not replace the old one."""
    if not isinstance(error, UserError) or run.place == run.folder or not run.place.is_dir():
        return error
    return UserError(
        f"{error}; the run that was to be replaced is untouched, what the new one wrote is in "
        f"{run.place}"
    )
