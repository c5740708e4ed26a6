"""Opening the cache of a recipe: its folder, what will be kept, and how large that gets."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import lightning

import bpkd
from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe
from bpkd.support.files import replacing
from bpkd.training.building import Parts
from bpkd.training.teacher_cache.cache import RESERVE, TeacherCache
from bpkd.training.teacher_cache.fingerprint import facts, name_of
from bpkd.training.teacher_cache.folders import FACTS, size_of, used
from bpkd.training.teacher_cache.outputs import KINDS, OF_CLASSES, asked_for, shapes
from bpkd.training.teacher_cache.packing import Packing


def open_cache(recipe: Recipe, parts: Parts, trainer: lightning.Trainer, aloud: bool) -> None:
    """Give the distiller the cache that its recipe names, if it names one and has a teacher.

    Args:
        recipe: of the run.
        parts: of the run; the teacher has its weights.
        trainer: knows precision and processes.
        aloud: say how large the cache gets.

    Raises:
        UserError: it cannot be written to, or does not fit on its disk.
    """
    distiller, given = parts.distiller, recipe.teacher_cache
    teacher = distiller.teacher
    if given is None or teacher is None:
        return
    if recipe.augment.crop is None:  # type: ignore[comparison-overlap]
        raise UserError("teacher_cache: its images have one size; give augment.crop")
    known = facts(recipe, parts.drawn, teacher, str(trainer.precision))
    folder = Path(given.folder).expanduser() / name_of(known)
    kind = KINDS[distiller.task.name]
    outputs = _begun(folder, known)
    if outputs is None:
        outputs = {k: list(v) for k, v in shapes(teacher, kind, recipe.augment.crop).items()}
        _begin(folder, known, outputs)
    packings = {
        name: Packing(
            tuple(outputs[name]), given.dtype, given.top_k if name in OF_CLASSES else None
        )
        for name in asked_for(distiller.losses.values(), outputs)
    }
    limit = None if given.limit is None else int(given.limit * 1e9)
    cache = TeacherCache(folder, kind, packings, limit)
    used(folder)
    total = recipe.max_iters * recipe.accumulate * recipe.batch_size * trainer.world_size
    line = _measured(cache, total)
    cache.aloud = aloud and trainer.is_global_zero
    if cache.aloud:
        print(line, flush=True)
    distiller.cache = cache


def _begun(folder: Path, known: dict[str, Any]) -> dict[str, list[int]] | None:
    """What the teacher gives, if the folder knows already."""
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        outputs: dict[str, list[int]] = found["outputs"]
    except (OSError, ValueError, KeyError):
        return None
    if found["of"] != json.loads(json.dumps(known)):
        raise UserError(f"{folder}: holds another cache than its name says; take the folder away")
    return outputs


def _begin(folder: Path, known: dict[str, Any], outputs: dict[str, list[int]]) -> None:
    content = {"bpkd": bpkd.__version__, "of": known, "outputs": outputs}
    with replacing(folder / FACTS) as file:
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _measured(cache: TeacherCache, draws: int) -> str:
    """How large the cache gets, in a line.

    Raises:
        UserError: the disk does not have as much, and no limit says how much of it may be taken.
    """
    each = sum(records.whole for records in cache.records.values())
    there, whole = cache.allocated(), each * draws
    free = shutil.disk_usage(cache.folder).free
    left = max(0, whole - there)
    kept = ", ".join(
        f"{name} {'x'.join(map(str, how.shape))}{f' top {how.top_k}' if how.sparse else ''}"
        for name, how in cache.packings.items()
    )
    size = f"{size_of(each)} a draw ({kept}, {next(iter(cache.packings.values())).dtype})"
    if cache.limit is None and cache.writing and left > free - RESERVE:
        raise UserError(
            f"teacher_cache: {size}, {draws:,} draws take {size_of(whole)}, of which "
            f"{size_of(there)} are there, and {os.fspath(cache.folder.parent)} has "
            f"{size_of(free)} free; choose another disk, keep fewer classes by "
            "teacher_cache.top_k, or set teacher_cache.limit to the GB that may be taken: the "
            "first draws are kept then"
        )
    limit = "" if cache.limit is None else f", at most {size_of(cache.limit)}"
    return (
        f"teacher cache: {cache.folder}: {size}, {draws:,} draws: {size_of(whole)}{limit}, "
        f"{size_of(there)} of it there; {size_of(free)} free"
    )
