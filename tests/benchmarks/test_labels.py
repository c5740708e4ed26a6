"""The study of labels: every cell is a recipe, and one from its files to its table."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from benchmarks import evidence, labels
from bpkd.datasets.camvid import CamVid
from bpkd.datasets.folder import Folder
from bpkd.recipe.loading import load_recipe
from tests.runs import TINY


def test_every_cell_is_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELS", "/labels")
    for name in yaml.safe_load(labels.GRID.read_text()):
        study = evidence.study_of(name, labels.GRID)
        found = {}
        for cell in evidence.cells(name, study, Path("runs")):
            if cell.seed == 0:
                found[cell.regime, cell.method] = load_recipe(cell.recipe, cell.overrides)
        assert len(found) == 4 * 3 - 2
        for (regime, method), recipe in found.items():
            assert recipe.draws == 0
            assert (recipe.data.unlabelled is None) == (
                "labelled," not in regime and "none" not in regime
            )
            assert (recipe.teacher_cache is None) == (method == "plain")
            assert recipe.data.train == ("quarter" if "quarter" in regime else "train")


def test_a_study_from_its_files_to_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels.prepare("scenes", tmp_path, counts={"train": 9, "val": 1, "test": 1})
    root = tmp_path / "scenes"
    sizes = {split: len(Folder(root, split)) for split in ("train", "quarter", "rest")}
    assert sizes == {"train": 9, "quarter": 3, "rest": 6}
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(TINY.replace("size: [32, 48], count: 5", "train: train"))
    study = evidence.study_of("scenes", labels.GRID)
    cache = "teacher_cache=${oc.env:LABELS}/cache"
    study |= {"seeds": [0, 1], "teacher": [str(tiny)]}
    study["regimes"].pop("all labelled")
    study["regimes"].pop("none labelled")
    study["methods"] = {
        "plain": [str(tiny)],
        "kd": [str(tiny), "losses={kd: {use: bpkd.losses.kd.KD}}", cache],
    }
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump({"small": study}, sort_keys=False))
    given = ["--folder", str(tmp_path), "--grid", str(grid)]
    labels.main(["run", "small", "max_iters=2", *given])
    assert len(list((tmp_path / "cache").iterdir())) == 2  # one a regime, and not one a seed
    labels.main(["table", "small", *given])
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ")[:3] for line in lines if "±" in line]
    assert rows == [
        [f"| {regime}", method, "2"]
        for regime in study["regimes"]
        for method in study["methods"]
        if method not in study["without"].get(regime, [])
    ]


def test_camvid_is_linked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for part in ("train", "trainannot", "val", "valannot", "test", "testannot"):
        (data / part).mkdir(parents=True)
        for index in range(5):
            mode = "L" if part.endswith("annot") else "RGB"
            Image.new(mode, (4, 4)).save(data / part / f"{index}.png")
    for _ in range(2):  # again is no mistake
        labels.prepare("camvid", tmp_path, data)
    root = tmp_path / "camvid"
    assert [CamVid(root, "quarter").name(i) for i in range(2)] == ["0", "4"]
    assert len(CamVid(root, "rest")) == 3
    assert len(CamVid(root, "test")) == 5
    with pytest.raises(labels.UserError, match="expected CamVid's folder"):
        labels.prepare("camvid", tmp_path, tmp_path)
