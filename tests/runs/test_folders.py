"""What lies in a run's folder: bpkd's own is written and removed, all else is left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import time
from pathlib import Path

import pytest
import torch
import yaml

from bpkd import UserError, evaluate, load, train
from bpkd.runs.lock import NAME as LOCK
from bpkd.runs.lock import Lock
from tests.commands import bpkd, refused
from tests.reliability.killing import RECIPE, differing, ended, files, new_place, start, training


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a run that is done."""
    place = new_place(tmp_path_factory.mktemp("folders"), "whole")
    assert ended(start(training(), place)) == 0, (place / "out.txt").read_text()
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and the working directory."""
    shutil.copytree(whole, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def go_on(*overrides: str, **options: bool) -> Path:
    return train("r.yaml", "run=run", *overrides, progress=False, **options)


# A1: nothing that is not its own is deleted -------------------------------------------------------


@pytest.mark.parametrize("option", ["resume", "overwrite"])
@pytest.mark.parametrize("beside", [["photo.jpg"], ["classes.csv"], ["environment.json", "a/b.py"]])
def test_a_project_is_no_run(tmp_path: Path, monkeypatch, option: str, beside: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE + "run: .\n")
    for name in beside:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text('{"name": "mine"}')
    before = files(tmp_path)
    with pytest.raises(UserError, match="holds files that are no run"):
        train("recipe.yaml", progress=False, **{option: True})
    assert files(tmp_path) == before


def test_a_finished_run_without_its_checkpoint_is_left_alone(place: Path) -> None:
    Path("run/last.ckpt").unlink()
    Path("run/notes.txt").write_text("mine")
    before = files(place / "run")
    go_on(resume=True)
    assert files(place / "run") == before


def test_an_unfinished_run_without_its_checkpoint_is_told(place: Path) -> None:
    Path("run/last.ckpt").unlink()
    table = Path("run/metrics.csv")
    table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[:-1]))
    before = files(place / "run")
    with pytest.raises(UserError, match=r"there is no last\.ckpt to go on from"):
        go_on(resume=True)
    assert files(place / "run") == before


def test_overwriting_leaves_what_is_not_its_own(place: Path, whole: Path) -> None:
    Path("run/notes.txt").write_text("mine")
    Path("run/evaluation_mine.json").write_text("{}")
    Path("run/figures").mkdir()
    go_on("seed=1", overwrite=True)
    assert yaml.safe_load(Path("run/recipe.yaml").read_text())["seed"] == 1
    assert Path("run/notes.txt").read_text() == "mine" and Path("run/figures").is_dir()
    assert Path("run/evaluation_mine.json").read_text() == "{}"
    go_on(overwrite=True)
    assert set(differing(place / "run", whole / "run")) <= {
        "notes.txt", "evaluation_mine.json", "environment.json"
    }  # fmt: skip


def test_a_run_that_trained_nothing_is_free(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(new_place(tmp_path, "new"))
    go_on("max_iters=1")
    for name in ("last.ckpt", "best.ckpt", "student.safetensors", "training.csv", "metrics.csv"):
        Path("run", name).unlink()
    go_on("max_iters=2")
    assert torch.load("run/last.ckpt", weights_only=True)["global_step"] == 2


# A6: one run a folder -----------------------------------------------------------------------------


def test_a_second_run_in_the_folder_is_refused(place: Path) -> None:
    lock = Lock(place / "run")
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(UserError, match="a run is on in this folder, process"):
            go_on(**options)
    lock.release()
    assert not (place / "run" / LOCK).exists()
    go_on(resume=True)


def test_the_lock_of_a_process_that_is_gone_is_taken_over(place: Path) -> None:
    (place / "run").joinpath(LOCK).unlink(missing_ok=True)
    process = start(lambda: (Lock(place / "run"), time.sleep(60)), place)
    while not (place / "run" / LOCK).exists() or not (place / "run" / LOCK).read_text():
        time.sleep(0.01)
    with pytest.raises(UserError, match=f"process {process} on this machine"):
        Lock(place / "run")
    os.kill(process, signal.SIGKILL)
    ended(process)
    assert json.loads((place / "run" / LOCK).read_text())["process"] == process
    Lock(place / "run").release()


def test_the_lock_of_another_machine_stands(place: Path) -> None:
    owner = {"host": "node7", "process": 3, "began": ""}
    (place / "run" / LOCK).write_text(json.dumps(owner))
    with pytest.raises(UserError, match=r"process 3 on the machine node7; .* remove run/\.bpkd"):
        go_on(resume=True)
    (place / "run" / LOCK).write_text("damaged")  # names nobody
    go_on(resume=True)


def test_a_number_that_is_used_again_is_another_process(place: Path) -> None:
    lock = Lock(place / "run")
    owner = json.loads((place / "run" / LOCK).read_text())
    if not owner["began"]:
        pytest.skip("this system does not tell when a process began")
    (place / "run" / LOCK).write_text(json.dumps(owner | {"began": "1"}))
    Lock(place / "run").release()
    with pytest.raises(UserError, match="another process has taken this folder"):
        lock.check()


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_a_folder_that_goes_while_the_run_is_on(place: Path, monkeypatch, how: str) -> None:
    from bpkd.runs.recorder import Recorder

    before = Recorder.on_train_batch_end

    def go(self: Recorder, trainer, *rest) -> None:
        if trainer.global_step == 2:
            os.rename("new", "elsewhere") if how == "renamed" else shutil.rmtree("new")
        before(self, trainer, *rest)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="new"):
        patch.setattr(Recorder, "on_train_batch_end", go)
        train("r.yaml", "run=new", progress=False)
    assert not Path("new").exists()
    if how == "renamed":
        train("r.yaml", "run=elsewhere", progress=False, resume=True)
        assert set(differing(place / "elsewhere", place / "run")) <= {
            "recipe.yaml", "environment.json", "last.ckpt"
        }  # fmt: skip


# B: runs that could not go on ---------------------------------------------------------------------


@pytest.mark.parametrize("spelt", ["./run", "run/", "{place}/run", "../place/run"])
def test_another_spelling_is_the_same_folder(place: Path, spelt: str) -> None:
    before = files(place / "run")
    train("r.yaml", f"run={spelt.format(place=place)}", progress=False, resume=True)
    assert files(place / "run") == before


def test_what_was_moved_goes_on_and_what_is_another_does_not(place: Path) -> None:
    os.rename("run", "moved")
    loss = ["losses.kd={use: bpkd.losses.kd.KD}", "run=taught"]
    train("r.yaml", "teacher=moved", *loss, progress=False)
    shutil.copytree("moved", "teachers/best")
    shutil.rmtree("moved")
    train("r.yaml", "teacher=teachers/best", *loss, progress=False, resume=True)
    weights = Path("teachers/best/student.safetensors")
    go_on("seed=3")
    shutil.copyfile("run/student.safetensors", weights)
    # Its weights are looked at where training is to go on.
    table = Path("taught/metrics.csv")
    table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="the run began with a teacher of other weights"):
        train("r.yaml", "teacher=teachers/best", *loss, progress=False, resume=True)
    for change in ("batch_size=3", "losses.kd.temperature=2", "data.size=[32,40]"):
        with pytest.raises(UserError, match="the run began with"):
            train("r.yaml", "teacher=moved", *loss, change, progress=False, resume=True)


def test_more_iterations_say_how_and_the_checkpoints_can_be_begun_with(place: Path) -> None:
    with pytest.raises(UserError, match=r"max_iters: 6, .* student\.checkpoint=run/last\.ckpt"):
        go_on("max_iters=9", resume=True)
    for name in ("last.ckpt", "best.ckpt"):
        new = train("r.yaml", "run=new", "max_iters=0", f"student.checkpoint=run/{name}",
                    progress=False, overwrite=True)  # fmt: skip
        expected = load("run", name.removesuffix(".ckpt")).state_dict()
        assert all(torch.equal(v, expected[k]) for k, v in load(new).state_dict().items())


def test_leftovers_go_and_everybody_may_read(place: Path) -> None:
    Path("run/.last.ckpt.123.part").write_text("half")
    Path("run/.mine.txt.123.part").write_text("the user's")
    go_on(resume=True)
    assert not Path("run/.last.ckpt.123.part").exists()
    assert Path("run/.mine.txt.123.part").exists()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("run").iterdir()}
    assert modes["student.safetensors"] == modes["recipe.yaml"]


def test_numbers_that_cannot_be_kept_are_shown(place: Path, monkeypatch) -> None:
    from bpkd.inference import kept

    def full(*_: object, **__: object) -> None:
        raise UserError("run/evaluation_test.json: cannot be written: Read-only file system")

    monkeypatch.setattr(kept, "replacing", full)
    said: list[str] = []
    assert evaluate("run", say=said.append)["mIoU"] >= 0
    assert said == [
        "not kept for the next time: run/evaluation_test.json: cannot be written: Read-only file "
        "system"
    ]


def test_runs_of_other_trimaps_are_compared(place: Path) -> None:
    train("r.yaml", "run=wide", "evaluation.trimap_widths=[3, 5]", progress=False)
    code, out, err = bpkd("compare", "run", "wide", "--markdown", "--csv", "t.csv")
    assert (code, err) == (0, "")
    header, _, first, second = out.splitlines()[:4]
    assert "trimap 1 px" in header and "trimap 3 px" in header
    assert " | - | - | " in first and " | - | " in second
    assert len({line.count("|") for line in (header, first, second)}) == 1


@pytest.mark.parametrize("name", ["x" * 256, "x" * 251, "a\0b", "../../x", "/tmp/x", "", "."])
def test_names_that_cannot_be(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep/er").mkdir(parents=True)
    monkeypatch.chdir("deep/er")
    Path("r.yaml").write_text(RECIPE + "name: " + json.dumps(name) + "\n")
    code, _, err = bpkd("train", "r.yaml", "max_iters=1", "--quiet")
    assert code in (0, 2) and (err.count("\n") == 1 or not code)
    assert sorted(os.listdir(tmp_path)) == ["deep"] and os.listdir(tmp_path / "deep") == ["er"]


# B8: files of its own, read as a stranger's -------------------------------------------------------

GARBAGE = {
    "empty": b"",
    "binary": bytes(range(256)) * 8,
    "text": b"hello\nworld\n",
    "json": b'{"a": [1, 2',
    "nul": b"iteration,mIoU\r\n1,\0\r\n",
    "deep": b"[" * 100_000,
    "list": b"[1, 2]\n",
}


@pytest.mark.parametrize("damage", GARBAGE)
@pytest.mark.parametrize(
    "name",
    ["recipe.yaml", "environment.json", "classes.csv", "training.csv", "metrics.csv", "last.ckpt"],
)
def test_a_damaged_file_is_mended_or_told(place: Path, name: str, damage: str) -> None:
    Path("run", name).write_bytes(GARBAGE[damage])
    before = files(place / "run")
    for command in (["train", "r.yaml", "run=run", "--resume", "--quiet"], ["evaluate", "run"]):
        code, _, err = bpkd(*command)
        assert code in (0, 2), (command, err)
        assert "Traceback" not in err and err.count("\n") == (code == 2), err
    kept = files(place / "run")
    assert all(kept[n] == content for n, content in before.items() if n != name)


@pytest.mark.parametrize("damage", GARBAGE)
def test_a_damaged_answer_is_measured_again(place: Path, damage: str) -> None:
    first = evaluate("run", say=str)
    Path("run/evaluation_test.json").write_bytes(GARBAGE[damage])
    again = evaluate("run", say=pytest.fail)
    assert again["mIoU"] == first["mIoU"]


def test_a_checkpoint_of_another_network_or_half_of_one(place: Path) -> None:
    content = torch.load("run/last.ckpt", weights_only=True)
    table = Path("run/metrics.csv")
    table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[:-1]))
    for change in (
        {"state_dict": {}},
        {"global_step": -1},
        {"global_step": "6"},
        {"optimizer_states": [{}], "global_step": 3},
        {"loops": {}, "global_step": 3},
        {"state_dict": {"student.x": torch.zeros(1)}, "global_step": 3},
    ):
        torch.save(content | change, "run/last.ckpt")
        assert "last.ckpt" in refused("train", "r.yaml", "run=run", "--resume", "--quiet"), change
