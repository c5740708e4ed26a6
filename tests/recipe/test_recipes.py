"""Every recipe that comes along, and how the paper's rows are put together."""

from __future__ import annotations

import csv
from math import isnan
from pathlib import Path

import pytest

from bpkd import train
from bpkd.recipe.dotted import resolve
from bpkd.recipe.files import RECIPES, read, shipped_recipes
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.sections import Network
from bpkd.report.paper_numbers import DATA, METHODS

PAIRS = {
    "pspnet": ("pspnet_r18", "pspnet_r101"),
    "hrnet": ("hrnet_w18s", "hrnet_w48"),
    "deeplabv3plus": ("deeplabv3plus_mv2", "deeplabv3plus_r101"),
    "isanet": ("isanet_r18", "isanet_r101"),
}
CROPS = {"cityscapes": (512, 1024), "ade20k": (512, 512), "pascal_context": (480, 480)}
ROWS = [name for name in shipped_recipes() if name.split("/")[0] in ("table2", "80k")]


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name not in ROWS])
def test_every_recipe_loads(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.run == f"runs/{name}"
    for target in (recipe.student, recipe.data, *recipe.losses.values()):
        assert callable(resolve(target.use))


def test_parts_are_not_recipes() -> None:
    assert not [name for name in shipped_recipes() if "_" in {part[0] for part in name.split("/")}]


def test_every_part_is_used() -> None:
    bases = {
        str(base).removesuffix(".yaml")
        for path in RECIPES.rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("base:")
        for base in line.removeprefix("base:").strip(" []").split(", ")
    }
    ends = {base.rpartition("/")[2] for base in bases}
    parts = (p for p in RECIPES.rglob("*.yaml") if "/_" in f"/{p.relative_to(RECIPES)}")
    assert [str(p) for p in parts if p.stem not in ends] == []


def test_the_tables_are_complete() -> None:
    wanted = {
        f"{table}/{data}/{pair}/{method}"
        for table in ("table2", "80k")
        for data in DATA
        for pair in PAIRS
        for method in METHODS
    }
    assert set(ROWS) == wanted


@pytest.mark.parametrize("method", METHODS)
def test_table_1_is_table_2_from_random_weights(method: str) -> None:
    """The teacher's row has nothing that it could start from."""
    changes = [] if method == "teacher" else ["student.weights=null"]
    own = load_recipe(f"table1/ade20k/pspnet/{method}")
    other = load_recipe(f"table2/ade20k/pspnet/{method}", changes)
    assert own.run == f"runs/table1/ade20k/pspnet/{method}"
    assert own.model_copy(update={"run": other.run}) == other
    if method != "teacher":
        assert own.student.arguments == {"weights": None}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_a_data_set_a_pair_a_schedule_and_a_method(name: str) -> None:
    table, data, pair, method = name.split("/")
    recipe = load_recipe(name)
    assert recipe.run == f"runs/{name}"
    assert recipe.data.use.startswith(f"bpkd.datasets.{data}.")
    small, big = (f"bpkd.networks.{network}" for network in PAIRS[pair])
    if method == "teacher":
        assert recipe.student.use == big and recipe.max_iters == 0
        assert data.replace("_", "") in str(recipe.student.checkpoint).replace("_", "")
        return
    if method == "plain":
        assert recipe.teacher is None
    else:
        assert isinstance(recipe.teacher, Network)
        assert recipe.teacher.use == big
        assert data.replace("_", "") in str(recipe.teacher.checkpoint).replace("_", "")
    assert recipe.student.use == small and recipe.student.checkpoint is None
    assert recipe.max_iters == {"table2": 40_000, "80k": 80_000}[table]
    assert recipe.augment.crop == ((512, 512) if table == "table2" else CROPS[data])
    assert recipe.optimizer.arguments == {
        "lr": 0.004 if data == "pascal_context" else 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4 if data == "pascal_context" else 5e-4,
    }
    assert (recipe.schedule.power, recipe.schedule.floor, recipe.auxiliary_weight) == (
        0.9,
        1e-4,
        0.4,
    )
    # Of one crop of 512x512, the similarities of 64x64 pixels: at stride 4, blocks are averaged.
    if method == "cirkd":
        fine = pair in ("hrnet", "deeplabv3plus")
        assert recipe.losses["mini_batch"].argument("pool", 1) == (2 if fine else 1)
    losses = read(RECIPES / "_losses" / f"{method}.yaml")["losses"]
    small_maps = table == "80k" and data == "pascal_context" and pair in ("pspnet", "isanet")
    assert set(recipe.losses) == {n for n in losses if not (n == "holistic" and small_maps)}


@pytest.mark.parametrize("table", ["table2", "80k"])
@pytest.mark.parametrize(
    ("row", "window", "stride"),
    [
        ("cityscapes/isanet/teacher", 769, 513),
        ("cityscapes/isanet/bpkd", None, None),
        ("cityscapes/pspnet/teacher", None, None),
        ("ade20k/hrnet/cwd", None, None),
        ("pascal_context/pspnet/teacher", 480, 320),
        ("pascal_context/pspnet/plain", 480, 320),
        ("pascal_context/hrnet/teacher", 480, 320),
        ("pascal_context/hrnet/skds", 512, 320),
        ("pascal_context/deeplabv3plus/teacher", 480, 320),
        ("pascal_context/deeplabv3plus/ifvd", None, None),
        ("pascal_context/isanet/teacher", None, None),
        ("pascal_context/isanet/cirkd", None, None),
    ],
)
def test_each_row_is_tested_as_its_published_number_was(
    table: str, row: str, window: int | None, stride: int | None
) -> None:
    evaluation = load_recipe(f"{table}/{row}").evaluation
    assert evaluation.mode == ("whole" if window is None else "slide")
    if window is not None:
        assert evaluation.window == (window, window) and evaluation.stride == (stride, stride)
    sizes = {"cityscapes": None, "ade20k": (2048, 512), "pascal_context": (520, 520)}
    assert evaluation.base_size == sizes[row.split("/", maxsplit=1)[0]]


@pytest.mark.parametrize("row", ["teacher", "plain", "cwd", "bpkd"])
def test_table_4_is_the_1x_schedule_of_one_size(row: str) -> None:
    recipe = load_recipe(f"table4/{row}")
    assert isinstance(recipe, InstanceRecipe)
    assert recipe.augment.sizes == [(1333, 800)] and recipe.evaluation.size == (1333, 800)
    big = recipe.student if row == "teacher" else recipe.teacher
    if row != "plain":
        assert isinstance(big, Network)
        assert big.use == "bpkd.networks.solov2_x101_dcn" and "x101_dcn" in str(big.checkpoint)
    if row == "teacher":
        assert recipe.max_iters == 0 and recipe.teacher is None
        return
    epoch = -(-117_266 // 16)
    assert recipe.max_iters == 12 * epoch and recipe.batch_size == 16
    schedule = recipe.schedule
    assert schedule.milestones == [8 * epoch, 11 * epoch] and schedule.gamma == 0.1
    assert (schedule.warmup, schedule.warmup_factor, recipe.clip_grad) == (500, 0.001, 35)
    assert recipe.optimizer.arguments == {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    assert recipe.student.use == "bpkd.networks.solov2_light_r18"


FEW = ("max_iters=2", "data.count=4", "data.val=null", "data.size=[64,64]", "batch_size=2")


@pytest.fixture(scope="module")
def teacher_of_objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is wider than a student of ``instances/*`` and soon there."""
    run = tmp_path_factory.mktemp("objects") / "teacher"
    words = ["student.backbone=test_resnet.r160_in1k", "student.weights=null"]
    return train("instances/teacher", f"run={run}", *words, *FEW, progress=False)


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("scale_bands", {"scale_bands.band"}),
        ("fgd", {"fgd.foreground", "fgd.relation"}),
        ("freekd", {"freekd.freekd", "freekd.squares"}),
        ("mgd", {f"p{i}.mgd" for i in range(2, 7)}),
        ("maskd", {"maskd.maskd_levels"}),
        ("crosskd", {"crosskd.crosskd"}),
    ],
)
def test_a_shipped_recipe_of_instances_trains(
    teacher_of_objects: Path, tmp_path: Path, method: str, terms: set[str]
) -> None:
    words = [f"run={tmp_path / 's'}", f"teacher={teacher_of_objects}", *FEW]
    if method in ("freekd", "maskd"):
        words.append(f"losses.{method}.token_iters=1")
    folder = train(f"instances/{method}", *words, progress=False)
    with (folder / "training.csv").open(newline="") as stream:
        first = next(csv.DictReader(stream))
    assert {f"loss/{term}" for term in terms} | {"loss/mask"} <= first.keys()
    assert not any(isnan(float(value)) for value in first.values())
