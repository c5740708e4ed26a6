"""How fast images come for training, where the time goes, and how fast a GPU would take them.

    python -m benchmarks.data [--images 8] [--workers 1 2] [--appetite IMAGES_PER_SECOND]

Files as those of Cityscapes (1024x2048 PNG) and ADE20K (512x683 JPEG) are painted from the embedded
scenes into a temporary folder and read as training reads them: Cityscapes at 0.5 to 2 times its
size with 512x1024 crops, batch 8; ADE20K with 512x512 crops, batch 16. Parts are medians of
processor time, which other programs hardly change, in one process with one thread, in turn; the
loader's rates are by the clock. Without --appetite, the GPU's is an estimate: the multiply-adds of
a step of pspnet_r101 -> pspnet_r18 (teacher forward, student three times forward) at --throughput.
"""

from __future__ import annotations

import argparse
import math
import statistics
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.io import decode_image as torchvision_decode
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from bpkd import networks
from bpkd.datasets.folder import Folder
from bpkd.datasets.images import read_image
from bpkd.datasets.loading import train_loader
from bpkd.datasets.scenes import Scenes
from bpkd.datasets.transforms import TrainingTransform, training_transform
from bpkd.networks.cost import multiply_adds

Part = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """A data set's files, and how training cuts and gathers them."""

    size: tuple[int, int]
    crop: tuple[int, int]
    batch: int
    classes: int
    suffix: str


SETTINGS = {
    "Cityscapes": Setting((1024, 2048), (512, 1024), 8, 19, ".png"),
    "ADE20K": Setting((512, 683), (512, 512), 16, 150, ".jpg"),
}


def write_files(folder: Path, setting: Setting, count: int) -> Folder:
    """Images and label maps in files."""
    scenes = Scenes("train", size=setting.size, count=count)
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for index in range(count):
        image, labels = scenes[index]
        name = f"{index}{setting.suffix}"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(
            folder / "images/train" / name, quality=90
        )
        Image.fromarray(labels.numpy()).save(folder / f"labels/train/{index}.png")
    return Folder(folder, "train", classes=scenes.classes)


def milliseconds(parts: Mapping[str, list[Part]], repeats: int) -> dict[str, float]:
    """The median processor time of each part over images and repeats; the parts take turns."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, calls in parts.items():
            for call in calls:
                # The same scale and window for all: what differs is the part alone.
                torch.manual_seed(len(times[name]))
                start = time.process_time()
                call()
                times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def where_the_time_goes(data: Folder, setting: Setting, repeats: int) -> dict[str, float]:
    """Milliseconds an image of each part of loading.

    The parts of the transform are differences between transforms that do less and less.
    """
    full = training_transform(setting.crop)
    steps = {
        "photometric distortion": full,
        "flip": replace(full, photometric=False),
        "look for a mixed window": replace(full, photometric=False, flip=0.0),
        "cut, resize, to float": replace(full, photometric=False, flip=0.0, cat_max_ratio=1.0),
    }
    pairs = [data[i] for i in range(len(data))]
    batch = [full(*pairs[0])] * setting.batch
    calls: dict[str, list[Part]] = {
        "read the image": [partial(read_image, image) for image, _ in data.pairs],
        "read the labels": [partial(data._read_labels, labels) for _, labels in data.pairs],
    }
    calls |= {name: [partial(step, *pair) for pair in pairs] for name, step in steps.items()}
    calls["collate"] = [partial(default_collate, batch)]
    times = milliseconds(calls, repeats)
    for more, less in zip(list(steps), list(steps)[1:], strict=False):
        times[more] = max(0.0, times[more] - times[less])
    times["collate"] /= setting.batch
    return times


def resize_whole(transform: TrainingTransform, image: Tensor, labels: Tensor) -> Tensor:
    """The other order, image alone: resize all of it, then cut."""
    low, high = transform.scale
    factor = low + (high - low) * torch.rand(()).item()
    size = [round(side * factor) for side in labels.shape]
    image = F.resize(image, size, antialias=True)
    labels = F.resize(labels[None], size, interpolation=InterpolationMode.NEAREST_EXACT)[0]
    height, width = (min(pair) for pair in zip(size, transform.crop, strict=True))
    top, left = (int(torch.randint(gap + 1, ())) for gap in (size[0] - height, size[1] - width))
    labels = labels[top : top + height, left : left + width].contiguous()
    return F.to_dtype(image[:, top : top + height, left : left + width], scale=True)


def reduced(file: Path, size: tuple[int, int]) -> Image.Image:
    """A JPEG decoded at half the size or less, which is possible where it shrinks that much."""
    with Image.open(file) as image:
        image.draft("RGB", (size[1] // 2, size[0] // 2))
        return image.convert("RGB")


def inflated(file: Path) -> bytes:
    """What zlib makes of a PNG's data, the filters not undone: no decoder does with less."""
    data, place, packed = file.read_bytes(), 8, b""
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += 12 + length
    return zlib.decompress(packed)


