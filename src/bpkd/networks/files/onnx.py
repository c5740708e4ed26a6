"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from bpkd.datasets.parallel import cores
from bpkd.errors import UserError
from bpkd.support.extras import extra
from bpkd.support.messages import one_line

_QUIET = 4  # ONNX Runtime's fatal: errors arrive as exceptions


class OnnxProgram:
    """An ONNX file with one image input and one output, see :class:`Program`.

    Args:
        path: the file.
        threads: of ONNX Runtime; None: all cores that this process may use.

    Raises:
        UserError: no such file, one that ONNX Runtime cannot read, or one of another kind.
    """

    def __init__(self, path: str, threads: int | None = None) -> None:
        runtime = extra("onnxruntime", path, "export")
        options = runtime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = threads or cores()
        self.path = path
        try:
            self.session = runtime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own classes of exceptions, none of them public
            raise UserError(f"{path}: {_refusal(path, error)}") from error
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        self.size, self.channels = self._checked()

    def _checked(self) -> tuple[tuple[int, int] | None, int | None]:
        """The fixed (H, W) of the images and C of the logits, as far as the file says them."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        many = self.metadata.get("output") == '"instances"'
        if len(inputs) != 1 or (len(outputs) != 1 and not many):
            names = [each.name for each in (inputs if len(inputs) != 1 else outputs)]
            which = "inputs" if len(inputs) != 1 else "outputs"
            raise UserError(
                f"{self.path}: has {len(names)} {which} ({', '.join(names)}), expected one: "
                "images in, logits or labels out; export it again with these alone"
            )
        images, output = inputs[0], outputs[0]
        shape = images.shape
        if len(shape) != 4 or shape[1] not in (3, "3") or images.type != "tensor(float)":
            raise UserError(
                f"{self.path}: its input {images.name!r} is {images.type} {shape}, expected images "
                "float32 N x 3 x H x W"
            )
        fixed = isinstance(shape[2], int) and isinstance(shape[3], int)
        found = output.shape[1] if len(output.shape) == 4 else None
        channels = found if isinstance(found, int) else None
        return ((shape[2], shape[3]) if fixed else None), channels

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), float32 -> what the file gives."""
        return next(iter(self.every(images).values()))

    def every(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W), float32 -> all that the file gives, by name."""
        (name,) = (each.name for each in self.session.get_inputs())
        names = [each.name for each in self.session.get_outputs()]
        try:
            found = self.session.run(names, {name: images.cpu().float().numpy()})
        except Exception as error:
            raise UserError(
                f"{self.path}: does not take images of {tuple(images.shape)}: {_reason(error)}"
            ) from error
        return {key: torch.from_numpy(value) for key, value in zip(names, found, strict=True)}


def _refusal(path: str, error: Exception) -> str:
    """Why ONNX Runtime does not read a file, and what to do."""
    if not Path(path).is_file():
        return "no such file"
    kind, text, reason = type(error).__name__, one_line(error), _reason(error)
    if kind == "InvalidProtobuf" or "rotobuf" in text:
        return "is no ONNX file, or not a whole one; copy or export it again"
    newer = re.search(r"opset \d+|IR version: \d+", text, re.IGNORECASE)
    if newer or kind == "NotImplemented":
        version = extra("onnxruntime", path, "export").__version__
        return (
            f"needs what ONNX Runtime {version} does not have ({newer[0] if newer else reason}); "
            "export it for an older opset, or install a newer onnxruntime"
        )
    return f"ONNX Runtime cannot load it: {reason}"


def _reason(error: Exception) -> str:
    """The part of ONNX Runtime's message that says something: no source file, no signature."""
    text = one_line(error).rsplit("Status Message: ", maxsplit=1)[-1]
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+ ", "", text)
    text = re.sub(r"^.*\bonnxruntime::.*\) ", "", text)
    return text if len(text) < 250 else f"{text[:250]}..."
