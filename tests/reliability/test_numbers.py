"""NaN, Inf and too little memory: named within one step, and the last good checkpoint is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError, evaluate, train
from bpkd.datasets.scenes import Scenes
from bpkd.support.tensors import read_tensors, write_tensors
from bpkd.training.distiller import Distiller
from tests.commands import refused
from tests.reliability.killing import RECIPE, Plain, files
from tests.runs import rows

KD = "losses.kd={use: bpkd.losses.kd.KD}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


def go(*overrides: str, **options: bool) -> Path:
    return train("r.yaml", "run=run", *overrides, progress=False, **options)


def finite(file: str) -> bool:
    return all(v.isfinite().all() for v in read_tensors(file).values() if v.is_floating_point())


def at(iteration: int, spoil: Callable[[Distiller], None], hook: str, monkeypatch) -> None:
    before = getattr(Distiller, hook)

    def call(self: Distiller, *rest):
        result = before(self, *rest)
        if self.global_step == iteration:
            spoil(self)
        return result

    monkeypatch.setattr(Distiller, hook, call)


def nan_gradient(module: Distiller) -> None:
    module.student.last.weight.grad[0] = float("nan")


def infinite_buffer(module: Distiller) -> None:
    module.student.norm.running_var[0] = float("inf")


@pytest.mark.parametrize("iteration", [0, 1, 2, 3, 5])
def test_a_gradient_that_is_not_finite_makes_no_step(place: Path, monkeypatch, iteration) -> None:
    """Iterations count from 0 here; 2, 4 and 6 of them done have a checkpoint."""
    at(iteration, nan_gradient, "on_after_backward", monkeypatch)
    with pytest.raises(UserError, match=rf"iteration {iteration}: the gradient of student\.last"):
        go()
    kept = {0: None, 1: None, 2: 2, 3: 3, 5: 4}[iteration]
    if kept is None:
        assert not Path("run/last.ckpt").exists()
        assert Path("run/training.csv").is_file() == (iteration > 0)  # the evidence, if any
    else:
        assert torch.load("run/last.ckpt", weights_only=True)["global_step"] == kept
        assert finite("run/last.ckpt")
        assert [row["iteration"] for row in rows(Path("run/training.csv"))] == ["1"]


@pytest.mark.parametrize("iteration", [1, 5])
def test_weights_that_are_not_finite_are_not_saved(place: Path, monkeypatch, iteration) -> None:
    at(iteration, infinite_buffer, "on_after_backward", monkeypatch)
    with pytest.raises(UserError, match=rf"iteration {iteration + 1}: student\.norm\.running_var"):
        go()
    assert not Path("run/last.ckpt").exists() if iteration == 1 else finite("run/last.ckpt")


@pytest.mark.parametrize("rate", ["1e6", "1e30", "1e38"])
def test_a_learning_rate_too_high_leaves_the_numbers(place: Path, rate: str) -> None:
    said = refused("train", "r.yaml", "run=run", f"optimizer.lr={rate}", "max_iters=40", "--quiet")
    assert "not finite" in said and "lower the learning rate" in said
    assert rows(Path("run/training.csv"))[0]["iteration"] == "1"
    if Path("run/last.ckpt").exists():
        assert finite("run/last.ckpt")


def test_a_run_that_breaks_does_not_replace_another(place: Path, monkeypatch) -> None:
    go("seed=1")
    before = files(place / "run")
    at(1, nan_gradient, "on_after_backward", monkeypatch)
    with pytest.raises(UserError, match=r"untouched, what the new one wrote is in run/\.bpkd\.new"):
        go(overwrite=True)
    after = files(place / "run")
    assert all(after[name] == content for name, content in before.items())
    assert ".bpkd.new/training.csv" in after


def broken_weights(file: str) -> None:
    network = Plain(10)
    with torch.no_grad():
        network.first.weight[0] = float("nan")
    write_tensors(network, Path(file))


def test_broken_checkpoints_and_teachers_are_named(place: Path) -> None:
    broken_weights("broken.safetensors")
    with pytest.raises(UserError, match=r"student\.checkpoint: .* not finite \(first\.weight\)"):
        go("student.checkpoint=broken.safetensors")
    teacher = f"{{use: {__name__}.Plain, checkpoint: broken.safetensors}}"
    with pytest.raises(UserError, match=r"teacher\.checkpoint: .* not finite"):
        go(f"teacher={teacher}", KD)
    assert not Path("run").exists()


class Overflowing(Plain):
    """A teacher whose weights are finite, and what it gives is not."""

    def forward(self, images: Tensor):
        output = super().forward(images)
        return output._replace(logits=output.logits * float("inf"))


@pytest.fixture
def unlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a first look finds is not found: it does not see every draw."""
    monkeypatch.setattr("bpkd.training.run.look", lambda *_: None)
    monkeypatch.setattr("bpkd.training.run.scrutinise", lambda *_: None)


