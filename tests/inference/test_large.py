"""Large photos: read, segmented and written in bands, to the same files as all at once."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd.datasets.bands import Bands, in_bands
from bpkd.datasets.images import AS_IT_IS, Reading, read_image
from bpkd.errors import UserError
from bpkd.inference.prediction import predict
from bpkd.networks.memory import Watch, peak_bytes
from bpkd.support.memory import available, check_room
from tests.reliability.killing import ended, start
from tests.runs import run

pytest.importorskip("pyvips")


def photo(height: int = 300, width: int = 210, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(height), np.arange(width))[..., None] * [1, 2, 3, 4][:channels]
    return (ramp + rng.integers(0, 30, ramp.shape)).astype(np.uint8)


KINDS: dict[str, Callable[[Path], None]] = {
    "rgb.jpg": lambda file: Image.fromarray(photo()).save(file, quality=90),
    "progressive.jpg": lambda file: Image.fromarray(photo()).save(file, progressive=True),
    "grey.jpg": lambda file: Image.fromarray(photo()[..., 0]).save(file),
    "rgb.png": lambda file: Image.fromarray(photo()).save(file),
    "alpha.png": lambda file: Image.fromarray(photo(channels=4)).save(file),
    "grey_alpha.png": lambda file: Image.fromarray(photo()).convert("LA").save(file),
    "palette.png": lambda file: Image.fromarray(photo()).convert("P").save(file),
    "bits.png": lambda file: Image.fromarray(photo()[..., 0] > 99).save(file),
    "deep.png": lambda file: Image.fromarray(photo()[..., 0].astype(np.uint16) * 200).save(file),
    "deep.tif": lambda file: Image.fromarray(photo()[..., 0].astype(np.uint16) * 200).save(file),
    "plain.tif": lambda file: Image.fromarray(photo()).save(file),
    "lzw.tif": lambda file: Image.fromarray(photo()).save(file, compression="tiff_lzw"),
    "jpeg.tif": lambda file: Image.fromarray(photo()).save(file, compression="jpeg"),
}


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bpkd.datasets.bands.LARGE", 1)


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("name", KINDS)
def test_bands_are_what_the_whole_image_is(tmp_path: Path, name: str) -> None:
    KINDS[name](tmp_path / name)
    bands, whole = in_bands(tmp_path / name, AS_IT_IS), read_image(tmp_path / name)
    assert isinstance(bands, Bands) and bands.shape == (1, *whole.shape)
    # Down in overlapping windows, on over a gap, back to the top.
    for rows in (slice(0, 64), slice(40, 104), slice(40, 104), slice(290, 300), slice(5, 9)):
        for columns in (slice(0, 64), slice(100, 210)):
            cut = bands[..., rows, columns]
            assert torch.equal(cut[0], whole[:, rows, columns]), (rows, columns)


@pytest.mark.usefixtures("small_is_large")
def test_what_has_to_be_held_is_no_bands(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(photo()).save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(photo()).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(photo()[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(photo()).save(tmp_path / "a.webp")
    (tmp_path / "text.jpg").write_text("no image")
    for file in tmp_path.iterdir():
        assert in_bands(file, AS_IT_IS) is None, file.name
    KINDS["rgb.jpg"](tmp_path / "fine.jpg")
    assert in_bands(tmp_path / "fine.jpg", Reading(max_pixels=100)) is None


@pytest.mark.parametrize("options", [{}, {"confidence": 0.4}])
def test_the_files_are_the_same(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, float]
) -> None:
    folder = run(recipe, "run", "max_iters=0")
    (tmp_path / "in").mkdir()
    for name in ("rgb.jpg", "deep.tif"):
        KINDS[name](tmp_path / "in" / name)
    for out, large, held in (("whole", 2**24, 2**27), ("bands", 1, 2**27), ("parts", 1, 2**14)):
        monkeypatch.setattr("bpkd.datasets.bands.LARGE", large)
        monkeypatch.setattr("bpkd.inference.windows._HELD", held)
        done = predict(folder, [tmp_path / "in"], tmp_path / out, window=96, **options)
        assert done.count == 2 and not done.failures
    expected = sorted(each for each in (tmp_path / "whole").rglob("*.*"))
    assert len(expected) == (4 if not options else 3)  # label maps and classes.csv
    for file in expected:
        for out in ("bands", "parts"):
            other = tmp_path / out / file.relative_to(tmp_path / "whole")
            if file.suffix != ".png":
                assert other.read_bytes() == file.read_bytes()
                continue
            one, two = Image.open(file), Image.open(other)
            assert np.array_equal(np.asarray(one), np.asarray(two)), other
            assert one.convert("RGB").tobytes() == two.convert("RGB").tobytes(), other
    assert not list(tmp_path.rglob("*.part"))


def test_memory_does_not_grow_with_the_height(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(recipe, "run", "max_iters=0")
    held: dict[tuple[int, int], tuple[int, int]] = {}
    for height in (1000, 4000):
        Image.fromarray(photo(height, 64)).save(tmp_path / f"{height}.png")
        for large in (1, 2**24):
            monkeypatch.setattr("bpkd.datasets.bands.LARGE", large)
            place = tmp_path / f"out{large}"

            def work(_: Watch, file: Path = tmp_path / f"{height}.png", out: Path = place) -> None:
                predict(folder, [file], out, window=64)

            tracemalloc.start()
            tensors = peak_bytes(work, [], torch.device("cpu"))["rest"]
            held[height, large] = tensors, tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    for kind in (0, 1):  # tensors, and what Python and NumPy hold
        assert held[4000, 1][kind] < 1.1 * held[1000, 1][kind]
    assert held[4000, 2**24][1] > 1.5 * held[1000, 2**24][1]


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("name", ["rgb.jpg", "rgb.png", "plain.tif", "lzw.tif"])
def test_a_photo_that_ends_early_is_told_and_the_others_go_on(
    recipe: Path, tmp_path: Path, name: str
) -> None:
    folder = run(recipe, "run", "max_iters=0")
    (tmp_path / "in").mkdir()
    KINDS[name](tmp_path / "in" / name)
    content = (tmp_path / "in" / name).read_bytes()
    (tmp_path / "in" / name).write_bytes(content[: len(content) * 2 // 3])
    KINDS["rgb.jpg"](tmp_path / "in/zfine.jpg")
    done = predict(folder, [tmp_path / "in"], tmp_path / "out", window=64)
    assert done.count == 1 and len(done.failures) == 1
    assert done.failures[0].startswith(f"{tmp_path / 'in' / name} cannot be read (")
    assert sorted(f.name for f in (tmp_path / "out").rglob("*.*")) == ["zfine.png"] * 2


def test_the_range_of_a_deep_photo_is_measured_in_bands(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bpkd.datasets.value_range import measured

    twelve = photo()[..., 0].astype(np.uint16) * 16
    Image.fromarray(twelve).save(tmp_path / "a.tif")
    expected = measured(lambda _: tmp_path / "a.tif", 1)
    monkeypatch.setattr("bpkd.datasets.bands.LARGE", 1)
    assert measured(lambda _: tmp_path / "a.tif", 1) == expected
    assert expected.value_range == (0, 4095)


def test_a_photo_that_memory_does_not_take_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    free = available()
    assert free is None or free > 0
    check_room(2**26, "a", "less")
    with pytest.raises(UserError, match=r"memory: a takes 1,048,576\.0 GiB, and .* are free; less"):
        check_room(2**50, "a", "less")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc: limits are Linux's")
def test_the_line_where_memory_is_short(tmp_path: Path) -> None:
    Image.new("RGB", (5000, 5000)).save(tmp_path / "a.png")

    def work() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))
        read_image(Path("a.png"))

    assert ended(start(work, tmp_path)) == 2
    said = (tmp_path / "out.txt").read_text()
    assert said.count("\n") == 1
    assert "reading a.png (5000x5000) as a whole takes 0.2 GiB, and 0.1 GiB" in said
