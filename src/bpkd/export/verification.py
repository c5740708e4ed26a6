"""Whether a written file is the same network: run in a new process, compared image by image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.errors import UserError
from bpkd.export.leaving import Leaving
from bpkd.networks.files.running import run_apart

OUTLINE = 3  # pixels to either side of an outline

#: Precision -> the largest difference of logits, as a share of their range, and the share of
#: pixels that may change their class.
TOLERANCES = {"fp32": (1e-3, 1e-3), "fp16": (2e-2, 1e-2), "int8": (float("inf"), 5e-2)}


@dataclass
class Verified:
    """How far a file is from its network.

    Attributes:
        images: how many were compared.
        source: what they are.
        sizes: (H, W) of them.
        difference: the largest between two logits; 0 for labels.
        spread: the range of the network's logits, for comparison.
        changed: share of pixels whose class differs.
        outline: the same share among pixels within 3 of an outline of the network's prediction.
    """

    images: int
    source: str
    sizes: list[tuple[int, int]]
    difference: float
    spread: float
    changed: float
    outline: float

    def line(self) -> str:
        """In one line.

        Example:
            >>> Verified(2, "test images", [(8, 8)], 0.25, 9.0, 0.01, 0.125).line()
            '2 test images (8 x 8): largest difference 0.25 of 9; 1% of pixels changed, 12.5% \
within 3 px of an outline'
        """
        sizes = ", ".join(f"{height} x {width}" for height, width in self.sizes)
        return (
            f"{self.images} {self.source} ({sizes}): largest difference {self.difference:.2g} of "
            f"{self.spread:.3g}; {100 * self.changed:.3g}% of pixels changed, "
            f"{100 * self.outline:.3g}% within {OUTLINE} px of an outline"
        )

    def plain(self) -> dict[str, object]:
        """As YAML holds it."""
        return asdict(self) | {"sizes": [list(size) for size in self.sizes]}


def verify(network: Leaving, file: Path, images: Sequence[Tensor], source: str) -> Verified:
    """Compare a file with its network.

    Args:
        network: as it leaves.
        file: what was written.
        images: (1, 3, H, W) each.
        source: what they are, for the report.

    Raises:
        UserError: the file cannot be run, or the network itself gives what is not finite.
    """
    reached = [0.0, 0.0, 0.0]  # difference, changed, changed near outlines
    pixels = [0, 0]
    low, high = float("inf"), float("-inf")
    for image, outputs in zip(images, found_apart(file, images, ["logits"]), strict=True):
        found = outputs["logits"]
        with torch.no_grad():
            wanted = network(image)
        finite([wanted])
        if wanted.dim() == 4:
            reached[0] = max(reached[0], (found - wanted).abs().max().item())
            low, high = min(low, wanted.min().item()), max(high, wanted.max().item())
            wanted = wanted.argmax(dim=1)
        differs = found.argmax(dim=1) != wanted.long()
        band = trimap_bands(wanted.long(), OUTLINE)
        reached[1] += differs.sum().item()
        reached[2] += (differs & band).sum().item()
        pixels[0] += differs.numel()
        pixels[1] += int(band.sum())
    return Verified(
        len(images),
        source,
        sorted({(image.shape[-2], image.shape[-1]) for image in images}),
        reached[0],
        max(0.0, high - low),
        reached[1] / max(pixels[0], 1),
        reached[2] / max(pixels[1], 1),
    )


def found_apart(
    file: Path, images: Sequence[Tensor], names: Sequence[str]
) -> Iterator[dict[str, Tensor]]:
    """What a file gives in a new process, image by image, by the names of its outputs.

    Raises:
        UserError: the file cannot be run there.
    """
    with tempfile.TemporaryDirectory(prefix="bpkd-") as name:
        folder = Path(name)
        for index, image in enumerate(images):
            np.save(folder / f"{index:04}.images.npy", image.numpy())
        run_apart(file, folder)
        for index in range(len(images)):
            with np.load(folder / f"{index:04}.found.npz") as held:
                found = {each: torch.from_numpy(held[each]) for each in names}
            yield found


def finite(values: Iterable[Tensor]) -> None:
    """Refuse a network that gives numbers that are not finite.

    Raises:
        UserError: it does.
    """
    if not all(bool(torch.isfinite(each).all()) for each in values):
        raise UserError(
            "the network itself gives numbers that are not finite: its weights are damaged, and "
            "there is nothing to export"
        )


def check(found: Verified, precision: str, tolerance: float | None = None) -> None:
    """Refuse a file that differs by more than its precision explains.

    Args:
        found: how far it is from its network.
        precision: fp32, fp16 or int8.
        tolerance: share of pixels that may change; None: 0.1%, 1% and 5%.

    Raises:
        UserError: says what differs, and by how much.
    """
    share, changed = TOLERANCES[precision]
    changed = changed if tolerance is None else tolerance
    problems = []
    if found.spread and found.difference > share * found.spread:
        problems.append(f"logits by at most {100 * share:g}% of their range")
    if found.changed > changed:
        problems.append(f"at most {100 * changed:g}% of pixels")
    if problems:
        hint = {
            "int8": "calibrate on more images, leave sensitive layers out (--sensitivity, --keep)",
            "fp16": "take fp32: its numbers are too large or too small for fp16",
        }.get(precision, "export for one --size, or in another --format")
        raise UserError(
            f"the {precision} file is not the same network, and is not kept: {found.line()}; "
            f"expected {' and '.join(problems)}; {hint}, or raise --tolerance"
        )
