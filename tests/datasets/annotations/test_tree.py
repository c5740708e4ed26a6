"""Which photo an annotation means, whatever machine it was made on."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from bpkd.datasets.annotated import Annotated
from bpkd.datasets.annotations.catalogue import recognised
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError
from tests import exports


def tree(root: Path, *names: str) -> Tree:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Tree(root)


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "images/a.jpg", r"..\images\a.jpg", r"C:\Users\me\a.jpg", "/home/me/x/a.jpg"],
)
def test_a_photo_is_found_by_its_name(name: str, tmp_path: Path) -> None:
    found = tree(tmp_path, "images/a.jpg", "images/b.jpg", "notes/a.json")
    assert found.image(name, tmp_path / "notes/a.json") == tmp_path / "images/a.jpg"


def test_of_several_photos_the_folders_decide(tmp_path: Path) -> None:
    found = tree(tmp_path, "one/a.jpg", "two/a.jpg", "two/deep/notes.json", "notes.json")
    assert found.image("x/one/a.jpg", tmp_path / "notes.json").parent.name == "one"
    assert found.image("a.jpg", tmp_path / "two/deep/notes.json").parent.name == "two"
    with pytest.raises(UserError, match=r"there are 2, .*: give each a name of its own"):
        found.image("a.jpg", tmp_path / "notes.json")


def test_accents_taken_apart_are_the_same_name(tmp_path: Path) -> None:
    found = tree(tmp_path, unicodedata.normalize("NFD", "Ärmel é.jpg"))
    assert found.image(unicodedata.normalize("NFC", "Ärmel é.jpg"), tmp_path / "a.json").is_file()


def test_hidden_files_and_what_macos_packs_are_passed_over(tmp_path: Path) -> None:
    found = tree(tmp_path, ".cache/a.jpg", "__MACOSX/a.jpg", "._a.jpg", "a.jpg")
    assert found.images == [tmp_path / "a.jpg"]


def test_a_photo_called_test_is_in_no_split(tmp_path: Path) -> None:
    exports.labelme(tmp_path)
    for file in [*tmp_path.glob("street_1.*")]:
        text = file.read_bytes().replace(b"street_1", b"test_1")
        file.with_name(f"test_1{file.suffix}").write_bytes(text)
        file.unlink()
    assert {sample.split for sample in Annotated(tmp_path, "all").samples} == {None}


def test_yolo_as_roboflow_exports_it(tmp_path: Path) -> None:
    exports.yolo(tmp_path / "plain")
    for old in sorted((tmp_path / "plain").rglob("street_*")):
        kind, split = old.parts[-3:-1]
        new = tmp_path / "images" / "robo" / split / kind / old.name
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
    (tmp_path / "images/robo/data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['road', 'car']\n"
    )
    data = Annotated(tmp_path / "images/robo", "val")
    assert (data[0][1].numpy() == exports.labels(2)).all()


def test_one_photo_in_two_files_is_refused(tmp_path: Path) -> None:
    exports.coco(tmp_path)
    first = tmp_path / "annotations/instances_val2017.json"
    (tmp_path / "annotations/instances_valid.json").write_bytes(first.read_bytes())
    with pytest.raises(UserError, match=r"both annotate .*: take one of them away"):
        recognised(Tree(tmp_path)).read(Tree(tmp_path))


def test_many_captions_beside_instances_do_no_harm(tmp_path: Path) -> None:
    exports.coco(tmp_path)
    first = tmp_path / "annotations/instances_val2017.json"
    (tmp_path / "annotations/person_keypoints_val2017.json").write_bytes(first.read_bytes())
    (tmp_path / "annotations/captions_val2017.json").write_text('{"images": [], "annotations": []}')
    assert len(Annotated(tmp_path, "all")) == exports.COUNT
