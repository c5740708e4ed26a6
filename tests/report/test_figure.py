"""Pictures: colours, overlays, the window with the most outline, and the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.inference.overlay import colourise, overlay
from bpkd.networks.base import SegOutput
from bpkd.report.figure import busiest_image, busiest_window, comparison

PALETTE = [(200, 0, 0), (0, 100, 0)]


class Halves:
    """Images whose left part is class 0 and whose right part, of growing width, is class 1."""

    classes = ("left", "right")
    palette = PALETTE
    ignore_index = 255

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        labels = torch.zeros(20, 30, dtype=torch.uint8)
        labels[:, 30 - 5 * index :] = 1
        labels[0] = 255
        image = torch.full((3, 20, 30), 90, dtype=torch.uint8)
        return image, labels


class Constant(nn.Module):
    """Says one class everywhere."""

    def __init__(self, winner: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(2)[winner].view(1, 2, 1, 1))

    def forward(self, images: Tensor) -> SegOutput:
        return SegOutput(self.logits.expand(len(images), 2, 4, 4), {})


def test_colourise() -> None:
    labels = torch.tensor([[0, 1], [255, 2]], dtype=torch.uint8)
    black = [0, 0, 0]
    assert colourise(labels, PALETTE).tolist() == [[[200, 0, 0], [0, 100, 0]], [black, black]]
    assert colourise(torch.tensor([[-1, 65535]]), PALETTE).tolist() == [[black, black]]


def test_colourise_beyond_256_classes() -> None:
    palette = [(i % 256, i // 256, 7) for i in range(300)]
    assert colourise(torch.tensor([[255, 256, 299]]), palette).tolist() == [
        [[255, 0, 7], [0, 1, 7], [43, 1, 7]]
    ]


def test_overlay_is_two_fifths_of_the_image() -> None:
    image = torch.tensor([100, 50, 255], dtype=torch.uint8).view(3, 1, 1).expand(3, 1, 2)
    pixels = overlay(image, torch.tensor([[0, 255]]), PALETTE)
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [[[160, 20, 102], [40, 20, 102]]]


def test_busiest_window_holds_the_outline() -> None:
    labels = torch.zeros(12, 16, dtype=torch.uint8)
    labels[8:, 13:] = 1
    rows, columns = busiest_window(labels, (5, 6))
    assert (rows, columns) == (slice(7, 12), slice(10, 16))
    assert busiest_window(torch.zeros(6, 6), (2, 2)) == (slice(0, 2), slice(0, 2))


def test_busiest_image_has_the_most_classes() -> None:
    data = Halves()
    assert busiest_image(data) in (1, 2)
    assert busiest_image(data, candidates=1) == 0


@pytest.mark.parametrize("ending", [".png", ".pdf", ""])
def test_comparison_writes_a_picture(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"new/picture{ending}"
    comparison({"always left": Constant(0), "always right": Constant(1)}, Halves(), file)
    assert list(file.parent.iterdir()) == [file]
    if ending == ".pdf":
        assert file.read_bytes().startswith(b"%PDF")
        return
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 800
    for colour in (*PALETTE, (214, 39, 40)):  # both classes, and what is wrong
        assert (np.abs(pixels - colour).sum(axis=-1) == 0).sum() > 100, colour


def test_many_networks_stand_below_each_other(tmp_path: Path) -> None:
    sizes = {}
    for count in (7, 12):  # beside image and labels: one band of nine, and two
        networks = {str(number): Constant(number % 2) for number in range(count)}
        comparison(networks, Halves(), tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as picture:
            sizes[count] = picture.size
    assert sizes[12] == (sizes[7][0], 2 * sizes[7][1])


def test_what_is_refused(tmp_path: Path) -> None:
    networks = {"a": Constant(0)}
    for index in (-1, 3):
        with pytest.raises(UserError, match=rf"image {index}: the split has 3 images, 0 to 2"):
            comparison(networks, Halves(), tmp_path / "a.png", index)
    with pytest.raises(UserError, match=r"a\.xyz: no kind of picture; expected one of .*png"):
        comparison(networks, Halves(), tmp_path / "a.xyz", 0)
    assert not list(tmp_path.iterdir())
