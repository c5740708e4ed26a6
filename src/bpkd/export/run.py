"""The export of a run: a file, proven in a new process, and what it says of itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

import bpkd
from bpkd.datasets.building import build_data
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.export.instances import LeavingInstances, check_instances, verify_instances
from bpkd.export.leaving import Leaving, check_output
from bpkd.export.verification import Verified, check, verify
from bpkd.export.writing import Job
from bpkd.inference.evaluation import inference_parameters
from bpkd.inference.predictor import Predictor, predictor
from bpkd.networks.fake_quantization import unquantized
from bpkd.networks.files.described import Description, beside
from bpkd.recipe.dotted import resolve
from bpkd.recipe.loading import dump
from bpkd.runs.environment import fingerprint
from bpkd.support.files import check_writable
from bpkd.support.formats import Format, format_named, is_network_file

COMPARED = 4  # images, unless somebody asks for more


@dataclass
class Wish:
    """What is to be written.

    Attributes:
        format: its name, see :mod:`bpkd.support.formats`.
        precision: fp32, fp16 or int8.
        size: (H, W); None: any.
        output: ``logits`` or ``labels``.
        at: logits at the ``image``'s size, or the ``network``'s own.
        checkpoint: ``student``, ``best`` or ``last``.
        calibrate: images of the training split by which int8 finds its ranges.
        keep: layers that int8 leaves in fp32.
        verify: images that are compared.
        tolerance: share of pixels that may change; None: the precision's own.
    """

    format: str = "onnx"
    precision: str = "fp32"
    size: tuple[int, int] | None = None
    output: str = "logits"
    at: str = "image"
    checkpoint: str = "student"
    calibrate: int = 64
    keep: list[str] = field(default_factory=list)
    verify: int = COMPARED
    tolerance: float | None = None


def export(
    run: str | Path,
    wish: Wish,
    *overrides: str,
    out: str | Path | None = None,
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = lambda _: None,
) -> tuple[Path, Verified]:
    """Write a run's network to a file, and prove that it is the same network.

    Beside the file lies ``FILE.yaml``: what it says of itself, the recipe, and how far it is from
    the network. Nothing appears under these names unless all went well.

    Args:
        run: the run's folder.
        wish: what is to be written.
        overrides: of the recipe, e.g. ``data.root=...``, where the images now are.
        out: the file; None: the run's name with the format's ending, here.
        progress: wraps the calibration images, e.g. to draw a bar.
        say: told what is being done: a large network takes minutes.

    Returns:
        The file, and how far it is from the network.

    Raises:
        UserError: no such run, what was wished for cannot be, or the file differs too much.
    """
    kind = _possible(wish)
    if is_network_file(run):
        raise UserError(f"{run} is a file already; export the run that it came from")
    source = predictor(run, overrides, wish.checkpoint)
    target = _target(source, wish, kind, out)
    plain = unquantized(source.network)
    known = description_of(source, wish)
    leaving = _leaving(plain, known, kind)
    # What was trained for int8 is held against what int8 was to be.
    wanted = _leaving(source.network, known, kind) if wish.precision == "int8" else leaving
    images, origin = _compared(source, wish)
    calibration = progress(calibration_images(source, wish)) if wish.precision == "int8" else ()
    what = "images of any size" if wish.size is None else f"{wish.size[0]} x {wish.size[1]} images"
    say(f"writing {kind.name} in {wish.precision} for {what}: tracing the network ...")
    if known.task == "instance":
        say(
            "the file makes the masks of the likeliest cells; matrix NMS, which leaves one of "
            "several masks of an object, stays outside: bpkd predict does it"
        )
    with _whole(target) as file:
        resolve(kind.writer)(Job(leaving, known, calibration, wish.keep), file)
        sizes = ", ".join(sorted({f"{i.shape[-2]} x {i.shape[-1]}" for i in images}))
        say(f"comparing with the network, in a new process, at {sizes} ...")
        if isinstance(wanted, LeavingInstances):
            found = verify_instances(wanted, file, images, origin)
        else:
            found = verify(wanted, file, images, origin)
        check(found, wish.precision, wish.tolerance)
        beside(file).write_text(_page(known, source, found), encoding="utf-8")
    return target, found


def _leaving(network: nn.Module, known: Description, kind: Format) -> Leaving | LeavingInstances:
    """The network as it leaves, by its task."""
    if known.task == "instance":
        check_instances(known, kind.name)
        return LeavingInstances(network, known)
    check_output(known)
    return Leaving(network, known)


def _possible(wish: Wish) -> Format:
    """The format, if it can do what is wished for."""
    kind = format_named(wish.format)
    if wish.precision not in kind.precisions:
        raise UserError(
            f"--format {kind.name} cannot be {wish.precision}: {kind.cannot}; expected "
            f"{' or '.join(kind.precisions)}"
        )
    if wish.size is not None and min(wish.size) < 1:
        raise UserError(f"--size {wish.size[0]} {wish.size[1]}: expected sides of at least 1 pixel")
    if wish.keep and wish.precision != "int8":
        raise UserError("--keep is for --precision int8: other precisions leave no layer out")
    for name, value in (("calibrate", wish.calibrate), ("verify", wish.verify)):
        if value < 1:
            raise UserError(f"--{name} {value}: expected at least 1 image")
    return kind


def _target(source: Predictor, wish: Wish, kind: Format, out: str | Path | None) -> Path:
    name = source.path.resolve().name
    precision = "" if wish.precision == "fp32" else f".{wish.precision}"
    target = Path(f"{name}{precision}{kind.ending}") if out is None else Path(out)
    if target.suffix != kind.ending:
        raise UserError(f"--out {target}: expected a name that ends in {kind.ending}")
    check_writable(target)
    return target


def description_of(source: Predictor, wish: Wish) -> Description:
    """What the file is to say of itself."""
    network = source.network
    settings = dump(source.recipe)
    output = wish.output
    if source.task == "instance":
        if output == "labels":
            raise UserError("--argmax is for label maps; this network finds objects")
        output = "instances"
    return Description.model_validate(
        {
            "task": source.task,
            "classes": source.classes,
            "palette": source.palette,
            "size": wish.size,
            "output": output,
            "grids": list(getattr(network, "num_grids", ())) if source.task == "instance" else [],
            "at": wish.at,
            "precision": wish.precision,
            "parameters": sum(each.numel() for each in inference_parameters(network)),
            "fingerprint": fingerprint(network, settings)[:16],
            "bpkd": bpkd.__version__,
        }
    )


def _page(description: Description, source: Predictor, found: Verified) -> str:
    """What lies beside the file."""
    content: dict[str, Any] = description.model_dump(mode="json")
    content["verified"] = found.plain()
    content["value_range"] = None if source.value_range is None else list(source.value_range)
    content["recipe"] = yaml.safe_load(dump(source.recipe))
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _compared(source: Predictor, wish: Wish) -> tuple[list[Tensor], str]:
    """Images to compare on: of the test split, else random; of two sizes where any will do."""
    try:
        data = build_data(source.recipe, "test")
        images = [to_float(data[i][0])[None] for i in range(min(wish.verify, len(data)))]
        origin = "test images"
    except UserError:  # the data are elsewhere, or there is no such split
        sides = wish.size or (192, 256)
        generator = torch.Generator().manual_seed(0)
        images = [torch.rand(1, 3, *sides, generator=generator) for _ in range(wish.verify)]
        origin = "random images"
    if wish.size is not None:
        return [_fitted(image, wish.size) for image in images], origin
    # The second size is no multiple of a stride, and smaller.
    height, width = (max(33, side * 3 // 4) | 1 for side in images[0].shape[-2:])
    return [*images, _fitted(images[0], (height, width))], origin


def _fitted(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image (1, 3, H, W) at a size: cut, and filled up with what is at its other side."""
    rows = torch.arange(size[0]) % image.shape[-2]
    columns = torch.arange(size[1]) % image.shape[-1]
    return image[..., rows, :][..., columns].contiguous()


def calibration_images(source: Predictor, wish: Wish) -> list[Tensor]:
    """Images of the training split, spread over it, at the size that the file takes."""
    data = build_data(source.recipe, "train")
    count = min(wish.calibrate, len(data))
    if not count:
        raise UserError(
            f"int8 needs images to calibrate on, and the training split of {source.path} is empty; "
            "give the data, e.g. data.root=FOLDER"
        )
    places = [index * len(data) // count for index in range(count)]
    images = (to_float(data[index][0])[None] for index in places)
    return [image if wish.size is None else _fitted(image, wish.size) for image in images]


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A file in a folder beside the target; all that is there moves to its place at the end."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name[:100]}.", ignore_cleanup_errors=True
        ) as name:
            yield Path(name) / target.name
            # The file itself last: where it is, what belongs to it is there.
            files = sorted(Path(name).iterdir(), key=lambda each: each.name == target.name)
            for file in files:
                os.replace(file, target.parent / file.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{target}: cannot be written: {reason}; nothing was changed there"
        ) from error
