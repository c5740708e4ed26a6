"""A copy of a data set whose training labels are wrong near the outlines, to ask what that costs.

    python -m benchmarks.label_noise CAMVID OUT --shift 3
    python -m benchmarks.label_noise CAMVID OUT --smooth 3

``--shift d`` moves each training label map by d pixels in a direction drawn from its own name; what
comes in from outside is ignored (``--ignore``). ``--smooth d`` gives each pixel the class that most
pixels of its window of 2 d + 1 have (ties: the smaller number). Label maps are those of
``trainannot/`` or ``labels/train/``; all other files are links to the originals.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from bpkd import UserError

Labels = npt.NDArray[np.uint8]


def shifted(labels: Labels, pixels: int, name: str, ignore: int) -> Labels:
    """The map moved by a distance, in a direction that its name decides.

    Example:
        >>> map = np.arange(9, dtype=np.uint8).reshape(3, 3)
        >>> moved = shifted(map, 1, "a", 255)
        >>> sorted({int(v) for v in moved.ravel()} - {255}) != list(range(9))
        True
    """
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    down, right = (round(pixels * f(2 * math.pi * share)) for f in (math.sin, math.cos))
    height, width = labels.shape
    out = np.full_like(labels, ignore)
    to = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    of = slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0))
    out[to] = labels[of]
    return out


def smoothed(labels: Labels, pixels: int) -> Labels:
    """The commonest class of each pixel's window of 2 ``pixels`` + 1.

    Example:
        >>> smoothed(np.array([[0, 0, 1, 0, 0]], np.uint8), 1).tolist()  # a thin line goes
        [[0, 0, 0, 0, 0]]
    """
    classes = np.unique(labels)
    each = torch.from_numpy(np.stack([labels == c for c in classes])).float()
    window = 2 * pixels + 1
    counts = F.avg_pool2d(each, window, stride=1, padding=pixels) * window**2
    best: npt.NDArray[np.int64] = counts.round().argmax(dim=0).numpy()
    return classes[best]


def noisy_copy(source: Path, out: Path, shift: int, smooth: int, ignore: int) -> int:
    """Write the copy; the number of label maps that were changed.

    Raises:
        UserError: ``out`` exists, or no training labels were found below ``source``.
    """
    if out.exists():
        raise UserError(f"{out} exists; name a folder that does not")
    changed = 0
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        path = file.relative_to(source)
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent.as_posix()
        if path.suffix == ".png" and folder.endswith(("trainannot", "labels/train")):
            labels = np.array(Image.open(file))
            labels = shifted(labels, shift, path.name, ignore) if shift else labels
            labels = smoothed(labels, smooth) if smooth else labels
            Image.fromarray(labels).save(out / path)
            changed += 1
        else:
            (out / path).symlink_to(file.resolve())
    if not changed:
        raise UserError(f"{source} has no label maps in trainannot/ or labels/train/")
    return changed


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--smooth", type=int, default=0)
    parser.add_argument("--ignore", type=int, default=11, help="the void label; CamVid's is 11")
    given = parser.parse_args()
    number = noisy_copy(given.source, given.out, given.shift, given.smooth, given.ignore)
    print(f"{number} label maps changed in {given.out}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
