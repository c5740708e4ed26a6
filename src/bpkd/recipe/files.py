"""Recipe files: where they are, what they are based on, and overrides of single keys."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bpkd.errors import UserError
from bpkd.support.messages import one_line, shown
from bpkd.support.yaml_names import quoted_names

#: The recipes that come with the package; each can be named without its folder and ``.yaml``.
RECIPES = Path(__file__).parents[1] / "recipes"

#: Sections that may be written as one text, and the key that it stands for.
SHORT = {"teacher_cache": "folder", "data.unlabelled": "images"}


def find(source: str | Path) -> Path:
    """The file of a recipe given by path or by name."""
    given = Path(source)
    for path in (given, RECIPES / f"{source}.yaml"):
        if path.is_file():
            return path
    if (given / "recipe.yaml").is_file():
        raise UserError(f"{source} is a run's folder; its recipe is {given / 'recipe.yaml'}")
    if given.is_dir():
        raise UserError(f"{source} is a folder; give the file of a recipe in it")
    beside = [str(given.with_name(path.name)) for path in given.parent.glob("[!.]*.yaml")]
    near = get_close_matches(str(source), [*beside, *shipped_recipes()], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "bpkd recipes lists those that come along"
    raise UserError(f"{source}: no such recipe file, nor a recipe's name; {hint}")


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with the package; what begins with ``_`` is a part."""
    paths = (path.relative_to(RECIPES) for path in RECIPES.rglob("*.yaml"))
    whole = (path for path in paths if not any(part.startswith("_") for part in path.parts))
    return sorted(path.with_suffix("").as_posix() for path in whole)


def read(path: Path) -> DictConfig:
    """A YAML file over those its ``base`` names: files beside it, or shipped recipes."""
    return DictConfig(joined(path))


def joined(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The same as plain keys and values, references not resolved; not to be changed."""
    if path in above:
        raise UserError(f"{path}: base: this recipe is based on itself")
    try:
        state = path.stat()
        content = _content(path, state.st_mtime_ns, state.st_size)
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply; a recipe needs a few levels") from error
    except (yaml.YAMLError, OSError, ValueError, TypeError, OmegaConfBaseException) as error:
        reason = one_line(error)[:300]
        raise UserError(f"{path}: not a readable YAML file: {reason}") from error
    if content is None:
        raise UserError(f"{path}: expected keys and values, as in 'max_iters: 100'")
    below: Any = {}
    bases = content.get("base") or []
    for base in bases if isinstance(bases, list) else [bases]:
        file = path.parent / str(base)
        try:
            file = file if file.is_file() else find(str(base))
        except UserError as error:
            raise UserError(f"{path}: base: {error}") from error
        below = _over(below, joined(file, (*above, path)))
    whole: dict[str, Any] = _over(below, content)
    return {key: value for key, value in whole.items() if key != "base"}


@lru_cache(maxsize=1024)
def _content(path: Path, changed: int, size: int) -> dict[str, Any] | None:
    """What a file itself says; None where that is no keys and values. Many share their parts."""
    text = path.read_text(encoding="utf-8")
    _check_depth(text)
    content = OmegaConf.load(StringIO(quoted_names(text)))
    if not isinstance(content, DictConfig):
        return None
    return OmegaConf.to_container(content)  # type: ignore[return-value]


def _check_depth(text: str, deepest: int = 100) -> None:
    """Refuse keys within keys without end: YAML's reader in C would take the process with it.

    Raises:
        ValueError: deeper than anything that means something.

    Example:
        >>> _check_depth("a: [1, {b: [2]}]")
        >>> _check_depth("[" * 101)
        Traceback (most recent call last):
        ValueError: keys within keys, more than 100 deep
    """
    if sum(map(text.count, "[{-:?")) <= deepest:  # each begins with one of these
        return
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > deepest:
            raise ValueError(f"keys within keys, more than {deepest} deep")


def _over(below: Any, above: Any) -> Any:
    """What two recipes say together: keys of ``above`` count, and one ``use`` ousts another.

    Example:
        >>> _over({"data": {"use": "a.A", "root": "x"}}, {"data": {"root": "y"}})
        {'data': {'use': 'a.A', 'root': 'y'}}
        >>> _over({"data": {"use": "a.A", "root": "x"}}, {"data": {"use": "b.B"}})
        {'data': {'use': 'b.B'}}
    """
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    if "use" in below and below["use"] != above.get("use", below["use"]):
        return above
    return below | {key: _over(below.get(key), value) for key, value in above.items()}


def change(content: DictConfig, override: str) -> None:
    """Change one key of a recipe as ``key=value`` says."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r} is no override; expected key=value, e.g. max_iters=100")
    try:
        section = key.rpartition(".")[0]
        if section in SHORT and isinstance(before := OmegaConf.select(content, section), str):
            OmegaConf.update(content, section, {SHORT[section]: before}, merge=False)
        _check_depth(value)
        # OmegaConf's own reader: YAML's takes 1e-4 for text.
        read = OmegaConf.from_dotlist([f"value={quoted_names(value, key)}"])
        new = OmegaConf.to_container(read, resolve=False)["value"]  # type: ignore[index,call-overload]
        OmegaConf.update(content, key, new, merge=False, force_add=True)
    except (
        *(OmegaConfBaseException, yaml.YAMLError, AttributeError),
        *(TypeError, ValueError, KeyError, IndexError, RecursionError),
    ) as error:
        raise UserError(f"override {shown(override)}: {first_line(error)[:300]}") from error


def first_line(error: Exception) -> str:
    """OmegaConf's message without the lines that describe its own nodes."""
    return one_line(error) if isinstance(error, yaml.YAMLError) else str(error).partition("\n")[0]
