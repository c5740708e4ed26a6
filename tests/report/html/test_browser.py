"""The page in a real browser: nothing complains, and what moves moves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpkd.report.html.sheet import write_grids
from bpkd.report.paper_layout import pairs_and_methods

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium: apt-get install chromium, or what your system has"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser: Any, file: Path, width: int = 1200, scheme: str = "light") -> Any:
    """The page, opened; ``complaints`` and ``asked`` gather what must not be."""
    tab = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    ).new_page()
    tab.complaints = []
    tab.asked = []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(file.as_uri())
    return tab


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_whole(browser: Any, page: Path, width: int, scheme: str) -> None:
    tab = opened(browser, page, width, scheme)
    assert tab.complaints == []
    assert [url for url in tab.asked if not url.startswith("data:")] == [page.as_uri()]
    assert tab.evaluate("window.broken") is None  # no name became a script
    assert tab.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    shown = "[...document.images].filter(i => i.src).map(i => i.complete && i.naturalWidth > 0)"
    images = tab.evaluate(shown)
    assert len(images) >= 2 * (1 + 3 + 1) and all(images)
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    tab.click("#theme")
    assert back != tab.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_slider_moves_by_keys_and_by_hand(browser: Any, page: Path) -> None:
    tab = opened(browser, page)
    clip = "getComputedStyle(document.querySelector('.scene .before')).clipPath"
    tab.focus(".scene .slider")
    tab.keyboard.press("Home")
    assert tab.evaluate(clip) == "inset(0px 100% 0px 0px)"
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(clip) == "inset(0px 99% 0px 0px)"
    box = tab.locator(".scene .stage").first.bounding_box()
    tab.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 9)
    assert tab.evaluate(clip) == "inset(0px 25% 0px 0px)"


def test_zoom_by_keys_and_other_pictures(browser: Any, page: Path) -> None:
    tab = opened(browser, page)
    form = "document.querySelector('.stage .photo').style.transform"
    tab.focus(".stage")
    tab.keyboard.press("+")
    assert "scale(1.5)" in (before := tab.evaluate(form))
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(form) != before
    tab.click(".scene .buttons button >> nth=2")
    assert "scale(2.5)" in tab.evaluate(form)
    tab.click(".scene .buttons button >> nth=3")
    assert "scale(1)" in tab.evaluate(form)
    tab.click(".scene .pick >> nth=1")
    sources = (
        "[document.querySelector('.after img').src, document.querySelectorAll('.pick img')[1].src]"
    )
    right, picked = tab.evaluate(sources)
    assert right == picked


def test_the_table_sorts(browser: Any, page: Path) -> None:
    tab = opened(browser, page)
    column = "[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[1].dataset.value)"
    before = [float(value) for value in tab.evaluate(column)]
    tab.focus("#table thead button >> nth=1")
    for reverse in (True, False):
        tab.keyboard.press("Enter")
        assert [float(v) for v in tab.evaluate(column)] == sorted(before, reverse=reverse)
    assert tab.get_attribute("#table thead th >> nth=1", "aria-sort") == "ascending"


def test_tabs_turn_by_keys(browser: Any, page: Path) -> None:
    tab = opened(browser, page)
    seen = "[...document.querySelectorAll('#confusion [role=tabpanel]')].map(p => !p.hidden)"
    assert tab.evaluate(seen) == [True, False, False]
    tab.focus("#confusion [role=tab]")
    tab.keyboard.press("End")
    assert tab.evaluate(seen) == [False, False, True]
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(seen) == [True, False, False]


def test_a_table_of_the_paper_has_the_same_frame(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "table.html"
    write_grids(file, "Table 2", pairs_and_methods("2", None, ["cityscapes"], None))
    tab = opened(browser, file)
    assert tab.complaints == []
    tab.click("thead button >> nth=2")
    assert tab.evaluate("document.querySelectorAll('table.sorted').length") == 1
