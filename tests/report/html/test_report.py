"""The command: what it writes, and one line about whatever is wrong."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tests.commands import done, refused
from tests.report.html.conftest import CLASSES, NAME


class Reader(HTMLParser):
    """Gathers the elements and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_names_are_text(page: Path) -> None:
    found = Reader(page.read_text())
    assert found.names.count("script") == 1 and not found.handlers
    shown = "\n".join(found.words)
    assert all(name in shown for name in (*CLASSES, NAME, "<b>0"))


def test_it_is_one_file_with_everything(page: Path) -> None:
    text = page.read_text()
    assert "http" not in re.sub(r'http-equiv="', "", text)
    assert page.stat().st_size < 1_000_000
    for part in ("Table", "Images", "Classes", "Confusion", "Training", "Cost", "Recipes"):
        assert f"<h2>{part}</h2>" in text
    words = "\n".join(Reader(text).words)
    assert "losses.bpkd.use" in words and "seed 1" in words  # what differs
    assert "mean ± spread of 2 seeds" in words
    assert words.count("torch") >= 1 and "multiply-adds" in words


def test_confusion_is_counted_and_kept(runs: dict[str, Path], page: Path) -> None:
    scores = json.loads((runs["plain"] / "evaluation_test.json").read_text())["scores"]
    matrix = scores["confusion"]
    assert [len(row) for row in matrix] == [3, 3, 3] and sum(matrix[2]) == 0
    assert sum(map(sum, matrix)) == 3 * (32 * 48 - 6 * 4)
    diagonal = sum(matrix[k][k] for k in range(3))
    assert scores["aAcc"] == pytest.approx(diagonal / sum(map(sum, matrix)))


def test_the_command(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "new" / "r.html"
    text = done("report", runs["bpkd"], "evaluation.batch_size=1", "--split", "one", "--out", out)
    assert text.splitlines()[-1].startswith(f"report: {out} (") and out.is_file()
    assert "the 1 image of" in out.read_text().replace("<b>", "")


def test_a_table_of_the_paper_as_a_page(tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.html"
    text = done("table", "2", "--data", "cityscapes", "--html", file)
    assert text.splitlines()[-1] == f"page: {file}"
    found = Reader(file.read_text())
    assert found.names.count("tr") > 10 and "bpkd" in "".join(found.words).lower()
    assert "cannot be written" in refused("table", "1", "--html", tmp_path)


def test_a_run_that_goes_on_is_told(copies: dict[str, Path], tmp_path: Path) -> None:
    recipe = copies["plain"] / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("max_iters: 2", "max_iters: 50"))
    (copies["plain"] / "environment.json").write_text("{")
    out = tmp_path / "r.html"
    text = done("report", copies["plain"], "--split", "one", "--out", out)
    assert "is not finished: validated at 2 of 50 iterations" in text
    assert "no whole environment.json" in text
    assert "is not finished" in out.read_text()


def broken(run: Path, name: str, text: str) -> None:
    (run / name).write_text(text)


def test_mistakes_get_one_line(copies: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "r.html"

    def line(*words: object) -> str:
        told = refused("report", *words, "--out", out)
        assert not out.exists()
        return told

    big, plain = copies["big"], copies["plain"]
    assert "no run here" in line(big, tmp_path / "nowhere")
    assert "name the folders of runs" in line("max_iters=2")
    assert "nothing" in line(big, "--split", "nothing")
    assert "image 7: the split has 3 images, 0 to 2" in line(big, "--image", "7")
    assert "cannot be written" in refused("report", big, "--out", tmp_path)
    metrics = (plain / "metrics.csv").read_text()
    broken(plain, "metrics.csv", metrics.replace("\n1,", "\n1,x", 1))
    assert "metrics.csv is damaged: iteration 1, aAcc: 'x" in line(big, plain)
    broken(plain, "metrics.csv", "nothing\nof the kind\n")
    assert "metrics.csv is damaged" in line(big, plain)
    broken(plain, "metrics.csv", metrics)
    (plain / "student.safetensors").unlink()
    assert "has no checkpoint 'student'" in line(big, plain)
    classes = (plain / "classes.csv").read_text()
    broken(plain, "classes.csv", classes.rpartition("a &")[0])
    assert "has other classes than" in line(big, plain)
    broken(plain, "classes.csv", classes)
    on_other_data(plain / "recipe.yaml", "bpkd.datasets.voc.VOC\n  root: nowhere")
    assert "report runs on one data set" in line(big, plain)


def on_other_data(recipe: Path, use: str) -> None:
    """A run's recipe, with another data set."""
    text = recipe.read_text()
    begin, end = text.index("data:"), text.index("augment:")
    recipe.write_text(f"{text[:begin]}data:\n  use: {use}\n{text[end:]}")


def test_another_task_is_refused(copies: dict[str, Path], tmp_path: Path) -> None:
    use = "bpkd.datasets.instance_scenes.InstanceScenes"
    file = copies["big"] / "recipe.yaml"
    on_other_data(file, use)
    recipe = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(recipe | {"augment": {}, "evaluation": {}}))
    told = refused("report", copies["big"], "--out", tmp_path / "r.html")
    assert "has 3 classes and the data set 5" in told
