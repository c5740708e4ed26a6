"""Any network as one of ours: normalisation, logits, features and auxiliary logits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput
from bpkd.networks.foreign.features import as_map, before_classifier, check_places, kept
from bpkd.networks.foreign.normalisation import Normalisation
from bpkd.networks.foreign.scores import as_logits, check_gives
from bpkd.networks.probe import NotTaken, cut, multiple_of, padded, refusal
from bpkd.support.messages import one_line


class ForeignNetwork(nn.Module):
    """A network of another library: images (N, 3, H, W), RGB in [0, 1] -> SegOutput.

    Args:
        network: normalised images -> a tensor, dict, tuple or object of logits; see :func:`read`.
        normalisation: what the network's images go through.
        num_classes: C, or None where nobody knows before the first image.
        source: what the network is called in messages.
        features: name -> place of a map; ``backbone`` and ``head`` are names that losses ask for.
        defaults: the library's own places, where ``features`` does not say. ``head`` is the map
            that the classifier reads, unless either says otherwise.
        logits: path of the module that gives the logits before they are upsampled, if there is.
        auxiliary: path of the auxiliary head, if there is one.
        multiple: the network wants sides that are a multiple of it: images are padded at the
            bottom and at the right by their mean colour, and the maps cut again.
        gives: ``logits``, or the probabilities of a ``softmax`` or ``sigmoid``, of which logits
            are made; None where nobody says so.

    Attributes:
        classes: names of the network's own classes, or None.
        rebuild: what a recipe says to build this network without what it was loaded from.
        untrained: parameters of the classifier that what it was loaded from does not have.
        teacher_only: whether it cannot be trained.
    """

    #: Whether auxiliary logits are given in evaluation mode too: a loss may want a teacher's.
    auxiliary_in_eval = False

    def __init__(
        self,
        network: nn.Module,
        normalisation: Normalisation,
        num_classes: int | None,
        source: str,
        features: Mapping[str, str] | None = None,
        *,
        defaults: Mapping[str, str] | None = None,
        logits: str | None = None,
        auxiliary: str | None = None,
        multiple: int = 1,
        gives: str | None = None,
    ) -> None:
        super().__init__()
        check_gives(gives)
        self.network = network
        self.normalisation = normalisation
        self.num_classes, self.source, self.multiple = num_classes, source, multiple
        self.gives = gives
        head = before_classifier(network, num_classes, auxiliary)
        places = {"head": head} if head else {}
        places |= {**(defaults or {}), **(features or {})}
        check_places(network, places)
        self.features = places
        heads = {"logits": logits, "auxiliary": auxiliary}
        self.heads = {name: path for name, path in heads.items() if path is not None}
        self.classes: list[str] | None = None
        self.rebuild: dict[str, Any] | None = None
        self.untrained: list[str] = []
        self.teacher_only = False

    @property
    def backbone(self) -> nn.Module | None:
        """The module that learns at the recipe's own rate, and the rest at ``head_lr`` times it."""
        path, _, end = self.features.get("backbone", "").partition(":")
        return self.network.get_submodule(path) if path and not end else None

    @property
    def auxiliary_prefix(self) -> str:
        """How the names of the auxiliary head's parameters begin."""
        return f"network.{self.heads.get('auxiliary', 'auxiliary_head')}."

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W), RGB in [0, 1] -> :class:`SegOutput`.

        Raises:
            UserError: the network gives another number of classes than it was built for.
        """
        size = (images.shape[-2], images.shape[-1])
        images = padded(self.normalisation(images), self.multiple)
        whole = (images.shape[-2], images.shape[-1])
        with kept(self.network, self.heads) as heads, kept(self.network, self.features) as maps:
            logits, auxiliary = self.read(self._run(images))
        logits, auxiliary = heads.get("logits", logits), heads.get("auxiliary", auxiliary)
        if self.num_classes is not None and logits.shape[1] != self.num_classes:
            raise UserError(
                f"{self.source} gives {logits.shape[1]} classes, expected {self.num_classes}; "
                "build it for the data set's classes, or give a teacher num_classes and class_map"
            )
        logits = as_logits(logits, self.gives, self.source)
        features = {
            name: cut(as_map(value, whole, name), size, whole) for name, value in maps.items()
        }
        if not (self.training or self.auxiliary_in_eval):
            auxiliary = None
        elif auxiliary is not None:
            auxiliary = cut(as_logits(auxiliary, self.gives, self.source), size, whole)
        return SegOutput(cut(logits, size, whole), features, auxiliary)

    def _run(self, images: Tensor) -> Any:
        """As :meth:`run`; what the network says of a size that it does not take is one line."""
        try:
            return self.run(images)
        except (torch.OutOfMemoryError, UserError):
            raise
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = one_line(error)
            if "memory" in reason or "more than 1 value per channel" in reason:
                raise
            raise NotTaken(
                f"{self.source}: does not take images of {images.shape[-2]} x {images.shape[-1]}: "
                f"{type(error).__name__}: {reason[:200]}; where it wants sides that are multiples "
                "of a number, say so: multiple: 32; where it takes one size alone, crop to it and "
                "measure with evaluation.mode=slide"
            ) from error

    def probe(self, candidates: Iterable[int] = (2, 4, 8, 14, 16, 28, 32, 64, 128)) -> None:
        """Find out of what numbers the sides have to be multiples, where nobody has said it."""
        if self.multiple == 1:
            self.multiple = multiple_of(self._refusal, candidates) or 1

    def _refusal(self, size: Sequence[int]) -> str:
        return refusal(self.network, size, lambda images: self.run(self.normalisation(images)))

    def run(self, images: Tensor) -> Any:
        """Normalised images -> what the network gives; a library with other arguments differs."""
        return self.network(images)

    def read(self, output: Any) -> tuple[Tensor, Tensor | None]:
        """What the network gives -> logits, and auxiliary logits or None."""
        return read(output, self.source)


def read(output: Any, source: str) -> tuple[Tensor, Tensor | None]:
    """Logits, and auxiliary logits or None, of what a network gives.

    Args:
        output: logits (N, C, h, w); or an object with ``logits``; or a dict with ``logits`` or
            ``out``, and perhaps ``auxiliary`` or ``aux``; or a tuple of logits and perhaps
            auxiliary logits.
        source: what the network is called in the message.

    Raises:
        UserError: it is none of these.

    Example:
        >>> import torch
        >>> logits, auxiliary = read({"out": torch.zeros(1, 5, 2, 2), "aux": None}, "Net")
        >>> logits.shape, auxiliary
        (torch.Size([1, 5, 2, 2]), None)
    """
    first: Any = output
    second: Any = None
    if hasattr(output, "logits"):
        first, second = output.logits, getattr(output, "auxiliary", None)
    elif isinstance(output, Mapping):
        first = output.get("logits", output.get("out"))
        second = output.get("auxiliary", output.get("aux"))
    elif isinstance(output, tuple | list) and output:
        first, second = output[0], output[1] if len(output) > 1 else None
    if not isinstance(first, Tensor) or first.dim() != 4:
        got = f"shape {tuple(first.shape)}" if isinstance(first, Tensor) else type(output).__name__
        raise UserError(
            f"{source}: expected logits (N, C, h, w), or an object, dict (logits, out) or tuple "
            f"that holds them, got {got}"
        )
    is_logits = isinstance(second, Tensor) and second.shape[:2] == first.shape[:2]
    return first, second if is_logits and second.dim() == 4 else None
