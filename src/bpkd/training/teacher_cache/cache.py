"""The teacher's outputs of a run's draws: read where they are there, else computed and kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.messages import printable
from bpkd.training.teacher_cache.outputs import named, output_of
from bpkd.training.teacher_cache.packing import Packing, from_bytes, to_bytes
from bpkd.training.teacher_cache.records import ENDING, Records

#: So many bytes of a disk are left for checkpoints and everybody else.
RESERVE = 2**30
#: A pixel in so many, each way, is what a record's image is known by.
_STEP = 4


class TeacherCache:
    """Asks the teacher only for what no record holds.

    What a run is given is rounded as it is kept, whether it was just computed or read: so the
    first run, which writes, and all later ones, which read, see the same numbers.

    Args:
        folder: where the records are, a file a tensor.
        kind: the type of the teacher's output.
        packings: how each tensor that the run's losses ask for is kept, by name.
        limit: bytes that the folder may take; None: what the disk has.

    Attributes:
        asked: draws that the teacher was asked for.
        found: draws that were read.
    """

    def __init__(
        self, folder: Path, kind: type, packings: Mapping[str, Packing], limit: int | None = None
    ) -> None:
        self.folder, self.kind, self.packings, self.limit = folder, kind, dict(packings), limit
        self.records = {name: _open(folder, name, how) for name, how in self.packings.items()}
        self.writing = all(records.writable for records in self.records.values())
        self.asked = self.found = 0
        self.aloud = False
        self.seen: list[int] | None = None
        self.warned = False

    def look(self, images: Tensor) -> None:
        """Remember what the next batch's images look like, before they go to another device."""
        self.seen = prints(images)

    def __call__(self, teacher: Callable[[Tensor], Any], images: Tensor, first: int) -> Any:
        """The teacher's output for a batch.

        Args:
            teacher: images -> its output; it is called with the whole batch, or not at all.
            images: (N, 3, H, W).
            first: the number of the batch's first draw in the run; the others follow.

        Raises:
            UserError: the output has another shape than the records, or does not fit their type.
        """
        seen, self.seen = self.seen or prints(images), None
        draws = list(zip(range(first, first + len(images)), seen, strict=True))
        held = {
            name: [records.read(number, image) for number, image in draws]
            for name, records in self.records.items()
        }
        there = [all(rows) for rows in zip(*held.values(), strict=True)]
        self._tell_other_images()
        self.found += sum(there)
        self.asked += len(there) - sum(there)
        if not all(there):
            self._ask(teacher, images, draws, held)
        tensors = {
            name: self._unpacked(name, rows, images.device)  # type: ignore[arg-type]
            for name, rows in held.items()
        }
        return output_of(tensors, self.kind)

    def tell(self) -> None:
        """Say at the end how often the teacher was spared."""
        if self.aloud and self.asked + self.found:
            print(
                f"teacher cache: {self.found:,} draws were read, for {self.asked:,} the teacher "
                "was asked",
                flush=True,
            )

    def _ask(
        self,
        teacher: Callable[[Tensor], Any],
        images: Tensor,
        draws: list[tuple[int, int]],
        held: dict[str, list[bytes | None]],
    ) -> None:
        """Fill what is missing in ``held``, and write it. What is there counts, and stays."""
        output = named(teacher(images), self.kind)
        for name, packing in self.packings.items():
            if all(held[name]):
                continue
            parts = packing.packed(self._checked(name, output))
            contents = to_bytes(parts)
            if not all(part.isfinite().all() for part in parts if part.is_floating_point()):
                self._refuse(name, output[name])
            for row, (number, image) in enumerate(draws):
                if held[name][row] is None:
                    held[name][row] = contents[row]
                    self._write(name, number, image, contents[row])

    def _checked(self, name: str, output: Mapping[str, Tensor]) -> Tensor:
        found = tuple(output[name].shape[1:]) if name in output else None
        if found != self.packings[name].shape:
            raise UserError(
                f"teacher_cache: the teacher's {name} has the shape {found} for this batch and "
                f"{self.packings[name].shape} for an image of augment.crop; a cache needs images "
                "of one size: take teacher_cache out"
            )
        return output[name]

    def _refuse(self, name: str, maps: Tensor) -> None:
        dtype = self.packings[name].dtype
        if maps.isfinite().all() and dtype == "float16":
            raise UserError(
                f"teacher_cache: the teacher's {name} reach {float(maps.abs().max()):.3g}, and "
                "float16 ends at 65504; set teacher_cache.dtype to bfloat16"
            )
        raise UserError(f"teacher: its {name} are not finite; check its checkpoint")

    def _unpacked(self, name: str, rows: list[bytes], device: torch.device) -> Tensor:
        packing = self.packings[name]
        parts = [part.to(device, non_blocking=True) for part in from_bytes(packing, rows)]
        return packing.unpacked(parts)

    def _write(self, name: str, number: int, image: int, content: bytes) -> None:
        records = self.records[name]
        if not self.writing:
            return
        if self.limit is not None and self.allocated() + records.whole > self.limit:
            return self._stop(f"its limit of {self.limit / 1e9:.3g} GB is reached")
        disk = os.fstatvfs(records.file)
        if disk.f_bavail * disk.f_frsize < RESERVE + records.whole:
            return self._stop(f"its disk has no more than {RESERVE / 1e9:.2g} GB left")
        try:
            records.write(number, image, content)
        except OSError as error:
            self._stop(error.strerror or str(error))

    def allocated(self) -> int:
        """Bytes that the run's tensors take on the disk."""
        return sum(records.allocated() for records in self.records.values())

    def _stop(self, why: str) -> None:
        self.writing = False
        _say(
            f"{self.folder}: nothing more is written there, {why}; the run goes on, and asks the "
            "teacher for the rest"
        )

    def _tell_other_images(self) -> None:
        if not self.warned and any(records.other_image for records in self.records.values()):
            self.warned = True
            _say(
                f"{self.folder}: holds records of other images than this run draws: files that "
                "changed, or a data set that is no function of its index; these are computed anew"
            )


def prints(images: Tensor) -> list[int]:
    """A number for each of some images (N, 3, H, W), that another image hardly has as well.

    Example:
        >>> images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> first, second = prints(images)
        >>> first == second, prints(images[1:])[0] == second
        (False, True)
    """
    some = images[..., ::_STEP, ::_STEP].detach().cpu()
    # The same numbers, however the images lie in memory.
    some = some.contiguous(memory_format=torch.contiguous_format)
    return [crc32(image.flatten().view(torch.uint8).numpy().data) for image in some]


def _open(folder: Path, name: str, packing: Packing) -> Records:
    about: dict[str, Any] = {"tensor": name, "shape": list(packing.shape), "dtype": packing.dtype}
    about |= {"top_k": packing.top_k if packing.sparse else None}
    return Records(folder / f"{name.replace('/', '%')}{ENDING}", about, packing.size)


def _say(line: str) -> None:
    print(printable(f"teacher cache: {line}"), file=sys.stderr, flush=True)
