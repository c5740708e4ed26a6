"""A network with more classes, or the same in another order, for the data set's classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput
from bpkd.support.messages import shown, suggestion


class ClassMapped(nn.Module):
    """A network whose logits are joined into other classes.

    Classes are joined by logsumexp, so their probability is the sum of theirs; classes that no
    one names are left out, and the rest share their probability. A class cannot be left without
    logits: with very low ones in their place, kd would teach that the class never occurs where
    the labels say it does, and losses over a class's pixels (cwd, the body of bpkd) that it is
    the same everywhere.

    Args:
        network: images -> SegOutput.
        groups: for each class, the network's own classes that it joins; see :func:`groups`. An
            empty one has the logits 0: what a network of one channel (sigmoid) says of the other
            of two classes, so that their softmax is its sigmoid.

    Example:
        >>> from bpkd.networks.foreign import from_module
        >>> network = from_module(3, "torch.nn.Conv2d", dict(
        ...     in_channels=3, out_channels=3, kernel_size=1))
        >>> mapped = ClassMapped(network, [[2], [0, 1]])
        >>> images = torch.rand(1, 3, 4, 4)
        >>> own, ours = network(images).logits, mapped(images).logits
        >>> bool((ours[:, 0] == own[:, 2]).all()), ours.shape
        (True, torch.Size([1, 2, 4, 4]))
    """

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network = network
        self.groups = [list(group) for group in groups]

    @property
    def only_size(self) -> tuple[int, int] | None:
        """The one size of images that the network takes, as a file's may; None: any."""
        size: tuple[int, int] | None = getattr(self.network, "only_size", None)
        return size

    @property
    def auxiliary_in_eval(self) -> bool:
        """Whether auxiliary logits are given in evaluation mode too."""
        return bool(self.network.auxiliary_in_eval)

    @auxiliary_in_eval.setter
    def auxiliary_in_eval(self, value: bool) -> None:
        self.network.auxiliary_in_eval = value  # type: ignore[assignment]

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W), RGB in [0, 1] -> :class:`SegOutput`.

        Raises:
            UserError: the network has fewer classes than the map speaks of.
        """
        output: SegOutput = self.network(images)
        auxiliary = None if output.auxiliary is None else self.join(output.auxiliary)
        return SegOutput(self.join(output.logits), output.features, auxiliary)

    def join(self, logits: Tensor) -> Tensor:
        """Logits of the network's classes (N, T, h, w) -> of ours (N, C, h, w)."""
        highest = max(max(group, default=0) for group in self.groups)
        if highest >= logits.shape[1]:
            raise UserError(
                f"class_map: index {highest} is out of range: the teacher gives "
                f"{logits.shape[1]} classes, from 0 on"
            )
        joined = [
            logits.new_zeros(logits[:, 0].shape)
            if not group
            else logits[:, group[0]]
            if len(group) == 1
            else logits[:, group].logsumexp(dim=1)
            for group in self.groups
        ]
        return torch.stack(joined, dim=1)


def aligned(
    network: nn.Module, classes: Sequence[str], own: Sequence[str] | None, where: str
) -> nn.Module:
    """A network whose classes are the data set's, in the data set's order.

    Names count as the same where they differ in case, spaces and underscores alone.

    Args:
        network: images -> SegOutput.
        classes: names of the data set's classes.
        own: names of the network's classes, or None where it does not say.
        where: what the network is called in messages.

    Raises:
        UserError: the network says that it has other classes: with the line to add.

    Example:
        >>> network = nn.Identity()
        >>> aligned(network, ["sky", "car"], ["sky", "car"], "it") is network
        True
        >>> aligned(network, ["sky", "car"], ["Car", "sky"], "it").groups
        [[1], [0]]
    """
    if own is None:
        return network
    theirs, ours = [_plain(name) for name in own], [_plain(name) for name in classes]
    if theirs == ours:
        return network
    if len(set(ours)) == len(ours) and sorted(theirs) == sorted(ours):
        return ClassMapped(network, [[theirs.index(name)] for name in ours])
    raise UserError(f"{where} {other_classes(classes, own)}")


