"""Recipes and checkpoints that are nearly in order: a seeded, structure-aware fuzzer."""

from __future__ import annotations

import copy
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import strategies as st

SOUND: dict[str, Any] = {
    "name": "sound",
    "seed": 1,
    "max_iters": 2,
    "batch_size": 2,
    "workers": 0,
    "data": {"use": "bpkd.datasets.scenes.Scenes", "size": [32, 48], "count": 3},
    "augment": {"crop": [32, 32], "scale": [1, 1], "flip": 0.5},
    "student": {
        "use": "bpkd.networks.pspnet.PSPNet",
        "backbone": "test_resnet.r160_in1k",
        "channels": 8,
    },
    "teacher": {
        "use": "bpkd.networks.pspnet.PSPNet",
        "backbone": "test_resnet.r160_in1k",
        "channels": 8,
        "class_map": "by_index",
        "num_classes": 10,
    },
    "losses": {
        "kd": {"use": "bpkd.losses.kd.KD", "weight": 1.0, "from": 0, "temperature": 2.0},
        "cwd": {"use": "bpkd.losses.cwd.CWD", "temperature": 4.0},
    },
    "optimizer": {"use": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9},
    "schedule": {"power": 0.9, "floor": 0.0, "warmup": 0},
    "evaluation": {"every": 2, "scales": [1.0], "window": [32, 32], "stride": [16, 16]},
    "run": "runs/sound",
}

#: What goes wrong in a value: of another type, too large, odd text.
_ODD = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 0.5, 1e308, -1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        " ",
        "a.b",
        "keys",
        "null",
        "1e3",
        "é\u202e\x1b[31m",
        "x" * 999,
    ),
    *("os.system", "bpkd.losses.kd", "torch.nn.Linear", "${seed}", "${", "${oc.env:HOME}", "~"),
    *([], {}, [[]], [None], {"use": "x"}, {"": 1}, {0: 1}, [1, 2, 3], {"a": {"b": {"c": {}}}}),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values."""
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """The text of a recipe with one to three faults."""
    content = copy.deepcopy(SOUND)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(content))))
        holder: Any = content
        for key in place[:-1]:
            holder = holder[key]
        fault = draw(st.sampled_from(("change", "drop", "add", "rename")))
        value = draw(st.sampled_from(_ODD) | st.integers() | st.text(max_size=8))
        if fault == "change" or not isinstance(holder, dict):
            holder[place[-1]] = copy.deepcopy(value)
        elif fault == "drop":
            del holder[place[-1]]
        elif fault == "add":
            holder[draw(st.text(max_size=5) | st.sampled_from(("use", "weight", "keys")))] = value
        else:
            holder[f"{place[-1]}s"] = holder.pop(place[-1])
    text = yaml.safe_dump(content, allow_unicode=True)
    if draw(st.integers(0, 9)) == 0:  # damaged text
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(("{", "[", ":", "\t", "&a *a", "- ", "\x00", "'")))
        text += SOUND["name"]
    return text


def checkpoint(seed: int, sound: dict[str, Any], file: Path) -> None:
    """Write a checkpoint with a fault that follows from a number."""
    draw = random.Random(seed)
    tensors: dict[Any, Any] = dict(sound)
    key = draw.choice(list(tensors))
    value = tensors[key]
    faults: dict[str, Any] = {
        "drop": None,
        "shape": value.new_zeros(*value.shape, 2),
        "int": value.to(torch.int32),
        "bool": value.bool(),
        "complex": value + 0j,
        "nan": value.float() * float("nan"),
        "inf": value.float() + float("inf"),
        "sparse": value.float().reshape(-1, 1).to_sparse(),
        "meta": value.to("meta"),
        "number": 3,
        "text": "x",
        "half": value.half(),
    }
    kind = draw.choice([*faults, "keys", "prefix", "list", "nested", "cut", "bytes", "zip", "none"])
    if kind == "drop":
        del tensors[key]
    elif kind in faults:
        tensors[key] = faults[kind]
    elif kind == "keys":
        tensors = dict(enumerate(tensors.values()))
    elif kind == "prefix":
        tensors = {draw.choice(("a.", "module.", "")) + name: v for name, v in tensors.items()}
    content: Any = tensors
    wrap = draw.choice(("", "state_dict", "model", "ema", "optimizer", "a.b"))
    if wrap:
        content = {wrap: content, "epoch": draw.choice((1, None, "x", [1], {}))}
    content = {"list": list(tensors), "none": None}.get(kind, content)
    if kind == "nested":
        for _ in range(draw.choice((2, 900))):
            content = {"model": content}
    file.unlink(missing_ok=True)
    try:
        torch.save(content, file, _use_new_zipfile_serialization=draw.random() < 0.7)
    except RecursionError:
        torch.save(tensors, file)
    damage(kind, draw, file)


def damage(kind: str, draw: random.Random, file: Path) -> None:
    """Cut a file, turn some of its bytes, or pack something else."""
    data = bytearray(file.read_bytes())
    if kind == "cut":
        file.write_bytes(data[: draw.randrange(len(data))])
    elif kind == "bytes":
        for _ in range(draw.choice((1, 3, 50))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        file.write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", draw.randbytes(draw.randrange(1, 200)))
            archive.writestr("archive/version", "3\n")
