"""What the preparations share: converting many files, so that it can be stopped and go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from bpkd.datasets.parallel import Progress, each
from bpkd.errors import UserError
from bpkd.support.files import replacing
from bpkd.support.messages import one_line

#: What a label map is made from, and its file.
Job: TypeAlias = tuple[Any, Path]
Make: TypeAlias = Callable[[Any], Image.Image]


@dataclass(frozen=True)
class Request:
    """What is to be prepared, and how.

    Attributes:
        source: where the archives were unpacked.
        out: where the result goes; None puts it into ``source``.
        overwrite: make label maps anew that are there already.
        workers: processes, see :func:`~bpkd.datasets.parallel.each`.
        progress: wraps what is gone through.
    """

    source: Path
    out: Path | None = None
    overwrite: bool = False
    workers: int | None = 0
    progress: Progress = iter


@dataclass
class Report:
    """What a preparation has to say.

    Attributes:
        lines: what was done, and where it is.
        problems: what could not be converted or is missing, a line each.
        failed: the label maps that could not be made.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failed: set[Path] = field(default_factory=set)

    def ready(self, root: Path, more: str = "") -> None:
        """Say what a recipe needs to read the result."""
        without = f", without the {len(self.failed)} that failed" if self.failed else ""
        self.lines.append(f"ready{without}: set data.root={root}{more}")


def convert(jobs: Sequence[Job], make: Make, request: Request) -> Report:
    """Make the label maps that are not there yet; with ``overwrite``, all of them.

    Args:
        jobs: what each is made from, and its file, a PNG.
        make: makes one; can be pickled.
        request: how.

    Raises:
        UserError: a file cannot be written.
    """
    left = [job for job in jobs if request.overwrite or not job[1].is_file()]
    report = Report()
    outcomes = each(_Writer(make), left, workers=request.workers, progress=request.progress)
    for (_, target), outcome in zip(left, outcomes, strict=True):
        if isinstance(outcome, UserError):
            raise UserError(str(outcome))  # a full disk: the next file would not fit either
        if outcome:
            report.problems.append(outcome)
            report.failed.add(target)
    there = len(jobs) - len(left)
    anew = " (--overwrite makes them anew, e.g. from another source)" if there else ""
    made = len(left) - len(report.failed)
    report.lines.append(f"{made} label maps written, {there} were there already{anew}")
    return report


@dataclass(frozen=True)
class _Writer:
    """Makes and writes one label map; "" if it went well, what is wrong with its source if not."""

    make: Make

    def __call__(self, job: Job) -> str | UserError:
        source, target = job
        try:
            labels = self.make(source)
        except UserError as error:
            return str(error)
        # Readers of foreign formats meet damaged files with exceptions of every kind.
        except Exception as error:
            what = f"{type(error).__name__}: {one_line(error)}"
            origin = source if isinstance(source, Path) else f"the source of {target.name}"
            return f"{origin} cannot be converted ({what})"
        try:
            with replacing(target) as temporary:
                labels.save(temporary, format="PNG")
        except UserError as error:
            return error
        return ""


def link(source: Path, target: Path) -> None:
    """Put a link to a folder or file in its place beside what is written.

    Raises:
        UserError: the system makes no links there.
    """
    if target.resolve() == source.resolve() or target.exists():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.resolve())
    except OSError as error:
        raise UserError(
            f"{target} cannot be linked to {source} ({error.strerror}): copy it there"
        ) from None


def write_list(names: Sequence[str], file: Path) -> None:
    """A split's list: a name a line."""
    with replacing(file) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def read_list(file: Path, where: str) -> list[str]:
    """The names in a split's list.

    Raises:
        UserError: there is no such list; ``where`` says how the folder must look.
    """
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{file} is missing or no list: expected {where}") from None
