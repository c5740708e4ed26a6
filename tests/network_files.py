"""Tiny ONNX files, made by hand: their logits can be worked out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from bpkd.networks.files.described import Description, beside

COLOURS = [(20 * index, 0, 255 - 20 * index) for index in range(12)]


def description(count: int = 3, **changes: Any) -> Description:
    """Classes a, b, c ... with colours."""
    names = [chr(ord("a") + index) for index in range(count)]
    return Description(
        **{"classes": names, "palette": COLOURS[:count], "bpkd": "0", **changes}  # type: ignore[arg-type]
    )


def weights(channels: int) -> np.ndarray:
    """Of the one convolution: class 0 likes red, 1 green, 2 blue, others nothing."""
    values = -np.ones((channels, 3, 1, 1), dtype=np.float32)
    for index in range(min(3, channels)):
        values[index, index] = 1
    return values


def write(
    file: Path,
    channels: int = 3,
    said: Description | None = None,
    *,
    size: tuple[int, int] | None = None,
    outputs: int = 1,
    opset: int = 20,
    scale: float = 1.0,
    labels: bool = False,
    input_channels: int = 3,
) -> Path:
    """A file of one convolution, 1 x 1, from colours to logits."""
    kernel = weights(channels)[:, :input_channels] * np.float32(scale)
    nodes = [helper.make_node("Conv", ["images", "head.weight"], ["logits"], name="head")]
    names = ["logits"]
    if labels:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["best"], ["labels"], to=TensorProto.UINT8))
        names = ["labels"]
    if outputs == 2:
        nodes.append(helper.make_node("Relu", ["logits"], ["more"]))
        names.append("more")
    sides: list[Any] = list(size or ("height", "width"))
    shape = ["batch", channels, *sides]
    kinds = {"labels": (TensorProto.UINT8, ["batch", *sides])}
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info("images", 1, ["batch", input_channels, *sides])],
        [helper.make_tensor_value_info(n, *kinds.get(n, (1, shape))) for n in names],
        [numpy_helper.from_array(kernel, "head.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    if said is not None:
        helper.set_model_props(model, said.metadata())
    onnx.save_model(model, str(file))
    return file


def page(file: Path, said: Description, recipe: Path | None = None, **more: Any) -> Path:
    """The YAML file beside it."""
    content = said.model_dump(mode="json") | more
    if recipe is not None:
        content["recipe"] = yaml.safe_load(recipe.read_text())
    beside(file).write_text(yaml.safe_dump(content))
    return beside(file)
