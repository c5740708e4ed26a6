"""Recipes: how they are put together, and the one line for each mistake in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from bpkd.cli import HELP
from bpkd.errors import UserError
from bpkd.recipe.loading import dump, load_recipe
from bpkd.recipe.sections import Network
from bpkd.recipe.trust import trusted
from bpkd.support.messages import one_line

TINY = """
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 3}
student: {use: bpkd.networks.pspnet.PSPNet, backbone: test_efficientnet.r160_in1k}
"""
TAUGHT = TINY + "teacher: runs/big\nlosses: {cwd: {use: bpkd.losses.cwd.CWD, weight: 3}}\n"


def write(folder: Path, text: str = TINY, name: str = "tiny") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


def message(file: Path | str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_recipe(file, overrides)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


# Composition --------------------------------------------------------------------------------------


def test_name_and_run_follow_from_the_file(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path))
    assert (recipe.name, recipe.run) == ("tiny", "runs/tiny")
    renamed = load_recipe(write(tmp_path), ["name=other"])
    assert (renamed.name, renamed.run) == ("other", "runs/other")
    assert load_recipe(write(tmp_path), ["run=here", "name=2024"]).name == "2024"
    assert load_recipe("demo/plain").run == "runs/demo/plain"


def test_a_recipe_lies_over_its_base(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", "seed: 4\nbatch_size: 3\naugment: {flip: 0, crop: [32, 32]}", "low")
    write(tmp_path / "parts", TINY + "base: low.yaml\nbatch_size: 5\n", "middle")
    text = "base: parts/middle.yaml\naugment: {crop: [8, 16]}\nstudent: {channels: 9}"
    recipe = load_recipe(write(tmp_path, text, "top"))
    assert (recipe.name, recipe.seed, recipe.batch_size) == ("top", 4, 5)
    assert (recipe.augment.crop, recipe.augment.flip) == ((8, 16), 0)
    assert recipe.student.arguments["channels"] == 9
    assert recipe.student.arguments["backbone"] == "test_efficientnet.r160_in1k"


def test_several_bases_and_shipped_ones(tmp_path: Path) -> None:
    write(tmp_path, "seed: 1\nmax_iters: 7", "a")
    write(tmp_path, "seed: 2", "b")
    recipe = load_recipe(write(tmp_path, "base: [demo/plain, a.yaml, b.yaml]", "c"))
    assert (recipe.seed, recipe.max_iters) == (2, 7)
    assert recipe.data.use == "bpkd.datasets.scenes.Scenes"
    assert recipe.run == "runs/c"


def test_overrides(tmp_path: Path) -> None:
    given = [
        "max_iters=12",
        "optimizer.lr=1e-3",
        "augment.crop=[64, 96]",
        "augment.crop[1]=32",
        "augment.photometric=false",
        "losses.cwd.weight.cwd=0.5",
        "losses.kd.use=bpkd.losses.kd.KD",
        "evaluation.every=null",
        "precision=32",
        "data.test=val",
        "student.dropout=0.25",
    ]
    recipe = load_recipe(write(tmp_path, TAUGHT), given)
    assert recipe.max_iters == 12
    assert recipe.optimizer.arguments["lr"] == 0.001
    assert recipe.optimizer.arguments["momentum"] == 0.9
    assert recipe.augment.crop == (64, 32)
    assert recipe.augment.photometric is False
    assert recipe.losses["cwd"].weight == {"cwd": 0.5}
    assert recipe.losses["kd"].weight is None
    assert recipe.evaluation.every is None
    assert recipe.precision == "32"
    assert recipe.data.test == "val"
    assert recipe.student.arguments["dropout"] == 0.25


def test_an_override_takes_the_place_of_keys_and_values(tmp_path: Path) -> None:
    file = write(tmp_path, TAUGHT)
    assert load_recipe(file, ["losses={}", "teacher=null"]).losses == {}
    teacher = load_recipe(file, ["teacher={use: bpkd.networks.pspnet.PSPNet}"]).teacher
    assert isinstance(teacher, Network)
    assert teacher.checkpoint is None


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENES", "5")
    recipe = load_recipe(write(tmp_path), ["data.count=${oc.decode:${oc.env:SCENES}}"])
    assert recipe.data.arguments["count"] == 5
    assert "BPKD_NOT_SET" in message(write(tmp_path), "run=${oc.env:BPKD_NOT_SET}")


def test_what_is_dumped_is_read_back(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, TAUGHT), ["losses.cwd.weight={cwd: 2}", "seed=5"])
    again = load_recipe(write(tmp_path, dump(recipe), "recipe"))
    assert again == recipe
    assert again.name == "tiny"
    assert again.student.arguments == recipe.student.arguments
    assert dump(again) == dump(recipe)


def test_another_use_ousts_what_the_base_says_of_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, TAUGHT, "low")
    text = """base: low.yaml
