"""What init finds, chooses and writes; and what it answers to folders that it cannot use."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from bpkd.datasets import splitting
from bpkd.datasets.annotated import Annotated
from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from bpkd.starting import networks
from bpkd.starting.choosing import choose
from bpkd.starting.init import Started, init
from bpkd.starting.looking import ClassSize
from bpkd.starting.machine import Machine
from bpkd.starting.writing import scalar
from tests import exports
from tests.commands import refused
from tests.pictures import save

CPU = Machine(4)


def start(data: str | Path = "photos", **options: object) -> Started:
    return init(data, **{"weights": None, "machine": CPU, **options})  # type: ignore[arg-type]


def message(data: str | Path = "photos", **options: object) -> str:
    with pytest.raises(UserError) as caught:
        start(data, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", exports.EXPORTS)
def test_both_recipes_read_what_the_folder_holds(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path / "photos")
    start()
    for recipe in (load_recipe("teacher.yaml"), load_recipe("student.yaml")):
        counts = 0
        for split in ("train", "val"):
            data = recipe.data.build(split=split)
            counts += len(data)
            for index in range(len(data)):
                _, labels = data[index]
                number = int(data.name(index).split("_")[1][0])
                foreground = exports.labels(number) > (1 if name == "binary-masks" else 0)
                background = next(i for i, n in enumerate(data.classes) if "background" in n)
                assert ((labels != background).numpy() == foreground).all()
        assert counts == exports.COUNT
    assert load_recipe("student.yaml").teacher == "runs/teacher"


def test_recipes_that_are_there_stay_unless_asked(tmp_path: Path) -> None:
    exports.labelme(tmp_path / "photos")
    Path("student.yaml").write_text("mine")
    line = refused("init", "photos", "--weights", "none")
    assert "student.yaml is there already: --overwrite writes anew" in line
    assert Path("student.yaml").read_text() == "mine" and not Path("teacher.yaml").exists()
    start(overwrite=True)
    assert "mine" not in Path("student.yaml").read_text()


def test_splits_are_drawn_once_and_written_down(tmp_path: Path) -> None:
    exports.labelme(tmp_path / "photos")
    start(out="a")
    start(out="b")
    start(out="c", seed=1)
    lists = [Path(f"{out}/splits/train.txt").read_text() for out in "abc"]
    assert lists[0] == lists[1] != lists[2]
    assert lists[0].count("\n") + Path("a/splits/val.txt").read_text().count("\n") == 6
    recipe = load_recipe("a/student.yaml")
    assert recipe.run == "a/runs/student" and recipe.teacher == "a/runs/teacher"
    assert len(recipe.data.build(split="val")) == 1


def test_what_is_in_a_split_stays_in_it() -> None:
    images = [f"{number:03}.png" for number in range(100)]
    given = {image: "test" for image in images[:10]} | {images[10]: "train"}
    splits, anew = splitting.drawn(images, given, 0)
    assert anew and splits["test"] == images[:10]
    assert not set(splits["train"]) & set(splits["val"])
    assert len(splits["train"]) + len(splits["val"]) == 90
    with pytest.raises(UserError, match="2 annotated images to train on: expected 3 or more"):
        splitting.drawn(images[:2], {}, 0)


def test_values_of_no_class_are_ignored(tmp_path: Path) -> None:
    for index in range(4):
        save(tmp_path / f"photos/images/{index}.png", np.zeros((32, 32, 3)))
        save(tmp_path / f"photos/masks/{index}.png", np.arange(32 * 32).reshape(32, 32) % 4)
        labels = np.array(Image.open(tmp_path / f"photos/masks/{index}.png"))
        save(
            tmp_path / f"photos/masks/{index}.png",
            np.where(labels == 3, 9 + 246 * (index % 2), labels),
        )
    (tmp_path / "photos/classes.txt").write_text("sky\nroad\ncar\n")
    started = start()
    assert any(
        "values that none of the 3 named classes has are ignored: 9" in line
        for line in started.lines
    )
    content = yaml.safe_load(Path("teacher.yaml").read_text())
    assert content["data"]["ignore"] == [9]
    assert content["data"]["classes"] == ["sky", "road", "car"]
    data = load_recipe("teacher.yaml").data.build(split="train")
    assert set(np.unique(data[0][1])) == {0, 1, 2, 255}


def test_names_in_other_scripts(tmp_path: Path) -> None:
    data = tmp_path / "снимки и 写真"
    exports.labelme(data)
    for file in sorted(data.glob("*.json")):
        text = file.read_text(encoding="utf-8").replace('"road"', '"Straße: nº 1"')
        composed = unicodedata.normalize("NFC", f"é車_{file.stem[-1]}")
        file.write_text(text.replace(file.stem, composed), encoding="utf-8")
        # macOS takes letters with accents apart in the names of files.
        taken_apart = unicodedata.normalize("NFD", composed)
        file.with_suffix(".jpg").rename(data / f"{taken_apart}.jpg")
    start(data.name)
    recipe = load_recipe("student.yaml")
    read = recipe.data.build(split="train")
    assert read.classes == ["background", "Straße: nº 1", "car"]
    assert set(np.unique(read[0][1])) == {0, 1, 2}


@pytest.mark.parametrize(
    "text", ["no", "2024", "1e3", "a: b", "#x", "${x}", "", "null", "дорога", "a b", "'", '"', "~"]
)
def test_scalars_read_back(text: str, tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    file = tmp_path / "a.yaml"
    file.write_text(f"a: [{scalar(text)}]\n", encoding="utf-8")
    assert OmegaConf.to_container(OmegaConf.load(file), resolve=True) == {"a": [text]}


# What is chosen -----------------------------------------------------------------------------------

STREET = [ClassSize(90, 0.6, 200.0), ClassSize(70, 0.01, 40.0)]


def test_a_gpu_gets_more(tmp_path: Path) -> None:
    big = Machine(16, "H100", 79.0)
    choice = choose((1024, 2048), STREET, ["road", "car"], 3000, big)
    assert choice.crop.value == (512, 512)
    assert choice.batch.value == 16 and choice.iterations.value == 15_000
    assert choose((2160, 3840), STREET, ["a", "b"], 99, big).scale.value == (0.25, 1.0)
    small = choose((1024, 2048), STREET, ["road", "car"], 3000, Machine(8, "T4", 14.6))
    assert small.crop.value == (384, 384) and small.batch.value < 16
    assert networks.teacher(None, big, "hub").section["backbone"] == "resnet101d"  # type: ignore[index]
    assert networks.teacher(None, CPU, "hub").section["backbone"].startswith("tf_")  # type: ignore[index,union-attr]


def test_images_and_classes_decide() -> None:
    assert choose((200, 250), STREET, ["a", "b"], 9, CPU).crop.value == (224, 256)
    few = choose((200, 250), STREET, ["a", "b"], 5, CPU)
    assert few.batch.value == 2 and "only 5 images" in few.batch.why
    thin = [*STREET, ClassSize(5, 0.001, 6.0)]
    choice = choose((360, 480), thin, ["road", "car", "pole"], 300, CPU)
    assert choice.scale.value == (0.75, 1.5) and "pole fills about 6x6" in choice.scale.why


def test_networks_have_names(tmp_path: Path) -> None:
    def use(word: str) -> object:
        return networks.student(word, CPU, None).section["use"]  # type: ignore[index]

    assert use("pspnet_r18") == "bpkd.networks.pspnet_r18"
    assert use("resnet18") == "bpkd.networks.deeplabv3plus.DeepLabV3Plus"
    assert use("torchvision.models.segmentation.fcn_resnet50").startswith("torchvision")  # type: ignore[attr-defined]
    assert use("owner/name") == "bpkd.networks.foreign.from_transformers"
    with pytest.raises(UserError, match=r"'resnet19' is no network: expected .* did you mean"):
        use("resnet19")
    Path("runs").mkdir()
    with pytest.raises(UserError, match=r"'runs/big' is no network: .* a run's folder"):
        networks.teacher("runs/big", CPU, None)
    Path("w").mkdir()
    with pytest.raises(UserError, match="a folder that holds the weights of tf_efficientnet_lite0"):
        networks.student(None, CPU, "w")
    Path("w/tf_efficientnet_lite0.fp16.safetensors").touch()
    chosen = networks.student(None, CPU, "w").section
    assert chosen["weights"] == "w/tf_efficientnet_lite0.fp16.safetensors"  # type: ignore[index]


# What cannot be used ------------------------------------------------------------------------------


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    assert message("nowhere").startswith("nowhere does not exist: expected a folder of images")
    (tmp_path / "photos").mkdir()
    assert message().startswith("photos holds no images")
    for index in range(3):
        exports.photo(tmp_path / f"photos/{index}.jpg", index)
    assert message().startswith("photos holds 3 images and no known annotations")


def test_mixed_formats(tmp_path: Path) -> None:
    exports.labelme(tmp_path / "photos")
    exports.via(tmp_path / "photos")
    line = message()
    assert "several formats, LabelMe JSON (labelme), VGG Image Annotator 2 (via)" in line
    assert "--format" in line
    start(format="via")
    assert load_recipe("teacher.yaml").data.arguments["format"] == "via"
    assert message(format="vai", overwrite=True) == "format 'vai' is unknown; did you mean 'via'?"


def test_mixed_masks(tmp_path: Path) -> None:
    exports.index_masks(tmp_path / "photos")
    mask = tmp_path / "photos/masks/street_3.png"
    exports.png(mask, np.zeros((32, 48, 3), np.uint8))
    assert "masks are mixed: photos/masks/street_0.png is of the kind index" in message()


def test_sizes_that_disagree(tmp_path: Path) -> None:
    exports.labelme(tmp_path / "photos")
    exports.save_size(tmp_path / "photos/street_1.jpg", (20, 10))
    started = start()
    line = next(line for line in started.lines if "broken" in line)
    assert "1 of 6 images that were looked at are broken, e.g. photos/street_1.jpg is 20x10" in line
    assert "photos/street_1.json is of 48x32 (width x height): both must have one size" in line
    for index in range(exports.COUNT):
        exports.save_size(tmp_path / f"photos/street_{index}.jpg", (20, 10))
    assert "both must have one size" in message(overwrite=True)


def test_classes_that_differ_between_splits(tmp_path: Path) -> None:
    exports.yolo(tmp_path / "photos")
    for file in (tmp_path / "photos/labels/train").glob("*.txt"):
        file.write_text("".join(line for line in file.open() if line.startswith("0")))
    started = start()
    wanted = "note: classes differ between splits: val shows car, and train never does"
    assert wanted in started.lines


def test_values_that_differ_between_splits(tmp_path: Path) -> None:
    exports.roboflow(tmp_path / "photos")
    table = tmp_path / "photos/valid/_classes.csv"
    table.write_text("Pixel Value, Class\n0, background\n1, car\n2, road\n")
    assert message().startswith("classes differ between splits: the value 1 is 'road' in")


CATEGORIES = "annotations/instances_val2017.json"
NO_JSON = '{"images" "annotations" "categories"'
NO_XML = "<annotations><version>1.1</version><image"
FIRST = "labels/train/street_0.txt"


@pytest.mark.parametrize(
    ("name", "file", "text", "said"),
    [
        ("coco", CATEGORIES, NO_JSON, "is no whole JSON"),
        ("cvat", "annotations.xml", NO_XML, "is no readable XML"),
        ("labelme", "street_1.json", '{"shapes": [{}]}', "not as LabelMe writes it (no 'points')"),
        ("yolo", FIRST, "0 0.5 0.5 0.2 0.2\n", "boxes have no outline"),
        ("yolo", FIRST, "7 0 0 1 0 1 1\n", "line 1: class 7: expected 0 to 1"),
        ("cvat-masks", "labelmap.txt", "road 1,2,3\n", "expected NAME:R,G,B:parts:actions"),
        ("roboflow", "train/_classes.csv", "a\nb\n", "is not as Roboflow writes it"),
        ("label-studio-png", "project-1.json", "[]", "says which photo that is"),
        ("supervisely", "train/ann/street_0.jpg.json", '{"objects": [{}]}', "not as Supervisely"),
    ],
)
def test_damaged_exports(name: str, file: str, text: str, said: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path / "photos")
    (tmp_path / "photos" / file).write_text(text)
    try:
        lines = start().lines
    except UserError as error:
        lines = [str(error)]
    assert any(said in line for line in lines), lines


def test_a_photo_that_is_missing(tmp_path: Path) -> None:
    exports.via(tmp_path / "photos")
    (tmp_path / "photos/street_1.jpg").unlink()
    line = message()
    assert "names the image 'street_1.jpg', which is not below photos" in line


def test_images_without_masks_are_left_out_and_said(tmp_path: Path) -> None:
    exports.index_masks(tmp_path / "photos")
    (tmp_path / "photos/masks/street_1.png").unlink()
    lines = start().lines
    assert any(
        "1 images have no mask, e.g. photos/images/street_1.jpg: left out" in line for line in lines
    )
    assert len(Annotated("photos", "all")) == exports.COUNT - 1
