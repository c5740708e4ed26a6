"""Multiply-adds of an ONNX file, from the shapes in its graph."""

from __future__ import annotations

from math import prod
from typing import Any

from bpkd.errors import UserError
from bpkd.support.extras import extra


def multiply_adds(path: str, size: tuple[int, int]) -> int:
    """Multiply-adds of the convolutions and matrix products for one image.

    Args:
        path: the file.
        size: (H, W).

    Raises:
        UserError: the shapes cannot be found out.
    """
    library = extra("onnx", path, "export")
    model = library.load_model(path)
    for dim, side in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, 3, *size), strict=True
    ):
        dim.dim_value = side
    try:
        graph = library.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:  # of onnx's own checker
        raise UserError(f"{path}: its shapes cannot be found out") from error
    shapes = {each.name: list(each.dims) for each in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = [each.dim_value for each in value.type.tensor_type.shape.dim]
    total = sum(_count(node, shapes) for node in graph.node)
    if not total:
        raise UserError(f"{path}: its shapes cannot be found out")
    return total


def _count(node: Any, shapes: dict[str, list[int]]) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    first, second = (shapes.get(name, []) for name in node.input[:2])
    output = shapes.get(node.output[0], [])
    if not first or not second or not all(output):
        return 0
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(second[1:])
    return prod(output) * (prod(second[1:]) if node.op_type == "Conv" else first[-1])
