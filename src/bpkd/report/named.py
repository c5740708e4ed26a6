"""The networks that names on the command line mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import nn

from bpkd import networks
from bpkd.datasets.building import build_data
from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.networks.building import build_network
from bpkd.networks.fake_quantization import unquantized
from bpkd.networks.files.reading import read_network
from bpkd.recipe.dotted import resolve
from bpkd.recipe.files import change, shipped_recipes
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.sections import Network, Teacher
from bpkd.recipe.trust import own_recipe
from bpkd.runs.loading import load
from bpkd.support.formats import is_network_file
from bpkd.support.messages import suggestion

#: What libraries call the argument that loads, or downloads, trained weights.
WEIGHTS = ("weights", "encoder_weights", "weights_backbone")
_NO_NETWORKS = ("InstanceOutput", "SegNetwork", "SegOutput")
CLASSES = 19  # of Cityscapes, where nothing else says how many


@dataclass
class Named:
    """A network that can be built.

    Attributes:
        name: what a table calls it.
        classes: C, or None where the network itself knows.
        build: makes the network.
    """

    name: str
    classes: int | None
    build: Callable[[], nn.Module]


def named(words: Sequence[str], classes: int | None = None) -> list[Named]:
    """The networks that are meant; none is built yet.

    Args:
        words: each a run's folder, the name of a network in :mod:`bpkd.networks`, a recipe (its
            student, and its teacher where it is there), or a dotted path to a callable that takes
            ``num_classes``; ``KEY=VALUE`` is an argument of what it follows, for a recipe an
            override.
        classes: of the networks that are no runs; None: a recipe's are its data set's, of others
            the network's own default, or 19.

    Raises:
        UserError: no such thing, or it has no such argument.

    Example:
        >>> [network] = named(["PSPNet", "backbone=test_resnet.r160_in1k", "channels=8"])
        >>> network.name, network.classes
        ('PSPNet backbone=test_resnet.r160_in1k channels=8', 19)
    """
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if not re.match(r"[\w.]+=", word):  # a folder may be called runs/lr=0.1
            groups.append((word, []))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UserError(f"{word!r} is an argument of no network; write it after the name")
    return [network for name, changes in groups for network in _find(name, changes, classes)]


def _find(name: str, changes: list[str], classes: int | None) -> list[Named]:
    own = [each for each in networks.__all__ if each not in _NO_NETWORKS]
    if (Path(name) / "recipe.yaml").is_file():
        return [_run(name, name, changes)]
    if is_network_file(name):
        return [Named(name, None, partial(read_network, name))]
    if name in own:
        return [_component(name, f"bpkd.networks.{name}", changes, classes)]
    if Path(name).suffix in (".yaml", ".yml") or name in shipped_recipes():
        return _recipe(name, changes, classes)
    if re.fullmatch(r"\w+(\.\w+)+", name):
        return [_component(name.rpartition(".")[2], name, changes, classes)]
    runs = [str(file.parent) for file in Path(name).parent.glob("*/recipe.yaml")]
    near = suggestion(name, [*own, *runs, *shipped_recipes()])
    raise UserError(f"{name}: no network, run or recipe, and no dotted path; {near}")


def _run(title: str, folder: str, changes: list[str]) -> Named:
    if changes:
        file = Path(folder) / "recipe.yaml"
        raise UserError(f"{folder} is a run, as it was trained; {changes[0]} can change {file}")
    return Named(title, len(read_classes(Path(folder))[0]), partial(_loaded, folder))


def _loaded(folder: str) -> nn.Module:
    """A run's network, without what imitates int8 in training: that is not run with it."""
    return unquantized(load(folder))


def _component(name: str, path: str, changes: list[str], classes: int | None) -> Named:
    content = DictConfig({"use": path})
    for each in changes:
        change(content, each)
    network = Network.model_validate(OmegaConf.to_container(content))
    with own_recipe(beside=True):  # who writes a path means it
        callable_ = resolve(path)  # for a message of its own
        network.check(path, given=["num_classes"])
    if classes is None:
        classes = _own_classes(callable_) or CLASSES
    build = own_recipe(beside=True)(partial(_build, name, network, classes))
    return Named(" ".join([name, *changes]), classes, build)


def _own_classes(network: Callable[..., object]) -> int | None:
    """How many classes it has where nobody says: SOLOv2 has COCO's.

    Example:
        >>> _own_classes(networks.SOLOv2), _own_classes(networks.PSPNet)
        (80, None)
    """
    try:
        default = signature(network).parameters["num_classes"].default
    except (KeyError, ValueError):  # it takes no such argument, or has no signature
        return None
    return default if isinstance(default, int) else None


def _recipe(name: str, changes: list[str], classes: int | None) -> list[Named]:
    recipe = load_recipe(name, changes)
    if classes is None:
        try:
            classes = len(build_data(recipe, "train").classes)
        except UserError as error:
            raise UserError(f"{error}; or give the number of --classes, without data") from error
    found = []
    title = " ".join([name, "student", *changes])
    found.append(
        Named(title, classes, partial(_build, f"{name}: student", recipe.student, classes))
    )
    title = " ".join([name, "teacher", *changes])
    if isinstance(recipe.teacher, Teacher):
        own = classes if recipe.teacher.class_map is None else recipe.teacher.num_classes
        build = partial(_build, f"{name}: teacher", recipe.teacher, own)
        found.append(Named(title, own, build))
    elif recipe.teacher is not None and (Path(recipe.teacher) / "recipe.yaml").is_file():
        found.append(_run(title, recipe.teacher, []))
    return found


def _build(name: str, network: Network, classes: int | None) -> nn.Module:
    """The network with random weights: what it costs does not depend on them."""
    files = [key for key in WEIGHTS if network.accepts(key)]
    network = network.model_copy(update={"checkpoint": None, **dict.fromkeys(files)})
    return build_network(network, classes, name)
