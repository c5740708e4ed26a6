"""Where a run's numbers also go: TensorBoard, Weights & Biases, MLflow, by Lightning's loggers.

``training.csv`` and ``metrics.csv`` are written in any case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bpkd.recipe.schema import Recipe
from bpkd.support.extras import extra


def build_loggers(recipe: Recipe, folder: Path) -> list[Any]:
    """The loggers that a recipe names; without a word of it, TensorBoard where it is installed.

    Args:
        recipe: its ``loggers``.
        folder: the run's.

    Raises:
        UserError: one of them is not installed: says what to install.
    """
    named = recipe.loggers
    if named is None:
        named = ["tensorboard"] if find_spec("tensorboard") else []
    loggers = [_BUILT[name](recipe, folder) for name in dict.fromkeys(named)]
    for logger in loggers if recipe.loggers is not None else ():
        logger.log_hyperparams(recipe.model_dump(mode="json", exclude={"name"}))
    return loggers


def check_loggers(named: Sequence[str]) -> None:
    """Refuse loggers that are not installed, before anything is read or written.

    Raises:
        UserError: says what to install.
    """
    for name in named:
        if name != "csv":
            extra(name, f"loggers: {name}", name)


def end_loggers(trainer: Any) -> None:
    """End what a logger began: wandb's run would else take in the process's next one."""
    for logger in trainer.loggers if trainer.is_global_zero else ():
        if hasattr(logger.experiment, "finish"):
            logger.experiment.finish()


def _csv(recipe: Recipe, folder: Path) -> Any:
    from lightning.pytorch.loggers import CSVLogger  # noqa: PLC0415

    return CSVLogger(folder, name="", version="csv")


def _tensorboard(recipe: Recipe, folder: Path) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger  # noqa: PLC0415

    return TensorBoardLogger(folder, name="", version="tensorboard")


def _wandb(recipe: Recipe, folder: Path) -> Any:
    """Online or not, and as whom: by wandb's own variables (WANDB_MODE, WANDB_PROJECT ...)."""
    from lightning.pytorch.loggers import WandbLogger  # noqa: PLC0415

    project = os.environ.get("WANDB_PROJECT", "bpkd")
    return WandbLogger(name=recipe.name, project=project, save_dir=folder)


def _mlflow(recipe: Recipe, folder: Path) -> Any:
    """To MLFLOW_TRACKING_URI, or into a data base in the run's folder: ``mlflow.db``."""
    from lightning.pytorch.loggers import MLFlowLogger  # noqa: PLC0415

    given, own = os.environ.get("MLFLOW_TRACKING_URI"), folder.resolve()
    return MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", "bpkd"),
        run_name=recipe.name,
        tracking_uri=given or f"sqlite:///{(own / 'mlflow.db').as_posix()}",
        artifact_location=None if given else (own / "mlruns").as_uri(),
    )


_BUILT: dict[str, Callable[[Recipe, Path], Any]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
