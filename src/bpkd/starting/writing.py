"""The two recipes as text, with comments that say why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bpkd.starting.choosing import Choice
from bpkd.starting.looking import Look
from bpkd.starting.machine import Machine
from bpkd.starting.networks import Chosen

_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
_NUMBERED = ("index-masks", "binary-masks", "npy-masks", "transparent-masks")


def data_section(look: Look, splits: Mapping[str, Sequence[str]], lists: Path | None) -> str:
    """``data:`` with classes, void values and splits.

    Args:
        look: what the folder holds.
        splits: split -> images.
        lists: folder of the lists that were drawn; None where the folders are the splits.
    """
    lines = [
        f"# {len(look.images):,} images: {look.format.title}; {_sizes(look)} (width x height).",
        *(f"# {remark}" for remark in look.remarks),
        "data:",
        "  use: bpkd.datasets.annotated.Annotated",
        f"  root: {scalar(str(look.root))}",
        f"  format: {look.format.name}",
    ]
    if lists is not None:
        lines.append(f"  list: {scalar(lists.as_posix() + '/{split}.txt')}")
    counts = ", ".join(f"{split} {len(names):,}" for split, names in splits.items())
    lines.append(f"  # {counts}")
    if "test" not in splits:
        lines.append("  test: val   # no images are left to test on")
    lines += _classes(look)
    if look.void:
        lines.append(f"  ignore: [{', '.join(map(str, look.void))}]   # values of no class")
    return "\n".join(lines)


def training_section(choice: Choice) -> str:
    """Crop, batch, iterations and the optimizer, each with its reason."""
    crop, scale = choice.crop.value, choice.scale.value
    every = max(1, choice.iterations.value // 5)
    return f"""\
max_iters: {choice.iterations.value}   # {choice.iterations.why}
batch_size: {choice.batch.value}   # {choice.batch.why}
workers: {choice.workers}
augment:
  crop: [{crop[0]}, {crop[1]}]   # {choice.crop.why}
  scale: [{scale[0]}, {scale[1]}]   # {choice.scale.why}
optimizer: {{use: torch.optim.AdamW, lr: 0.001, weight_decay: 0.01}}
head_lr: 3.0   # heads begin from nothing, backbones from what they know
schedule: {{floor: 0.0, warmup: {min(30, choice.iterations.value // 10)}}}
evaluation: {{every: {every}}}"""


def teacher_yaml(data: str, choice: Choice, network: Chosen, machine: Machine, run: str) -> str:
    """The recipe of the teacher: trained plainly."""
    parts = [
        f"# The teacher; written by bpkd init for {machine}. Change what you like.",
        f"run: {scalar(run)}",
        data,
        training_section(choice),
        f"# The network that is trained: {network.why}.",
        _network("student", network),
    ]
    return "\n".join(parts) + "\n"


def student_yaml(
    base: str | None, data: str, choice: Choice, network: Chosen, teacher: Chosen, run: str,
    teacher_run: str,
) -> str:  # fmt: skip
    """The recipe of the student: on the teacher's, where that was written too."""
    parts = ["# The student: learns from the labels and from the teacher."]
    if base is not None:
        parts += [f"base: {base}   # data and training as there", f"run: {scalar(run)}"]
    else:
        parts += [f"run: {scalar(run)}", data, training_section(choice)]
    parts += [f"# {network.why}.", _network("student", network)]
    if isinstance(teacher.section, str) or not teacher.trained:
        place = teacher.section if isinstance(teacher.section, str) else teacher_run
        parts.append(f"teacher: {scalar(place)}   # the folder of a run")
    else:
        hint = "# If its classes are others than yours, add class_map: {YOURS: THEIRS, ...}"
        parts += [hint, _network("teacher", teacher)]
    parts.append("losses:\n  bpkd: {use: bpkd.losses.bpkd.BPKD}   # bpkd methods lists others")
    return "\n".join(parts) + "\n"


def _network(key: str, network: Chosen) -> str:
    assert isinstance(network.section, dict)
    lines = [f"{key}:"]
    for name, value in network.section.items():
        comment = "   # timm's download; null begins from nothing" if value == "hub" else ""
        lines.append(f"  {name}: {scalar(value)}{comment}")
    return "\n".join(lines)


def _classes(look: Look) -> list[str]:
    """The classes with how often they occur; with values or colours where the files need them."""
    head = f"  classes:   # in the {look.looked_at:,} images looked at: share of pixels, images"
    lines = [head]
    for index, (name, size) in enumerate(zip(look.classes, look.sizes, strict=True)):
        entry: dict[str, Any] = {"name": name}
        value = _value(look, name)
        if value is not None:
            entry["value"] = value
        if look.found.colours:
            entry["color"] = list(look.palette[index])
        text = ", ".join(f"{key}: {scalar(item)}" for key, item in entry.items())
        written = f"{{{text}}}" if len(entry) > 1 else scalar(name)
        lines.append(f"    - {written}   # {size.share:.2%}, {size.images:,}")
    return lines


def _value(look: Look, name: str) -> int | None:
    """A class's value in the files, where only the recipe can say it."""
    if look.format.name not in _NUMBERED or look.found.by_colour:
        return None
    values = {named: value for value, named in (look.found.values or {}).items() if named}
    if [values.get(each) for each in look.classes] == list(range(len(look.classes))):
        return None  # in the order of their values, as a list of names is read
    return values.get(name)


def scalar(value: Any) -> str:
    """A value as YAML that reads back the same, also to OmegaConf.

    >>> print(scalar("traffic light"), scalar("no"), scalar("2024"), scalar("дорога"), scalar(None))
    traffic light "no" "2024" дорога null
    """
    if value is None or isinstance(value, bool | int | float | list):
        return json.dumps(value)
    text = str(value)
    plain = re.fullmatch(r"(?:[./]*/)?[^\W\d][\w ./-]*", text) and not text.endswith(" ")
    if plain and text.lower() not in _WORDS:
        return text
    return json.dumps(text.replace("${", "\\${"), ensure_ascii=False)


def _sizes(look: Look) -> str:
    if look.smallest == look.largest:
        return f"all {_size(look.size)}"
    return (
        f"from {_size(look.smallest)} to {_size(look.largest)}, half of them up to "
        f"{_size(look.size)}"
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
