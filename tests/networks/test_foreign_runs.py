"""Runs with foreign teachers and students on the embedded scenes, and what is left of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bpkd import UserError, evaluate, load, train
from bpkd.datasets.scenes import Scenes
from bpkd.networks import pspnet_r18
from bpkd.networks.building import build_network
from bpkd.networks.checkpoints import to_openmmlab
from bpkd.networks.class_map import ClassMapped
from bpkd.networks.foreign import from_transformers
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.sections import Network
from bpkd.runs.loading import from_run
from bpkd.training.building import build_student
from bpkd.training.optimization import optimization
from bpkd.training.teachers import build_teacher

pytest.importorskip("transformers")
pytest.importorskip("segmentation_models_pytorch")

CLASSES = Scenes(split="train", size=(32, 48), count=1).classes
CONFIG: dict[str, Any] = {
    "model_type": "segformer",
    "depths": [1] * 4,
    "hidden_sizes": [8, 8, 16, 16],
    "num_attention_heads": [1, 1, 2, 2],
    "decoder_hidden_size": 16,
}
SEGFORMER = {"use": "bpkd.networks.foreign.from_transformers", "config": CONFIG}
FPN = {
    "use": "bpkd.networks.foreign.from_smp",
    "arch": "FPN",
    "encoder_name": "tu-test_resnet",
    "decoder_pyramid_channels": 16,
    "decoder_segmentation_channels": 32,
}
PSPNET = {
    "use": "bpkd.networks.PSPNet",
    "backbone": "test_efficientnet.r160_in1k",
    "output_stride": 16,
    "channels": 8,
}
R18 = {"use": "bpkd.networks.pspnet_r18"}
LOSSES = {
    "bpkd": {"use": "bpkd.losses.bpkd.BPKD"},
    "fitnet": {"use": "bpkd.losses.fitnet.FitNet", "weight": 1},
}


def written(folder: Path, **sections: Any) -> Path:
    content = {
        "max_iters": 2,
        "batch_size": 2,
        "workers": 0,
        "data": {"use": "bpkd.datasets.scenes.Scenes", "size": [32, 48], "count": 2},
        "augment": {"crop": [32, 32]},
        "losses": LOSSES,
        "run": str(folder / "run"),
    }
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump({**content, **sections}, sort_keys=False))
    return file


def terms(run: Path) -> set[str]:
    return set((run / "training.csv").read_text().splitlines()[0].split(","))


PAIRS = {
    "segformer into pspnet_r18": (SEGFORMER, R18),
    "smp into pspnet_r18": (FPN, R18),
    "segformer into segformer": (SEGFORMER, SEGFORMER),
    "smp into segformer": (FPN, SEGFORMER),
    "segformer into smp": (SEGFORMER, FPN),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_distillation_trains_and_its_student_comes_back(pair: str, tmp_path: Path) -> None:
    teacher, student = PAIRS[pair]
    file = tmp_path / "teacher.pth"
    torch.save(Network.model_validate(teacher).build(num_classes=len(CLASSES)).state_dict(), file)
    teacher = {**teacher, "checkpoint": str(file)}
    run = train(written(tmp_path, teacher=teacher, student=student), progress=False)
    assert {"loss/bpkd.edge", "loss/bpkd.body", "loss/fitnet.fitnet"} <= terms(run)
    network = load(run)
    with torch.no_grad():
        output = network(torch.rand(1, 3, 32, 48))
    assert output.logits.shape[1] == len(CLASSES) and output.logits.isfinite().all()
    assert network.classes == CLASSES
    scores = evaluate(run, split="val")
    assert 0 <= scores["mIoU"] <= 1
    assert scores["parameters"] > 0


def test_a_student_from_a_folder_is_loaded_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "pretrained"
    torch.manual_seed(0)
    first = from_transformers(len(CLASSES) + 2, config=CONFIG, mean=(0.1, 0.2, 0.3))
    first.network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_processor_type": "SegformerImageProcessor", "image_mean": [0.4, 0.5, 0.6]}
        )
    )
    student = {"use": "bpkd.networks.foreign.from_transformers", "model": str(folder)}
    recipe = written(
        tmp_path, student=student, losses={}, optimizer={"lr": 1e-6}, schedule={"floor": 0}
    )
    run = train(recipe, progress=False)
    shutil.rmtree(folder)
    for checkpoint in ("student", "best", "last"):
        network = load(run, checkpoint)
        assert network.normalisation.settings()["mean"] == pytest.approx([0.4, 0.5, 0.6])
        trained = network.network.state_dict()
        same = [key for key in trained if key.endswith("fc1.weight")]
        assert same
        for k in same:
            assert torch.allclose(trained[k], first.network.state_dict()[k], atol=1e-3), k
    scores = evaluate(run, split="val")
    assert scores["parameters"] == sum(p.numel() for p in network.parameters())


def saved(folder: Path, names: list[str]) -> dict[str, Any]:
    torch.manual_seed(0)
    config = {**CONFIG, "id2label": dict(enumerate(names))}
    config["label2id"] = {name: index for index, name in enumerate(names)}
    from_transformers(config=config).network.save_pretrained(folder)
    return {"use": "bpkd.networks.foreign.from_transformers", "model": str(folder)}


def built(tmp_path: Path, teacher: Any) -> Any:
    recipe = load_recipe(written(tmp_path, teacher=teacher, student=PSPNET))
    return build_teacher(recipe, CLASSES)


def test_a_teacher_with_other_classes_by_name(tmp_path: Path) -> None:
    theirs = ["void", *reversed(CLASSES), "moon"]
    teacher = saved(tmp_path / "teacher", theirs)
    class_map: dict[str, Any] = {name: name for name in CLASSES}
    class_map[CLASSES[0]] = [CLASSES[0], "moon"]
    network = built(tmp_path, {**teacher, "class_map": class_map})
    assert isinstance(network, ClassMapped)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        ours = network.eval()(images).logits
        own = network.network(images).logits
    assert torch.equal(ours[:, 1], own[:, theirs.index(CLASSES[1])])
    joined = torch.logaddexp(own[:, theirs.index(CLASSES[0])], own[:, -1])
    assert torch.allclose(ours[:, 0], joined)
    recipe = written(tmp_path, teacher={**teacher, "class_map": class_map}, student=PSPNET)
    assert {"loss/bpkd.edge", "loss/fitnet.fitnet"} <= terms(train(recipe, progress=False))


def test_a_teacher_never_gets_an_untrained_classifier(tmp_path: Path) -> None:
    teacher = saved(tmp_path / "teacher", [*CLASSES, "moon"])
    with pytest.raises(UserError, match=r"has no trained classifier for \d+ classes .*class_map"):
        built(tmp_path, teacher)


def test_a_run_as_teacher_with_other_classes(tmp_path: Path) -> None:
    recipe = written(tmp_path, student=PSPNET, losses={}, max_iters=0)
    run = train(recipe, progress=False)
    lines = (run / "classes.csv").read_text().splitlines()
    recipe = load_recipe(written(tmp_path, teacher=str(run), student=PSPNET))
    with pytest.raises(UserError, match=r"from_run, run: .*class_map"):
        build_teacher(recipe, CLASSES[:-1])
    assert len(lines) == len(CLASSES) + 1
    teacher = {"use": "bpkd.teachers.from_run", "run": str(run)}
    class_map = {name: name for name in CLASSES}
    network = built(tmp_path, {**teacher, "class_map": class_map})
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(network(images).logits, load(run)(images).logits)
    assert from_run(str(run), len(CLASSES)).num_classes == len(CLASSES)
    with pytest.raises(UserError, match="expected 3; say which in class_map"):
        from_run(str(run), 3)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({**PSPNET, "num_classes": 99}, "teacher.num_classes is 99 and the data set has"),
        ({**PSPNET, "class_map": [0]}, "teacher.num_classes is missing: how many classes"),
        ({**PSPNET, "num_classes": 3, "class_map": [0]}, "class_map: expected .* got 1"),
        ({**PSPNET, "num_classes": 3, "class_map": ["a"] * len(CLASSES)}, "have no names"),
        ({**PSPNET, "num_classes": 0}, "teacher.num_classes: expected"),
        ({**PSPNET, "class_map": "road"}, "teacher.class_map: expected"),
        ({**PSPNET, "klass_map": [0]}, "teacher.klass_map: .* did you mean 'class_map'"),
    ],
)
def test_mistakes_in_a_teacher_are_one_line(
    teacher: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        built(tmp_path, teacher)
    assert "\n" not in str(raised.value)


def test_a_program_cannot_be_a_student(tmp_path: Path) -> None:
    file = tmp_path / "program.pt"
    torch.jit.trace(torch.nn.Conv2d(3, len(CLASSES), 1), torch.rand(1, 3, 8, 8)).save(file)
    program = {"use": "bpkd.networks.foreign.from_file", "path": str(file)}
    recipe = written(tmp_path, student=program, losses={})
    with pytest.raises(UserError, match=r"student.use: .*from_file cannot be trained"):
        train(recipe, progress=False)
    losses = {"bpkd": LOSSES["bpkd"]}
    recipe = written(tmp_path, student=PSPNET, teacher=program, losses=losses)
    assert "loss/bpkd.edge" in terms(train(recipe, progress=False))
    recipe = written(tmp_path, student=PSPNET, teacher=program, run=str(tmp_path / "other"))
    with pytest.raises(UserError, match="the teacher has no features named 'head'"):
        train(recipe, progress=False)


def test_openmmlab_checkpoint_by_recipe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = pspnet_r18(4)
    file = tmp_path / "pspnet.pth"
    tensors = {f"module.{key}": value for key, value in to_openmmlab(source).items()}
    torch.save({"state_dict": tensors, "meta": {"CLASSES": ["a"]}}, file)
    found = build_network(Network.model_validate({**R18, "checkpoint": str(file)}), 4, "teacher")
    for key, value in source.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
    with pytest.raises(UserError, match=r"pspnet.pth: a checkpoint of another network"):
        build_network(Network.model_validate({**R18, "checkpoint": str(file)}), 5, "teacher")


def test_the_backbone_has_a_rate_of_its_own(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, student=SEGFORMER, losses={}, head_lr=10))
    student = build_student(recipe, len(CLASSES))
    slow, rest = optimization(recipe)(student, torch.nn.ModuleDict())["optimizer"].param_groups
    assert rest["initial_lr"] == 10 * slow["initial_lr"]
    head = {id(p) for p in student.network.decode_head.parameters()}
    assert {id(p) for p in rest["params"]} == head
    assert len(slow["params"]) + len(head) == len(list(student.parameters()))
