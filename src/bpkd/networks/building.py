"""A network as a recipe's entry describes it, its checkpoint loaded."""

from __future__ import annotations

from torch import nn

from bpkd.datasets.classes_file import classes_beside
from bpkd.errors import UserError
from bpkd.networks.weights import load_weights
from bpkd.recipe.sections import Network


def build_network(
    network: Network,
    num_classes: int | None,
    where: str,
    crop: tuple[int, int] | None = None,
) -> nn.Module:
    """A network, with its checkpoint loaded where it has one.

    Args:
        network: its entry in a recipe.
        num_classes: C; None for one that knows how many it has.
        where: what messages begin with: student, teacher, or a name of its own.
        crop: height and width that it trains at, for architectures that are built for one size.

    Raises:
        UserError: it cannot be built, is no network, or the checkpoint is another's.
    """
    given = {"img_size": crop} if crop and network.accepts("img_size") else {}
    given = {key: value for key, value in given.items() if key not in network.arguments}
    built: object = network.built(where, num_classes=num_classes, **given)
    if not isinstance(built, nn.Module):
        kind = type(built).__name__
        raise UserError(f"{where}: {network.use} gives {kind}, expected a torch.nn.Module")
    if network.checkpoint is not None:
        try:
            names = load_weights(built, network.checkpoint, network.checkpoint_key)
            names = names or classes_beside(network.checkpoint)
            if names and num_classes in (None, len(names)):
                built.classes = names  # type: ignore[assignment]
        except UserError as error:
            raise UserError(f"{where}.checkpoint: {error}") from error
    return built
