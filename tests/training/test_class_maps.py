"""What a network says of its classes, held against the data set's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bpkd import UserError, evaluate, load, train
from bpkd.networks.base import SegOutput
from bpkd.networks.class_map import ClassMapped, aligned
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.sections import Teacher
from bpkd.support.seeds import seeded
from bpkd.support.tensors import write_tensors
from bpkd.training import scrutiny
from bpkd.training.class_maps import build_fitted
from bpkd.training.teachers import build_teacher
from tests.runs import run

PSPNET: dict[str, Any] = {
    "use": "bpkd.networks.pspnet.PSPNet",
    "backbone": "test_efficientnet.r160_in1k",
    "channels": 8,
}
KD = "losses.kd={use: bpkd.losses.kd.KD}"


def teacher(recipe: Path, folder: Path, classes: list[str]) -> Any:
    return build_teacher(load_recipe(recipe, [f"teacher={folder}", KD]), classes)


def test_a_runs_classes_are_taken_by_name(recipe: Path) -> None:
    folder = run(recipe, "teacher", "max_iters=0")
    network = load(folder)
    classes: list[str] = network.classes  # type: ignore[assignment]
    images = torch.rand(1, 3, 32, 48)
    own = network(images).logits
    assert torch.equal(teacher(recipe, folder, classes)(images).logits, own)
    turned = teacher(recipe, folder, classes[::-1])(images).logits
    assert torch.equal(turned, own.flip(1))
    spelt = [name.upper().replace(" ", "_") for name in classes]
    assert torch.equal(teacher(recipe, folder, spelt)(images).logits, own)
    with pytest.raises(UserError, match=r"the data set 'moon'.*class_map: \{moon: \?, .*from_run"):
        teacher(recipe, folder, ["moon", *classes[1:]])


def test_an_evaluation_goes_by_name_too(recipe: Path) -> None:
    folder = run(recipe, "student", "max_iters=2")
    before = evaluate(folder)
    table = folder / "classes.csv"
    head, *lines = table.read_text().splitlines()
    table.write_text("\n".join([head, *lines[::-1]]) + "\n")
    tensors = load(folder)
    with torch.no_grad():  # the network whose classes stand in that order
        for name, value in tensors.named_parameters():
            if name.endswith("conv_seg.weight") or name.endswith("conv_seg.bias"):
                value.copy_(value.flip(0))
    write_tensors(tensors, folder / "student.safetensors")
    after = evaluate(folder)
    assert after["mIoU"] == before["mIoU"]
    assert after["IoU"] == pytest.approx(before["IoU"][::-1], nan_ok=True)


def test_a_checkpoint_says_its_classes(recipe: Path, tmp_path: Path) -> None:
    folder = run(recipe, "teacher", "max_iters=0")
    classes: list[str] = load(folder).classes  # type: ignore[assignment]
    entry = {**PSPNET, "output_stride": 16, "checkpoint": str(folder / "student.safetensors")}
    found = build_fitted(Teacher.model_validate(entry), classes[::-1], "teacher")
    assert isinstance(found, ClassMapped) and found.groups[0] == [len(classes) - 1]
    with pytest.raises(UserError, match=r"teacher: .* has other classes than the data set"):
        build_fitted(Teacher.model_validate(entry), ["x", *classes[1:]], "teacher")
    by_index = {**entry, "class_map": "by_index", "num_classes": len(classes)}
    found = build_fitted(Teacher.model_validate(by_index), ["x", *classes[1:]], "teacher")
    assert isinstance(found, ClassMapped) and found.groups[0] == [0]


def test_transformers_say_their_classes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    names = ["car", "road", "sky"]
    config = transformers.SegformerConfig(
        depths=[1] * 4,
        hidden_sizes=[8] * 4,
        num_attention_heads=[1] * 4,
        decoder_hidden_size=16,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "net")
    use = "bpkd.networks.foreign.from_transformers"
    entry = Teacher.model_validate({"use": use, "model": str(tmp_path / "net")})
    found = build_fitted(entry, ["sky", "road", "car"], "teacher")
    assert isinstance(found, ClassMapped) and found.groups == [[2], [1], [0]]
    with pytest.raises(UserError, match=r"class_map: \{cat: \?, dog: \?, tree: \?\}, with \? of"):
        build_fitted(entry, ["cat", "dog", "tree"], "teacher")


class OneChannel(nn.Module):
    """A network of one channel."""

    def __init__(self, num_classes: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: Tensor) -> SegOutput:
        """Images -> logits."""
        return SegOutput(self.conv(images), {})


@pytest.mark.parametrize(
    ("more", "groups"),
    [
        ({}, [[], [0]]),
        ({"num_classes": 1}, [[], [0]]),
        ({"num_classes": 1, "class_map": {"object": 0}}, [[], [0]]),
        ({"num_classes": 1, "class_map": {"background": 0}}, [[0], []]),
        ({"num_classes": 1, "class_map": [None, 0]}, [[], [0]]),
    ],
)
def test_one_channel_tells_two_classes(
    tmp_path: Path, more: dict[str, Any], groups: list[list[int]]
) -> None:
    torch.save(OneChannel().state_dict(), tmp_path / "binary.pth")
    use = {"use": f"{__name__}.OneChannel", "checkpoint": str(tmp_path / "binary.pth")}
    found = build_fitted(Teacher.model_validate(use | more), ["background", "object"], "teacher")
    assert isinstance(found, ClassMapped) and found.groups == groups
    images = torch.rand(1, 3, 4, 4)
    z = found.network(images).logits[:, 0]
    positive = groups.index([0])
    assert torch.equal(found(images).logits[:, positive], z)
    shares = found(images).logits.softmax(dim=1)[:, positive]
    assert torch.allclose(shares, z.sigmoid(), atol=1e-6)


def test_a_class_belongs_to_one(tmp_path: Path) -> None:
    torch.save(OneChannel().state_dict(), tmp_path / "binary.pth")
    entry = {"use": f"{__name__}.OneChannel", "checkpoint": str(tmp_path / "binary.pth")}
    entry |= {"num_classes": 1, "class_map": {"background": 0, "object": 0}}  # type: ignore[dict-item]
    with pytest.raises(
        UserError, match=r"class_map: object: the teacher's class 0 already is back"
    ):
        build_fitted(Teacher.model_validate(entry), ["background", "object"], "teacher")


def test_a_student_that_is_only_measured_has_a_class_map(recipe: Path) -> None:
    folder = run(recipe, "source", "max_iters=1")
    classes = load(folder).classes
    count = len(classes)  # type: ignore[arg-type]
    options = [f"student.checkpoint={folder}/student.safetensors", f"student.num_classes={count}"]
    mapped = f"student.class_map={list(range(count))[::-1]}"
    with pytest.raises(UserError, match=r"student.class_map: a network that is trained"):
        run(recipe, "trained", *options, mapped)
    measured = run(recipe, "measured", "max_iters=0", *options, mapped)
    images = torch.rand(1, 3, 32, 48)
    assert torch.equal(load(measured)(images).logits, load(folder)(images).logits.flip(1))
    with pytest.raises(UserError, match=r"expected 10 entries"):
        run(recipe, "short", "max_iters=0", *options, "student.class_map=[0]")


def test_a_measured_student_with_a_class_map_of_names_goes_on(recipe: Path) -> None:
    """It is done; another map of the same network is another run."""
    first = run(recipe, "first", "max_iters=1")
    names: list[str] = load(first).classes  # type: ignore[assignment]
    given = f"student={{use: bpkd.runs.loading.from_run, run: {first}, class_map: %s}}"
    same = given % ("{" + ", ".join(f"{name}: {name}" for name in names) + "}")
    measured = run(recipe, "measured", "max_iters=0", same)
    before = {file.name: file.read_bytes() for file in measured.iterdir()}
    run(recipe, "measured", "max_iters=0", same, resume=True)
    assert {file.name: file.read_bytes() for file in measured.iterdir()} == before
    turned = dict(zip(names, names[::-1], strict=True))
    other = given % ("{" + ", ".join(f"{k}: {v}" for k, v in turned.items()) + "}")
    with pytest.raises(UserError, match="the run began with student"):
        run(recipe, "measured", "max_iters=0", other, resume=True)


def test_data_are_looked_at_where_nothing_is_trained(recipe: Path, tmp_path: Path) -> None:
    """What makes a measured network's numbers meaningless is said, and the range is kept."""
    from tests.pictures import save

    deep = Image.fromarray(np.arange(24, dtype=np.uint16).reshape(4, 6) * 100)
    for split in ("train", "val", "test"):
        save(tmp_path / f"data/labels/{split}/a.png", np.array([[0, 0, 0, 255, 255, 255]] * 4))
        (tmp_path / f"data/images/{split}").mkdir(parents=True)
        deep.save(tmp_path / f"data/images/{split}/a.png")
    data = (
        f"data={{use: bpkd.datasets.folder.Folder, root: {tmp_path / 'data'}, classes: [no, yes]}}"
    )
    folder = run(recipe, "looked", "max_iters=0", data)
    noted = json.loads((folder / "data.json").read_text())
    assert noted["value_range"] == [0, 4095]
    assert any("set data.label_map={255: 1}" in remark for remark in noted["remarks"])


