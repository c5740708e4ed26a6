"""How several processes train one student."""

from __future__ import annotations

import os

import torch
from lightning.pytorch.plugins import TorchSyncBatchNorm
from lightning.pytorch.strategies import DDPStrategy
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

from bpkd.datasets.parallel import cores
from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe

#: What torchrun, srun, mpirun, LSF or a user by hand tell the processes that they start.
_STARTERS = ("GROUP_RANK", "NODE_RANK", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "LSB_JOBID", "RANK")


def check_started(recipe: Recipe) -> None:
    """Refuse more processes than can be, and machines that nobody started.

    Raises:
        UserError: names the key, and how several machines are started.
    """
    devices = recipe.devices
    if devices != "auto" and not torch.cuda.is_available() and devices > max(8, cores()):
        raise UserError(
            f"devices={devices}: there is no GPU, and so many processes would share {cores()} "
            "cores; take devices=1"
        )
    if recipe.nodes > 1 and not any(name in os.environ for name in _STARTERS):
        raise UserError(
            f"nodes={recipe.nodes}: this command was started on one machine alone; start it on "
            f"all {recipe.nodes} by torchrun or srun (docs/scale.md), or take nodes=1"
        )
    if "GROUP_RANK" not in os.environ or devices == "auto":
        return
    world = os.environ.get("WORLD_SIZE", "")
    if world.isdigit() and int(world) != devices * recipe.nodes:
        raise UserError(
            f"devices={devices} nodes={recipe.nodes}: torchrun started {world} processes; "
            "expected devices x nodes of them"
        )


def strategy(recipe: Recipe) -> DDPStrategy | str:
    """DDP where the recipe asks for several processes, else Lightning's choice.

    A loss that counts in some iterations only leaves its adapter without a gradient in the others,
    and some networks of other libraries have layers that no output needs: DDP has to be told to
    look for that. It takes a moment, so only such recipes pay for it.
    """
    devices = recipe.devices
    if devices == "auto":
        devices = max(1, torch.cuda.device_count())
    if devices * recipe.nodes == 1:
        return "auto"
    resting = any(loss.start or loss.until is not None for loss in recipe.losses.values())
    foreign = recipe.student.use.startswith("bpkd.networks.foreign.")
    return DDPStrategy(find_unused_parameters=resting or foreign)


class SyncBatchNorm(TorchSyncBatchNorm):
    """Batch normalisation over all processes, in timm's layers too.

    Some of timm's layers normalise and activate in one; torch's conversion, which is Lightning's,
    takes the activation away with them.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """The model with synchronised layers."""
        synchronised: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return synchronised

    def revert(self, model: nn.Module) -> nn.Module:
        """The model as it is: what is built from its checkpoint has plain layers."""
        return model
