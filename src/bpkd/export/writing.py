"""A network written to a file, a function a format."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.export import precision
from bpkd.export.capture import captured, example, one_sentence, quiet
from bpkd.networks.files.described import Description
from bpkd.networks.files.instances import OUTPUTS
from bpkd.networks.files.programs import METADATA
from bpkd.support.extras import extra

OPSET = 20


@dataclass
class Job:
    """What is to be written.

    Attributes:
        network: as it leaves.
        description: what the file is to say of itself.
        calibration: images (1, 3, H, W) by which int8 finds the range of each layer's numbers.
        keep: layers that int8 leaves as they are: ``first``, ``last``, or a layer's name.
    """

    network: nn.Module
    description: Description
    calibration: Iterable[Tensor] = ()
    keep: list[str] = field(default_factory=list)


def onnx(job: Job, file: Path) -> None:
    """ONNX, in the job's precision.

    Raises:
        UserError: a library is missing, or the network has something that ONNX has not.
    """
    save(onnx_model(job), job.description, file)


def save(model: Any, description: Description, file: Path) -> None:
    """Write ONNX's ModelProto with what it is to say of itself."""
    library = extra("onnx", "--format onnx", "export")
    del model.metadata_props[:]
    library.helper.set_model_props(model, description.metadata())
    library.save_model(model, str(file))


def onnx_model(job: Job) -> Any:
    """The network as ONNX's ModelProto, batch norm folded into the convolutions."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        extra(name, "--format onnx", "export")
    program = captured(job.network, job.description.size)
    try:
        with quiet(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            exported: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=["images"],
                output_names=outputs_of(job.description),
                optimize=True,
                verbose=False,
            )
    except Exception as error:
        reason = one_sentence(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise UserError(f"the network has what ONNX has not: {reason}") from error
    model = exported.model_proto
    _name_sides(model)
    _strip(model)
    if job.description.precision == "fp32":
        return model
    if job.description.precision == "fp16":
        return precision.halved(model)
    return precision.quantized(model, job.calibration, job.keep)


def outputs_of(description: Description) -> list[str]:
    """The names of what a file gives."""
    return list(OUTPUTS) if description.task == "instance" else [description.output]


def _name_sides(model: Any) -> None:
    """Call the sides that are free by their names, as those see them who open the file."""
    graph = model.graph
    names = {}
    for dim, name in zip(
        graph.input[0].type.tensor_type.shape.dim, ("batch", "", "height", "width"), strict=True
    ):
        if dim.dim_param:
            names[dim.dim_param] = name
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = names.get(dim.dim_param, dim.dim_param)
    del graph.value_info[:]  # these still have the exporter's names; runtimes find them out


def _strip(model: Any) -> None:
    """Take out what the exporter notes on each node: paths and lines of this machine's files."""
    del model.graph.metadata_props[:]
    for each in (*model.graph.node, *model.graph.input, *model.graph.output):
        del each.metadata_props[:]
        each.doc_string = ""
    for weight in model.graph.initializer:
        del weight.metadata_props[:]


def openvino(job: Job, file: Path) -> None:
    """OpenVINO, from the network's ONNX form in the same precision.

    Raises:
        UserError: a library is missing, or one of them cannot do it.
    """
    library = extra("openvino", "--format openvino", "openvino")
    model = onnx_model(job)
    content = io.BytesIO(model.SerializeToString())
    try:
        converted = library.convert_model(content)
        for name, value in job.description.metadata().items():
            converted.set_rt_info(value, name)
        library.save_model(
            converted, str(file), compress_to_fp16=job.description.precision == "fp16"
        )
    except RuntimeError as error:
        if "iostream" in str(error):
            raise UserError(
                f"{file.name}: OpenVINO cannot write it there: is there space on the disk?"
            ) from error
        raise UserError(f"OpenVINO cannot write this network: {one_sentence(error)}") from error


def exported(job: Job, file: Path) -> None:
    """torch.export's own file.

    Raises:
        UserError: the network cannot be traced.
    """
    program = captured(job.network, job.description.size)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths and lines of this machine's files
    program.example_inputs = None  # type: ignore[assignment]  # else the example goes along
    metadata = json.dumps(job.description.metadata())
    with quiet():
        content = io.BytesIO()  # on a full disk PyTorch's own writer ends the whole process
        torch.export.save(program, content, extra_files={METADATA: metadata})
    file.write_bytes(content.getbuffer())


def torchscript(job: Job, file: Path) -> None:
    """TorchScript, traced with one image: whoever asks for any size has it checked at two.

    Raises:
        UserError: the network cannot be traced.
    """
    images = example(job.description.size)
    try:
        with quiet(), torch.no_grad():
            script = torch.jit.trace(job.network, images, check_trace=False)  # type: ignore[no-untyped-call]
            script = torch.jit.freeze(script)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UserError(f"TorchScript cannot trace this network: {one_sentence(error)}") from error
    metadata = json.dumps(job.description.metadata())
    with quiet():
        content = io.BytesIO()  # as in exported()
        torch.jit.save(script, content, _extra_files={METADATA: metadata})  # type: ignore[no-untyped-call]
    file.write_bytes(content.getbuffer())
