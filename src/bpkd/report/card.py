"""The model card of a student: what it was trained on, by what, how well it sees, what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import bpkd
from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.report.table import COLUMNS, spread
from bpkd.runs.environment import read_notes
from bpkd.runs.tables import read_rows


def card(
    folder: Path, name: str, seeds: Sequence[Path], licence: str | None, drawn: bool = False
) -> str:
    """The card as Markdown, with the hub's own header.

    Args:
        folder: of the run.
        name: ``user/name``.
        seeds: further runs of the same recipe.
        licence: as the hub names it; without one, the card says that none is given.
        drawn: whether ``picture.png`` lies beside it.

    Raises:
        UserError: a run of ``seeds`` is of another recipe.
    """
    recipe = load_recipe(folder / "recipe.yaml", imports="known")
    classes, _ = read_classes(folder)
    head: dict[str, Any] = {"library_name": "bpkd", "pipeline_tag": "image-segmentation"}
    head |= {"tags": ["bpkd", "image-segmentation", "knowledge-distillation"]}
    head |= {"license": licence} if licence else {}
    title = name.rpartition("/")[2]
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {title}",
        _what(recipe, len(classes)),
        "![An image, its labels and what the network sees](picture.png)" if drawn else "",
        f"```python\nimport bpkd\n\nnetwork = bpkd.from_pretrained({name!r})\n"
        "logits = network(images).logits  # images (N, 3, H, W), RGB in [0, 1]\n```",
        "## How well it sees\n\n" + _numbers([folder, *seeds], recipe),
        f"## Classes\n\n{', '.join(classes)}",
        "## How it was trained\n\n" + _training(folder, recipe),
        "## Licence\n\n"
        + (licence or "None is given: ask whoever pushed it.")
        + " The data set and the weights it began from have licences of their own.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(recipe: Recipe, count: int) -> str:
    learnt = ", ".join(f"`{loss.use}`" for loss in recipe.losses.values())
    taught = f" It learnt from a bigger network, by {learnt}." if learnt else ""
    return (
        f"A network (`{recipe.student.use}`) that segments images into {count} classes, trained by "
        f"[bpkd](https://pypi.org/project/bpkd/) {bpkd.__version__}.{taught}"
    )


def _numbers(folders: Sequence[Path], recipe: Recipe) -> str:
    """A table of scores, mean ± standard deviation of several runs; and what the network costs."""
    for folder in folders[1:]:
        _check_same(recipe, folder)
    measured = [_measured(folder) for folder in folders]
    split = measured[0][0]
    if not split:
        return f"It was not measured: `bpkd evaluate {folders[0].name}`."
    scores = [found for where, found in measured if where == split]
    known = [key for key in (*COLUMNS, "AP", "boundary_AP") if all(key in each for each in scores)]
    rows = [
        f"| {COLUMNS.get(key, key)} | {spread([100 * float(each[key]) for each in scores])} |"
        for key in known
    ]
    runs = f", mean ± standard deviation of {len(scores)} runs" if len(scores) > 1 else ""
    table = f"On the {split} split, in per cent{runs}:\n\n| measure | |\n| --- | ---: |\n"
    cost = ""
    if "parameters" in scores[0]:
        cost = (
            f"\n\n{float(scores[0]['parameters']) / 1e6:.2f} M parameters; "
            f"{float(scores[0]['milliseconds']):.1f} ms an image where it was measured."
        )
    outlines = "Trimap and boundary IoU look at the outlines alone."
    return f"{table}{chr(10).join(rows)}\n\n{outlines}{cost}"


def _check_same(recipe: Recipe, folder: Path) -> None:
    other = load_recipe(folder / "recipe.yaml", imports="known")
    apart = {"run", "name", "seed", "teacher"}
    if other.model_dump(exclude=apart) != recipe.model_dump(exclude=apart):
        raise UserError(f"{folder}: its recipe differs in more than the seed")


def _measured(folder: Path) -> tuple[str, dict[str, Any]]:
    """The split and the scores of a run's evaluation, else of its last validation."""
    for split in ("test", "val"):
        file = folder / f"evaluation_{split}.json"
        if file.is_file():
            return split, json.loads(file.read_text(encoding="utf-8"))["scores"]
    file = folder / "metrics.csv"
    rows = read_rows(file) if file.is_file() else []
    return ("val", dict(rows[-1])) if rows else ("", {})


def _training(folder: Path, recipe: Recipe) -> str:
    """The facts, a line each; the recipe has all."""
    notes = read_notes(folder) or {}
    teacher = recipe.teacher
    kind = teacher if isinstance(teacher, str) else teacher.use if teacher else None
    facts = {
        "data": f"`{recipe.data.use}`, {notes.get('images', '?')} images",
        "teacher": f"`{Path(kind).name}`" if kind else "none",
        "iterations": f"{recipe.max_iters:,}, {notes.get('batch', recipe.batch_size)} images each",
        "crop": f"{recipe.augment.crop[0]} x {recipe.augment.crop[1]} pixels",
        "seed": str(recipe.seed),
        "made with": f"torch {notes.get('torch', '?')}, GPU: {notes.get('gpu', '?')}",
    }
    lines = "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
    return f"{lines}\n\n`recipe.yaml` has every setting."
