"""Class maps: what a network says of its own classes, held against the data set's."""

from __future__ import annotations

import sys

from torch import nn

from bpkd.errors import UserError
from bpkd.networks.building import build_network
from bpkd.networks.class_map import ClassMapped, aligned, groups
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Network
from bpkd.support.seeds import seeded


def build_fitted(entry: Network, classes: list[str], where: str) -> nn.Module:
    """A network as a recipe describes it, its classes mapped to the data set's.

    By ``class_map``; without it by name, where the network, its checkpoint or the run in whose
    folder the checkpoint lies says the names; and a network of one channel (sigmoid) tells two
    classes apart: its logits are [0, z].

    Args:
        entry: of the recipe.
        classes: names of the data set's classes.
        where: its key in the recipe, for messages.

    Raises:
        UserError: it has other classes than the data set, and no class_map; or its classifier
            is not trained.
    """
    own, ours = entry.num_classes, len(classes)
    if entry.class_map is None and own not in (None, ours, 1 if ours == 2 else ours):
        raise UserError(
            f"{where}.num_classes is {own} and the data set has {ours} classes; say which is "
            f"which in {where}.class_map"
        )
    if entry.class_map is not None and own is None and not entry.knows_its_classes():
        raise UserError(
            f"{where}.num_classes is missing: how many classes {entry.use} has itself; "
            "class_map needs it"
        )
    built, own = _built(entry, ours, where)
    source = getattr(built, "source", entry.use)
    untrained = getattr(built, "untrained", [])
    if untrained and entry.checkpoint is None:
        raise UserError(
            f"{where}: {source} has no trained classifier for "
            f"{getattr(built, 'num_classes', ours)} classes ({untrained[0]}); give checkpoint, "
            "or class_map for a network with other classes"
        )
    if entry.class_map is not None:
        mapped = groups(entry.class_map, classes, getattr(built, "classes", None), own)
        return ClassMapped(built, mapped)
    if own == 1 and ours == 2:
        print(
            f"{where}: {source} has one channel: it is taken for {classes[1]!r} against "
            f"{classes[0]!r}; class_map: {{{classes[0]}: 0}} turns them round",
            file=sys.stderr,
            flush=True,
        )
        return ClassMapped(built, [[], [0]])
    return aligned(built, classes, getattr(built, "classes", None), f"{where}: {source}")


def build_measured(recipe: Recipe, classes: list[str]) -> nn.Module:
    """A student that is only measured, its classes mapped as a teacher's are.

    The recipe's ``class_map`` then says by index which is which, for whoever loads the run.

    Raises:
        UserError: as :func:`build_fitted`.
    """
    entry = recipe.student
    with seeded(recipe.seed):
        if entry.class_map is None and entry.checkpoint is None and entry.num_classes is None:
            untrained = build_network(entry, len(classes), "student", recipe.augment.crop)
            if getattr(untrained, "untrained", ["its classifier"]):
                return untrained
        student = build_fitted(entry, classes, "student")
    if isinstance(student, ClassMapped):
        own = getattr(student.network, "num_classes", None)
        entry.num_classes = entry.num_classes or own or len(classes)
        entry.class_map = [list(group) if group else None for group in student.groups]
    return student


def _built(entry: Network, ours: int, where: str) -> tuple[nn.Module, int | None]:
    """The network with its own number of classes; of two classes, one channel is tried as well."""
    if entry.class_map is not None or entry.num_classes is not None:
        built = build_network(entry, entry.num_classes, where)
        return built, entry.num_classes or getattr(built, "num_classes", None)
    try:
        built = build_network(entry, ours, where)
    except UserError as error:
        if ours != 2 or entry.checkpoint is None:
            raise
        try:
            return build_network(entry, 1, where), 1
        except UserError:
            raise error from None
    lacks = entry.checkpoint is None and getattr(built, "untrained", [])
    if ours == 2 and lacks and entry.knows_its_classes():
        one = build_network(entry, None, where)
        if getattr(one, "num_classes", None) == 1:
            return one, 1
    return built, getattr(built, "num_classes", None)