class Says(nn.Module):
    """A teacher that gives what a test wants."""

    def __init__(self, logits: Any) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> SegOutput:
        """Images -> what it says."""
        return SegOutput(self.logits(images), {})


class Two:
    """Two images of two classes: left and right."""

    classes, ignore_index = ["left", "right"], 255

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        labels = torch.zeros(8, 8, dtype=torch.long)
        labels[:, 4:] = 1
        return torch.zeros(3, 8, 8, dtype=torch.uint8), labels


def side(left: float, right: float) -> Any:
    def logits(images: Tensor) -> Tensor:
        found = torch.zeros(len(images), 2, 8, 8)
        found[:, 1, :, :4], found[:, 1, :, 4:] = left, right
        return found

    return logits


@pytest.mark.parametrize(
    ("logits", "line"),
    [
        (lambda images: torch.zeros(1, 3, 8, 8), "gives 3 classes and the data set has 2"),
        (lambda images: torch.zeros(1, 2, 8, 8).long(), "expected logits, got int64"),
        (lambda images: torch.full((1, 2, 8, 8), float("nan")), "are not finite"),
        (lambda images: torch.rand(1, 2, 8, 8).softmax(dim=1), "gives probabilities .*, their sum"),
        (lambda images: torch.randn(1, 2, 8, 8).sigmoid(), "gives probabilities .* gives: sigmoid"),
    ],
)
def test_what_is_no_logits(logits: Any, line: str) -> None:
    for look in (scrutiny.check_output, scrutiny.remarks):
        with pytest.raises(UserError, match=line):
            look(Says(logits), Two())


