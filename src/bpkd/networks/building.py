"""A network as a recipe's entry describes it, its checkpoint loaded."""

from __future__ import annotations

from torch import nn

from bpkd.errors import UserError
from bpkd.networks.weights import load_weights
from bpkd.recipe.sections import Network


def build_network(network: Network, num_classes: int | None, where: str) -> nn.Module:
    """A network, with its checkpoint loaded where it has one.

    Args:
        network: its entry in a recipe.
        num_classes: C; None for one that knows how many it has.
        where: what messages begin with: student, teacher, or a name of its own.

    Raises:
        UserError: it cannot be built, is no network, or the checkpoint is another's.
    """
    built: object = network.built(where, num_classes=num_classes)
    if not isinstance(built, nn.Module):
        kind = type(built).__name__
        raise UserError(f"{where}: {network.use} gives {kind}, expected a torch.nn.Module")
    if network.checkpoint is not None:
        try:
            load_weights(built, network.checkpoint)
        except UserError as error:
            raise UserError(f"{where}.checkpoint: {error}") from error
    return built
