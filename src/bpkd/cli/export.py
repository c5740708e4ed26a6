"""The commands that lead out of the lab: a network as a file, and how fast files are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bpkd.cli.common import Overrides, Run, Trust, app, bar, console
from bpkd.support.formats import names
from bpkd.support.messages import typed

Precision = Literal["fp32", "fp16", "int8"]


@app.command()
def export(
    run: Run,
    overrides: Overrides = None,
    format: Annotated[str, typer.Option(help=names())] = "onnx",
    precision: Annotated[Precision, typer.Option(help="Of the file's numbers.")] = "fp32",
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="Height and width of the one size it takes.")
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Images of any size: the default without --size.")
    ] = False,
    argmax: Annotated[bool, typer.Option("--argmax", help="Labels in uint8, no logits.")] = False,
    at: Annotated[
        Literal["image", "network"], typer.Option(help="Whose size logits and labels have.")
    ] = "image",
    out: Annotated[Path | None, typer.Option(help="The file; else the run's name, here.")] = None,
    calibrate: Annotated[
        int, typer.Option(min=1, help="For int8: images of the training split to calibrate on.")
    ] = 64,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="For int8: leave in fp32 'first', 'last' or a layer; repeatable."),
    ] = None,
    sensitivity: Annotated[
        int | None,
        typer.Option(min=1, help="Write no file: what int8 costs by layer, on so many images."),
    ] = None,
    verify: Annotated[int, typer.Option(min=1, help="Images to compare file and network on.")] = 4,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of pixels that may change, else by precision."),
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="student, best or last.")] = "student",
    trust: Trust = False,
) -> None:
    """Write a run's network to a file that runs without this package, and prove it.

    The file is loaded in a new process and compared with the network, near outlines too; what
    differs by more than its precision explains is not kept. Beside FILE lies FILE.yaml: classes,
    colours, how images go in, and the comparison.

        bpkd export runs/student
        bpkd export runs/student --precision int8 --keep last --out student.int8.onnx
        bpkd export runs/student --sensitivity 20
        bpkd compare runs/student student.onnx student.int8.onnx
    """
    from bpkd.errors import UserError
    from bpkd.export.run import Wish
    from bpkd.export.run import export as write
    from bpkd.recipe.trust import trusted
    from bpkd.support.messages import say

    if dynamic and size is not None:
        raise UserError("--size and --dynamic: a file takes one size, or any; leave one out")
    wish = Wish(
        format=format,
        precision=precision,
        size=size,
        output="labels" if argmax else "logits",
        at=at,
        checkpoint=checkpoint,
        calibrate=calibrate,
        keep=keep or [],
        verify=verify,
        tolerance=tolerance,
    )
    with trusted(trust, beside=True):
        if sensitivity is not None:
            from bpkd.export.sensitivity import sensitivity as by_layer

            table, note = by_layer(run, wish, sensitivity, *overrides or (), progress=bar)
            console().print(table)
            print(note)
            return
        file, found = write(run, wish, *overrides or (), out=out, progress=bar, say=say)
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB; beside it {file}.yaml says how to use it")
    print(f"the same network, in a new process: {found.line()}")
    print(f"next: bpkd compare {typed(run)} {typed(file)}")


@app.command()
def bench(
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files of networks, or runs' folders.")
    ],
    threads: Annotated[
        list[int] | None, typer.Option(help="So many threads, e.g. --threads 1 2 4.")
    ] = None,
    size: Annotated[tuple[int, int], typer.Option(help="Height and width of the image.")] = (
        512,
        512,
    ),
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Runs by torch.compile too; needs a C++ compiler.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    trust: Trust = False,
) -> None:
    """Time files and runs on this machine's processor: milliseconds an image.

    Files run in their own runtime, runs in PyTorch. One image at a time, logits resized to its
    size; the median of 5 to 50 passes.

        bpkd bench student.onnx student.int8.onnx runs/student --threads 1 2 4 --size 512 512
    """
    from bpkd.recipe.trust import trusted
    from bpkd.report.bench import bench as measure
    from bpkd.report.bench import split_threads

    files, counts = split_threads(sources, threads)
    with trusted(trust, beside=True):
        table = measure(files, counts, size, compiled, bar)
    print(table.markdown() if markdown else "", end="")
    if not markdown:
        console().print(table)
