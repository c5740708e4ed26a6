"""``bpkd init``: look at a folder, write two recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bpkd.datasets import splitting
from bpkd.datasets.parallel import Progress
from bpkd.errors import UserError
from bpkd.recipe.trust import own_recipe
from bpkd.starting import networks, writing
from bpkd.starting.choosing import choose
from bpkd.starting.looking import Look, look
from bpkd.starting.machine import Machine, this_machine
from bpkd.support.files import check_writable, replacing
from bpkd.support.messages import typed


@dataclass(frozen=True)
class Started:
    """What was written.

    Attributes:
        look: what the folder holds.
        teacher: the teacher's recipe; None where it is trained already.
        student: the student's recipe.
        teacher_run: the teacher's run; None where it is no run.
        student_run: the folder that the student's run will have.
        lines: what to say, a line each.
    """

    look: Look
    teacher: Path | None
    student: Path
    teacher_run: str | None
    student_run: str
    lines: Sequence[str]

    @property
    def next_commands(self) -> list[str]:
        """What to type next."""
        runs = [run for run in (self.teacher_run, self.student_run) if run]
        picture = f"bpkd compare {' '.join(runs)} --out picture.png"
        recipes = [file for file in (self.teacher, self.student) if file]
        trains = [f"bpkd train {typed(file)}" for file in recipes]
        check = f"bpkd data check {recipes[0]}"
        return [*([] if self.teacher else [check]), *trains, picture]


@own_recipe()
def init(
    data: str | Path,
    *,
    teacher: str | None = None,
    student: str | None = None,
    out: str | Path = ".",
    format: str | None = None,
    weights: str | None = "hub",
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = 0,
    progress: Progress = iter,
    machine: Machine | None = None,
) -> Started:
    """Look at a folder of annotated images and write ``teacher.yaml`` and ``student.yaml``.

    Nothing below ``data`` is changed.

    Args:
        data: the folder, annotated in any of the formats of
            :mod:`bpkd.datasets.annotations.catalogue`.
        teacher: a run's folder, an exported file, or a network to train: a name of
            :mod:`bpkd.networks`, a backbone of timm, owner/name of transformers, a dotted path;
            None chooses one.
        student: the network to train; None chooses one.
        out: folder that the recipes go into, and the lists of splits that had to be drawn.
        format: of the annotations; None recognises it.
        weights: of backbones: ``hub``, a folder of files, or None.
        seed: of splits and training.
        overwrite: replace recipes that are there.
        workers: processes that look at images.
        progress: wraps what is gone through.
        machine: to train on; None is this one.

    Raises:
        UserError: nothing known in ``data``, recipes that are there already, no such network.
    """
    folder = Path(out).expanduser()
    files = {name: folder / f"{name}.yaml" for name in ("teacher", "student")}
    _refuse(files, overwrite)
    machine = machine or this_machine()
    big = networks.teacher(teacher, machine, weights)
    small = networks.student(student, machine, weights)
    found = look(data, format, workers=workers, progress=progress)
    given = {_path(found, sample.image): sample.split for sample in found.found.samples}
    splits, anew = splitting.drawn(found.images, given, seed)
    lists = folder / "splits" if anew else None
    choice = choose(found.size, found.sizes, found.classes, len(splits["train"]), machine)
    section = f"seed: {seed}\n" + writing.data_section(found, splits, lists)
    runs = {name: (folder / "runs" / name).as_posix() for name in files}
    texts = {}
    if not big.trained:
        texts["teacher"] = writing.teacher_yaml(section, choice, big, machine, runs["teacher"])
    base = None if big.trained else files["teacher"].name
    texts["student"] = writing.student_yaml(
        base, section, choice, small, big, runs["student"], runs["teacher"]
    )
    if lists is not None:
        splitting.write(splits, lists)
    for name, text in texts.items():
        with replacing(files[name]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    teacher_run = big.section if isinstance(big.section, str) else runs["teacher"]
    return Started(
        found,
        None if big.trained else files["teacher"],
        files["student"],
        teacher_run if isinstance(big.section, str) or not big.trained else None,
        runs["student"],
        [
            *_summary(found, splits, lists),
            f"written: {', '.join(str(files[name]) for name in texts)}",
        ],
    )


def _refuse(files: dict[str, Path], overwrite: bool) -> None:
    """Before any work: recipes that are there, and a place that cannot be written."""
    there = [str(file) for file in files.values() if file.exists()]
    if there and not overwrite:
        raise UserError(
            f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} there already: "
            "--overwrite writes anew, --out DIR writes elsewhere"
        )
    for file in files.values():
        check_writable(file)


def _path(found: Look, image: Path) -> str:
    return image.relative_to(found.root).as_posix()


def _summary(found: Look, splits: dict[str, list[str]], lists: Path | None) -> list[str]:
    names = ", ".join(found.classes[:8]) + (", ..." if len(found.classes) > 8 else "")
    counts = ", ".join(f"{split} {len(images):,}" for split, images in splits.items())
    where = "as the folders say" if lists is None else f"drawn, and written to {lists}"
    return [
        f"{found.root}: {len(found.images):,} images, {found.format.title} ({found.format.name})",
        f"{len(found.classes)} classes: {names}",
        f"splits: {counts} ({where})",
        *(f"note: {remark}" for remark in found.remarks),
    ]
