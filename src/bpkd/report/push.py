"""A student goes to the hub: its files, a model card filled from its run, a picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bpkd.errors import UserError
from bpkd.report.card import card
from bpkd.report.compare import picture
from bpkd.runs.hub import FILES, api
from bpkd.runs.loading import load
from bpkd.support.messages import one_line


def push_to_hub(
    run: str | Path,
    name: str,
    *,
    seeds: Sequence[str | Path] = (),
    licence: str | None = None,
    private: bool = False,
    draw: bool = True,
    say: Callable[[str], Any] = print,
) -> str:
    """Push the student of a run to the hub, with a model card.

    What goes there: the student, its classes, its recipe without the places on this machine, a
    card, a picture. Not the checkpoints, nor what they need to go on.

    Args:
        run: the run's folder.
        name: ``user/name``; it is made where it is not there.
        seeds: runs of the same recipe with other seeds, for the spread of the numbers.
        licence: of the student, as the hub names it, e.g. ``apache-2.0``.
        private: whether a repository that is made is private.
        draw: put a picture into the card, where the data set is at hand.
        say: told in a line what is left out.

    Returns:
        The address.

    Raises:
        UserError: no such run, it has no student, or the hub refuses.
    """
    folder, hub = Path(run), api()
    load(folder)  # what cannot be loaded helps nobody
    with TemporaryDirectory() as place:
        out = Path(place)
        gather(folder, out)
        drawn = draw and _drawn(folder, out / "picture.png", say)
        text = card(folder, name, [Path(each) for each in seeds], licence, drawn)
        (out / "README.md").write_text(text, encoding="utf-8")
        try:
            address = hub.create_repo(name, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=name, folder_path=out, commit_message="A student, pushed by bpkd"
            )
        except Exception as error:
            raise UserError(f"{name}: not pushed: {one_line(error)[:300]}") from error
    return str(address)


def gather(folder: Path, out: Path) -> None:
    """The files of a student, its recipe without the places on this machine."""
    for name in FILES:
        if (folder / name).is_file() and name != "recipe.yaml":
            shutil.copyfile(folder / name, out / name)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(placeless(recipe), sort_keys=False, allow_unicode=True)
    (out / "recipe.yaml").write_text(text, encoding="utf-8")


def placeless(value: Any) -> Any:
    """A recipe whose absolute paths have lost what lies above them.

    Example:
        >>> placeless({"data": {"root": "/home/me/roads"}, "max_iters": 3})
        {'data': {'root': 'roads'}, 'max_iters': 3}
    """
    if isinstance(value, dict):
        return {key: placeless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [placeless(each) for each in value]
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name
    return value


def _drawn(folder: Path, file: Path, say: Callable[[str], Any]) -> bool:
    """Draw an image through the student, where there are images."""
    for split in ("test", "val"):
        try:
            picture([folder], file, split=split)
            return True
        except UserError as error:
            why = str(error)
    say(f"no picture: {why}")
    return False
