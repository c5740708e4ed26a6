"""How far the run in a folder got, whether it may go on, and what has to be mended before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from bpkd.datasets.classes_file import read_classes, write_classes
from bpkd.errors import UserError
from bpkd.recipe.loading import dump, load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.runs.environment import note, read_notes
from bpkd.runs.tables import best, read_rows
from bpkd.support.files import replacing
from bpkd.support.messages import shown
from bpkd.support.tensors import key_mismatch, read_checkpoint

#: Keys that say where and how fast a run trains, not what.
_FREE = ("run", "name", "workers", "devices", "nodes", "checkpoint_every", "loggers")
#: Arguments that say where something is; whether it is the same is seen when it is there.
_PLACES = ("root", "checkpoint", "run", "path")


def reached(folder: Path) -> int:
    """The iteration of a run's last checkpoint; 0 where there is none.

    Raises:
        UserError: it is damaged.
    """
    file = folder / "last.ckpt"
    return read_last(file)["global_step"] if file.is_file() else 0


def read_last(file: Path) -> dict[str, Any]:
    """A checkpoint as a run writes it.

    Raises:
        UserError: it is damaged, or no run's.
    """
    content = read_checkpoint(file)
    step = content.get("global_step") if isinstance(content, dict) else None
    state = content.get("state_dict") if isinstance(content, dict) else None
    kinds = {"optimizer_states": list, "lr_schedulers": list, "loops": dict}
    if (
        not isinstance(step, int)
        or isinstance(step, bool)
        or step < 0
        or not isinstance(state, dict)
        or not all(isinstance(value, Tensor) for value in _of_tensors(state).values())
        or not all(isinstance(content.get(key), kind) for key, kind in kinds.items())
    ):
        raise UserError(f"{file}: no checkpoint of a run, or a damaged one{other_ways(file)}")
    return dict(content)


def check_fits(file: Path, module: nn.Module) -> None:
    """Refuse a checkpoint of another network.

    Raises:
        UserError: says how the keys differ.
    """
    wanted, found = (_of_tensors(s) for s in (module.state_dict(), read_last(file)["state_dict"]))
    if problem := key_mismatch(wanted, found):
        raise UserError(f"{file}: a checkpoint of another network: {problem}{other_ways(file)}")


def _of_tensors(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict without what modules keep beside tensors, as a discriminator its optimizer.

    That is checked where it is loaded.
    """
    return {key: value for key, value in state.items() if not key.endswith("_extra_state")}


def other_ways(file: Path) -> str:
    """The end of a message about a last.ckpt that nothing can go on from."""
    spare = file.with_name("best.ckpt")
    if file.name == "last.ckpt" and spare.is_file():
        return f"; to go on from the best iteration, put {spare} in its place, or --overwrite"
    return "; put back a whole copy, or start again with --overwrite"


def same_recipe(folder: Path, recipe: Recipe) -> None:
    """Refuse to go on with another recipe than the run began with.

    Raises:
        UserError: names the first key that differs, and how to go on.
    """
    # As it is read today: a key that came later had its default then.
    before, now = _decisive(load_recipe(folder / "recipe.yaml")), _decisive(recipe)
    for key in now:
        if before.get(key) == now[key]:
            continue
        began = f"{folder}: the run began with {key}: {shown(before.get(key))}"
        if key == "max_iters":
            raise UserError(
                f"{began}, the recipe now says {now[key]}; the learning rate was to fall until "
                f"{before.get(key)}, so these are two runs: give the new one another run=FOLDER, "
                f"and student.checkpoint={folder / 'last.ckpt'} to begin with this one's weights"
            )
        raise UserError(
            f"{began}, the recipe now says {shown(now[key])}; resume with the same recipe, or "
            "choose another run=FOLDER"
        )


def _decisive(recipe: Recipe) -> dict[str, Any]:
    """What decides a run's numbers; where its files are does not."""
    content: dict[str, Any] = yaml.safe_load(dump(recipe))
    kept = {key: value for key, value in content.items() if key not in _FREE}
    for key in ("data", "student", "teacher"):
        if isinstance(kept.get(key), dict):
            kept[key] = {k: v for k, v in kept[key].items() if k not in _PLACES}
    if isinstance(kept.get("teacher"), str):
        kept["teacher"] = "a run"
    if cache := kept.get("teacher_cache"):
        kept["teacher_cache"] = {key: cache[key] for key in ("dtype", "top_k")}
    return kept


def check_same(folder: Path, classes: list[str], facts: dict[str, str]) -> None:
    """Refuse to go on with other classes, another teacher, more or fewer images.

    Raises:
        UserError: says what is another.
    """
    try:
        before: list[str] | None = read_classes(folder)[0]
    except UserError:
        before = None  # damaged: written anew
    if before is not None and before != list(classes):
        raise UserError(
            f"{folder}: the run began with the classes {shown(before)}, the data set now has "
            f"{shown(list(classes))}; choose another run=FOLDER"
        )
    words = {"images": "training images", "teacher": "teacher"}
    notes = read_notes(folder) or {}
    for key, value in facts.items():
        if key in notes and str(notes[key]) != value:
            what = f"{notes[key]} {words[key]}, there are now {value}"
            if key == "teacher":
                what = "a teacher of other weights"
            raise UserError(
                f"{folder}: the run began with {what}, so it cannot go on to the same numbers; "
                "bring that back, or choose another run=FOLDER"
            )


def is_done(folder: Path, recipe: Recipe, start: int) -> bool:
    """Whether the last iteration's student is there, and its row where there are validations.

    Raises:
        UserError: it is not, and there is nothing to go on from.
    """
    student, last = (folder / name for name in ("student.safetensors", "last.ckpt"))
    table = folder / "metrics.csv"
    rows = read_rows(table) if table.is_file() else []
    measured = bool(rows) and int(rows[-1]["iteration"]) >= recipe.max_iters
    whole = student.is_file() and (measured or not recipe.data.val or not recipe.max_iters)
    if last.is_file():
        return whole and start >= recipe.max_iters
    if student.is_file() and not whole:
        raise UserError(
            f"{folder}: there is no last.ckpt to go on from; put it back, or start again with "
            "--overwrite or in another run=FOLDER"
        )
    return whole  # the checkpoint of a run that is done may have been taken away to save space


def repair(folder: Path, data: Any, start: int, best_by: str) -> None:
    """Mend what a kill or damage left undone in the folder of a run that goes on."""
    if read_notes(folder) is None:
        note(folder)
    try:
        read_classes(folder)
    except UserError:
        write_classes(folder, data)
    table = folder / "metrics.csv"
    rows = read_rows(table) if start and table.is_file() else []
    iteration, _ = best([row for row in rows if int(row["iteration"]) <= start], best_by)
    kept = _step(folder / "best.ckpt")
    if kept is not None and 0 < kept < start and kept not in {int(r["iteration"]) for r in rows}:
        raise UserError(
            f"{table} has no row of iteration {kept}, of which best.ckpt is; put back a whole copy "
            "of the table, or take best.ckpt away"
        )
    if start and iteration == start != kept:
        copy_best(folder)


def copy_best(folder: Path) -> None:
    """The last checkpoint is the best one, too."""
    with replacing(folder / "best.ckpt", make_folder=False) as temporary:
        shutil.copyfile(folder / "last.ckpt", temporary)


def _step(file: Path) -> int | None:
    try:
        return int(read_last(file)["global_step"])
    except UserError:  # none, or damaged
        return None
