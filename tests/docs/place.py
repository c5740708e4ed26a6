"""A folder in which the pages' programs find what they speak of: photos, recipes, runs, a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image

from bpkd.datasets.scenes import Scenes
from tests import exports
from tests.commands import done

#: What makes any recipe small.
TINY = ("max_iters=2", "batch_size=2", "workers=0", "evaluation.every=2", "schedule.warmup=0")
CROP = ("augment.crop=[32,32]",)
RECIPE = """
data: {use: bpkd.datasets.folder.Folder, root: data, classes: [road, car, tree]}
student:
  use: bpkd.networks.pspnet.PSPNet
  backbone: test_resnet.r160_in1k
  output_stride: 16
  channels: 8
"""
STUDENT = """
base: teacher.yaml
teacher: runs/teacher
losses: {bpkd: {use: bpkd.losses.bpkd.BPKD}}
"""


@contextlib.contextmanager
def without_downloads() -> Iterator[None]:
    """Backbones begin from nothing: ``weights: hub`` would have timm fetch them."""
    real = timm.create_model

    def create(name: str, **options: Any) -> Any:
        if "state_dict" not in options.get("pretrained_cfg_overlay", {}):
            options["pretrained"] = False
        return real(name, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", create)
        yield


def furnish(place: Path) -> None:
    """``photos`` from a tool, ``data`` as two folders, the recipes of the README made small."""
    exports.labelme(place / "photos")
    for split in ("train", "val", "test"):
        scenes = Scenes(split, size=(32, 48), count=4)
        for index in range(4):
            image, labels = scenes[index]
            for kind, values in (("images", image.permute(1, 2, 0)), ("labels", labels)):
                file = place / "data" / kind / split / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.asarray(values).astype(np.uint8)
                Image.fromarray(np.where(pixels < 3, pixels, 255).astype(np.uint8)
                                if kind == "labels" else pixels).save(file)  # fmt: skip
    (place / "teacher.yaml").write_text(RECIPE)
    (place / "student.yaml").write_text(STUDENT)


def train(place: Path) -> None:
    """``runs/teacher``, ``runs/student``, ``student.onnx``."""
    with contextlib.chdir(place):
        done("train", "teacher.yaml", "--quiet", *TINY, *CROP)
        done("train", "student.yaml", "--quiet", *TINY, *CROP)
