"""The frame that every page shares: one file with its own style and script, and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bpkd import __version__
from bpkd.support.files import replacing
from bpkd.support.messages import printable


def rendered(template: str, **values: Any) -> str:
    """A page as text.

    Whatever runs say of themselves (names of classes, recipes, folders) is text: it is escaped
    wherever it stands. The browser is told to fetch nothing and to run the page's own script alone,
    known by its hash.

    Args:
        template: a file in ``templates/`` that extends ``page.html``.
        values: what it shows.
    """
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    script = _own("page.js")
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    frame = {"style": Markup(_own("page.css")), "script": Markup(script), "script_hash": known}
    return environment.get_template(template).render(version=__version__, **frame, **values)


def write_page(file: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    with replacing(file) as temporary:
        # A folder's name may hold bytes that are no text.
        temporary.write_bytes(text.encode("utf-8", "replace"))


def _own(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What an expression of a template becomes: without characters that command a display."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
