"""The instances of one image as several networks see them, side by side, zoomed on a crowd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import nn

from bpkd.datasets.instances import Instances
from bpkd.inference.instance_overlay import flattened, outlined
from bpkd.report.figure import busiest_window, chosen_image, save
from bpkd.report.figures.views import SCORE, Objects
from bpkd.tasks.instance import Instance

#: So many pictures side by side fit a page.
_COLUMNS = 9


def most_instances(data: Any, candidates: int = 24) -> int:
    """Which of the first images has the most instances; crowds do not count."""

    def count(index: int) -> int:
        return int((~data[index][1].crowd).sum())

    return max(range(min(candidates, len(data))), key=count)


def instance_comparison(
    networks: dict[str, nn.Module],
    data: Any,
    file: Path,
    task: Instance,
    index: int | None = None,
    threshold: float = SCORE,
) -> None:
    """Write a picture: a column for the image, its instances and each network's.

    The rows: the whole image; the window with the most outline.

    Args:
        networks: by the name that stands above their column.
        data: a data set of instances.
        file: PNG, PDF or whatever else matplotlib writes.
        task: how instances are found.
        index: which image; None for :func:`most_instances`.
        threshold: the least score of what is drawn.

    Raises:
        UserError: no such image, or no such kind of picture.
    """
    index = chosen_image(data, index, most_instances)
    image, truth = data[index]
    shown: dict[str, Instances] = {"annotations": truth}
    view = Objects(data.palette, task, threshold)
    shown |= {name: view.see(network, image) for name, network in networks.items()}
    height, width = image.shape[1:]
    numbers = flattened(truth, 0)[1]
    window = busiest_window(numbers, (max(1, height * 2 // 5), max(1, width * 2 // 5)))
    photo = image.permute(1, 2, 0).numpy()
    pictures = {"image": photo}
    pictures |= {name: outlined(image, each, data.palette) for name, each in shown.items()}
    columns = min(len(pictures), _COLUMNS)
    bands = -(-len(pictures) // columns)
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    size = 2.4 * columns, (2.4 * 2 * height / width + 0.35) * bands
    figure = Figure(figsize=size, layout=tight)
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, (name, picture) in enumerate(pictures.items()):
        band, column = divmod(place, columns)
        axes[2 * band, column].imshow(picture)
        axes[2 * band, column].set_title(name, fontsize=10)
        axes[2 * band + 1, column].imshow(picture[window], interpolation="nearest")
    save(figure, file)
