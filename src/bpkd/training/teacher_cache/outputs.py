"""A network's output as tensors by name, and which of them the losses of a run ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from bpkd.networks.base import InstanceOutput, SegOutput

#: What the networks of a task give.
KINDS: dict[str, type] = {"semantic": SegOutput, "instance": InstanceOutput}
#: Channels of these are classes.
OF_CLASSES = ("logits", "auxiliary")


def named(output: Any, kind: type) -> dict[str, Tensor]:
    """The tensors of an output by dotted names.

    Example:
        >>> maps = torch.zeros(1, 2, 3, 3)
        >>> list(named(SegOutput(maps, {"head": maps}), SegOutput))
        ['logits', 'features.head']
    """
    found: dict[str, Tensor] = {}
    for field in kind._fields:  # type: ignore[attr-defined]
        value = getattr(output, field)
        if isinstance(value, Tensor):
            found[field] = value
        elif isinstance(value, dict):
            found |= {f"{field}.{name}": maps for name, maps in value.items()}
        elif isinstance(value, list | tuple):
            found |= {f"{field}.{level}": maps for level, maps in enumerate(value)}
    return found


def output_of(tensors: Mapping[str, Tensor], kind: type) -> Any:
    """The output that :func:`named` made names of; what has no name is empty."""
    fields: dict[str, Any] = {}
    for field, hint in get_type_hints(kind).items():
        inner = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith(f"{field}.")}
        if get_origin(hint) is dict:
            fields[field] = inner
        elif get_origin(hint) is list:
            fields[field] = [inner[str(level)] for level in range(len(inner))]
        else:
            fields[field] = tensors.get(field)
    return kind(**fields)


def asked_for(losses: Iterable[nn.Module], given: Iterable[str]) -> list[str]:
    """The names that losses may look at, of those that a teacher gives.

    A loss of this package says by ``feature`` or ``features`` which maps it takes, and by
    ``needs_auxiliary`` that it compares auxiliary logits; of what somebody else's loss looks at
    nothing is known, so all is kept for it.

    Example:
        >>> from bpkd.losses.cwd import CWD
        >>> from bpkd.losses.at import AT
        >>> given = ["logits", "features.backbone", "features.head", "auxiliary"]
        >>> asked_for([CWD()], given), asked_for([CWD(), AT()], given)
        (['logits'], ['logits', 'features.head'])
    """
    features: set[str] = set()
    auxiliary = everything = False
    for loss in losses:
        everything |= not type(loss).__module__.startswith("bpkd.losses.")
        auxiliary |= bool(getattr(loss, "needs_auxiliary", False))
        one, several = getattr(loss, "feature", None), getattr(loss, "features", ())
        features |= {f"features.{name}" for name in [*several, *([one] if one else [])]}

    def wanted(name: str) -> bool:
        if name.startswith("features."):
            return name in features
        return name != "auxiliary" or auxiliary

    return [name for name in given if everything or wanted(name)]


def shapes(teacher: nn.Module, kind: type, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """What a teacher gives of one image of a size, auxiliary logits too: shapes by name."""
    teacher.eval()
    device = next((t.device for t in [*teacher.parameters(), *teacher.buffers()]), "cpu")
    before = getattr(teacher, "auxiliary_in_eval", False)
    teacher.auxiliary_in_eval = True  # type: ignore[assignment]
    try:
        with torch.no_grad():
            output = teacher(torch.zeros(1, 3, *size, device=device))
    finally:
        teacher.auxiliary_in_eval = before  # type: ignore[assignment]
    return {name: tuple(maps.shape[1:]) for name, maps in named(output, kind).items()}
