"""A teacher's classes, joined into those of the data set."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput
from bpkd.networks.class_map import ClassMapped, groups

OURS = ["road", "car", "tree"]
THEIRS = ["sky", "bus", "car", "road", "pole", "tree", "bus"]


class Fixed(nn.Module):
    """Gives the logits that it is made of, and auxiliary ones where it is asked."""

    auxiliary_in_eval = False

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> SegOutput:
        auxiliary = -self.logits if self.training or self.auxiliary_in_eval else None
        return SegOutput(self.logits, {"head": images}, auxiliary)


def test_a_joined_class_has_the_sum_of_the_probabilities() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, dtype=torch.float64) * 9
    probabilities = logits.softmax(dim=1)
    found = ClassMapped(Fixed(logits), [[3, 0], [4], [1, 2]])(torch.zeros(1)).logits.softmax(dim=1)
    expected = torch.stack(
        [
            probabilities[:, 3] + probabilities[:, 0],
            probabilities[:, 4],
            probabilities[:, 1:3].sum(1),
        ],
        dim=1,
    )
    assert torch.allclose(found, expected)


def test_one_class_keeps_its_logits_and_the_rest_is_left_out() -> None:
    logits = torch.randn(1, 5, 2, 2)
    output = ClassMapped(Fixed(logits), [[4], [0]])(torch.ones(1))
    assert torch.equal(output.logits, logits[:, [4, 0]])
    assert torch.equal(output.features["head"], torch.ones(1))


def test_auxiliary_logits_are_mapped_and_asked_for_through_the_map() -> None:
    inner = Fixed(torch.randn(1, 3, 2, 2))
    network = ClassMapped(inner, [[2], [0, 1]]).eval()
    assert network(torch.zeros(1)).auxiliary is None
    network.auxiliary_in_eval = True
    assert inner.auxiliary_in_eval is True
    auxiliary = network(torch.zeros(1)).auxiliary
    assert torch.equal(auxiliary[:, 0], -inner.logits[:, 2])
    assert auxiliary.shape == (1, 2, 2, 2)


def test_more_than_the_teacher_gives_is_found_at_the_first_image() -> None:
    with pytest.raises(UserError, match="index 3 is out of range: the teacher gives 3 classes"):
        ClassMapped(Fixed(torch.zeros(1, 3, 2, 2)), [[3]])(torch.zeros(1))


@pytest.mark.parametrize(
    "class_map",
    [
        [3, [2, 1, 6], 5],
        {"tree": 5, "road": [3], "car": [2, 1, 6]},
        {"tree": "tree", "road": "road", "car": ["car", 1, 6]},
    ],
)
def test_by_index_and_by_name(class_map: Any) -> None:
    assert groups(class_map, OURS, THEIRS, 7) == [[3], [2, 1, 6], [5]]


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        ([0, 1], "expected 3 entries, one for each class of the data set, got 2"),
        ([0, 1, 7], "class_map: tree: expected an index from 0 to 6, got 7"),
        ([0, -1, 2], "class_map: car: expected an index from 0 to 6, got -1"),
        ([0, 1, True], "class_map: tree: expected an index or a name, got True"),
        ([0, 1, 2.5], "class_map: tree: expected an index or a name, got 2.5"),
        ([0, 1, None], "class_map: tree: no class of the teacher is named for it"),
        ([0, [], 1], "class_map: car: no class of the teacher is named for it"),
        ([0, [1, 1], 2], r"class_map: car: a class of the teacher is named twice in \[1, 1\]"),
        ({"road": 0, "car": 1}, "class_map: tree: no class of the teacher"),
        ({"road": 0, "cars": 1}, "class_map.cars: the data set has no such class; did you mean"),
        ([0, 1, "treee"], "class_map: tree: the teacher has no class 'treee'; did you mean 'tree'"),
        ([0, "bus", 1], "class_map: car: the teacher has several classes 'bus'"),
    ],
)
def test_mistakes_are_one_line(class_map: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        groups(class_map, OURS, THEIRS, 7)
    assert "\n" not in str(raised.value)


def test_names_need_a_teacher_with_names() -> None:
    with pytest.raises(UserError, match="the teacher's classes have no names; give the index"):
        groups(["road", 1, 2], OURS, None, 7)
    assert groups([90, 1, 2], OURS, None, None) == [[90], [1], [2]]
