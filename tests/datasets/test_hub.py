"""Hub: Hugging Face data sets saved on disk, as Parquet, as image folders, streamed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd.datasets.hub import Hub
from bpkd.datasets.loading import train_loader
from bpkd.errors import UserError

datasets = pytest.importorskip("datasets")

NAMES = ["road", "car"]
LABELS = np.array([[0, 1, 2], [255, 2, 1]], np.uint8)  # 0 is void


def png(values: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array(values, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def table(count: int = 3, labels: Any = None, **features: Any) -> Any:
    """Image i is full of the value i; its labels are LABELS unless others are given."""
    columns: dict[str, Any] = {
        "image": [{"bytes": png(np.full((2, 3, 3), i)), "path": None} for i in range(count)],
        "label": [{"bytes": png(LABELS), "path": None}] * count if labels is None else labels,
        "caption": ["a street"] * count,
    }
    kinds = {
        "image": datasets.Image(),
        "label": datasets.Image(),
        "caption": datasets.Value("string"),
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features({**kinds, **features}))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    splits = datasets.DatasetDict({"train": table(3), "validation": table(1)})
    splits.save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def firsts(data: Hub) -> list[int]:
    return [int(data[i][0][0, 0, 0]) for i in range(len(data))]


def test_saved_on_disk(saved: Path) -> None:
    data = Hub(saved, "train", classes=["void", *NAMES])
    image, labels = data[2]
    assert (len(data), image.dtype, labels.dtype) == (3, torch.uint8, torch.uint8)
    assert (image == 2).all() and image.shape == (3, 2, 3)
    assert labels.tolist() == LABELS.tolist()
    assert data.name(2) == "train-000002"
    assert (data.classes, len(data.palette), data.ignore_index) == (["void", *NAMES], 3, 255)
    assert firsts(Hub(saved, "train+validation", classes=["void", *NAMES])) == [0, 1, 2, 0]
    assert firsts(Hub(saved, "train", classes=["void", *NAMES], count=2)) == [0, 1]


def test_reduce_zero_label(saved: Path) -> None:
    data = Hub(saved, "train", classes=NAMES, reduce_zero_label=True)
    assert data[0][1].tolist() == [[255, 0, 1], [255, 1, 0]]
    other = Hub(saved, "train", classes=NAMES, reduce_zero_label=True, ignore=[2], ignore_index=-1,
                label_map={255: -1})  # fmt: skip
    assert other[0][1].tolist() == [[-1, 0, -1], [-1, -1, 0]]


def test_parquet_with_other_columns_and_id2label(tmp_path: Path) -> None:
    renamed = table().rename_columns({"image": "pixel_values", "label": "annotation"})
    folder = tmp_path / "data"
    folder.mkdir()
    renamed.to_parquet(str(folder / "train.parquet"))
    id2label = tmp_path / "id2label.json"
    id2label.write_text(json.dumps({"0": "void", "1": "road", "2": "car"}))
    columns = {"image": "pixel_values", "label": "annotation", "classes": id2label}
    for root in (folder, folder / "train.parquet"):
        data = Hub(root, "train", **columns)
        assert data.classes == ["void", "road", "car"]
        assert firsts(data) == [0, 1, 2]
    assert firsts(Hub(folder, "train[1:]", **columns)) == [1, 2]
    assert Hub(folder, "train[1:]", **columns).name(0) == "train-1-000000"


def test_image_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    rows = ["image_file_name,label_file_name"]
    for i in range(2):
        (folder / f"{i}.png").write_bytes(png(np.full((2, 3, 3), i)))
        (folder / f"{i}_label.png").write_bytes(png(LABELS))
        rows.append(f"{i}.png,{i}_label.png")
    (folder / "metadata.csv").write_text("\n".join(rows))
    data = Hub(tmp_path / "data", "train", classes=["void", *NAMES])
    assert firsts(data) == [0, 1]
    assert data[1][1].tolist() == LABELS.tolist()


def test_labels_as_lists_that_declare_their_classes(tmp_path: Path) -> None:
    kind = datasets.ClassLabel(names=["void", *NAMES])
    nested = getattr(datasets, "List", datasets.Sequence)
    values = [[[0, 1, 2], [0, 2, 1]]] * 3
    table(labels=values, label=nested(nested(kind))).save_to_disk(str(tmp_path / "lists"))
    data = Hub(tmp_path / "lists", "train")  # one split, saved alone
    assert data.classes == ["void", *NAMES]
    assert data[0][1].tolist() == values[0]


def test_streaming_keeps_the_first_samples(saved: Path) -> None:
    arguments = {"classes": ["void", *NAMES], "streaming": True}
    with pytest.raises(UserError, match=r"no length and no order.*`count`"):
        Hub(saved, "train", **arguments)
    data = Hub(saved, "train", count=2, **arguments)
    assert firsts(data) == [0, 1]
    assert data[0][1].tolist() == LABELS.tolist()
    loader = train_loader(data, lambda i, t: (i, t), seed=0, batch_size=2, iterations=3)
    assert [sorted(images[:, 0, 0, 0].tolist()) for images, _ in loader] == [[0, 1]] * 3


def test_streaming_parquet(tmp_path: Path) -> None:
    table().to_parquet(str(tmp_path / "train.parquet"))
    data = Hub(tmp_path, "train", classes=["void", *NAMES], streaming=True, count=5)
    assert firsts(data) == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "test"}, ["no split 'test'", "train, validation"]),
        ({"image": "picture"}, ["no column 'picture'", "image, label, caption", "`image`"]),
        ({"label": "mask"}, ["no column 'mask'", "`label`"]),
        ({"classes": None}, ["'label'", "`classes`", "id2label"]),
        ({"count": 0}, ["count 0"]),
        ({"palette": [[0, 0, 0]]}, ["1 colours for 3 classes"]),
    ],
)
def test_faulty_arguments(saved: Path, arguments: dict[str, Any], words: list[str]) -> None:
    given = {"split": "train", "classes": ["void", *NAMES], **arguments}
    with pytest.raises(UserError) as caught:
        Hub(saved, **given)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_faulty_samples(tmp_path: Path) -> None:
    def message(name: str, data: Any, **arguments: Any) -> str:
        data.save_to_disk(str(tmp_path / name))
        given = {"classes": ["void", *NAMES], **arguments}
        with pytest.raises(UserError) as caught:
            Hub(tmp_path / name, "train", **given)[0]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    text = message("unknown", table(1), classes=NAMES)
    assert "train, sample 0, column 'label' holds the label value 2" in text
    wide = table(1, labels=[{"bytes": png([[0, 1, 2, 2]]), "path": None}])
    assert "is 3x2 and its label map" in message("wide", wide)
    damaged = table(1, labels=[{"bytes": png(LABELS)[:30], "path": None}])
    assert "column 'label' cannot be read" in message("damaged", damaged)
    assert "holds no image" in message("text", table(1), label="caption")


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(UserError, match=r"'someone/streets', split 'train': .*: no network"):
        Hub("someone/streets", "train", classes=NAMES)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'bpkd\[datasets\]'"):
        Hub("someone/streets", "train", classes=NAMES)
