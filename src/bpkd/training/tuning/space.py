"""Where a search looks: what a recipe says in ``tune``, or round a method's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.dotted import resolve
from bpkd.recipe.ranges import Range
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Loss

#: By what factor a weight, a temperature, a learning rate may leave its default, both ways.
WEIGHT, TEMPERATURE, RATE = 8.0, 4.0, 4.0
#: What else of a method is looked at, by its dotted path.
SWITCHES: dict[str, dict[str, list[Any]]] = {
    "bpkd.losses.bpkd.BPKD": {"kernel_size": [3, 5, 7, 11], "pre_mask": [False, "centred", True]},
    "bpkd.losses.bpkd_normal.BPKDNormal": {"reach": [2, 3, 5]},
}

Space = Mapping[str, Range]


def space_of(recipe: Recipe) -> dict[str, Range]:
    """The ranges by dotted key: the recipe's ``tune``, or else those round the defaults.

    Round the defaults: of each loss the weight of each term (×⅛ to ×8, logarithmic), its
    temperature (×¼ to ×4) and its switches; of a recipe without losses the learning rate
    (×¼ to ×4), for a method alone must not have fewer trials.

    Raises:
        UserError: nothing to search.
    """
    if recipe.tune:
        return dict(recipe.tune)
    space: dict[str, Range] = {}
    for name, entry in recipe.losses.items():
        space |= _of_loss(name, entry)
    if not recipe.losses:
        rate = float(recipe.optimizer.arguments.get("lr", 0))
        space |= _around("optimizer.lr", rate, RATE)
    if not space:
        raise UserError("nothing to search: say in the recipe's tune what may change")
    return space


def _of_loss(name: str, entry: Loss) -> dict[str, Range]:
    space: dict[str, Range] = {}
    for term, weight in weights_of(name, entry).items():
        space |= _around(f"losses.{name}.weight.{term}", weight, WEIGHT)
    if entry.accepts("temperature"):
        given = float(entry.argument("temperature", 1.0))
        space |= _around(f"losses.{name}.temperature", given, TEMPERATURE)
    for argument, choices in SWITCHES.get(entry.use, {}).items():
        space[f"losses.{name}.{argument}"] = Range(choices=choices)
    return space


def _around(key: str, middle: float, factor: float) -> dict[str, Range]:
    """A range round a default; a term of weight 0 is left alone."""
    if middle <= 0:
        return {}
    return {key: Range(low=middle / factor, high=middle * factor, log=True)}


def weights_of(name: str, entry: Loss) -> dict[str, float]:
    """The weight of each term: the recipe's, or the loss's own.

    Raises:
        UserError: they are not known before the loss is built.
    """
    own = getattr(resolve(entry.use), "weights", None)
    if not isinstance(own, dict):
        try:
            own = entry.build().weights  # a function that makes one, as bpkd.losses.bpkd.published
        except Exception as error:  # whatever it needs
            raise UserError(
                f"losses.{name}: {entry.use} does not say its terms by itself; say in tune which "
                f"keys may change, e.g. tune: {{losses.{name}.temperature: {{low: 1, high: 8}}}}"
            ) from error
    if isinstance(entry.weight, dict):
        return {**own, **entry.weight}
    return dict(own) if entry.weight is None else dict.fromkeys(own, entry.weight)


def whole_weights(recipe: Recipe, space: Space) -> list[str]:
    """Overrides that write out the weights of which single terms are searched."""
    wanted = {key.split(".")[1] for key in space if _is_weight(key)}
    return [
        f"losses.{name}.weight={{{', '.join(f'{t}: {w!r}' for t, w in weights.items())}}}"
        for name, entry in recipe.losses.items()
        if name in wanted and (weights := weights_of(name, entry))
    ]


def _is_weight(key: str) -> bool:
    parts = key.split(".")
    return len(parts) == 4 and parts[0] == "losses" and parts[2] == "weight"
