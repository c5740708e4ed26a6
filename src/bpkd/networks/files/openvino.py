"""OpenVINO's files, run by OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.extras import extra
from bpkd.support.messages import one_line


class OpenVinoProgram:
    """An OpenVINO file (``.xml``, its weights beside it as ``.bin``), see :class:`Program`.

    Args:
        path: the ``.xml`` file.
        threads: of the CPU; None: OpenVINO's own choice.

    Raises:
        UserError: no such file, one that OpenVINO cannot read, or one of another kind.
    """

    def __init__(self, path: str, threads: int | None = None) -> None:
        library = extra("openvino", path, "openvino")
        self.path = path
        missing = [str(f) for f in (Path(path), Path(path).with_suffix(".bin")) if not f.is_file()]
        if missing:
            raise UserError(f"{path}: no such file: {missing[0]}; an OpenVINO network is two files")
        try:
            model = library.Core().read_model(path)
            # Its default on new processors is bfloat16: the file says its own precision.
            settings = {"INFERENCE_PRECISION_HINT": "f32"}
            if threads is not None:
                settings["INFERENCE_NUM_THREADS"] = str(threads)
            self.model = library.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise UserError(f"{path}: OpenVINO cannot load it: {one_line(error)[-300:]}") from error
        self.metadata = {
            name: str(value.astype(str)) for name, value in model.get_rt_info().items()
            if name not in ("conversion_parameters", "Runtime_version", "nncf")
        }  # fmt: skip
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise UserError(
                f"{path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs, "
                "expected one each: images in, logits or labels out"
            )
        sides = list(model.inputs[0].partial_shape)[2:]
        fixed = all(side.is_static for side in sides)
        self.size = (sides[0].get_length(), sides[1].get_length()) if fixed else None
        out = list(model.outputs[0].partial_shape)
        self.channels = out[1].get_length() if len(out) == 4 and out[1].is_static else None

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), float32 -> what the file gives."""
        try:
            found = self.model(images.cpu().float().numpy())[0]
        except RuntimeError as error:
            raise UserError(
                f"{self.path}: does not take images of {tuple(images.shape)}: "
                f"{one_line(error)[-300:]}"
            ) from error
        return torch.from_numpy(found.copy())