class Ends(nn.Module):
    """A network that ends with a softmax or a sigmoid."""

    def __init__(self, end: str, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 1)
        self.end = {"softmax": nn.Softmax(dim=1), "sigmoid": nn.Sigmoid(), "logits": nn.Identity()}[
            end
        ]

    def forward(self, images: Tensor) -> Tensor:
        return self.end(self.conv(images))


@pytest.mark.parametrize(
    ("end", "channels", "class_map"),
    [
        ("softmax", 3, [2, [0, 1]]),
        ("sigmoid", 3, [2, 0]),
        ("sigmoid", 1, None),
        ("softmax", 2, None),
    ],
)
def test_probabilities_behind_a_class_map(end: str, channels: int, class_map: Any) -> None:
    """The joined classes' numbers are no probabilities any more, and were some."""
    entry = {
        "use": "bpkd.networks.foreign.from_module",
        "module": f"{__name__}.Ends",
        "args": {"end": end, "channels": channels},
        "num_classes": channels,
        "class_map": class_map,
    }
    with seeded(0):
        teacher = build_fitted(Teacher(**entry), Two.classes, "teacher")
    with pytest.raises(UserError, match=f"say gives: {end} of a from_module"):
        scrutiny.remarks(teacher, Two())
    with seeded(0):
        said = build_fitted(Teacher(**entry, gives=end), Two.classes, "teacher")
    scrutiny.remarks(said, Two())
    images = torch.rand(1, 3, 8, 8)
    logits = said(images).logits
    with seeded(0):
        entry["args"] = {"end": "logits", "channels": channels}
        logits_own = build_fitted(Teacher(**entry), Two.classes, "teacher")(images).logits
    torch.testing.assert_close(
        logits.softmax(dim=1), logits_own.softmax(dim=1), atol=1e-4, rtol=1e-3
    )
    wrong = {"softmax": "sigmoid", "sigmoid": "softmax"}[end]
    with seeded(0):
        entry["args"] = {"end": "logits", "channels": channels}
        mistaken = build_fitted(Teacher(**entry, gives=wrong), Two.classes, "teacher")
    with pytest.raises(UserError, match=f"gives: {wrong}, and its scores, from"):
        mistaken(torch.rand(1, 3, 8, 8) * 50)
    with pytest.raises(UserError, match="is not one of logits, softmax, sigmoid"):
        build_fitted(Teacher(**entry, gives="percent"), Two.classes, "teacher")


def test_a_teacher_that_knows_little_is_named() -> None:
    assert scrutiny.remarks(Says(side(-1, 1)), Two()) == []
    assert "less than by chance (50.0 %)" in scrutiny.remarks(Says(side(1, -1)), Two())[0]
    assert "never finds right" in scrutiny.remarks(Says(side(-1, -1)), Two())[0]


def test_a_described_teacher_is_measured(recipe: Path) -> None:
    folder = run(recipe, "teacher", "max_iters=1")
    source = recipe.parent / "taught.yaml"
    source.write_text(f"base: {recipe.name}\nteacher: {folder}\n")
    classes, scores = scrutiny.measure_teacher(str(source), KD)
    assert classes == load(folder).classes
    assert scores["mIoU"] == evaluate(folder)["mIoU"]
    with pytest.raises(UserError, match=r"has no teacher"):
        scrutiny.measure_teacher(str(recipe))


def test_double_names_need_a_map() -> None:
    with pytest.raises(UserError, match=r"not unique; give class_map by index"):
        aligned(nn.Identity(), ["a", "b", "b"], ["b", "a", "a"], "it")


def test_a_size_that_validation_brings_is_found_before_training(recipe: Path) -> None:
    with pytest.raises(
        UserError, match=r"student, on an image as evaluation would give it: .*slid"
    ):
        train(
            recipe,
            f"run={recipe.parent / 'fixed'}",
            "student={use: bpkd.networks.pspnet.PSPNet, backbone: cait_xxs24_224, "
            "output_stride: 32, channels: 8}",
            "augment.crop=[32,32]",
            progress=False,
        )
    assert not (recipe.parent / "fixed").exists()
