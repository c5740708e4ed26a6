"""The formats, as one table for the command line, the documentation and messages.

What is in the table is what the modules beside this one declare, each its own.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError
from bpkd.support.messages import suggestion


@cache
def formats() -> tuple[Format, ...]:
    """Every format by its name: first those of tools, then masks in anybody's layout.

    Of the latter, several masks an image come first: taken one by one, they look like the others.
    """
    here = __name__.rpartition(".")[0]
    names = (each.name for each in iter_modules([str(Path(__file__).parent)]))
    modules = (import_module(f"{here}.{name}") for name in names)
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return tuple(sorted(found, key=lambda f: (f.anybodys, f.name != "several-masks", f.name)))


def named(name: str) -> Format:
    """The format of a name.

    Raises:
        UserError: there is none.

    >>> named("coco").title
    'COCO JSON'
    """
    found = {each.name: each for each in formats()}
    if name not in found:
        raise UserError(f"format {name!r} is unknown; {suggestion(name, found)}")
    return found[name]


def recognised(tree: Tree) -> Format:
    """The one format that a folder is in.

    Raises:
        UserError: it is in none, or in several.
    """
    own = [each for each in formats() if not each.anybodys and each.holds(tree)]
    names = [each.name for each in own]
    if names == ["label-studio", "label-studio-png"]:
        own = own[:1]  # the JSON holds what the PNGs show, and says on which photos
    if len(own) > 1:
        listed = ", ".join(f"{each.title} ({each.name})" for each in own)
        raise UserError(
            f"{tree.root} holds annotations in several formats, {listed}: name the one that "
            "counts by `format` (--format on the command line), or take the others away"
        )
    if own:
        return own[0]
    if anybodys := next((each for each in formats() if each.anybodys and each.holds(tree)), None):
        return anybodys
    if not tree.images:
        raise UserError(f"{tree.root} holds no images: give the folder that holds them")
    raise UserError(
        f"{tree.root} holds {len(tree.images):,} images and no known annotations: expected "
        "an export of a tool, or masks in a folder of their own (images/a.jpg, masks/a.png); "
        "bpkd data formats lists them"
    )
