"""The commands that draw figures, on tiny runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bpkd import train
from bpkd.datasets.scenes import Scenes
from tests.commands import done, refused
from tests.runs import TINY


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher, students without and with it, and a run on other classes."""
    folder = tmp_path_factory.mktemp("figures")
    found = {}
    for name, changes in {
        "teacher": ["seed=7"],
        "plain": [],
        "bpkd": [f"teacher={folder / 'teacher'}", "losses.bpkd.use=bpkd.losses.bpkd.published"],
    }.items():
        (folder / f"{name}.yaml").write_text(TINY)
        words = [f"run={folder / name}", "max_iters=1", "evaluation.every=1", *changes]
        found[name] = train(folder / f"{name}.yaml", *words, progress=False)
    found["lost"] = folder / "nowhere"
    other = found["other"] = folder / "other"
    other.mkdir()
    for name in ("recipe.yaml", "student.safetensors"):
        (other / name).write_bytes((found["plain"] / name).read_bytes())
    classes = (found["plain"] / "classes.csv").read_text().replace("sky", "heaven")
    (other / "classes.csv").write_text(classes)
    return found


def test_trimap_as_png_and_pdf(runs: dict[str, Path], tmp_path: Path) -> None:
    png, pdf = tmp_path / "new" / "t.png", tmp_path / "t.pdf"
    words = ["--out", png, "--out", pdf, "--widths", "1,4"]
    out = done("figure", "trimap", runs["plain"], runs["bpkd"], *words)
    assert out.splitlines() == [f"figure: {png}", f"figure: {pdf}"]
    assert Image.open(png).width > 500 and pdf.read_bytes().startswith(b"%PDF")


def test_grid(runs: dict[str, Path], tmp_path: Path) -> None:
    png = tmp_path / "g.png"
    out = done("figure", "grid", runs["plain"], runs["bpkd"], "--rows", "3", "--out", png)
    lines = out.splitlines()
    assert len(lines) == 4 and all("trimap IoU" in line for line in lines[:3])
    points = [float(line.partition("): ")[2].split()[0]) for line in lines[:3]]
    assert points[0] >= points[2] >= points[1]  # gain, loss, gain
    assert Image.open(png).height > 500
    out = done("figure", "grid", runs["plain"], runs["bpkd"], "--image", "4", "--out", png)
    assert out.startswith("image 4 (")


def test_edges(runs: dict[str, Path], tmp_path: Path) -> None:
    png = tmp_path / "e.png"
    done("figure", "edges", runs["bpkd"], "--image", "1", "--out", png)
    assert Image.open(png).width > 1000


def test_mistakes(runs: dict[str, Path], tmp_path: Path) -> None:
    plain, bpkd, out = runs["plain"], runs["bpkd"], tmp_path / "x.png"
    for words, message in (
        (["trimap", plain, runs["other"], "--out", out], "other has other classes than"),
        (["trimap", plain, runs["lost"], "--out", out], "no run here"),
        (["trimap", plain, "--out", tmp_path / "x.docx"], "no kind of picture"),
        (["trimap", plain, "--out", tmp_path], "cannot be written"),
        (["trimap", plain, "--split", "tset", "--out", out], "tset"),
        (["trimap", plain, "--width", "9", "--out", out], "not all measured at width 9"),
        (["trimap", plain, "--widths", "one", "--out", out], "expected pixels"),
        (["grid", plain, "--out", out], "give two methods or more"),
        (["grid", plain, runs["other"], "--out", out], "other has other classes than"),
        (["grid", plain, bpkd, "--image", "99", "--out", out], "image 99: the split has 5 images"),
        (["edges", plain, "--out", out], "had no teacher; give one"),
        (["edges", bpkd, "data.test=null", "--out", out], "data.test is null"),
        (["edges", bpkd, "--image", "5", "--out", out], "image 5: the split has 5 images"),
        (["edges", runs["lost"], "--out", out], "no run here"),
    ):
        assert message in refused("figure", *words), words
    assert not out.exists()


def test_a_run_of_another_task(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bpkd, out = runs["bpkd"], ["--out", tmp_path / "x.png"]
    monkeypatch.setattr(Scenes, "task", "instance", raising=False)
    monkeypatch.setattr("bpkd.recipe.instance.task_of", lambda *_: "semantic")
    assert "is for the task 'instance'" in refused("figure", "edges", bpkd, *out)


def test_a_grid_without_its_teacher(runs: dict[str, Path], tmp_path: Path) -> None:
    picture = tmp_path / "g.png"
    words = ["figure", "grid", runs["plain"], runs["bpkd"], "--rows", "1", "--out", picture]
    done(*words)
    with_teacher = Image.open(picture).width
    done(*words, "--last", "labels")
    assert Image.open(picture).width < with_teacher
    hidden = runs["teacher"].rename(runs["teacher"].with_name("hidden"))
    try:
        assert "take --last labels" in refused(*words, "--last", "teacher")
        done(*words)
    finally:
        hidden.rename(runs["teacher"])
