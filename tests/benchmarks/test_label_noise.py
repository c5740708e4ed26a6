"""A copy whose training labels are wrong near the outlines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.label_noise import noisy_copy, shifted
from bpkd import UserError


def test_every_shift_is_of_that_length_and_the_rest_is_ignored() -> None:
    labels = np.zeros((21, 21), np.uint8)
    labels[10, 10] = 1
    moves = set()
    for name in "abcdefgh":
        moved = shifted(labels, 3, name, 11)
        ((y, x),) = np.argwhere(moved == 1)
        assert abs(np.hypot(y - 10, x - 10) - 3) <= np.sqrt(0.5)
        assert (moved == 11).sum() == 21 * 21 - (21 - abs(y - 10)) * (21 - abs(x - 10))
        moves.add((y, x))
    assert len(moves) > 2


def test_only_training_labels_change(tmp_path: Path) -> None:
    data, labels = tmp_path / "data", np.tile(np.arange(6, dtype=np.uint8), (6, 1))
    for folder in ("train", "trainannot", "valannot"):
        (data / folder).mkdir(parents=True)
        Image.fromarray(labels).save(data / folder / "a.png")
    out = tmp_path / "noisy"
    assert noisy_copy(data, out, shift=2, smooth=0, ignore=11) == 1
    assert (out / "train/a.png").is_symlink() and (out / "valannot/a.png").is_symlink()
    assert (np.array(Image.open(out / "trainannot/a.png")) == 11).any()
    with pytest.raises(UserError, match="exists"):
        noisy_copy(data, out, 1, 0, 11)
    with pytest.raises(UserError, match="no label maps"):
        noisy_copy(data / "train", tmp_path / "other", 1, 0, 11)
