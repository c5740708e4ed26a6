"""Students on the Hugging Face hub: fetched, loaded as any run of somebody else's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from bpkd.errors import UserError
from bpkd.runs.loading import load
from bpkd.support.extras import extra
from bpkd.support.messages import one_line

#: What a student on the hub is made of.
FILES = ("recipe.yaml", "classes.csv", "student.yaml", "student.safetensors", "data.json")


def from_pretrained(name: str | Path, revision: str | None = None) -> nn.Module:
    """A student that somebody pushed to the hub, ready to use.

    It is data: what its recipe names outside the known libraries is refused, unless this happens in
    ``with bpkd.trusted():``.

    Args:
        name: ``user/name`` on the hub, or a folder that holds the same files.
        revision: a branch, a tag or a commit.

    Returns:
        The network in evaluation mode, with ``classes`` and ``palette``: see :func:`bpkd.load`.

    Raises:
        UserError: it cannot be fetched, or it is no student.
    """
    if Path(name).is_dir():
        return load(name)
    return load(_fetched(str(name), revision))


def _fetched(name: str, revision: str | None) -> Path:
    hub = extra("huggingface_hub", "from_pretrained", "hub")
    try:
        place = hub.snapshot_download(
            name, revision=revision, allow_patterns=list(FILES), endpoint=endpoint()
        )
    except Exception as error:
        raise UserError(f"{name}: not fetched from the hub: {one_line(error)[:300]}") from error
    folder = Path(place)
    if missing := [each for each in FILES[:2] if not (folder / each).is_file()]:
        raise UserError(f"{name} on the hub is no student of bpkd: it has no {missing[0]}")
    return folder


def endpoint() -> str | None:
    """Another hub than the public one, by HF_ENDPOINT."""
    return os.environ.get("HF_ENDPOINT")


def api() -> Any:
    """What talks to the hub."""
    return extra("huggingface_hub", "bpkd push", "hub").HfApi(endpoint=endpoint())
