"""Images without labels: drawn at their share, taught by the teacher, never by labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd import UserError, train
from bpkd.datasets.draws import Draws
from bpkd.datasets.folder import Folder
from bpkd.datasets.images import read_image
from bpkd.datasets.scenes import Scenes
from bpkd.datasets.transforms import to_float
from bpkd.datasets.unlabelled import UNLABELLED, Mixed, Unlabelled, found
from bpkd.losses.bpkd import BPKD
from bpkd.networks.base import SegOutput, resize
from bpkd.runs.loading import load
from bpkd.training.unlabelled import own_labels, taught_labels
from tests.commands import done
from tests.runs import rows, run
from tests.training.teacher_cache.test_runs import TAUGHT, no_teacher, same

CLASSES = list(Scenes("val", size=(32, 32), count=1).classes)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    scenes = Scenes("test", size=(40, 48), count=3)
    for index, place in enumerate(("a.png", "b.png", "more/a.png")):
        Image.fromarray(scenes[index][0].permute(1, 2, 0).numpy()).save(folder / place)
    (folder / "notes.md").write_text("no image")
    return folder


@pytest.fixture
def recipe(tmp_path: Path, photos: Path) -> Path:
    (tmp_path / "taught.yaml").write_text(TAUGHT)
    return tmp_path / "taught.yaml"


# Finding and drawing ------------------------------------------------------------------------------


def test_folders_patterns_and_lists(photos: Path) -> None:
    names = lambda *places: [str(f.relative_to(photos)) for f in found(list(map(str, places)))]  # noqa: E731
    assert names(photos) == ["a.png", "b.png", "more/a.png"]
    assert names(photos / "*.png") == ["a.png", "b.png"]
    assert names(photos / "**" / "a.*") == ["a.png", "more/a.png"]
    (photos / "some.txt").write_text("more/a.png\nb.png\n")
    assert names(photos / "some.txt", photos / "b.png") == ["more/a.png", "b.png"]
    (photos / "some.txt").write_text("c.png\n")
    with pytest.raises(UserError, match=r"names .*c.png, which does not exist"):
        names(photos / "some.txt")
    with pytest.raises(UserError, match=r"nothing/\*.jpg holds none; expected a folder"):
        names(photos / "nothing" / "*.jpg")


def test_every_batch_has_its_share_however_it_is_cut(photos: Path) -> None:
    scenes = Scenes("train", size=(32, 32), count=5)
    images = Unlabelled(images=str(photos), classes=CLASSES)
    draws = Draws(Mixed(scenes, images, 0.75), lambda image, labels: (image, labels), 0, 24)
    bare = [bool((draws[k][1] == UNLABELLED).all()) for k in range(24)]
    assert all(sum(bare[first : first + 4]) == 3 for first in range(0, 24, 4))
    # Item k is the same however it is reached, and each part goes through all of its samples.
    again = Draws(Mixed(scenes, images, 0.75), lambda image, labels: (image, labels), 0, 24)
    for k in (23, 3, 11):
        assert torch.equal(again[k][0], draws[k][0])
    seen = [draws[k][0] for k in range(24) if bare[k]]
    for epoch in range(6):
        assert len({image.sum().item() for image in seen[3 * epoch : 3 * epoch + 3]}) == 3
    # A run without such images draws what it always drew: the labelled part's own order.
    plain = Draws(scenes, lambda image, labels: (image, labels), 0, 6)
    labelled = [draws[k][0] for k in range(24) if not bare[k]]
    assert all(torch.equal(image, plain[j][0]) for j, image in enumerate(labelled))


# What is learnt -----------------------------------------------------------------------------------


def outputs(seed: int) -> SegOutput:
    draw = torch.Generator().manual_seed(seed)
    return SegOutput(torch.randn(2, 4, 8, 8, generator=draw), {})


def test_outlines_there_are_the_teachers_own() -> None:
    """An image without labels gets what ``edges: teacher`` gives it; one with labels its own."""
    student, teacher = outputs(0), outputs(1)
    labels = torch.randint(4, (2, 32, 32), generator=torch.Generator().manual_seed(2))
    nobody = torch.full_like(labels, UNLABELLED)
    taught = BPKD()(student, teacher, taught_labels(nobody, teacher))
    edges = BPKD(edges="teacher")(student, teacher, labels)
    assert all(torch.equal(taught[name], edges[name]) for name in edges)
    mixed = torch.stack([labels[0], nobody[1]])
    given = taught_labels(mixed, teacher)
    assert torch.equal(given[0], labels[0])
    assert not (given[1] == UNLABELLED).any()
    assert torch.equal(own_labels(mixed, 255)[1], torch.full((32, 32), 255))


def test_what_somebody_ignored_stays_ignored() -> None:
    labels = torch.full((2, 32, 32), UNLABELLED)
    labels[:, :, 16:] = 255
    given = taught_labels(labels, outputs(1))
    assert (given[:, :, 16:] == 255).all()
    assert (given[:, :, :16] < 4).all()


def test_a_run_with_and_without_labels(recipe: Path, photos: Path) -> None:
    options = [f"data.unlabelled={photos}", "data.unlabelled.share=0.5", "batch_size=4"]
    mixed = run(recipe, "mixed", *options, f"teacher_cache={recipe.parent / 'cache'}")
    with no_teacher():
        again = run(recipe, "again", *options, f"teacher_cache={recipe.parent / 'cache'}")
    assert same(mixed, again)
    table = rows(mixed / "training.csv")
    assert all(float(row["loss/segmentation"]) > 0 for row in table)
    assert all(float(row["loss/bpkd.body"]) > 0 for row in table)
    # Other images are another cache.
    (photos / "b.png").unlink()
    run(recipe, "fewer", *options, f"teacher_cache={recipe.parent / 'cache'}")
    assert len(list((recipe.parent / "cache").iterdir())) == 2


def test_a_run_with_no_labels_at_all(recipe: Path, photos: Path) -> None:
    data = (
        f"data={{use: bpkd.datasets.unlabelled.Unlabelled, images: {photos}, "
        f"classes: [{','.join(CLASSES)}], val: null}}"
    )
    folder = run(recipe, "none", data)
    (row,) = rows(folder / "training.csv")[:1]
    assert float(row["loss/segmentation"]) == 0
    assert float(row["loss/bpkd.edge"]) > 0
    assert (folder / "student.safetensors").is_file()
    with pytest.raises(UserError, match=r"teach a student nothing by themselves; add teacher"):
        run(recipe, "plain", data, "teacher=null", "losses={}")
    with pytest.raises(UserError, match=r"data\.val=null takes none"):
        run(recipe, "val", data.replace("val: null", "val: train"))
    needs = "losses.maskd={use: bpkd.losses.maskd.MasKD, token_iters: 2}"
    with pytest.raises(UserError, match=r"losses.maskd: it first learns on labelled images"):
        run(recipe, "maskd", data, needs)


def test_it_is_said(recipe: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: list[Any] = [f"run={recipe.parent / 'run'}", "max_iters=1"]
    train(recipe, *options, f"data.unlabelled={photos}")
    said = "unlabelled: 3 images, 0.5 of each batch (5 are labelled); there the teacher's "
    assert said + "prediction stands for labels in bpkd, at" in capsys.readouterr().out


# Labels out of predictions ------------------------------------------------------------------------


def test_predictions_to_correct_and_train_on(recipe: Path, photos: Path, tmp_path: Path) -> None:
    folder = run(recipe, "run", "max_iters=1", "optimizer.lr=0.0001")
    image = to_float(read_image(photos / "a.png"))[None]
    sure = resize(load(folder)(image).logits, image.shape[-2:]).softmax(1).amax(1)
    out, limit = tmp_path / "labelled", sure.median().item()
    told = done("predict", folder, photos, "--out", out, "--as-labels", "--confidence", limit)
    assert f"data.images={photos} data.labels=labels" in told
    labels = [np.asarray(Image.open(file)) for file in sorted((out / "labels").rglob("*.png"))]
    assert (labels[0] == 255).mean() == pytest.approx(0.5, abs=0.01)
    assert not (out / "overlays").exists()
    data = Folder(out, "train", images=str(photos), labels="labels")
    assert (len(data), data.classes) == (3, CLASSES)
    done("predict", folder, photos, "--out", tmp_path / "all", "--as-labels", "--confidence", "0")
    whole = [np.asarray(Image.open(f)) for f in sorted((tmp_path / "all/labels").rglob("*.png"))]
    for sure, every in zip(labels, whole, strict=True):
        assert (every < 10).all()
        assert (sure[sure != 255] == every[sure != 255]).all()
