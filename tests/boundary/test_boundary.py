"""edge_masks and trimap_bands against the one-hot procedure and against pixel-by-pixel loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.onehot import edge_masks_fast_onehot, edge_masks_onehot
from bpkd.boundary import edge_masks, trimap_bands
from bpkd.boundary.in_line import edge_masks_in_line
from bpkd.errors import UserError

DTYPES = [torch.uint8, torch.int16, torch.int32, torch.int64]


def noise(shape: tuple[int, int, int], num_classes: int, seed: int) -> Tensor:
    return torch.randint(0, num_classes, shape, generator=torch.Generator().manual_seed(seed))


def blobs(shape: tuple[int, int, int], num_classes: int, seed: int) -> Tensor:
    """Smooth regions with curved outlines."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.rand(shape[0], num_classes, 4, 4, generator=generator)
    return F.interpolate(logits, size=shape[1:], mode="bicubic").argmax(1)


def street(shape: tuple[int, int, int], num_classes: int, seed: int) -> Tensor:
    """Wide bands of ground and sky, thin poles before them, an unlabelled car bonnet."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(shape[1])[:, None] * 3 // shape[1]).expand(shape).clone()
    for image in labels:
        for x in torch.randint(0, shape[2], (4,), generator=generator).tolist():
            image[shape[1] // 4 :, x : x + 1 + x % 3] = num_classes - 1
    labels[:, -3:] = 255
    return labels


def ignore_some(labels: Tensor, share: float, ignore_index: int = 255) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return labels.masked_fill(torch.rand(labels.shape, generator=generator) < share, ignore_index)


def check(labels: Tensor, num_classes: int, kernel_size: int, size: tuple[int, int]) -> None:
    masks = edge_masks(labels, num_classes, kernel_size, size)
    expected = edge_masks_onehot(labels, num_classes, kernel_size, size)
    assert masks.dtype == torch.float32
    assert torch.equal(masks, edge_masks_in_line(labels, num_classes, kernel_size, size, 255))
    torch.testing.assert_close(masks, expected, rtol=0, atol=1e-6)
    fast = edge_masks_fast_onehot(labels, num_classes, kernel_size, size)
    torch.testing.assert_close(fast, expected, rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    num_classes=st.integers(2, 150),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 37), st.integers(1, 37)),
    size=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    kernel_size=st.sampled_from(range(1, 17, 2)),
    make=st.sampled_from([noise, blobs]),
    ignored=st.sampled_from([0.0, 0.03, 0.5, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_equals_the_onehot_procedure(*, num_classes, shape, size, kernel_size, make, ignored, seed):
    labels = ignore_some(make(shape, num_classes, seed), ignored)
    check(labels, num_classes, kernel_size, size)


@pytest.mark.parametrize("kernel_size", range(3, 17, 2))
def test_every_kernel_on_street_scenes(kernel_size):
    check(street((2, 64, 96), 19, seed=0), 19, kernel_size, (8, 12))


@pytest.mark.parametrize("num_classes", [30, 31, 32, 62, 63, 64, 126, 127, 150, 300])
def test_around_the_length_of_a_word(num_classes):
    labels = noise((2, 48, 48), num_classes, seed=0)
    labels = torch.where(labels == 255, 0, labels)
    assert len(labels.unique()) >= num_classes - 1
    check(ignore_some(labels, 0.05), num_classes, 5, (12, 12))


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_integer_dtype(dtype):
    labels = blobs((2, 40, 40), 19, seed=0)
    if dtype != torch.int16:  # int16 goes without ignored pixels: both branches are taken
        labels = ignore_some(labels, 0.05)
    check(labels.to(dtype), 19, 5, (10, 10))


@pytest.mark.parametrize("ignore_index", [-1, -100, 0, 3, 18, 254, 1000])
def test_any_ignore_index(ignore_index):
    labels = ignore_some(blobs((2, 40, 40), 19, seed=0), 0.1, ignore_index)
    masks = edge_masks(labels, 19, 5, (10, 10), ignore_index)
    expected = edge_masks_onehot(labels, 19, 5, (10, 10), ignore_index)
    torch.testing.assert_close(masks, expected, rtol=0, atol=1e-6)
    assert torch.equal(masks, edge_masks_in_line(labels, 19, 5, (10, 10), ignore_index))


def test_counts_by_hand():
    """A 4 x 4 map, right half class 1, one ignored corner pixel; window 3; blocks of 2 x 2."""
    labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 255]]])
    quarter = torch.tensor(
        [[[[2, 2], [2, 2]], [[2, 2], [2, 3]]]]  # class 0, class 1: edge pixels in each block
    )
    assert torch.equal(edge_masks(labels, 2, 3, (2, 2)) * 4, quarter.float())


def test_no_edge_in_constant_labels_nor_at_the_frame():
    labels = torch.full((2, 20, 30), 4)
    for kernel_size in (1, 3, 15, 51):
        assert not edge_masks(labels, 19, kernel_size, (5, 5)).any()
    assert not edge_masks(torch.full_like(labels, 255), 19, 5, (5, 5)).any()
    assert not edge_masks(noise((1, 20, 20), 19, 0), 19, 1, (5, 5)).any()


def test_every_block_is_full_when_the_kernel_covers_the_image():
    labels = noise((1, 8, 8), 3, seed=0)
    assert len(labels.unique()) == 3
    assert torch.equal(edge_masks(labels, 3, 15, (4, 4)), torch.ones(1, 3, 4, 4))


def test_leaves_the_labels_alone_and_takes_views():
    labels = ignore_some(blobs((2, 40, 40), 19, seed=0), 0.1)
    before = labels.clone()
    transposed = edge_masks(labels.transpose(1, 2), 19, 5, (10, 10)).transpose(2, 3)
    assert torch.equal(edge_masks(labels, 19, 5, (10, 10)), transposed)
    assert torch.equal(labels, before)


def test_in_line_the_device_refuses_a_label_that_is_no_class():
    labels = torch.tensor([[[0, 19]]])
    with pytest.raises(RuntimeError, match="a label is no class"):
        edge_masks_in_line(labels, 19, 3, (1, 1), 255)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("num_classes", [2, 19, 150])
@pytest.mark.parametrize("size", [(16, 16), (13, 17), (130, 129)])
def test_cuda_equals_cpu(num_classes, size):
    for make in (noise, blobs):
        labels = ignore_some(make((2, 128, 128), num_classes, 0), 0.05)
        masks = edge_masks(labels.cuda(), num_classes, 7, size)
        assert torch.equal(masks.cpu(), edge_masks(labels, num_classes, 7, size))
        assert torch.equal(trimap_bands(labels.cuda(), 3).cpu(), trimap_bands(labels, 3))


@pytest.mark.parametrize("kernel_size", [0, 2, -3])
def test_refuses_kernel_sizes(kernel_size):
    with pytest.raises(UserError, match=f"kernel_size is {kernel_size}"):
        edge_masks(torch.zeros(1, 4, 4, dtype=torch.int64), 2, kernel_size, (2, 2))


@pytest.mark.parametrize("value", [-1, 19, 200, 254, 256, 10**12])
def test_names_the_label_that_is_no_class(value):
    labels = blobs((1, 16, 16), 19, seed=0)
    labels[0, 3, 3], labels[0, 0, 0] = value, 255
    with pytest.raises(UserError, match=rf"value {value}, expected 0 .. 18 or ignore_index 255"):
        edge_masks(labels, 19, 5, (4, 4))


def test_a_byte_that_would_wrap_to_the_ignore_index_is_named():
    labels = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    with pytest.raises(UserError, match="value 255"):
        edge_masks(labels, 19, 3, (2, 2), ignore_index=-1)


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(1, 4, 4), torch.zeros(4, 4, dtype=torch.int64), torch.zeros(0, 4, 4).long()],
)
def test_refuses_shapes_and_dtypes(labels):
    with pytest.raises(UserError, match=r"labels: (dtype|shape) is"):
        edge_masks(labels, 2, 3, (2, 2))
    with pytest.raises(UserError, match=r"labels: (dtype|shape) is"):
        trimap_bands(labels, 1)


def bands_by_loop(labels: Tensor, width: int) -> Tensor:
    bands = torch.zeros(labels.shape, dtype=torch.bool)
    for n, y, x in torch.cartesian_prod(*(torch.arange(side) for side in labels.shape)).tolist():
        rows, columns = (
            slice(max(0, y - width), y + width + 1),
            slice(max(0, x - width), x + width + 1),
        )
        bands[n, y, x] = len(labels[n, rows, columns].unique()) > 1
    return bands


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 5, 20])
def test_trimap_bands_equal_the_loop(width, dtype):
    labels = ignore_some(blobs((2, 17, 19), 4, seed=3), 0.01).to(dtype)
    assert torch.equal(trimap_bands(labels, width), bands_by_loop(labels, width))


def test_trimap_bands_of_labels_that_do_not_fit_a_byte():
    labels = blobs((1, 12, 12), 3, seed=0) * 256 - 100  # equal modulo 256
    assert torch.equal(trimap_bands(labels, 1), bands_by_loop(labels, 1))
    assert trimap_bands(labels, 1).any()


def test_trimap_refuses_a_width_of_zero():
    with pytest.raises(UserError, match="width is 0"):
        trimap_bands(torch.zeros(1, 4, 4, dtype=torch.int64), 0)