@pytest.mark.usefixtures("unlooked")
def test_a_teacher_that_gives_nan_is_named(place: Path) -> None:
    with pytest.raises(UserError, match=r"iteration 0: .* what the teacher gives holds NaN"):
        go(f"teacher={{use: {__name__}.Overflowing}}", KD)


class NanLabels(Scenes):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = super().__getitem__(index)
        return image, labels.float().where(labels != 2, float("nan"))


class OutOfRange(Scenes):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = super().__getitem__(index)
        return image, labels.where(labels != 2, 77)


class NanImages(Scenes):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = super().__getitem__(index)
        return image.float() * float("nan"), labels


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("OutOfRange", "gives the label 77; expected 0 to 9, or 255"),
        ("NanLabels", "gives the label"),
        ("NanImages", "the images hold NaN or Inf"),
    ],
)
@pytest.mark.usefixtures("unlooked")
def test_what_a_data_set_gives_is_named(place: Path, data: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        go(f"data.use={__name__}.{data}", "augment.photometric=false", "data.val=null")


def test_weights_that_are_not_finite_are_not_measured(place: Path) -> None:
    go("max_iters=1")
    broken_weights("run/student.safetensors")
    for command in (["evaluate"], ["compare"], ["model"]):
        said = refused(*command, "run")
        assert "(first.weight)" in said and ("not finite" in said or "NaN or Inf" in said)


# Memory -------------------------------------------------------------------------------------------


def out_of_memory(kind: str) -> Exception:
    return {
        "cpu": RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 68719476736 bytes. Error code 12"
        ),
        "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"),
        "python": MemoryError(),
        "cudnn": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    }[kind]


@pytest.mark.parametrize("kind", ["cpu", "cuda", "python", "cudnn"])
@pytest.mark.parametrize("iteration", [0, 3])
def test_out_of_memory_is_one_line(place: Path, monkeypatch, kind: str, iteration: int) -> None:
    def spoil(module: Distiller) -> None:
        raise out_of_memory(kind)

    with monkeypatch.context() as patch:
        at(iteration, spoil, "on_train_batch_start", patch)
        said = refused("train", "r.yaml", "run=run", "--quiet")
    assert said.startswith("bpkd: out of memory")
    assert all(word in said for word in ("batch_size=1", "accumulate=2", "augment.crop"))
    assert Path("run/recipe.yaml").is_file()
    assert Path("run/last.ckpt").is_file() == (iteration == 3)
    go("batch_size=3", "accumulate=1") if iteration == 0 else go(resume=True)


def test_a_real_lack_of_memory(place: Path, monkeypatch) -> None:
    huge = ["train", "r.yaml", "run=run", "augment.crop=[4000000,4000000]", "--quiet"]
    said = refused(*huge)
    assert "out of memory: a batch of 2 crops of 4000000x4000000 takes" in said
    monkeypatch.setattr("bpkd.training.run.check_room", lambda *_: None)
    said = refused(*huge)
    assert "out of memory (" in said and "augment.crop" in said


