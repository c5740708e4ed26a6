"""Runs whose names try to be more than text, and their page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bpkd import train
from bpkd.report.html.report import Asked, report
from tests.pictures import save
from tests.runs import TINY

#: Each runs a script where it is taken for more than text.
CLASSES = [
    "<script>window.broken=1</script>",
    '"><img src=x onerror=window.broken=1>',
    "a & 'b' <b>",
]
NAME = "<img src=x onerror=window.broken=1>"


def write_data(root: Path) -> None:
    """A data set: stripes of two classes in each image, and the third nowhere but in training."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2), ("test", 3), ("one", 1)):
        for index in range(count):
            labels = np.zeros((32, 48), np.uint8)
            labels[:, 10 + 5 * index : 30] = 1
            labels[:6, :4] = 2 if split == "train" else 255
            photo = np.stack([80 * labels + draw.integers(0, 40, labels.shape)] * 3, -1) % 256
            save(root / "images" / split / f"<b>{index}.png", photo)
            save(root / "labels" / split / f"<b>{index}.png", labels)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher; two seeds without it, and one with it."""
    folder = tmp_path_factory.mktemp("report")
    write_data(folder / "data")
    recipe: dict[str, Any] = yaml.safe_load(TINY)
    recipe["data"] = {
        "use": "bpkd.datasets.folder.Folder",
        "root": str(folder / "data"),
        "classes": CLASSES,
    }
    found = {}
    taught = {"losses": {"bpkd": {"use": "bpkd.losses.bpkd.BPKD"}}, "teacher": str(folder / "big")}
    for name, changes in {
        "big": {"name": "big", "max_iters": 2, "evaluation": {"every": 1}},
        "plain": {"name": NAME, "max_iters": 2, "evaluation": {"every": 1}},
        "again": {"name": NAME, "max_iters": 2, "evaluation": {"every": 1}, "seed": 1},
        "bpkd": {"name": "bpkd", "max_iters": 2, "evaluation": {"every": 1}, **taught},
    }.items():
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**recipe, **changes}))
        found[name] = train(file, f"run={folder / name}", progress=False)
    return found


@pytest.fixture(scope="session")
def page(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of all of them."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    report([*runs.values()], file, asked=Asked(rows=2), say=lambda line: None)
    return file


@pytest.fixture
def copies(runs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The first of the runs, to be broken."""
    return {name: Path(shutil.copytree(runs[name], tmp_path / name)) for name in ("big", "plain")}
