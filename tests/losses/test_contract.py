"""What every loss keeps, for each Module with ``weights`` that is found in ``bpkd.losses``."""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from functools import partialmethod
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

import bpkd.losses
from bpkd.errors import UserError
from bpkd.losses.bpkd import BPKD
from bpkd.losses.edge_reduction import Reduction
from bpkd.networks.base import SegOutput

# Small arguments for the constructors that ask for them.
SMALL = {
    "student_channels": 6,
    "teacher_channels": 6,
    "num_classes": 4,
    "width": 4,
    "pixel_slots": 40,
    "region_slots": 8,
    "pixel_contrast": 20,
    "region_contrast": 8,
    "features": ["head"],
    "groups": 2,
}
# 0 where the student equals the teacher is not for these, by their definition.
NOT_ZERO = {
    "PixelWise": "a cross-entropy",
    "FitNet": "a learnt regressor lies between",
    "MGD": "a learnt generator lies between",
    "CIRKDMemory": "a learnt head lies between",
    "Holistic": "the score of a discriminator",
    "AfDCD": "a learnt projector lies between",
    "AttnFD": "learnt attention and a connector lie between",
    "CIRKDChannel": "a learnt head lies between",
    "KT": "one term compares the student as it is with a tailored teacher",
    "KTFeatures": "fixed layers lie between",
    "MasKDLevels": "a learnt 1x1 convolution lies between",
    "FreeKD": "a learnt 1x1 convolution lies between",
}
# Ignored pixels act through these, by their definition.
SEES_IGNORED = {
    "CIRKDMemory": "the batch statistics of its head, as published",
    "KT": "pixels without a class are off every class, as published",
}

# Not the same as an image that ends where the labels end, by their definition.
NOT_CROPPED = {
    "BPKD": "a class has an edge where it touches ignored pixels",
    "BPKDNormal": "a class has an edge where it touches ignored pixels",
    "PixelWise": "divided by all pixels, as published",
    "IFVD": "the mean is over all pixels, as published",
    "MGD": "the generator's padding",
    "CIRKDMemory": "the batch statistics of its head, as published",
    "Holistic": "the discriminator sees the zeros",
    "AfDCD": "the projector's padding",
    "AttnFD": "its gates pool over the zeros, its batch statistics see them",
    "CIRKDChannel": "the batch statistics of its head see the zeros",
    "KT": "pixels without a class are off every class, as published",
    "MasKDLevels": "its weighting net's padding, and its mean over all pixels",
    "FreeKD": "the mean is over all pixels, as published",
}
# Where no pixel has a class, these are not 0.
NOT_EMPTY = {
    "Holistic": "a score of a map of zeros",
    "KT": "pixels without a class are off every class, as published",
}
# These need nothing but logits: tensors do.
FROM_LOGITS = {
    *(
        "BPKD",
        "BPKDNormal",
        "CWD",
        "DIST",
        "DKD",
        "DSD",
        "Holistic",
        "KD",
        "KT",
        "MasKD",
        "PixelWise",
    )
}


