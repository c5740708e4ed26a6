"""How much memory a large photo takes to be segmented by windows, in bands and as a whole.

    python -m benchmarks.large [--side 10000] [--window 1024] [--ways bands whole]

A scene is laid side by side into a JPEG of --side squared, and segmented by a small network of
random weights, each way in a process of its own, with one thread. What is told is the greatest
resident memory above that of the process when it had loaded everything, and processor time.
``bands`` is what ``bpkd predict --window`` does where libvips is installed; ``whole`` what it does
where it is not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import bpkd.datasets.bands
from bpkd import train
from bpkd.datasets.scenes import Scenes
from bpkd.inference.prediction import predict

RECIPE = """
max_iters: 0
workers: 0
data: {use: bpkd.datasets.scenes.Scenes, size: [64, 64], count: 2}
student:
  use: bpkd.networks.pspnet.PSPNet
  backbone: test_resnet.r160_in1k
  output_stride: 32
  channels: 8
"""
_TILE = 500


def write_photo(file: Path, side: int) -> None:
    """A JPEG that is painted of one scene."""
    tile = Scenes("train", size=(_TILE, _TILE), count=1)[0][0].permute(1, 2, 0).numpy()
    count = -(-side // _TILE)
    Image.fromarray(np.tile(tile, (count, count, 1))[:side, :side]).save(file, quality=85)


def measured(way: str, folder: Path, window: int) -> None:
    """Segment the photo, and print what it took."""
    torch.set_num_threads(1)
    if way == "whole":
        bpkd.datasets.bands.LARGE = 2**62
    before, begin = _mebibytes("VmRSS"), time.process_time()
    predict(folder / "run", [folder / "photo.jpg"], folder / way, window=window)
    took = time.process_time() - begin
    written = sum(file.stat().st_size for file in (folder / way).rglob("*.png")) / 1e6
    print(
        f"{way}: {_mebibytes('VmHWM') - before:,.0f} MiB more than the {before:,.0f} MiB before, "
        f"{took:,.0f} s of one core, {written:,.0f} MB written",
        flush=True,
    )


def _mebibytes(key: str) -> float:
    """Resident memory, now (VmRSS) or at most so far (VmHWM)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux: only the greatest is known
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 2**10


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--side", type=int, default=10_000, help="of the photo, in pixels")
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--ways", nargs="+", choices=("bands", "whole"), default=("bands", "whole"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "recipe.yaml").write_text(RECIPE)
        train(folder / "recipe.yaml", f"run={folder / 'run'}", progress=False)
        write_photo(folder / "photo.jpg", given.side)
        print(f"{given.side}x{given.side}, windows of {given.window}")
        fresh = multiprocessing.get_context("spawn")
        for way in given.ways:
            process = fresh.Process(target=measured, args=(way, folder, given.window))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