def test_measuring_and_predicting_name_the_window(place: Path, monkeypatch) -> None:
    go("max_iters=1")

    def spoil(*_: object) -> None:
        raise out_of_memory("cpu")

    monkeypatch.setattr(nn.Conv2d, "forward", spoil)
    assert "evaluation.mode=slide" in refused("evaluate", "run")
    from PIL import Image

    Image.new("RGB", (40, 40)).save("a.png")
    assert "--window" in refused("predict", "run", "a.png")


# Kept answers -------------------------------------------------------------------------------------


def folder_data(place: Path, root: str, shift: int = 0) -> str:
    """A data set of three pairs, as a recipe's value."""
    import numpy as np
    from PIL import Image

    for split in ("train", "val", "test"):
        for index in range(3):
            image, labels = Scenes(split, size=(32, 32), count=3)[index]
            for name, array in (
                ("images", image.permute(1, 2, 0).numpy()),
                ("labels", ((labels.numpy() + shift) % 10).astype(np.uint8)),
            ):
                (place / root / name / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(place / root / name / split / f"{index}.png")
    return f"data={{use: bpkd.datasets.folder.Folder, root: {root}, classes: [{NAMES}]}}"


NAMES = ", ".join("abcdefghij")


def test_a_kept_answer_is_for_what_was_read(place: Path, monkeypatch) -> None:
    run = go(folder_data(place, "data"), "max_iters=3")
    said: list[str] = []
    first = evaluate(run, say=said.append)
    assert not said
    assert str(evaluate(run, say=said.append)) == str(first)
    assert len(said) == 1 and "kept from before (run/evaluation_test.json)" in said[0]
    folder_data(place, "data", shift=1)  # the labels are corrected: same names, same sizes
    second = evaluate(run, say=pytest.fail)
    assert second["IoU"] != pytest.approx(first["IoU"], nan_ok=True)
    Path("data/labels/test/2.png").unlink()
    Path("data/images/test/2.png").unlink()
    third = evaluate(run, say=pytest.fail)
    assert third["IoU"] != pytest.approx(second["IoU"], nan_ok=True)
    # The same words from another folder mean other data; the same data elsewhere are the same.
    (place / "other").mkdir()
    folder_data(place / "other", "data", shift=2)
    monkeypatch.chdir(place / "other")
    fourth = evaluate(place / "run", say=pytest.fail)
    assert fourth["IoU"] != pytest.approx(third["IoU"], nan_ok=True)
    said.clear()
    evaluate(place / "run", f"data.root={place}/other/data", say=said.append)
    assert len(said) == 1


def test_code_that_changed_is_measured_again(place: Path, monkeypatch) -> None:
    from bpkd.inference import kept

    monkeypatch.syspath_prepend(str(place))
    source = "from bpkd.datasets.scenes import Scenes\nclass Own(Scenes):\n    pass\n"
    Path("own_data.py").write_text(source)
    run = go("data.use=own_data.Own", "max_iters=1")
    evaluate(run, say=pytest.fail)
    said: list[str] = []
    evaluate(run, say=said.append)
    assert len(said) == 1
    Path("own_data.py").write_text(source + "# corrected\n")
    evaluate(run, say=pytest.fail)
    monkeypatch.setattr(kept, "_own_package", lambda: "another version")
    evaluate(run, say=pytest.fail)


@pytest.mark.usefixtures("unlooked")
def test_no_label_in_validation_is_said(place: Path, monkeypatch, capsys) -> None:
    go("data.use=tests.inference.test_evaluation.Unlabelled", "max_iters=3")
    assert "no label in the validation split" in capsys.readouterr().out
    assert Path("run/student.safetensors").is_file() and not Path("run/best.ckpt").exists()
