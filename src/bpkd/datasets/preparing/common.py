"""What the preparations share: converting many files, so that it can be stopped and go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from bpkd.datasets.folder import Folder
from bpkd.datasets.parallel import Progress, each
from bpkd.datasets.unpaired import collecting_unpaired
from bpkd.errors import UserError
from bpkd.files import replacing
from bpkd.messages import one_line

#: What a label map is made from, and its file.
Job: TypeAlias = tuple[Any, Path]
Make: TypeAlias = Callable[[Any], Image.Image]


@dataclass
class Report:
    """What a preparation has to say.

    Attributes:
        lines: what was done, and where it is.
        problems: what could not be converted, a line each.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def convert(
    jobs: Sequence[Job], make: Make, *, workers: int | None = 0, progress: Progress = iter
) -> Report:
    """Make the label maps that are not there yet.

    Args:
        jobs: what each is made from, and its file, a PNG.
        make: makes one; can be pickled.
        workers: processes, see :func:`~bpkd.datasets.parallel.each`.
        progress: wraps what is gone through.

    Raises:
        UserError: a file cannot be written.
    """
    left = [job for job in jobs if not job[1].is_file()]
    report = Report()
    for outcome in each(_Writer(make), left, workers=workers, progress=progress):
        if isinstance(outcome, UserError):
            raise UserError(str(outcome))  # a full disk: the next file would not fit either
        if outcome:
            report.problems.append(outcome)
    made = len(left) - len(report.problems)
    report.lines.append(f"{made} label maps written, {len(jobs) - len(left)} were there already")
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
        temporary.write_text("".join(f"{name}\n" for name in names))


def read_list(file: Path, where: str) -> list[str]:
    """The names in a split's list.

    Raises:
        UserError: there is no such list; ``where`` says how the folder must look.
    """
    try:
        return file.read_text().split()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{file} is missing or no list: expected {where}") from None


def inspected(data_set: Callable[..., Folder], root: Path, published: Mapping[str, int]) -> Report:
    """A data set that is read as it is published: counts its pairs and lists missing label maps.

    Args:
        data_set: called with root and split.
        root: its folder.
        published: how many images each split has.

    Raises:
        UserError: the folder does not look as it must.
    """
    report = Report([f"nothing needs converting: set data.root={root}"])
    for split, expected in published.items():
        with collecting_unpaired() as unpaired:
            found = len(data_set(root, split))
        note = "" if found == expected else f" (published: {expected})"
        report.lines.append(f"{split}: {found} images with label maps{note}")
        report.problems += [
            f"{image} has no label map {labels}" for image, labels in unpaired.images
        ]
    return report
