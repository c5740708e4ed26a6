"""BPKD's variants against numbers worked out by hand, and the balance that a run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bpkd.boundary import edge_masks
from bpkd.boundary.falloff import fading_edge_masks
from bpkd.errors import UserError
from bpkd.losses.bpkd import BPKD
from bpkd.losses.bpkd_normal import BPKDNormal, lines_across
from bpkd.losses.cwd import cwd
from bpkd.losses.edge_trust import trusted_share
from bpkd.networks.base import SegOutput
from tests.runs import TINY, killed, rows, run


def out(logits: Tensor) -> SegOutput:
    return SegOutput(logits, {})


def case(classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    student = torch.randn(2, classes, 8, 8, generator=draw).requires_grad_()
    teacher = torch.randn(2, classes, 8, 8, generator=draw)
    blobs = torch.randint(classes, (2, 4, 4), generator=draw)
    return student, teacher, blobs.repeat_interleave(4, 1).repeat_interleave(4, 2)


def test_the_weight_falls_with_the_distance() -> None:
    labels = torch.tensor([[[0] * 6 + [1] * 6]])
    masks = fading_edge_masks(labels, 2, 7, (1, 12))
    expected = [0, 0, 0, 1 / 3, 2 / 3, 1]
    assert masks[0, 0, 0].tolist() == pytest.approx([*expected, *reversed(expected)])
    assert torch.equal(fading_edge_masks(labels, 2, 3, (1, 12)), edge_masks(labels, 2, 3, (1, 12)))


def test_only_where_the_teacher_is_right() -> None:
    student, teacher, labels = case()
    labels[0, :4, :4] = 255
    share = trusted_share(student, teacher, labels, "teacher_right")
    small = labels[:, ::2, ::2]
    assert torch.equal(share[:, 0], (teacher.argmax(1) == small).float())
    better = trusted_share(student, teacher, labels, "teacher_better")
    p, q = (z.softmax(1).gather(1, small.clamp(max=3)[:, None]) for z in (teacher, student))
    assert torch.equal(better, ((p > q) & (small != 255)[:, None]).float())
    # A teacher that is always wrong teaches nothing on the outlines.
    wrong = 9 * torch.nn.functional.one_hot((small + 1) % 4, 4).permute(0, 3, 1, 2).float()
    wrong = torch.where((small == 255)[:, None], torch.zeros(()), wrong)
    terms = BPKD(where="teacher_right")(out(student), out(wrong), labels)
    assert terms["edge"].item() == 0 and terms["body"].item() > 0


def test_edges_of_both_are_the_larger_mask() -> None:
    student, teacher, labels = case()
    masks = {
        edges: BPKD(edges=edges).masks(labels, student, teacher)  # type: ignore[arg-type]
        for edges in ("labels", "teacher", "both")
    }
    assert torch.equal(masks["both"], torch.maximum(masks["labels"], masks["teacher"]))


@pytest.mark.parametrize("classes", [2, 150])
def test_balanced_terms_begin_at_the_tasks_gradient(classes: int) -> None:
    student, teacher, labels = case(classes)
    loss = BPKD(balance=1)
    terms = loss(out(student), out(teacher), labels)
    resized = torch.nn.functional.interpolate(student, (16, 16), mode="bilinear")
    task = torch.nn.functional.cross_entropy(resized, labels)
    wanted = torch.autograd.grad(task, student)[0].norm().item()
    for value in terms.values():
        (gradient,) = torch.autograd.grad(value, student, retain_graph=True)
        assert gradient.norm().item() == pytest.approx(wanted, rel=1e-4)


def test_the_balance_is_frozen_and_only_training_measures() -> None:
    student, teacher, labels = case()
    loss = BPKD(balance=2, terms="edge").eval()
    loss(out(student), out(teacher), labels)
    assert loss.balance is not None and int(loss.balance.seen) == 0
    loss.train()
    for _ in range(4):
        loss(out(student), out(teacher), labels)
    frozen = loss.state_dict()
    assert int(frozen["balance.seen"]) == 2
    again = BPKD(balance=2, terms="edge")
    again.load_state_dict(frozen)
    other = case(seed=3)
    a, b = (each(out(other[0]), out(other[1]), other[2])["edge"].item() for each in (loss, again))
    assert a == b
    assert not BPKD().state_dict()  # checkpoints without a balance stay as they are


def test_a_batch_without_an_outline_or_a_label_is_not_counted() -> None:
    student, teacher, labels = case()
    loss = BPKD(balance=5)
    assert loss.balance is not None
    loss(out(student), out(teacher), torch.zeros_like(labels))
    assert loss.balance.counted.tolist() == [0, 1]
    loss(out(student), out(teacher), torch.full_like(labels, 255))
    assert loss.balance.counted.tolist() == [0, 1]


def test_a_balanced_run_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.yaml"
    teacher.write_text(TINY)
    folder = run(teacher, "teacher", "max_iters=2")
    file = tmp_path / "balanced.yaml"
    file.write_text(
        f"{TINY}teacher: {folder}\nlosses: {{b: {{use: bpkd.losses.bpkd.BPKD, balance: 3}}}}\n"
        "checkpoint_every: 2\n"
    )
    whole = run(file, "whole")
    with killed(5):
        run(file, "cut")
    cut = run(file, "cut", resume=True)
    assert rows(whole / "training.csv") == rows(cut / "training.csv")


@pytest.mark.parametrize(
    "arguments",
    [
        {"where": "student_right"},
        {"falloff": "steep"},
        {"balance": -1},
        {"edges": "teacher", "where": "teacher_right"},
        {"edges": "teacher", "balance": 3},
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UserError, match="BPKD: "):
        BPKD(**arguments)  # type: ignore[arg-type]


def test_normals_point_into_the_class() -> None:
    square = torch.zeros(1, 9, 9, dtype=torch.int64)
    square[:, 3:, :] = 1  # a horizontal outline
    lines = lines_across(square, edge_masks(square, 2, 3, (9, 9)), 2, None)
    places = lines.places % 81
    assert ((places % 9) == (places % 9)[:, :1]).all()  # straight up or down
    into = lines.places[:, -1] // 9 % 9 > lines.places[:, 0] // 9 % 9
    assert torch.equal(into, lines.places[:, 0] >= 81)  # class 1 lies below


def test_a_line_as_long_as_the_image_is_cwd_of_it() -> None:
    labels = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]])
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1, 2, 1, 8, generator=draw) for _ in range(2))
    terms = BPKDNormal(kernel_size=3, reach=8)(out(student), out(teacher), labels)
    assert terms["normal"].item() == pytest.approx(cwd(student, teacher, 1.0).item(), rel=1e-5)


def test_a_shift_of_the_logits_along_the_normal_is_seen_and_their_height_is_not() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[..., 4:] = 1
    one = torch.nn.functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()
    loss = BPKDNormal(kernel_size=3)
    assert loss(out(one + 5), out(one), labels)["normal"].item() == pytest.approx(0, abs=1e-6)
    assert loss(out(one.roll(1, dims=3)), out(one), labels)["normal"].item() > 0.05
