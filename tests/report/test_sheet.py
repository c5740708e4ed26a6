"""The contact sheet: what is on it, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bpkd.datasets.scenes import Scenes
from bpkd.datasets.transforms import training_transform
from bpkd.errors import UserError
from bpkd.report.sheet import contact_sheet, some_indices

RED, GREEN = (200, 0, 0), (0, 100, 0)


class Halves:
    """Grey images, red class on the left, green on the right; the third class is nowhere."""

    classes = ("left", "right", "nowhere")
    palette = (RED, GREEN, (7, 8, 250))
    ignore_index = 255

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        labels = torch.zeros(40, 60, dtype=torch.uint8)
        labels[:, 30:] = 1
        return torch.full((3, 40, 60), 100, dtype=torch.uint8), labels

    def name(self, index: int) -> str:
        return f"halves {index}"


def colours(file: Path) -> set[tuple[int, ...]]:
    """The colours that cover more than a line of text does."""
    with Image.open(file) as picture:
        counts = picture.convert("RGB").getcolors(2**24) or []
    return {colour for count, colour in counts if count > 150 and isinstance(colour, tuple)}


def test_image_labels_edges_and_legend(tmp_path: Path) -> None:
    contact_sheet(Halves(), [0, 1, 2], tmp_path / "edges.png")
    contact_sheet(Halves(), [0, 1, 2], tmp_path / "plain.png", kernel_size=1)
    edges, plain = colours(tmp_path / "edges.png"), colours(tmp_path / "plain.png")
    # Two fifths of grey 100 and three of the class: (160, 40, 40) and (40, 100, 40).
    assert {(100, 100, 100), (160, 40, 40), (40, 100, 40), RED, GREEN} <= edges & plain
    assert (7, 8, 250) not in edges
    # A quarter of the colour, three of white.
    assert {(231, 201, 201), (201, 216, 201)} <= edges - plain


def test_a_wide_edge_covers_more(tmp_path: Path) -> None:
    shares = []
    for kernel_size in (3, 9):
        contact_sheet(Halves(), [0], tmp_path / "a.png", kernel_size=kernel_size)
        pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
        shares.append(int((pixels == (231, 201, 201)).all(axis=2).sum()))
    assert shares[1] > 2 * shares[0] > 0


def test_what_training_sees(tmp_path: Path) -> None:
    transform = training_transform((32, 48), flip=1.0)
    for name in ("a", "b"):
        torch.manual_seed(0)
        contact_sheet(Scenes("val", size=(32, 48), count=1), [0], tmp_path / f"{name}.png",
                      transform=transform, title="augmented")  # fmt: skip
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    contact_sheet(Scenes("val", size=(32, 48), count=1), [0], tmp_path / "b.png", title="augmented")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


class Many(Halves):
    classes = tuple(f"class {i}" for i in range(90))
    palette = tuple((i, 255 - i, 90) for i in range(90))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        labels = (torch.arange(600 * 90).reshape(90, 600) % 91).byte()
        labels[labels == 90] = 255
        return torch.zeros(3, 90, 600, dtype=torch.uint8), labels


def test_many_classes_and_large_images(tmp_path: Path) -> None:
    contact_sheet(Many(), [0], tmp_path / "many.pdf")
    assert (tmp_path / "many.pdf").read_bytes().startswith(b"%PDF")
    contact_sheet(Many(), [0], tmp_path / "many.png")
    with Image.open(tmp_path / "many.png") as picture:
        assert picture.width < 1000 and picture.height < 600


def test_the_images_are_drawn_by_the_seed() -> None:
    first, again, other = (some_indices(5, of=100, seed=seed) for seed in (0, 0, 1))
    assert first == again != other and first == sorted(set(first))
    assert some_indices(5, of=3, seed=4) == [0, 1, 2]


def test_what_makes_no_sheet(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words, indices, name, kernel_size in (
        ("empty", [], "a.png", 3),
        ("kernel_size is 4", [0], "a.png", 4),
        ("no kind of picture", [0], "a.xyz", 3),
        ("cannot be written: Not a directory", [0], "file/a.png", 3),
    ):
        with pytest.raises(UserError, match=words):
            contact_sheet(Halves(), indices, tmp_path / name, kernel_size=kernel_size)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


class Damaged(Halves):
    """The second pair cannot be read; where ``all_of_them``, none can."""

    def __init__(self, all_of_them: bool = False) -> None:
        self.all_of_them = all_of_them

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index == 1:
            raise UserError("b.png cannot be read")
        if self.all_of_them:
            raise ZeroDivisionError("by\nzero")
        return super().__getitem__(index)


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    left_out = contact_sheet(Damaged(), [0, 1, 2], tmp_path / "a.PNG")
    assert left_out == ["b.png cannot be read"]
    assert contact_sheet(Halves(), [0, 2], tmp_path / "b.png") == []
    assert (tmp_path / "a.PNG").read_bytes() == (tmp_path / "b.png").read_bytes()
    words = "none of the 2 images can be shown: halves 0 cannot be read: ZeroDivisionError: by zero"
    with pytest.raises(UserError, match=words):
        contact_sheet(Damaged(all_of_them=True), [0, 1], tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()
