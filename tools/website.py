"""What mkdocs does not know of itself: pages that lie outside docs/, and the reference.

``mkdocs.yml`` names this file as a hook. Pages of the repository (CONTRIBUTING.md, the examples)
become pages of the site, links to them follow; the reference has a page a room.
"""

from __future__ import annotations

import ast
import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
#: Files of the repository, and what they are on the site.
OUTSIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    **{
        f"examples/{file.name}": f"examples/{file.stem}.md"
        for file in sorted((ROOT / "examples").glob("*.py"))
        if file.stem != "__init__"
    },
    **{
        f"examples/notebooks/{file.name}": f"notebooks/{file.stem}.md"
        for file in sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
    },
}
#: Pages of the reference: title, and the modules whose public names they show.
REFERENCE = {
    "python": ("From Python", ("training/run", "inference/evaluation", "runs/loading", "errors")),
    "losses": ("Losses", ("losses",)),
    "boundary": ("Boundaries", ("boundary",)),
    "networks": ("Networks", ("networks",)),
    "datasets": ("Data sets", ("datasets",)),
    "metrics": ("Metrics", ("metrics",)),
}
#: Rooms inside these rooms are their own affair.
INNER = ("checking", "preparing", "painting")


def on_config(config: Any) -> Any:
    """Methods and reference go into the navigation, a page each, in their own order."""
    methods = sorted((ROOT / "docs/methods").glob("*.md"), key=lambda p: (p.stem != "README", p))
    pages = {
        "methods": [f"methods/{page.name}" for page in methods],
        "reference": [{title: f"reference/{name}.md"} for name, (title, _) in REFERENCE.items()],
    }
    for entry in config.nav:
        ((title, content),) = entry.items()
        if isinstance(content, str) and content in pages:
            entry[title] = pages[content]
        elif isinstance(content, list):
            # A guide whose feature is not there yet has no page.
            entry[title] = [each for each in content if _there(next(iter(each.values())))]
    guides = next(entry["Guides"] for entry in config.nav if "Guides" in entry)
    for title in ("Notebooks", "Examples"):
        pages = [page for page in OUTSIDE.values() if page.startswith(f"{title.lower()}/")]
        guides.insert(3, {title: pages})
    return config


def _there(page: str) -> bool:
    return page in OUTSIDE.values() or (ROOT / "docs" / page).is_file()


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie elsewhere."""
    for source, target in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8")
        if source.endswith(".py"):
            content = _program(text)
        else:
            content = _moved(_notebook(text, source), source, target)
        files.append(File.generated(config, target, content=content))
    for name, (title, rooms) in REFERENCE.items():
        shown = [f"::: {module}" for room in rooms for module in _modules(room)]
        content = f"# {title}\n\n" + "\n\n".join(shown) + "\n"
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links out of docs/ lead to those pages; to other files of the repository there is none."""
    source = page.file.src_uri
    return markdown if source in OUTSIDE.values() else _moved(markdown, f"docs/{source}", source)


def _moved(text: str, source: str, target: str) -> str:
    """A page's links as they are from its place on the site."""

    def link(found: re.Match[str]) -> str:
        title, place, anchor = found[1], found[2], found[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), place))
        if path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif path == "README.md":
            path = "index.md"
        elif path not in OUTSIDE:
            return title
        path = OUTSIDE.get(path, path)
        return f"[{title}]({os.path.relpath(path, posixpath.dirname(target) or '.')}{anchor})"

    pattern = r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)"
    return re.sub(pattern, link, text)


def _program(text: str) -> str:
    """A program as a page: what it is, and the program."""
    doc = ast.get_docstring(ast.parse(text)) or ""
    title, _, rest = doc.partition("\n\n")
    return f"# {title.partition(';')[0].rstrip('.')}\n\n{rest}\n\n```python\n{text}```\n"


def _notebook(text: str, source: str) -> str:
    """A notebook as a page, and where it lies; any other page as it is."""
    if not source.endswith(".ipynb"):
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    parts = [f"```python\n{each}\n```" if kind == "code" else each for kind, each in cells]
    return "\n\n".join([*parts, f"This page is the notebook `{source}`; the tests run it."]) + "\n"


def _modules(room: str) -> list[str]:
    """The modules of a room that are for readers, by their dotted names."""
    place = ROOT / "src/bpkd" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    names = []
    for file in files:
        parts = file.relative_to(ROOT / "src").with_suffix("").parts
        if not set(parts) & set(INNER):
            names.append(".".join(part for part in parts if part != "__init__"))
    return sorted(set(names))