def found() -> list[type[nn.Module]]:
    """Every loss Module of the package, each once."""
    out: list[type[nn.Module]] = []
    for info in pkgutil.walk_packages(bpkd.losses.__path__, "bpkd.losses."):
        module = importlib.import_module(info.name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == info.name and isinstance(getattr(cls, "weights", None), dict):
                assert issubclass(cls, nn.Module)
                out.append(cls)
    return out


def settings() -> list[type[nn.Module]]:
    """BPKD as published with each of its reductions, its other filter and its variants.

    Each is a class of its own that bears BPKD's name.
    """
    given: list[dict[str, Any]] = [{"pre_mask": True, "reduction": r} for r in get_args(Reduction)]
    given.append({"pre_mask": "centred", "reduction": "mean"})
    given += [{"where": "teacher_right"}, {"where": "teacher_better"}]
    given += [{"edges": "both"}, {"falloff": "linear"}]
    out: list[type[nn.Module]] = []
    for arguments in given:
        content = {
            "weights": BPKD.weights,
            "__init__": partialmethod(BPKD.__init__, **arguments),
            "case": "BPKD-" + "-".join(map(str, arguments.values())),
        }
        out.append(type("BPKD", (BPKD,), content))
    return out


ALL = found()
#: Those that take labels; the others have tests of their own.
LOSSES = [cls for cls in ALL if getattr(cls, "task", "semantic") == "semantic"]
every_loss = pytest.mark.parametrize(
    "cls", [*LOSSES, *settings()], ids=lambda cls: getattr(cls, "case", cls.__name__)
)


def build(cls: type[nn.Module]) -> nn.Module:
    """The loss with its defaults, small and in float64, its own tensors drawn from seed 0."""
    torch.manual_seed(0)
    wanted = inspect.signature(cls).parameters
    module = cls(**{name: value for name, value in SMALL.items() if name in wanted})
    return module.double()


def outputs(
    cls: type[nn.Module], seed: int = 0, scale: float = 1.0, extra: int = 0, n: int = 2
) -> SegOutput:
    """Random maps, 9x11 pixels where the loss takes them so small; ``extra`` more each way."""
    h = getattr(cls, "minimum_size", 9) + extra
    draw = torch.Generator().manual_seed(seed)

    def maps(channels: int) -> Tensor:
        size = (n, channels, h, h + 2)
        return (scale * torch.randn(size, generator=draw, dtype=torch.float64)).requires_grad_()

    return SegOutput(maps(4), {"head": maps(6)}, maps(4))


def labels_for(out: SegOutput, block: int = 4) -> Tensor:
    """Labels of ``block`` pixels a pixel, one class a block, each class in each image."""
    n, _, h, w = out.logits.shape
    small = torch.randint(4, (n, h, w), generator=torch.Generator().manual_seed(5))
    return small.repeat_interleave(block, 1).repeat_interleave(block, 2)


def call(module: nn.Module, *args: Any) -> dict[str, Tensor]:
    """Call a copy from one seed: losses with a memory or random choices then repeat themselves."""
    torch.manual_seed(1)
    terms: dict[str, Tensor] = copy.deepcopy(module)(*args)
    return terms


def tensors(out: SegOutput) -> list[Tensor]:
    auxiliary = [] if out.auxiliary is None else [out.auxiliary]
    return [out.logits, *out.features.values(), *auxiliary]


def rebuilt(values: tuple[Tensor, ...]) -> SegOutput:
    return SegOutput(values[0], {"head": values[1]}, values[2])


def gradients(terms: dict[str, Tensor], out: SegOutput) -> list[Tensor | None]:
    return list(torch.autograd.grad(total(terms.values()), tensors(out), allow_unused=True))


def total(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def weighed(cls: type[nn.Module], terms: dict[str, Tensor]) -> Tensor:
    weights: dict[str, float] = cls.weights  # type: ignore[attr-defined]
    return total(weights[name] * value for name, value in terms.items())


def test_the_search_finds_the_losses() -> None:
    names = {cls.__name__ for cls in LOSSES}
    assert {"BPKD", "KD", "CWD"} <= names
    assert set(NOT_ZERO) | set(SEES_IGNORED) | set(NOT_CROPPED) <= names


@every_loss
def test_terms_are_named_scalars_with_default_weights(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    terms = call(build(cls), student, teacher, labels_for(student))
    assert set(terms) == set(vars(cls)["weights"])
    assert all(value.shape == () and value.isfinite() for value in terms.values())
    assert any(value.abs() > 1e-6 for value in terms.values())
    assert any(g is not None and g.abs().sum() > 0 for g in gradients(terms, student))


@every_loss
def test_logits_alone_are_taken_or_features_are_asked_for(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    labels, module = labels_for(student), build(cls)
    try:
        terms = call(module, student.logits, teacher.logits, labels)
    except UserError as error:
        assert re.search(r"student's logits are no features.*SegOutput", str(error))
        assert cls.__name__ not in FROM_LOGITS
        return
    assert cls.__name__ in FROM_LOGITS or not cls.__module__.startswith("bpkd.")
    assert terms and set(terms) <= set(vars(cls)["weights"])
    assert terms == call(module, *(SegOutput(o.logits, {}) for o in (student, teacher)), labels)
    named = [SimpleNamespace(logits=out.logits) for out in (student, teacher)]
    assert terms == call(module, *named, labels)


@every_loss
def test_zero_where_student_equals_teacher(cls: type[nn.Module]) -> None:
    student = outputs(cls)
    terms = call(build(cls), student, student, labels_for(student))
    value = total(terms.values()).item()
    if cls.__name__ in NOT_ZERO:
        assert abs(value) > 1e-6
    else:
        assert value == pytest.approx(0, abs=1e-12)


@every_loss
def test_no_gradient_to_the_teacher(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    terms = call(build(cls), student, teacher, labels_for(student))
    assert all(g is None for g in gradients(terms, teacher))


@every_loss
def test_gradcheck(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    labels, module = labels_for(student), build(cls)

    def loss(*values: Tensor) -> Tensor:
        return weighed(cls, call(module, rebuilt(values), teacher, labels))

    assert torch.autograd.gradcheck(loss, tuple(tensors(student)), fast_mode=True, atol=1e-4)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_logits_of_1000(cls: type[nn.Module], dtype: torch.dtype) -> None:
    module, labels = build(cls).to(dtype), labels_for(outputs(cls))
    student, teacher = (
        rebuilt(
            tuple(
                (1000.0 * t.detach().sign()).to(dtype).requires_grad_()
                for t in tensors(outputs(cls, seed=seed))
            )
        )
        for seed in (0, 1)
    )
    terms = call(module, student, teacher, labels)
    assert all(value.isfinite() for value in terms.values())
    assert all(g is None or g.isfinite().all() for g in gradients(terms, student))


@every_loss
def test_finite_in_bfloat16(cls: type[nn.Module]) -> None:
    module = build(cls).float()
    student, teacher = (
        rebuilt(
            tuple(t.detach().bfloat16().requires_grad_() for t in tensors(outputs(cls, seed=seed)))
        )
        for seed in (0, 1)
    )
    labels = labels_for(student)
    terms = call(module, student, teacher, labels)
    double = [rebuilt(tuple(t.double() for t in tensors(out))) for out in (student, teacher)]
    exact = call(copy.deepcopy(module).double(), *double, labels)
    for name, value in terms.items():
        assert value.item() == pytest.approx(exact[name].item(), rel=0.05, abs=0.01)
    assert all(g is None or g.isfinite().all() for g in gradients(terms, student))


@every_loss
def test_ignored_pixels_have_no_effect(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    labels, module = labels_for(student), build(cls)
    labels[:, 8:20, 12:28] = 255  # blocks of 4: rows 2 to 4, columns 3 to 6
    labels[1, 0:4, 0:4] = 255

    def disturbed(out: SegOutput, by: float) -> SegOutput:
        values = [t.detach().clone() for t in tensors(out)]
        for t in values:
            t[:, :, 2:5, 3:7] += by
            t[1, :, 0, 0] -= by
        return rebuilt(tuple(t.requires_grad_() for t in values))

    one = disturbed(student, 0.0)
    other = disturbed(student, 7.0)
    terms = call(module, one, teacher, labels)
    again = call(module, other, disturbed(teacher, 3.0), labels)
    changed = [name for name in terms if abs(terms[name] - again[name]) > 1e-10]
    if cls.__name__ in SEES_IGNORED:
        assert changed
        return
    assert not changed
    for g in gradients(terms, one):
        if g is not None:
            assert g[:, :, 2:5, 3:7].abs().max() < 1e-12
            assert g[1, :, 0, 0].abs().max() < 1e-12


@every_loss
def test_an_ignored_margin_is_as_if_it_were_cut_off(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    labels, module = labels_for(student), build(cls)
    labels[:, :, 24:] = 255  # 6 of 11 columns stay: whole blocks for losses that pool 2x2
    cut = [rebuilt(tuple(t[..., :6] for t in tensors(out))) for out in (student, teacher)]
    if cls.__name__ in NOT_CROPPED:
        return
    terms = call(module, student, teacher, labels)
    expected = call(module, *cut, labels[:, :, :24])
    for name, value in terms.items():
        assert value.item() == pytest.approx(expected[name].item(), rel=1e-9)


@every_loss
def test_an_all_ignored_batch_backpropagates(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1)
    labels, module = torch.full_like(labels_for(student), 255), build(cls)
    terms = module(student, teacher, labels)
    total(terms.values()).backward()  # type: ignore[no-untyped-call]
    found = [t.grad for t in tensors(student) if t.grad is not None]
    assert found
    assert all(value.isfinite() for value in terms.values())
    assert all(g.isfinite().all() for g in found)
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
    if cls.__name__ not in NOT_EMPTY:
        assert all(value.item() == pytest.approx(0, abs=1e-12) for value in terms.values())


@every_loss
def test_a_teacher_of_another_size_and_labels_that_do_not_divide(cls: type[nn.Module]) -> None:
    student, teacher = outputs(cls), outputs(cls, seed=1, extra=5)
    labels = labels_for(student)[:, :-3, :-1]
    terms = call(build(cls), student, teacher, labels.to(torch.uint8))
    assert all(value.isfinite() for value in terms.values())
    assert all(g is None or g.isfinite().all() for g in gradients(terms, student))


@every_loss
def test_the_state_resumes(cls: type[nn.Module]) -> None:
    """Two calls in a row equal one call, a saved state, and one call of a new Module."""
    student, teacher = outputs(cls), outputs(cls, seed=1)
    labels = labels_for(student)
    first = build(cls)
    first(student, teacher, labels)
    second = build(cls)
    nn.Module.load_state_dict(second, copy.deepcopy(first.state_dict()))
    torch.manual_seed(2)
    expected = first(student, teacher, labels)
    torch.manual_seed(2)
    assert second(student, teacher, labels) == expected