def alternatives(data: Folder, setting: Setting, repeats: int) -> dict[str, float]:
    """Milliseconds an image: cutting before and after resizing; other ways to decode."""
    plain = training_transform(setting.crop, flip=0, photometric=False, cat_max_ratio=1)
    pairs = [data[i] for i in range(len(data))]
    calls: dict[str, list[Part]] = {
        "cut, then resize (bpkd)": [partial(plain, *pair) for pair in pairs],
        "resize, then cut": [partial(resize_whole, plain, *pair) for pair in pairs],
    }
    files = [image for image, _ in data.pairs]
    if setting.suffix == ".png":
        calls["decode by Pillow (bpkd)"] = [partial(read_image, file) for file in files]
        calls["decode by torchvision"] = [partial(torchvision_decode, str(file)) for file in files]
        calls["inflate alone, by zlib"] = [partial(inflated, file) for file in files]
    else:
        calls["decode in full (bpkd)"] = [partial(read_image, file) for file in files]
        calls["decode at half the size"] = [partial(reduced, file, setting.size) for file in files]
    return milliseconds(calls, repeats)


def images_per_second(data: Folder, setting: Setting, workers: int, batches: int) -> float:
    """The training loader's rate after its first batches, which start the workers."""
    transform = training_transform(setting.crop)
    first = 2 * max(1, workers)
    loader = train_loader(
        data, transform, seed=0, batch_size=setting.batch, iterations=first + batches,
        workers=workers,
    )  # fmt: skip
    start = 0.0
    for number, _ in enumerate(loader, start=1):
        if number == first:
            start = time.perf_counter()
    return batches * setting.batch / (time.perf_counter() - start)


def appetite(setting: Setting, throughput: float) -> float:
    """Images a second at so many 10^12 multiply-adds a second."""
    with torch.device("meta"):
        pair = networks.pspnet_r101(setting.classes), networks.pspnet_r18(setting.classes)
    teacher, student = (multiply_adds(network, setting.crop)["total"] for network in pair)
    return throughput * 1e12 / (teacher + 3 * student)


def report(name: str, setting: Setting, given: argparse.Namespace) -> None:
    """Print a setting's numbers."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_files(Path(folder), setting, given.images)
        print(f"\n{name}: {setting.size[0]}x{setting.size[1]} {setting.suffix[1:].upper()}, "
              f"crops {setting.crop[0]}x{setting.crop[1]}, batch {setting.batch}")  # fmt: skip
        parts = where_the_time_goes(data, setting, given.repeats)
        for part, value in parts.items():
            print(f"  {part:26}{value:8.1f} ms  {value / sum(parts.values()):6.0%}")
        whole = sum(parts.values())
        print(f"  {'together':26}{whole:8.1f} ms  {1000 / whole:.1f} images a second and free core")
        for part, value in alternatives(data, setting, given.repeats).items():
            print(f"  {part:26}{value:8.1f} ms")
        rates = {w: images_per_second(data, setting, w, given.batches) for w in given.workers}
    for workers, rate in rates.items():
        print(f"  {workers} workers: {rate:.1f} images a second by the clock")
    wanted = given.appetite or appetite(setting, given.throughput)
    origin = "" if given.appetite else f" (estimate: {given.throughput:g}e12 multiply-adds/s)"
    workers = math.ceil(wanted * whole / 1000)
    print(f"  one GPU wants {wanted:.0f} images a second{origin}: {workers} workers on free cores")


def main() -> None:
    """Measure both settings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=8, help="files of each kind")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, default=8, help="batches timed for each rate")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--appetite", type=float, help="images a second, as measured on a GPU")
    parser.add_argument("--throughput", type=float, default=30.0, help="10^12 multiply-adds/s")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, setting in SETTINGS.items():
        report(name, setting, given)


if __name__ == "__main__":
    main()
