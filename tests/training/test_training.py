"""Runs: whole, killed and resumed, stopped, broken."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from bpkd import UserError, evaluate, load
from bpkd.recipe.loading import load_recipe
from bpkd.runs.recorder import Recorder, Stopped
from bpkd.support.tensors import read_tensors
from bpkd.training.building import build_distiller
from tests.runs import killed, rows, run


def distilled(recipe: Path) -> Path:
    """A recipe with a teacher (a run of the plain one) and two losses, one with a ramp."""
    teacher = run(recipe, "teacher", "max_iters=1")
    file = recipe.parent / "distilled.yaml"
    file.write_text(
        f"base: tiny.yaml\nteacher: {teacher}\nlosses:\n"
        "  bpkd: {use: bpkd.losses.bpkd.BPKD, weight: {edge: 1}, ramp: 4}\n"
        "  kd: {use: bpkd.losses.kd.KD, weight: 0.5}\n"
    )
    return file


def test_a_run_leaves_everything_behind(recipe: Path) -> None:
    folder = run(recipe, "whole")
    expected = {"recipe.yaml", "environment.json", "training.csv", "metrics.csv", "classes.csv"}
    expected |= {"last.ckpt", "best.ckpt", "student.safetensors"}
    assert expected <= {file.name for file in folder.iterdir()}
    assert [row["iteration"] for row in rows(folder / "metrics.csv")] == ["2", "4", "6"]
    assert not [file for file in folder.iterdir() if file.name.endswith(".part")]
    again = load_recipe(folder / "recipe.yaml")
    assert again == load_recipe(recipe, [f"run={folder}"])
    scores = evaluate(folder, split="val")
    assert scores["mIoU"] == pytest.approx(float(rows(folder / "metrics.csv")[-1]["mIoU"]))


@pytest.mark.parametrize("after", [2, 3, 4])
def test_killed_and_resumed_is_bit_identical(recipe: Path, after: int) -> None:
    source = distilled(recipe)
    whole = run(source, "whole")

    with killed(after + 1):
        run(source, "killed")
    resumed = run(source, "killed", resume=True)
    expected, found = read_tensors(whole / "last.ckpt"), read_tensors(resumed / "last.ckpt")
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    assert rows(whole / "metrics.csv") == rows(resumed / "metrics.csv")


def test_ctrl_c_leaves_a_checkpoint_that_goes_on(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(recipe, "whole")
    before = Recorder.on_train_batch_end

    def interrupt(self: Recorder, trainer, *rest) -> None:
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        before(self, trainer, *rest)

    assert threading.current_thread() is threading.main_thread()
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_batch_end", interrupt)
        with pytest.raises(Stopped):
            run(recipe, "stopped")
    saved = torch.load(recipe.parent / "stopped/last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    resumed = run(recipe, "stopped", resume=True)
    for key, value in read_tensors(whole / "student.safetensors").items():
        assert torch.equal(value, read_tensors(resumed / "student.safetensors")[key]), key
    assert rows(whole / "metrics.csv") == rows(resumed / "metrics.csv")


def test_checkpoints_come_between_validations_too(recipe: Path) -> None:
    options = ["evaluation.every=6", "checkpoint_every=2"]
    whole = run(recipe, "whole", *options)
    with killed(5):
        run(recipe, "killed", *options)
    saved = torch.load(recipe.parent / "killed/last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    resumed = run(recipe, "killed", *options, resume=True)
    for key, value in read_tensors(whole / "last.ckpt").items():
        assert torch.equal(value, read_tensors(resumed / "last.ckpt")[key]), key
    assert rows(whole / "metrics.csv") == rows(resumed / "metrics.csv")


def test_the_teacher_is_neither_trained_nor_saved(recipe: Path) -> None:
    source = distilled(recipe)
    teacher = load(recipe.parent / "teacher")
    folder = run(source, "student")
    keys = read_tensors(folder / "last.ckpt")
    assert keys and all(key.startswith(("student.", "losses.")) for key in keys)
    distiller = build_distiller(load_recipe(source), load_recipe(source).data.build(split="train"))
    assert all("teacher" not in name for name, _ in distiller.named_parameters())
    for name, value in load(recipe.parent / "teacher").state_dict().items():
        assert torch.equal(value, teacher.state_dict()[name])


def test_the_same_initial_weights_whatever_is_distilled(recipe: Path) -> None:
    source = distilled(recipe)
    plain, taught = load_recipe(recipe), load_recipe(source)
    data = plain.data.build(split="train")
    first = build_distiller(plain, data).student.state_dict()
    second = build_distiller(taught, data).student.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


class Exploding(nn.Module):
    weights = {"bang": 1.0}

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, student, teacher, labels) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {"bang": student.logits.sum() * (float("inf") if self.calls > 3 else 0.0)}


def test_a_loss_that_is_not_finite_stops_the_run(recipe: Path, monkeypatch) -> None:
    source = distilled(recipe)
    import bpkd.losses.kd

    monkeypatch.setattr(bpkd.losses.kd, "Exploding", Exploding, raising=False)
    text = source.read_text().replace("KD, weight: 0.5", "Exploding")
    source.write_text(text.replace("losses.kd.Exploding", "losses.kd.Exploding"))
    with pytest.raises(UserError, match=r"iteration 3: the loss is not finite in kd\.bang"):
        run(source, "broken")
    saved = torch.load(recipe.parent / "broken/last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    assert all(v.isfinite().all() for v in saved["state_dict"].values() if v.is_floating_point())


def test_a_folder_that_holds_a_run_is_not_lost(recipe: Path) -> None:
    folder = run(recipe, "once", "max_iters=1")
    with pytest.raises(UserError, match="already holds a run"):
        run(recipe, "once", "max_iters=1")
    with pytest.raises(UserError, match="the run began with max_iters: 1"):
        run(recipe, "once", "max_iters=2", resume=True)
    before = (folder / "student.safetensors").read_bytes()
    assert run(recipe, "once", "max_iters=1", resume=True) == folder
    assert (folder / "student.safetensors").read_bytes() == before
    other = recipe.parent / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="files that are no run"):
            run(recipe, "mine", overwrite=overwrite)
    assert (other / "notes.txt").read_text() == "keep"


def test_teacher_with_other_classes(recipe: Path) -> None:
    source = distilled(recipe)
    table = recipe.parent / "teacher/classes.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="has 9 classes and the data set 10"):
        run(source, "student")


def test_checkpoint_of_another_network(recipe: Path) -> None:
    folder = run(recipe, "small", "max_iters=1")
    with pytest.raises(UserError, match=r"checkpoint of another network: .* of another shape"):
        file = folder / "student.safetensors"
        run(recipe, "big", "student.channels=16", f"student.checkpoint={file}")
    assert not (recipe.parent / "big/student.safetensors").exists()


@pytest.mark.slow
def test_a_discriminator_is_trained_beside_and_resumes(recipe: Path) -> None:
    """Its steps, its optimizer's state and its log; the student's optimizer leaves it alone."""
    teacher = run(recipe, "teacher", "max_iters=1")
    fine = "student.use=bpkd.networks.deeplabv3plus.DeepLabV3Plus"  # logits of 64 x 64
    wide = [fine, "augment.crop=[256,256]", "max_iters=2"]
    taught = [f"teacher={teacher}", "losses.adv={use: bpkd.losses.holistic.Holistic, width: 2}"]
    options = [*wide, *taught, "evaluation.every=1", "auxiliary_weight=0"]
    whole = run(recipe, "whole", *options)

    with killed(2):
        run(recipe, "killed", *options)
    first = read_tensors(recipe.parent / "killed/last.ckpt")
    resumed = read_tensors(run(recipe, "killed", *options, resume=True) / "last.ckpt")
    for key, value in read_tensors(whole / "last.ckpt").items():
        assert torch.equal(value, resumed[key]), key
    rival = [key for key in first if "adv.discriminator" in key and key.endswith("weight")]
    assert rival and all(not torch.equal(first[key], resumed[key]) for key in rival)
    assert "loss/adv.gradient_penalty" in rows(whole / "training.csv")[0]


def test_dsd_gets_the_teachers_auxiliary_logits(recipe: Path) -> None:
    teacher = run(recipe, "teacher", "max_iters=1")
    loss = "losses.dsd={use: bpkd.losses.dsd.DSD}"
    folder = run(recipe, "student", f"teacher={teacher}", loss, "max_iters=1")
    assert "loss/dsd.psd" in rows(folder / "training.csv")[0]


def test_no_iterations_make_a_run_of_a_network_as_it_is(recipe: Path) -> None:
    taught = run(recipe, "taught", "max_iters=1")
    weights = taught / "student.safetensors"
    as_it_is = run(recipe, "as_it_is", "max_iters=0", f"student.checkpoint={weights}")
    assert (as_it_is / "student.safetensors").read_bytes() == weights.read_bytes()
    assert evaluate(as_it_is)["mIoU"] == evaluate(taught)["mIoU"]
