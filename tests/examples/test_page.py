"""The page in a browser: an image is dropped on it, and its classes lie over it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.examples.test_deploy import DEPLOY
from tests.network_files import COLOURS, description, write

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs chromium: apt-get install chromium, or what your system has"
    ),
]
CDN = "https://cdn.jsdelivr.net/npm/onnxruntime-web@1/dist/"
DROP = """async (address) => {
  const blob = await (await fetch(address)).blob();
  const dropped = new DataTransfer();
  dropped.items.add(new File([blob], "photo.png", { type: "image/png" }));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, cancelable: true }));
}"""
PIXEL = (
    "(x) => [...document.getElementById('canvas').getContext('2d').getImageData(x, 0, 1, 1).data]"
)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """onnxruntime-web's files, from npm's registry."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which fetches onnxruntime-web")
    folder = tmp_path_factory.mktemp("npm")
    install = ["npm", "install", "--no-audit", "--no-fund", "onnxruntime-web@1"]
    if subprocess.run(install, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("npm's registry does not answer: no onnxruntime-web")
    return folder / "node_modules/onnxruntime-web/dist"


@pytest.fixture
def served(tmp_path: Path, runtime: Path) -> Iterator[str]:
    """The page, a file and a photo, red at the left and blue at the right.

    The runtime comes from here instead of the CDN.
    """
    shutil.copy(DEPLOY / "segment.mjs", tmp_path)
    text = (DEPLOY / "index.html").read_text()
    assert text.count(CDN) == 1
    (tmp_path / "index.html").write_text(text.replace(CDN, "./runtime/"))
    (tmp_path / "runtime").symlink_to(runtime)
    write(tmp_path / "student.onnx", said=description(3))
    rows = "".join(f"- {list(colour)}\n" for colour in COLOURS[:3])
    page = f"classes: [a, b, c]\npalette:\n{rows}task: semantic\n"
    (tmp_path / "student.onnx.yaml").write_text(page)
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    pixels[:, :12, 0] = pixels[:, 12:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_an_image_is_dropped(served: str) -> None:
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.set_default_timeout(120_000)  # the first compilation, on a busy machine
        complaints: list[str] = []
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(f"{served}/index.html")
        tab.wait_for_function("document.getElementById('said').textContent === 'Ready.'")
        assert tab.locator("#keys .key").all_text_contents() == ["a", "b", "c"]
        tab.evaluate(DROP, f"{served}/photo.png")
        tab.wait_for_function(f"({PIXEL})(0)[2] > 0")
        left, right = (tab.evaluate(PIXEL, x) for x in (0, 23))
        assert "for 24 x 16 pixels" in tab.text_content("#said")
        browser.close()
    assert complaints == []
    for found, photo, colour in ((left, (255, 0, 0), COLOURS[0]), (right, (0, 0, 255), COLOURS[2])):
        wanted = [0.4 * p + 0.6 * c for p, c in zip(photo, colour, strict=True)]
        assert found[:3] == pytest.approx(wanted, abs=2) and found[3] == 255
