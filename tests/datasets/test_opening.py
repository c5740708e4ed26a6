"""What a check opens: recipes, folders in several layouts, Parquet files, data sets of the hub."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bpkd.datasets.checking.opening import HUB, opened
from bpkd.errors import UserError
from tests.pictures import save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One pair."""
    (tmp_path / "classes.csv").write_text("name\nroad\ncar\ntree\n")
    save(tmp_path / "images/train/a.png", np.zeros((2, 4, 3)))
    save(tmp_path / "labels/train/a.png", np.zeros((2, 4)))
    return tmp_path


def test_a_folder_opens_with_the_splits_that_it_has(root: Path) -> None:
    for split in ("zurich", "val", ".hidden"):
        save(root / f"images/{split}/a.png", np.zeros((2, 2, 3)))
    found = opened(str(root), ["data.ignore=[9]", "augment.crop=[8,8]"])
    assert found.splits == ["train", "val", "zurich"]
    assert found.augment.crop == (8, 8)
    assert found.build("train").classes == ["road", "car", "tree"]


def test_a_folder_in_another_layout(root: Path) -> None:
    use = "data.use=bpkd.datasets.camvid.CamVid"
    assert opened(str(root), [use]).splits == ["train", "val", "test"]
    assert opened(str(root), [use, "data.test=null", "data.val=test"]).splits == ["train", "test"]
    assert opened(str(root), ["data.images=photos", "data.val=null"]).splits == ["train", "test"]


def test_a_recipe_opens_with_its_own_splits() -> None:
    assert opened("demo/plain", ["data.test=val"]).splits == ["train", "val"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.clases=[a]"], "did you mean 'classes'?"),
        (["max_iters=3"], "unknown key 'max_iters'"),
        (["data.use=bpkd.datasets.camvid.CamVit"], "CamVit"),
        (["augment.flip=2"], "augment.flip"),
    ],
)
def test_keys_that_do_not_fit(root: Path, overrides: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        opened(str(root), overrides)
    assert words in str(caught.value)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no split: expected .*images/train/NAME"):
        opened(str(tmp_path))
    with pytest.raises(UserError, match="no such recipe file"):
        opened(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"data\.test is null"):
        opened("demo/plain", ["data.test=null"]).data.own_name("test")


def test_splits_that_null_leaves_out_or_another_serves_as(root: Path) -> None:
    for split in ("val", "test"):
        save(root / f"images/{split}/a.png", np.zeros((2, 2, 3)))
    assert opened(str(root), ["data.test=null"]).splits == ["train", "val"]
    swapped = opened(str(root), ["data.val=test", "data.test=null"])
    assert swapped.splits == ["train", "test", "val"]
    assert swapped.build("train").split == "train"
    # An own name is never taken for a part that a split plays.
    assert opened(str(root), ["data.train=val", "data.val=train"]).build("train").split == "train"


def test_splits_that_nobody_asked_for(root: Path) -> None:
    use = "data.use=bpkd.datasets.voc.VOC"
    assert opened(str(root), [use]).splits == ["train", "val"]  # VOC has no test
    assert opened(str(root), [use, "data.test=test"]).splits == ["train", "val", "test"]


def test_a_recipe_of_data_alone(root: Path) -> None:
    recipe = root / "only.yaml"
    recipe.write_text(f"data: {{use: bpkd.datasets.folder.Folder, root: {root}, test: null}}\n")
    found = opened(str(recipe), ["augment.crop=[8,8]", "max_iters=none of its business"])
    assert found.splits == ["train", "val"] and found.augment.crop == (8, 8)
    assert len(found.build("train")) == 1
    for override, words in (
        ("dat.x=1", "only.yaml: unknown key 'dat'; did you mean 'data'?"),
        ("data.rot=x", "only.yaml: data.rot: "),
        ("data.root=${x}", "only.yaml: Interpolation key 'x' not found"),
    ):
        with pytest.raises(UserError) as caught:
            opened(str(recipe), [override])
        assert words in str(caught.value)
    recipe.write_text("seed: 1\n")
    with pytest.raises(UserError, match=r"only\.yaml: data is missing"):
        opened(str(recipe))


def test_what_the_hub_library_reads(tmp_path: Path) -> None:
    named = opened("owner/name", [f"data.use={HUB}", "data.val=validation", "data.test=null"])
    assert (named.data.use, named.splits) == (HUB, ["train", "validation"])
    assert named.data.arguments == {"root": "owner/name"}
    (tmp_path / "a.parquet").touch()
    one = opened(str(tmp_path / "a.parquet"))
    assert (one.data.use, one.splits) == (HUB, ["train"])
    (tmp_path / "dataset_dict.json").touch()
    assert opened(str(tmp_path)).data.use == HUB
    with pytest.raises(UserError, match=rf"owner/name: no such recipe .* add data\.use={HUB}$"):
        opened("owner/name")
    with pytest.raises(UserError, match=r"did you mean 'camvid/bpkd'\?$"):
        opened("camvid/bpdk")


def test_a_folder_one_level_too_high_or_too_low(root: Path) -> None:
    inner = root / "photos"
    inner.mkdir()
    for part in ("images", "labels"):
        (root / part).rename(inner / part)
    for place in (root, inner / "images"):
        with pytest.raises(UserError, match=rf"has no split: .* did you mean {inner}\?$"):
            opened(str(place))


PAGE = Path(__file__).parents[2] / "docs/data.md"


def test_the_recipes_of_the_page_on_data_open(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found = []
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block)
        found.append(opened(str(tmp_path / f"{number}.yaml")).splits)
    assert ["train", "validation"] in found and ["train_aug", "val"] in found
    assert ["train+train_extra", "val"] in found and len(found) == 9


@pytest.mark.parametrize(
    ("source", "change", "message"),
    [
        ("nothing.parquet", [], "nothing.parquet: no such folder or file"),
        ("nope", ["data.use=bpkd.datasets.folder.Folder"], "nope: no such folder or file"),
        ("nope", [], "nope is no folder; nope: no such recipe"),
        ("data/nope", [], f"data/nope is no folder; .* add data.use={HUB}"),
    ],
)
def test_a_mistyped_source(source: str, change: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(source, change)


def test_what_checking_has_no_use_for_may_be_wrong(root: Path) -> None:
    recipe = root / "recipe.yaml"
    recipe.write_text(
        f"data: {{use: bpkd.datasets.folder.Folder, root: {root}}}\n"
        "teacher: {checkpoint: '${oc.env:NOT_SET_ANYWHERE}'}\n"
    )
    assert opened(str(recipe)).splits == ["train", "val", "test"]
