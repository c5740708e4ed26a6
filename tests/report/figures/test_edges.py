"""The maps of the scheme are the loss's own: they add up to its terms."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from bpkd.losses.bpkd import BPKD, published
from bpkd.losses.edge_reduction import Reduction
from bpkd.networks.base import SegOutput
from bpkd.report.figures.edges import Drawing, edges_figure, scheme


def case() -> tuple[SegOutput, SegOutput, Tensor]:
    """Logits (1, 4, 6, 8), the teacher's larger, and labels of 4 pixels a logit, some ignored."""
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(1, 4, 6, 8, generator=draw)
    teacher = 2 * torch.randn(1, 4, 9, 12, generator=draw)
    labels = torch.randint(3, (1, 6, 8), generator=draw)
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels[:, :8, :8] = 255
    return SegOutput(student, {}), SegOutput(teacher, {}), labels


SETTINGS: list[dict[str, Any]] = [
    *(
        {"reduction": name, "pre_mask": pre}
        for name, pre in product(get_args(Reduction), (True, False))
    ),
    {"pre_mask": "centred", "temperature": 3.0, "class_weights": [1.0, 2.0, 3.0, 4.0]},
    {"pre_mask": True, "post_mask": False},
    {"edges": "teacher", "body_pre_mask": "centred"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_maps_add_up_to_the_terms(settings: dict[str, Any]) -> None:
    loss = BPKD(**settings)
    student, teacher, labels = case()
    drawn, terms = scheme(loss, student, teacher, labels), loss(student, teacher, labels)
    assert drawn.edge.sum().item() == pytest.approx(terms["edge"].item(), rel=1e-5)
    assert drawn.body.sum().item() == pytest.approx(terms["body"].item(), rel=1e-4)
    assert drawn.edge.min() >= -1e-6 and drawn.masks.shape == drawn.body.shape == (4, 6, 8)
    assert drawn.student.shape == drawn.teacher.shape == labels.shape[1:]


def test_the_figure_has_a_map_for_each_step() -> None:
    student, teacher, labels = case()
    image = torch.zeros(3, *labels.shape[1:], dtype=torch.uint8)
    palette = [(9, 9, 9), (90, 9, 9), (9, 90, 9), (9, 9, 90)]
    for loss, missing in ((published(), False), (BPKD(terms="edge"), True)):
        drawn = scheme(loss, student, teacher, labels)
        names = ["road", "car", "pole", "sky"]
        figure = edges_figure(Drawing(image, labels[0], drawn, names, palette, "a title"))
        titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
        assert titles[:4] == ["image", "labels", "teacher", "student"] and len(titles) == 12
        assert f"sum {float(drawn.terms['edge']):.3g}" in titles[7]
        assert ("not in this run" in titles[11]) == missing
