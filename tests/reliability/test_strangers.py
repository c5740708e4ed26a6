"""Not a line of a stranger's code runs: recipes looked at, runs loaded, checkpoints read."""

from __future__ import annotations

import shutil
import sys
from itertools import cycle
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from bpkd import UserError, load, trusted
from bpkd.datasets.classes_file import read_classes
from bpkd.recipe.loading import load_recipe
from bpkd.support.tensors import load_tensors, read_tensors
from tests.commands import bpkd, done, refused
from tests.pictures import save
from tests.reliability.attacks import BESIDE, FINE, MODULE, bombs, hostile
from tests.runs import run


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What would be there if something ran; hostile modules lie beside the recipe."""
    mark = tmp_path / "ran"
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "precious").mkdir()
    for name in BESIDE:
        (here / f"{name}.py").write_text(MODULE.format(mark=str(mark)))
    (here / "hubconf.py").write_text(MODULE.format(mark=str(mark)))
    before = list(sys.path)
    monkeypatch.chdir(here)
    yield mark
    assert not mark.exists() and (tmp_path / "precious").is_dir()
    assert not any(name in sys.modules for name in BESIDE)
    sys.path[:] = before


def test_a_recipe_that_is_looked_at_or_trained(mark: Path) -> None:
    attacks = list(hostile(mark))
    assert len(attacks) >= 50
    for name, content in attacks:
        Path("evil.yaml").write_text(yaml.safe_dump(content))
        commands = ["recipe"]
        if name.startswith(("student", "from_module", "beside")):
            commands.append("model --no-timing --size 32 32")
        if name.startswith(("data", "beside")):
            commands += ["data check --workers 0", "data show --count 1 --out sheet.png"]
        if not name.startswith("beside"):  # one's own module is what train is to run
            commands.append("train --quiet")
        for command in commands:
            code, _, err = bpkd(*command.split(), "evil.yaml")
            assert code in (0, 1, 2) and "Traceback" not in err, name
            assert not mark.exists(), (command, name)
            assert (mark.parent / "precious").is_dir(), (command, name)


#: What is done with a run that came from somebody; a pair of them with each attack.
LOADING = [
    ["evaluate", "RUN"],
    ["predict", "RUN", "photo.png", "--out", "out"],
    ["compare", "RUN"],
    ["model", "RUN", "--no-timing", "--size", "32", "32"],
    ["export", "RUN", "--format", "torchscript"],
    ["train", "own.yaml", "teacher=RUN", "--quiet"],
    ["data", "show", "RUN/recipe.yaml", "--count", "1", "--out", "sheet.png"],
    ["data", "check", "RUN/recipe.yaml"],
]


def test_a_run_that_is_loaded(mark: Path, recipe: Path) -> None:
    folder = run(recipe, "real", "max_iters=0")
    evil = mark.parent / "stranger"
    attacks = [each for each in hostile(mark) if each[0].split()[0] in ("student", "from_module")]
    attacks += [each for each in hostile(mark) if each[0].startswith("beside")]
    rounds = cycle([LOADING[i : i + 2] for i in range(0, len(LOADING), 2)])
    Path("own.yaml").write_text(recipe.read_text() + "losses: {kd: {use: bpkd.losses.kd.KD}}\n")
    save(Path("photo.png"), [[0] * 48] * 32)
    for name, content in attacks:
        shutil.rmtree(evil, ignore_errors=True)
        shutil.copytree(folder, evil)
        (evil / "recipe.yaml").write_text(yaml.safe_dump({**content, "run": str(evil)}))
        for checked in (str(evil), evil):
            with pytest.raises(UserError):
                network = load(checked)
                del network
                raise UserError("data alone is hostile")  # the student is a network of ours
        for command in next(rounds):
            code, _, err = bpkd(*[word.replace("RUN", str(evil)) for word in command])
            assert code in (0, 1, 2) and "Traceback" not in err, (command, name)
            assert not mark.exists(), (command, name)
        with pytest.raises(UserError):
            taught = load_recipe(recipe, [f"teacher={evil}", "losses.kd={use: bpkd.losses.kd.KD}"])
            from bpkd.training.teachers import build_teacher

            build_teacher(taught, read_classes(folder)[0])
            raise UserError("data alone is hostile")
        assert not mark.exists(), name


def test_a_students_description_is_the_strangers_too(mark: Path, recipe: Path) -> None:
    folder = run(recipe, "real", "max_iters=0")
    for use in ("os.system", "evil.Net", "torch.hub.load"):
        (folder / "student.yaml").write_text(yaml.safe_dump({"use": use, "command": "true"}))
        with pytest.raises(UserError):
            load(folder)


def test_consent(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own module: in training without ceremony, in a run by --trust."""
    monkeypatch.chdir(tmp_path)
    Path("mine_too.py").write_text(MODULE.format(mark=str(tmp_path / "ran")))
    before = list(sys.path)
    own = "student={use: bpkd.networks.foreign.from_module, module: mine_too.Net}"
    try:
        done("train", recipe, own, "run=mine", "max_iters=1", "--quiet")
        assert (tmp_path / "ran").is_dir()
        done("evaluate", "mine")  # this process has imported it already
        del sys.modules["mine_too"]
        assert "--trust" in refused("evaluate", "mine")
        with pytest.raises(UserError, match="is code from outside the known libraries"):
            load("mine")
        assert "mine_too" not in sys.modules
        done("evaluate", "mine", "--trust")
        del sys.modules["mine_too"]
        with trusted():
            assert load("mine") is not None
    finally:
        sys.path[:] = before
        sys.modules.pop("mine_too", None)


def test_no_checkpoint_is_run(mark: Path) -> None:
    files = bombs(mark, mark.parent)
    assert len(files) >= 30
    read = 0
    for file in files:
        try:
            read_tensors(file)
            load_tensors(nn.Linear(3, 2), file)
            read += 1
        except UserError as error:
            assert "\n" not in str(error) and "weights_only" not in str(error)
        assert not mark.exists(), file.name
    assert read >= 5


def test_remote_code_of_a_model_is_refused() -> None:
    pytest.importorskip("transformers")
    from bpkd.networks.foreign import from_transformers

    with pytest.raises(UserError, match="code that lies beside a model is not run"):
        from_transformers(3, "somewhere", {"trust_remote_code": True})


def test_torchscript_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    torch.jit.trace(nn.Linear(3, 2), torch.rand(1, 3)).save(str(file))
    with pytest.raises(UserError, match="not a readable file of tensors"):
        read_tensors(file)
    assert FINE["channels"] == 8