student: {use: bpkd.networks.pspnet_r18}
data: {size: [64, 64]}
losses: {cwd: {use: bpkd.losses.kd.KD}}
"""
    recipe = load_recipe(write(tmp_path, text, "top"))
    assert recipe.student.arguments == {}
    assert recipe.losses["cwd"].weight is None
    assert recipe.data.arguments == {"size": [64, 64], "count": 3}


def test_null_drops_a_loss_of_the_base(tmp_path: Path) -> None:
    write(tmp_path, TAUGHT, "low")
    text = "base: low.yaml\nlosses: {cwd: null, kd: {use: bpkd.losses.kd.KD}}"
    assert list(load_recipe(write(tmp_path, text, "top")).losses) == ["kd"]


def test_the_recipe_in_the_help_is_valid(tmp_path: Path) -> None:
    block = next(part for part in HELP.split("\n\n") if part.startswith("    data:"))
    recipe = load_recipe(write(tmp_path, "".join(line[4:] + "\n" for line in block.split("\n"))))
    assert recipe.losses["bpkd"].use == "bpkd.losses.bpkd.BPKD"


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "words"),
    [
        # Unknown keys, with the nearest known one.
        ("max_itrs=3", "unknown key 'max_itrs'; did you mean 'max_iters'?"),
        ("augment.crp=[8, 8]", "unknown key 'augment.crp'; did you mean 'crop'?"),
        ("evaluation.modus=slide", "unknown key 'evaluation.modus'; did you mean 'mode'?"),
        ("schedule.zzz=1", "unknown key 'schedule.zzz'; known: power, floor, warmup"),
        ("student.chanels=8", "student.chanels: bpkd.networks.pspnet.PSPNet has no such argument; "
         "did you mean 'channels'?"),
        ("student.chekpoint=x", "did you mean 'checkpoint'?"),
        ("data.cuont=2", "data.cuont: bpkd.datasets.scenes.Scenes has no such argument; "
         "did you mean 'count'?"),
        ("losses.cwd.temprature=2", "losses.cwd.temprature: bpkd.losses.cwd.CWD has no such "
         "argument; did you mean 'temperature'?"),
        ("losses.cwd.weigth=2", "did you mean 'weight'?"),
        ("optimizer.momentun=0.5", "did you mean 'momentum'?"),
        # Wrong types and values.
        ("max_iters=many", "max_iters: expected a whole number, got 'many'"),
        ("batch_size=0", "batch_size: expected a number above 0, got 0"),
        ("max_iters=1.5", "max_iters: expected a whole number, got 1.5"),
        ("seed=-1", "seed: expected at least 0, got -1"),
        ("augment=5", "augment: expected keys and values, got 5"),
        ("augment.crop=5", "augment.crop: expected a list, got 5"),
        ("augment.crop=[5]", "augment.crop: expected more values, got [5]"),
        ("augment.crop=[5, 6, 7]", "augment.crop: expected at most 2 items, got [5, 6, 7]"),
        ("augment.crop=[5, x]", "augment.crop.1: expected a whole number, got 'x'"),
        ("evaluation.trimap_widths=[1, x]", "evaluation.trimap_widths.1: expected a whole number"),
        ("evaluation.mode=tiles", "evaluation.mode: expected 'whole' or 'slide', got 'tiles'"),
        ("augment.scale=[2, 1]", "augment.scale: expected [least, greatest], both above 0; it is"),
        ("evaluation.stride=[600, 9]", "evaluation: expected a stride of at most the window"),
        ("precision=16", "precision: expected 'auto', '32' or 'bf16', got '16'"),
        ("devices=some", "devices: expected a whole number or 'auto', got 'some'"),
        ("teacher=5.5", None),
        ("teacher=[a]", "teacher: expected text or keys and values, got ['a']"),
        ("teacher={us: a.B}", "teacher.use is missing"),
        ("losses=[1]", "losses: expected keys and values, got [1]"),
        ("losses.cwd=5", "losses.cwd: expected keys and values, got 5"),
        ("losses.cwd.weight=big", "losses.cwd.weight: expected a number or keys and values, got"),
        ("losses.cwd.weight.cwd=big", "losses.cwd.weight.cwd: expected a number, got 'big'"),
        ("losses.cwd.ramp=-1", "losses.cwd.ramp: expected at least 0, got -1"),
        ("optimizer.lr=fast", "optimizer.lr: expected a number above 0, got 'fast'"),
        ("optimizer.lr=.nan", "optimizer.lr: expected a number above 0, got nan"),
        ("schedule.floor=1", "schedule.floor 1 is above optimizer.lr 0.01"),
        ("student.channels=wide", "student.channels: expected a whole number, got 'wide'"),
        ("student.auxiliary=[1, 2]", "student.auxiliary: expected a boolean, got [1, 2]"),
        ("data.size=[32, x]", "data.size.1: expected a whole number, got 'x'"),
        ("student.num_classes=3", "student.num_classes is set by bpkd itself; take it out"),
        # What is missing.
        ("student=null", "student: expected keys and values, got None"),
        ("student={channels: 8}", "student.use is missing"),
        ("data={use: bpkd.datasets.camvid.CamVid}", "data.root is missing: "
         "bpkd.datasets.camvid.CamVid needs it"),
        ("teacher=null", "losses need a teacher, and there is none"),
        ("losses={}", "there is a teacher and no losses"),
        # Dotted paths.
        ("losses.cwd.use=CWD", "losses.cwd.use: 'CWD' is no dotted path; expected e.g. "
         "bpkd.losses.cwd.CWD"),
        ("losses.cwd.use=bpkd..CWD", "is no dotted path"),
        ("losses.cwd.use=bpkd.losses.cwdd.CWD", "No module named 'bpkd.losses.cwdd'; did you mean"),
        ("losses.cwd.use=bpkdd.losses.CWD", "No module named 'bpkdd'"),
        ("losses.cwd.use=bpkd.losses.cwd.CDW", "bpkd.losses.cwd has no 'CDW'; did you mean 'CWD'?"),
        ("losses.cwd.use=bpkd.recipe.files.RECIPES", "is no class or function"),
        ("losses.cwd.use=bpkd.losses.cwd", "is no class or function"),
        # Overrides that are none.
        ("max_iters", "'max_iters' is no override; expected key=value"),
        ("=5", "'=5' is no override"),
        ("max_iters=[1", "override 'max_iters=[1'"),
        ("augment.crop.5=[1]", "override 'augment.crop.5=[1]'"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, override: str, words: str | None) -> None:
    file = write(tmp_path, TAUGHT + "augment: {crop: [8, 8]}\n")
    if words is None:
        assert load_recipe(file, [override]).teacher == "5.5"
        return
    text = message(file, override)
    assert words in text
    assert str(file) in text or "override" in text
    assert "BaseModel" not in text and "pydantic" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_iters: [1", "not a readable YAML file"),
        ("seed: 1\nseed: 2", "not a readable YAML file: while constructing a mapping"),
        ("just words", "data is missing"),
        ("- a\n- b", "expected keys and values"),
        ("", "data is missing"),
        ("data: {use: bpkd.datasets.scenes.Scenes}", "student is missing"),
        (TINY + "1: 2", "Keys should be strings, got 1"),
        (TINY + "base: nowhere.yaml", "base: nowhere.yaml: no such recipe file"),
        (TINY + "base: 5", "base: 5: no such recipe file"),
        (TINY + "base: tiny.yaml", "this recipe is based on itself"),
        (TINY + "losses: {a: {use: bpkd.losses.kd.KD}}", "losses need a teacher"),
        ("\xff", "not a readable YAML file"),
    ],
)
def test_faulty_files(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_bytes(text.encode("latin-1"))
    line = message(file)
    assert words in line
    assert line.startswith(str(file))


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, name="student")
    assert f"did you mean '{tmp_path / 'student.yaml'}'?" in message(tmp_path / "studnt.yaml")
    assert "did you mean 'camvid/bpkd'?" in message("camvid/bpdk")
    write(tmp_path, name="recipe")
    assert f"its recipe is {tmp_path / 'recipe.yaml'}" in message(tmp_path)


def test_a_module_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_losses.py").write_text("import no_such_package\n")
    (tmp_path / "worse_losses.py").write_text("raise RuntimeError('first\\nsecond')\n")
    file = write(tmp_path, TAUGHT)
    text = message(file, "losses.cwd.use=broken_losses.X")
    assert "broken_losses.X is code from outside the known libraries" in text and "--trust" in text
    with trusted():
        text = message(file, "losses.cwd.use=broken_losses.X")
        assert text.endswith("broken_losses.X: No module named 'no_such_package'")
        text = message(file, "losses.cwd.use=worse_losses.X")
    assert "worse_losses cannot be imported: RuntimeError: first second" in text


class Own(nn.Module):
    """A user's own loss, with annotations that are more than YAML can hold."""

    def __init__(self, scale: float, kernel: nn.Module | None = None, **more: Any) -> None:
        super().__init__()


