"""What int8 costs layer by layer: each quantized alone, measured in mIoU and along outlines."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Subset

from bpkd.datasets.building import build_data
from bpkd.datasets.loading import eval_loader
from bpkd.errors import UserError
from bpkd.export import precision
from bpkd.export.leaving import Leaving
from bpkd.export.run import Wish, calibration_images, description_of
from bpkd.export.writing import Job, onnx_model, save
from bpkd.inference.evaluation import measure
from bpkd.inference.predictor import Predictor, predictor
from bpkd.inference.tasks import build_task
from bpkd.networks.fake_quantization import unquantized
from bpkd.networks.files.reading import read_network
from bpkd.support.columns import Columns
from bpkd.tasks import Scores


def sensitivity(
    run: str | Path,
    wish: Wish,
    count: int,
    *overrides: str,
    progress: Callable[[Any], Any] = iter,
) -> tuple[Columns, str]:
    """A table: what each layer costs when it alone is int8, the most expensive first.

    Args:
        run: the run's folder.
        wish: its checkpoint, size and calibration.
        count: images of the validation split to measure on.
        overrides: of the recipe.
        progress: wraps the layers, e.g. to draw a bar.

    Returns:
        The table, and what it was measured on.

    Raises:
        UserError: no such run, no data, or ONNX Runtime's tools are missing.
    """
    source = predictor(run, overrides, wish.checkpoint)
    if source.task != "semantic":
        raise UserError("--sensitivity: a network that finds objects leaves as fp32 alone")
    description = description_of(source, wish)
    leaving = Leaving(unquantized(source.network), description)
    model = onnx_model(Job(leaving, description))
    names = list(precision.layers(model))
    images = calibration_images(source, wish)
    rows: list[tuple[str, Scores]] = []
    with tempfile.TemporaryDirectory(prefix="bpkd-") as folder:
        file, cache = Path(folder) / "layer.onnx", Path(folder) / "ranges.json"

        def scores(network: Any) -> Scores:
            save(network, description, file)
            return _measured(source, read_network(file), count)

        whole = scores(model)
        everything = scores(precision.quantized(model, images, cache=cache))
        for name in progress(names):
            alone = precision.quantized(model, images, only=[name], cache=cache)
            rows.append((name, scores(alone)))
    width = source.recipe.evaluation.trimap_widths[0]
    trimap = f"trimap_mIoU@{width}"
    rows.sort(key=lambda row: row[1]["mIoU"] + row[1][trimap])
    cells = [
        [name, *(f"{100 * (found[key] - whole[key]):+.2f}" for key in ("mIoU", trimap))]
        for name, found in [("all layers", everything), *rows]
    ]
    note = (
        f"Points lost (-) when that layer alone is int8, on {count} images of the validation split "
        f"(fp32: mIoU {100 * whole['mIoU']:.2f}, trimap {width} px {100 * whole[trimap]:.2f}); "
        "leave a layer in fp32 by --keep NAME."
    )
    return Columns(["layer", "mIoU", f"trimap {width} px"], cells, breaks=[0]), note


def _measured(source: Predictor, network: nn.Module, count: int) -> Scores:
    data = build_data(source.recipe, "val")
    if not count <= len(data):
        raise UserError(f"--sensitivity {count}: the validation split has {len(data)} images")
    task = build_task(source.recipe, data)
    part: Any = Subset(data, range(count))
    loader = eval_loader(part, batch_size=1, workers=0, gather=task.gather)
    return measure(network, loader, task)
