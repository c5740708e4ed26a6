"""From outputs to objects: thresholds, ties, sizes, nothing found."""

from __future__ import annotations

import pytest
import torch

from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.matrix_nms import matrix_nms
from bpkd.networks.solov2.predictions import PostProcessing, candidates, predictions

GRIDS = (4, 3, 2, 2, 1)


def made(n: int = 1) -> InstanceOutput:
    """Nothing anywhere; the mask features are 1 on the left half of 64 x 64 and -1 on the right."""
    category = [torch.full((n, 2, s, s), -9.0) for s in GRIDS]
    kernels = [torch.full((n, 1, s, s), 8.0) for s in GRIDS]
    features = torch.ones(n, 1, 16, 16)
    features[..., 8:] = -1
    return InstanceOutput(category, kernels, features, {})


def test_one_object_and_its_box() -> None:
    output = made(2)
    output.category[1][1, 1, 2, 0] = 3.0
    none, one = predictions(output, [(64, 64), (50, 60)], [(64, 64), (100, 120)])
    assert none.masks.shape == (0, 64, 64) and none.boxes.shape == (0, 4)
    assert none.scores is not None and none.scores.shape == none.labels.shape == (0,)
    assert one.masks.shape == (1, 100, 120) and one.labels.tolist() == [1]
    assert one.masks[0].float().mean().item() == pytest.approx(64 / 120, abs=0.02)
    assert one.boxes.tolist() == [[0.0, 0.0, 64.0, 100.0]]
    assert one.scores is not None
    assert one.scores.item() == pytest.approx(torch.tensor([3.0, 8.0]).sigmoid().prod().item())
    assert one.crowd.tolist() == [False] and not one.masks.requires_grad


def test_the_same_mask_twice_stays_once() -> None:
    output = made()
    output.category[0][0, 0, 0, 0] = 3.0
    output.category[3][0, 0, 1, 1] = 2.0
    output.category[3][0, 1, 1, 1] = 2.0  # another class: it stays
    for kernel in ("gaussian", "linear"):
        settings = PostProcessing(kernel=kernel, filter_threshold=0.3)
        (found,) = predictions(output, [(64, 64)], settings=settings)
        assert found.labels.tolist() == [0, 1]
        assert found.scores is not None and found.scores.isfinite().all()


def test_linear_matrix_nms_of_copies_is_finite() -> None:
    masks = torch.ones(4, 3, 3)
    labels = torch.tensor([1, 1, 1, 2])
    scores, indices = matrix_nms(masks, labels, torch.tensor([0.9, 0.8, 0.7, 0.6]), "linear")
    assert scores.tolist() == pytest.approx([0.9, 0.6, 0, 0]) and indices.tolist()[:2] == [0, 3]


def test_equal_scores_keep_their_order() -> None:
    masks = torch.eye(40).view(40, 1, 40)
    scores, indices = matrix_nms(masks, torch.zeros(40), torch.full((40,), 0.5), max_num=7)
    assert indices.tolist() == list(range(7)) and scores.tolist() == [0.5] * 7


def test_an_object_smaller_than_the_stride_is_dropped() -> None:
    output = made()
    output.mask_features.fill_(-1)
    output.mask_features[0, 0, 0, :9] = 1  # 9 pixels: more than 8, less than 16
    output.category[0][0, 0, 3, 3] = 3.0
    output.category[2][0, 0, 1, 1] = 3.0
    (found,) = predictions(output, [(64, 64)])
    assert len(found.labels) == 1


def test_neighbours_below_and_to_the_right_are_no_rivals() -> None:
    logits = torch.full((1, 4, 4), -9.0)
    logits[0, 1, 1], logits[0, 2, 2], logits[0, 1, 2], logits[0, 0, 1] = 2.0, 1.0, 3.0, 1.0
    # (0, 1) has nothing before it; (1, 1) beats what is before it, (1, 2) too; (2, 2) does not.
    assert candidates([logits]).cells.tolist() == [1, 5, 6]


def test_something_in_every_cell_is_made_in_parts() -> None:
    output = made()
    draw = torch.Generator().manual_seed(0)
    output.category[:] = [torch.full((1, 80, s, s), 3.0) for s in (40, 36, 24, 16, 12)]
    output.kernels[:] = [torch.randn(1, 1, s, s, generator=draw) for s in (40, 36, 24, 16, 12)]
    (found,) = predictions(output, [(64, 64)])  # 309,760 candidates
    assert len(found.labels) == 100 and found.scores is not None
    assert (found.scores.diff() <= 0).all()


def test_mistakes() -> None:
    with pytest.raises(UserError, match="1 images have 2 and 2 sizes"):
        predictions(made(), [(64, 64)] * 2)
    with pytest.raises(UserError, match=r"\(65, 64\) does not fit an input of \(64, 64\)"):
        predictions(made(), [(65, 64)])