def other_classes(classes: Sequence[str], own: Sequence[str]) -> str:
    """What a message says of classes that differ: how, and the class_map to write.

    Example:
        >>> other_classes(["road"], ["street", "tree"])
        'has 2 classes and the data set 1; say which is which: class_map: {road: ?}, with ? of: \
street, tree'
    """
    names = {_plain(name): name for name in own}
    plain = [_plain(name) for name in classes]
    left = [name for name in own if _plain(name) not in plain]
    new = [name for name in classes if _plain(name) not in names]
    if not left and not new:  # one name several times
        return "has class names that are not unique; give class_map by index"
    shown_map = ", ".join(f"{name}: {names.get(_plain(name), '?')}" for name in classes[:12])
    more = ", ..." if len(classes) > 12 else ""
    count = f"{len(own)} classes and the data set {len(classes)}"
    says = f"it has {left[0]!r}" if left else "it has fewer"
    ours = f", the data set {new[0]!r}" if new else ""
    what = count if len(own) != len(classes) else f"other classes than the data set ({says}{ours})"
    end = f", with ? of: {', '.join(left[:12]) or 'its classes'}" if new else ""
    same = "; or class_map: by_index, if only the names differ" if len(own) == len(classes) else ""
    return f"has {what}; say which is which: class_map: {{{shown_map}{more}}}{end}{same}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def groups(
    class_map: Sequence[Any] | Mapping[str, Any] | str,
    classes: Sequence[str],
    own: Sequence[str] | None,
    num_own: int | None,
) -> list[list[int]]:
    """The teacher's class indices for each of the data set's classes.

    Args:
        class_map: an index or name, or a list of such, for each of the data set's classes: in
            their order, or by their names; or ``by_index``: as they stand.
        classes: names of the data set's classes.
        own: names of the teacher's classes, or None where it has none.
        num_own: how many classes the teacher has, or None where nobody knows yet.

    Raises:
        UserError: a class is missing or unknown, a name is unknown, or an index out of range.

    Example:
        >>> groups({"road": "road", "car": ["car", 3]}, ["road", "car"],
        ...     ["sky", "car", "road", "bus"], 4)
        [[2], [1, 3]]
    """
    if isinstance(class_map, str):
        if num_own not in (None, len(classes)):
            raise UserError(
                f"class_map: by_index needs as many classes: the teacher has {num_own}, the data "
                f"set {len(classes)}"
            )
        class_map = list(range(len(classes)))
    if isinstance(class_map, Mapping):
        for name in class_map:
            if name not in classes:
                raise UserError(
                    f"class_map.{name}: the data set has no such class; "
                    f"{suggestion(str(name), classes)}"
                )
        class_map = [class_map.get(name) for name in classes]
    if len(class_map) != len(classes):
        raise UserError(
            f"class_map: expected {len(classes)} entries, one for each class of the data set, "
            f"got {len(class_map)}"
        )
    is_binary = num_own == 1 and len(classes) == 2
    if is_binary and sum(entry is None for entry in class_map) == 1:
        class_map = [[] if entry is None else entry for entry in class_map]
    found = [
        [] if is_binary and entry == [] else _group(entry, f"class_map: {name}", own, num_own)
        for name, entry in zip(classes, class_map, strict=True)
    ]
    owner: dict[int, str] = {}
    for name, group in zip(classes, found, strict=True):
        for index in group:
            if index in owner:
                title = repr(own[index]) if own else str(index)
                raise UserError(
                    f"class_map: {name}: the teacher's class {title} already is {owner[index]}'s; "
                    "it can be one's alone, for it cannot tell them apart"
                )
            owner[index] = name
    return found


def _group(entry: Any, where: str, own: Sequence[str] | None, num_own: int | None) -> list[int]:
    entries = list(entry) if isinstance(entry, list | tuple) else [entry]
    found = [_index(each, where, own, num_own) for each in entries if each is not None]
    if not found or len(found) < len(entries):
        raise UserError(
            f"{where}: no class of the teacher is named for it; every class needs one, or a "
            "teacher cannot teach it"
        )
    if len(set(found)) < len(found):
        raise UserError(f"{where}: a class of the teacher is named twice in {shown(entry)}")
    return found


def _index(entry: Any, where: str, own: Sequence[str] | None, num_own: int | None) -> int:
    if isinstance(entry, str):
        if own is None:
            raise UserError(f"{where}: the teacher's classes have no names; give the index")
        if list(own).count(entry) != 1:
            how = "several classes" if entry in own else "no class"
            raise UserError(f"{where}: the teacher has {how} {entry!r}; {suggestion(entry, own)}")
        return list(own).index(entry)
    if isinstance(entry, bool) or not isinstance(entry, int):
        raise UserError(f"{where}: expected an index or a name, got {shown(entry)}")
    if entry < 0 or (num_own is not None and entry >= num_own):
        top = "" if num_own is None else f" to {num_own - 1}"
        raise UserError(f"{where}: expected an index from 0{top}, got {entry}")
    return entry
