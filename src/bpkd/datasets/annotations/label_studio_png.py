"""Label Studio's brush labels as PNG: a file each task, annotation and label, without photos."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bpkd.datasets.annotations.common import Annotations, Drawing, Known, Object, Sample
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.label_studio import photo
from bpkd.datasets.annotations.several_masks import BlackAndWhite
from bpkd.datasets.annotations.tree import Tree, holds, read_json
from bpkd.errors import UserError

FORMAT = Format(
    "label-studio-png",
    "Label Studio PNG",
    __name__,
    recognised="task-N-annotation-N-by-WHO-tag-LABEL-N.png",
    cannot="photos and their names (a JSON export is needed for these), crowds, an order",
    overlap="smaller",
)

_NAME = re.compile(r"task-(\d+)-annotation-(\d+)-by-[^-]*-[^-]+-(.+)-(\d+)\.png")


def recognised(tree: Tree) -> bool:
    """Whether files are called task-1-annotation-2-by-NAME-tag-LABEL-0.png."""
    return bool(_files(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """The masks of each task's first annotation, on the photo that a JSON export names.

    Raises:
        UserError: there is no such export, or it lacks a task.
    """
    tasks = _tasks(tree)
    by_task: dict[int, dict[int, list[tuple[int, str, Path]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for file, (task, annotation, label, number) in _files(tree).items():
        by_task[task][annotation].append((number, label, file))
    samples = []
    for task, made in sorted(by_task.items()):
        rows = sorted(made[min(made)])
        if task not in tasks:
            raise UserError(
                f"{rows[0][2]} is of task {task}, and no JSON below {tree.root} says which photo "
                "that is: put Label Studio's JSON or JSON-MIN export of the project there"
            )
        image = tasks[task]
        objects = [Object(label, BlackAndWhite(file, soft=True)) for _, label, file in rows]
        drawing = Drawing(str(rows[0][2]), objects)
        samples.append(Sample(image, Known(drawing), tree.split(image)))
    names = {label for _, _, label, _ in _files(tree).values()}
    return Annotations(samples, sorted(names))


def _files(tree: Tree) -> dict[Path, tuple[int, int, str, int]]:
    matches = {file: _NAME.fullmatch(file.name) for file in tree.ending(".png")}
    return {
        file: (int(found[1]), int(found[2]), found[3], int(found[4]))
        for file, found in matches.items()
        if found
    }


def _tasks(tree: Tree) -> dict[int, Path]:
    """Task -> photo, from any export in JSON that lists tasks with their ids."""
    found = {}
    for file in tree.collections:
        content = read_json(file) if holds(file, '"id"') else None
        for task in content if isinstance(content, list) else ():
            if isinstance(task, dict) and isinstance(task.get("id"), int):
                found[task["id"]] = photo(tree, task.get("data", task), file)
    return found
