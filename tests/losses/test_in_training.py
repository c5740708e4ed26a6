"""Losses in the distiller's hands: half precision, odd sizes, few images, killed runs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError, train
from bpkd.inference.windows import whole
from bpkd.losses.bpkd import BPKD
from bpkd.metrics.measures import Measures
from bpkd.networks.base import SegOutput
from bpkd.recipe.loading import load_recipe
from bpkd.tasks.semantic import Semantic
from bpkd.training.distiller import Distiller
from bpkd.training.losses import build_losses
from bpkd.training.schedules import Weighted
from tests.losses.test_contract import build, every_loss
from tests.runs import TINY, killed, run


class Net(nn.Module):
    """Logits at the image's size, features at a quarter of it, auxiliary logits at an eighth."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, kernel_size=3, stride=4, padding=1)
        self.head = nn.Conv2d(3, 4, kernel_size=1)
        self.side = nn.Conv2d(width, 4, kernel_size=1, stride=2)

    def forward(self, images: Tensor) -> SegOutput:
        maps = self.stem(images)
        return SegOutput(self.head(images), {"head": maps}, self.side(maps))


def distiller(cls: type[nn.Module]) -> Distiller:
    torch.manual_seed(0)
    loss = build(cls).float()
    weighted = {"loss": Weighted(loss.weights)}  # type: ignore[arg-type]
    return Distiller(
        Net(), Net(), {"loss": loss}, weighted, lambda *_: {}, Semantic(Measures(4), whole)
    )


