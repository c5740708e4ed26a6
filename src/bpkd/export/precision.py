"""An ONNX network in fewer bits: fp16, or int8 by ONNX Runtime's static quantization."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.extras import extra
from bpkd.support.messages import one_line, suggestion

#: Layers that carry weights.
WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")


def halved(model: Any) -> Any:
    """A network in fp16; images and logits stay float32.

    Args:
        model: ONNX's ModelProto, fp32.
    """
    tool = extra("onnxruntime.transformers.float16", "fp16", "export")
    with _silence():
        return tool.convert_float_to_float16(model, keep_io_types=True)


def quantized(
    model: Any,
    calibration: Iterable[Tensor],
    keep: Sequence[str] = (),
    only: Sequence[str] | None = None,
    cache: Path | None = None,
) -> Any:
    """A network in int8: weights by channel, activations by tensor, QDQ.

    Args:
        model: ONNX's ModelProto, fp32.
        calibration: images (1, 3, H, W) that show the range of each activation.
        keep: layers left in fp32: ``first``, ``last``, or names as :func:`layers` gives them; a
            name stands for all layers that begin with it.
        only: quantize these layers alone.
        cache: file of the ranges, read where it is there, so that images run once.

    Raises:
        UserError: no images, or no such layer.
    """
    tool = extra("onnxruntime.quantization", "int8", "export")
    known = layers(model)
    kept = _nodes(known, keep)
    tail = _after_last_layer(model)
    with tempfile.TemporaryDirectory() as folder, _silence():
        out = Path(folder) / "int8.onnx"
        try:
            tool.quantize_static(
                model,
                out,
                _Reader(calibration),
                quant_format=tool.QuantFormat.QDQ,
                per_channel=True,
                activation_type=tool.QuantType.QUInt8,
                weight_type=tool.QuantType.QInt8,
                nodes_to_quantize=None if only is None else _nodes(known, only),
                nodes_to_exclude=[*kept, *tail],
                calibration_cache_path=cache,
            )
        except UserError:
            raise
        except Exception as error:  # of ONNX Runtime's tools, whatever they meet
            raise UserError(f"ONNX Runtime cannot quantize it: {one_line(error)[:300]}") from error
        return extra("onnx", "int8", "export").load_model(str(out))


def layers(model: Any) -> dict[str, str]:
    """The layers that carry weights, in their order: name -> node of the graph.

    The name is that of the network's module, as its weights are called.
    """
    weights = {each.name for each in model.graph.initializer}
    found: dict[str, str] = {}
    for node in model.graph.node:
        own = [name for name in node.input if name in weights]
        if node.op_type in WEIGHTED and own:
            name = own[0].removeprefix("network.").removesuffix(".weight")
            found[name if name not in found else node.name] = node.name
    return found


def _nodes(known: dict[str, str], names: Sequence[str]) -> list[str]:
    """The nodes of layers that are named, or whose name begins so."""
    order = list(known)
    nodes: list[str] = []
    for name in names:
        if name in ("first", "last"):
            nodes.append(known[order[0 if name == "first" else -1]])
            continue
        meant = [each for each in order if each == name or each.startswith(f"{name}.")]
        if not meant:
            raise UserError(f"--keep {name}: no such layer; {suggestion(name, order)}")
        nodes += [known[each] for each in meant]
    return nodes


def _after_last_layer(model: Any) -> list[str]:
    """What follows the classifier: resizing and argmax, which cost no accuracy in float."""
    nodes = list(model.graph.node)
    last = max(i for i, node in enumerate(nodes) if node.op_type in WEIGHTED)
    return [node.name for node in nodes[last + 1 :]]


class _Reader:
    """Calibration images as ONNX Runtime's tools ask for them."""

    def __init__(self, images: Iterable[Tensor]) -> None:
        self.images = iter(images)
        self.count = 0

    def get_next(self) -> dict[str, Any] | None:
        """The next image, or None."""
        image = next(self.images, None)
        if image is None:
            if not self.count:
                raise UserError("int8 needs calibration images, and there are none")
            return None
        self.count += 1
        return {"images": image.numpy()}

    def set_range(self, start_index: int, end_index: int) -> None:
        """Asked for where there are too many images at once: there never are."""

    def __len__(self) -> int:
        return self.count


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """ONNX Runtime's tools print, and log by the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
