"""What a run trained: the student, kept in the run's folder and loaded again."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError
from torch import nn

from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.networks.building import build_network
from bpkd.networks.class_map import ClassMapped, groups
from bpkd.networks.fake_quantization import fake_quantized
from bpkd.networks.files.reading import read_network
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.sections import Network
from bpkd.recipe.trust import require, somebodys_run
from bpkd.runs.overwriting import check_whole
from bpkd.support.files import replacing
from bpkd.support.finite import check_network
from bpkd.support.formats import is_network_file
from bpkd.support.messages import one_line
from bpkd.support.tensors import load_into, load_tensors, read_tensors


@somebodys_run()
def load(run: str | Path, checkpoint: str = "student") -> nn.Module:
    """The network that a run trained, ready to use.

    Args:
        run: the run's folder, or a file that ``bpkd export`` wrote.
        checkpoint: of a run: ``student`` (the weights at the end), ``best`` (on val) or ``last``.

    Returns:
        The network in evaluation mode, with ``classes`` and ``palette``.

    Raises:
        UserError: no such run, no such checkpoint in it, or its network is of a module outside the
            known libraries, and nobody has consented: see :mod:`bpkd.recipe.trust`.
    """
    if is_network_file(run):
        return read_network(run)
    folder = Path(run)
    check_whole(folder)
    if not (folder / "recipe.yaml").is_file():
        raise UserError(f"{run}: no run here (no recipe.yaml); give the folder of a run")
    recipe = load_recipe(folder / "recipe.yaml", imports="known")
    own = recipe.student
    classes, palette = read_classes(folder)
    if (folder / "student.yaml").is_file():
        recipe.student = _described(folder / "student.yaml")
        require(recipe.student.use)
    elif recipe.student.accepts("weights"):
        # The backbone's own weights are in the checkpoint: their file need not be there any more.
        recipe.student.__pydantic_extra__["weights"] = None  # type: ignore[index]
    recipe.student.checkpoint = None
    file = _weights(folder, checkpoint)
    require(own.use)
    count = own.num_classes or len(classes)
    network = build_network(recipe.student, count, str(run), recipe.augment.crop)
    if recipe.quantize:
        fake_quantized(network)
    if own.class_map is not None:  # a network that is only measured, its own classes joined
        network = ClassMapped(network, groups(own.class_map, classes, None, own.num_classes))
    if checkpoint == "student":
        load_tensors(network, file)
    else:
        prefix = "student."
        tensors = read_tensors(file)
        load_into(
            network, {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}, file
        )
    check_network(network, f"{file}")
    network.classes, network.palette = classes, palette  # type: ignore[assignment]
    return network.eval()


def from_run(run: str, num_classes: int | None = None, which: str = "student") -> nn.Module:
    """The network of a run, for a teacher with a class_map.

    Args:
        run: the run's folder.
        num_classes: its number of classes, or None.
        which: ``student`` (the weights at the end), ``best`` (on val) or ``last``.

    Raises:
        UserError: no such run, or it has another number of classes.
    """
    network = load(run, which)
    own = len(network.classes)  # type: ignore[arg-type]
    if num_classes not in (None, own):
        raise UserError(f"{run} has {own} classes, expected {num_classes}; say which in class_map")
    network.num_classes = own  # type: ignore[assignment]
    return network


def _described(file: Path) -> Network:
    """The entry that :func:`write_student` kept."""
    try:
        return Network.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged: {one_line(error)}; put back a whole copy") from error


def _weights(folder: Path, checkpoint: str) -> Path:
    """The file of a checkpoint by its name."""
    files = {"student": "student.safetensors", "best": "best.ckpt", "last": "last.ckpt"}
    held = [name for name, file in files.items() if (folder / file).is_file()]
    if checkpoint not in held:
        known = f"it has {', '.join(held)}" if held else "nothing is trained yet"
        raise UserError(f"{folder} has no checkpoint {checkpoint!r}; {known}")
    return folder / files[checkpoint]


def write_student(folder: Path, student: nn.Module) -> None:
    """Keep how to build a student whose recipe names something to download or a file.

    Such a network has ``rebuild``: an entry of a recipe that needs neither.
    """
    if isinstance(student, ClassMapped):
        student = student.network
    if (entry := getattr(student, "rebuild", None)) is not None:
        with replacing(folder / "student.yaml", make_folder=False) as file:
            file.write_text(yaml.safe_dump(entry, sort_keys=False), encoding="utf-8")