class Heir(Own):
    """Its arguments are its parent's."""


def test_own_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bpkd.losses.kd

    for kind in (Own, Heir):
        monkeypatch.setattr(bpkd.losses.kd, kind.__name__, kind, raising=False)
        use = f"losses.cwd.use=bpkd.losses.kd.{kind.__name__}"
        file = write(tmp_path, TAUGHT)
        assert "losses.cwd.scale is missing" in message(file, use)
        assert "expected a number, got 'x'" in message(file, use, "losses.cwd.scale=x")
        recipe = load_recipe(
            file, [use, "losses.cwd.scale=1", "losses.cwd.kernel=5", "losses.cwd.z=1"]
        )
        assert recipe.losses["cwd"].arguments == {"scale": 1, "kernel": 5, "z": 1}


def test_messages_stay_short(tmp_path: Path) -> None:
    text = message(write(tmp_path), f"max_iters={list(range(1000))}")
    assert text.endswith("...")
    assert one_line(ValueError()) == "ValueError"


def test_dumped_recipes_are_plain_yaml(tmp_path: Path) -> None:
    plain = yaml.safe_load(dump(load_recipe(write(tmp_path))))
    assert plain["augment"]["crop"] == [512, 512]
    assert plain["student"]["backbone"] == "test_efficientnet.r160_in1k"
    assert not re.search(r"!!|\$\{", dump(load_recipe("camvid/bpkd")))


def test_dumped_values_stay_what_they_are(tmp_path: Path) -> None:
    """Keys that are numbers, text that looks like one, infinity."""
    file = tmp_path / "odd.yaml"
    file.write_text(
        'name: "1e3"\ndata: {use: bpkd.datasets.scenes.Scenes}\n'
        "student: {use: tests.recipe.test_recipe.Odd, table: {0: 1.5, 20: 2}, "
        "text: '0x10', none: 'null'}"
    )
    recipe = load_recipe(file, ["run=runs/x"])
    (tmp_path / "again.yaml").write_text(dump(recipe), encoding="utf-8")
    again = load_recipe(tmp_path / "again.yaml")
    assert again == recipe
    assert again.student.arguments == {"table": {0: 1.5, 20: 2}, "text": "0x10", "none": "null"}
    assert again.name == "1e3"


class Odd(nn.Module):
    """A network whose arguments are easily mistaken."""

    def __init__(self, num_classes: int, table: dict[int, float], text: str, none: str) -> None:
        super().__init__()