@every_loss
@pytest.mark.parametrize("images", [1, 2])
def test_a_step_in_bfloat16_on_odd_sizes(cls: type[nn.Module], images: int) -> None:
    module = distiller(cls)
    draw = torch.Generator().manual_seed(0)
    batch = torch.rand(images, 3, 69, 71, generator=draw), torch.randint(4, (images, 69, 71))
    with torch.autocast("cpu", torch.bfloat16):
        if (cls.__name__, images) == ("CIRKDMiniBatch", 1):
            with pytest.raises(UserError, match="got one: train with a batch_size of 2"):
                module.training_step(batch, 0)
            return
        total = module.training_step(batch, 0)
    assert module.step[0].logits.dtype == torch.bfloat16
    total.backward()
    terms = {name: value for name, value in module.shown.items() if "loss/loss." in name}
    assert len(terms) == len(cls.weights)  # type: ignore[arg-type]
    assert all(v.isfinite() and v.dtype == torch.float32 for v in terms.values())
    gradients = [p.grad for p in module.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    if hasattr(module.losses["loss"], "own_step"):
        own = module.losses["loss"].own_step(*module.step)
        assert all(value.isfinite() for value in own.values())


def test_as_many_class_weights_as_classes() -> None:
    out = SegOutput(torch.randn(1, 4, 8, 8), {})
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    with pytest.raises(UserError, match="one for each of the 4 classes; it has 3") as caught:
        BPKD(class_weights=[1, 2, 3])(out, out, labels)
    assert "\n" not in str(caught.value)
    assert BPKD(class_weights=[1, 2, 3, 4])(out, out, labels)["edge"] == 0
    with pytest.raises(UserError, match="it has 1"):
        BPKD(class_weights=[2.0])(out, out, labels)


# A recipe's features ------------------------------------------------------------------------------


class Backboned(nn.Module):
    """A loss whose own default is another feature."""

    weights = {"none": 1.0}

    def __init__(self, student_channels: int, teacher_channels: int, feature: str = "wide") -> None:
        super().__init__()
        self.found = (student_channels, teacher_channels)


def built(tmp_path: Path, losses: str, theirs: str) -> dict[str, nn.Module]:
    class Wide(Net):
        def forward(self, images: Tensor) -> SegOutput:
            out = super().forward(images)
            return SegOutput(out.logits, {theirs: out.features["head"]})

    class Ours(Net):
        def forward(self, images: Tensor) -> SegOutput:
            out = super().forward(images)
            return SegOutput(out.logits, {"head": out.logits, "wide": out.features["head"]})

    (tmp_path / "tiny.yaml").write_text(TINY + f"teacher: x\nlosses: {losses}\n")
    return build_losses(load_recipe(tmp_path / "tiny.yaml"), Ours(5), Wide(7), 4)[0]


def test_channels_are_those_of_the_loss_own_feature(tmp_path: Path) -> None:
    use = "{a: {use: tests.losses.test_in_training.Backboned}}"
    assert built(tmp_path, use, "wide")["a"].found == (5, 7)  # type: ignore[union-attr]
    fit = "{a: {use: bpkd.losses.fitnet.FitNet, feature: wide}}"
    assert built(tmp_path, fit, "wide")["a"].regressor.weight.shape == (7, 5, 1, 1)  # type: ignore[union-attr]


def test_a_feature_that_one_network_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        built(tmp_path, "{fit: {use: bpkd.losses.fitnet.FitNet}}", "layer4")
    expected = "losses.fit.feature: the teacher has no features named 'head'; it has: layer4"
    assert str(caught.value) == expected


# Whole runs ---------------------------------------------------------------------------------------


def test_maps_below_the_discriminators_smallest_stop_the_first_step(recipe: Path) -> None:
    teacher = run(recipe, "teacher", "max_iters=1")
    adversary = "losses={adv: {use: bpkd.losses.holistic.Holistic, width: 2}}"
    with pytest.raises(UserError, match="64x64 pixels or more, got 2x2"):
        run(recipe, "student", f"teacher={teacher}", adversary)
    assert not (recipe.parent / "student").exists()


class Counting(torch.nn.Module):
    """A loss that keeps something beside tensors, as a discriminator keeps its optimizer."""

    weights: ClassVar[dict[str, float]] = {"counted": 0.0}

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        return {"counted": student.logits.sum() * 0}


@pytest.mark.parametrize("validated", [True, False])
def test_what_a_loss_keeps_beside_tensors_goes_on(recipe: Path, validated: bool) -> None:
    teacher = run(recipe, "teacher", "max_iters=1")
    given = [f"teacher={teacher}", "losses={n: {use: tests.losses.test_in_training.Counting}}"]
    given += ["checkpoint_every=2"] + ([] if validated else ["data.val=null"])
    with killed(5):
        run(recipe, "student", *given)
    folder = run(recipe, "student", *given, resume=True)
    saved = torch.load(folder / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    assert saved["state_dict"]["losses.n._extra_state"] == {"calls": 6}
    assert (folder / "student.safetensors").is_file()


LOSSES = """
  memory: {use: bpkd.losses.cirkd_memory.CIRKDMemory, pixel_slots: 20, region_slots: 5}
  adv: {use: bpkd.losses.holistic.Holistic, width: 2}
  fit: {use: bpkd.losses.fitnet.FitNet}
"""


@pytest.mark.slow
def test_killed_and_resumed_with_memory_adapters_and_discriminator(
    recipe: Path,
) -> None:
    """Bit for bit: queues, pointers, head, regressor, discriminator, both optimizers' states."""
    wide = ["student.use=bpkd.networks.deeplabv3plus.DeepLabV3Plus", "student.auxiliary=false"]
    wide += ["augment.crop=[256,256]", "max_iters=4", "evaluation.every=2", "optimizer.lr=0.05"]
    teacher = run(recipe, "teacher", *wide, "max_iters=1", "evaluation.every=1", "seed=1")
    source = recipe.with_name("taught.yaml")
    source.write_text(f"base: tiny.yaml\nteacher: {teacher}\nlosses:{LOSSES}")
    whole = run(source, "whole", *wide)

    with killed(4):
        run(source, "killed", *wide)
    before = torch.load(source.parent / "killed/last.ckpt", weights_only=True)
    assert before["global_step"] == 2
    train(source, f"run={source.parent / 'killed'}", *wide, resume=True, progress=False)
    expected, found = (
        torch.load(folder / "last.ckpt", weights_only=True)
        for folder in (whole, source.parent / "killed")
    )
    keys = expected["state_dict"].keys()
    for part in ("memory.pixel_queue", "memory.head", "adv.discriminator", "fit.regressor"):
        moved = [
            key for key in keys if part in key and not torch.equal(*states(before, found, key))
        ]
        assert moved, part
    assert_equal(expected["state_dict"], found["state_dict"])
    assert_equal(expected["optimizer_states"], found["optimizer_states"])


def states(first: dict, second: dict, key: str) -> tuple[Tensor, Tensor]:
    return first["state_dict"][key], second["state_dict"][key]


def assert_equal(first: object, second: object) -> None:
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert_equal(value, second[key])
    elif isinstance(first, list | tuple):
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert first == second
