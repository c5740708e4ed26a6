"""What a teacher gives, held against what it is to teach, before a step is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.datasets.building import build_data
from bpkd.datasets.loading import eval_loader
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.evaluation import measure
from bpkd.inference.tasks import build_task
from bpkd.metrics.confusion import ConfusionMatrix
from bpkd.metrics.measures import Scores
from bpkd.networks.base import SegOutput, resize
from bpkd.networks.class_map import ClassMapped
from bpkd.networks.foreign.scores import kind_of
from bpkd.networks.probe import NotTaken
from bpkd.recipe.loading import load_recipe
from bpkd.support.seeds import seeded
from bpkd.tasks.semantic import Semantic
from bpkd.training.building import Parts
from bpkd.training.teachers import build_teacher

#: Images that a teacher is tried on, and the most pixels of each.
_IMAGES, _PIXELS = 4, 512 * 512
#: The least share of the pixels that makes a class worth a word.
_SHARE = 0.01


def measure_teacher(
    recipe: str, *overrides: str, split: str = "test", progress: Callable[[Any], Any] = iter
) -> tuple[list[str], Scores]:
    """Measure the teacher that a recipe describes, its classes mapped as it would teach them.

    Args:
        recipe: a file, or the name of a recipe that comes with the package.
        overrides: ``key=value``, dotted.
        split: train, val or test.
        progress: wraps the loader, e.g. to draw a bar.

    Returns:
        The data set's classes, and the scores, see :func:`bpkd.inference.evaluation.evaluate`.

    Raises:
        UserError: there is no teacher, or anything else that the user can mend.
    """
    found = load_recipe(recipe, overrides)
    data = build_data(found, split)
    teacher = build_teacher(found, data.classes)
    if teacher is None:
        raise UserError(f"{recipe} has no teacher; measure a run by bpkd evaluate RUN")
    if isinstance(build_task(found, data), Semantic):
        check_output(teacher, data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task, size = build_task(found, data), found.evaluation.batch_size
    loader = eval_loader(data, batch_size=size, workers=found.workers, gather=task.gather)
    return data.classes, measure(teacher.to(device), loader, task, progress)


def check_output(teacher: nn.Module, data: Any) -> None:
    """Refuse a teacher whose answers are no logits of the data set's classes.

    Args:
        teacher: images -> SegOutput.
        data: has ``classes``, and yields (image, labels).

    Raises:
        UserError: it gives another number of classes, whole numbers, numbers that are not finite,
            or probabilities.
    """
    logits, kind = _logits(teacher, _image(data[0][0]))
    _checked(logits, len(data.classes))
    _check_kind({kind}, teacher)


def remarks(teacher: nn.Module, data: Any) -> list[str]:
    """What to say before training of a teacher that knows less than it should, tried on a few.

    Raises:
        UserError: as :func:`check_output`.
    """
    classes, ignored = data.classes, data.ignore_index
    matrix = ConfusionMatrix(len(classes), ignored)
    counts = torch.zeros(len(classes), dtype=torch.long)
    kinds: set[str] = set()
    step = max(len(data) // _IMAGES, 1)
    for index in list(range(0, len(data), step))[:_IMAGES]:
        picture, labels = data[index]
        image, target = _image(picture), torch.as_tensor(labels).long()
        logits, kind = _logits(teacher, image)
        kinds.add(kind)
        _checked(logits, len(classes))
        target = target[: image.shape[-2], : image.shape[-1]]
        matrix.update(resize(logits, target.shape).argmax(dim=1).cpu(), target[None])
        known = target[(target != ignored) & (target >= 0) & (target < len(classes))]
        counts += torch.bincount(known, minlength=len(classes))[: len(classes)]
    _check_kind(kinds, teacher)
    scores = {name: value.tolist() for name, value in matrix.compute().items()}
    return _said(scores, counts, classes)


def _said(scores: dict[str, Any], counts: Tensor, classes: list[str]) -> list[str]:
    lines, total = [], int(counts.sum())
    if not total:
        return []
    right = float(scores["aAcc"])
    if right < 1 / len(classes):
        lines.append(
            f"the teacher is right at {100 * right:.1f} % of the pixels of {_IMAGES} images, less "
            f"than by chance ({100 / len(classes):.1f} %): are its classes, its normalisation and "
            "its checkpoint what they should be? bpkd evaluate RECIPE --teacher measures it"
        )
    missed = [
        name
        for name, iou, count in zip(classes, scores["IoU"], counts.tolist(), strict=True)
        if count > _SHARE * total and iou == 0
    ]
    if missed and not lines:
        lines.append(
            f"the teacher never finds {' or '.join(missed[:8])} on {_IMAGES} images with it; "
            "bpkd evaluate RECIPE --teacher measures it"
        )
    return lines


def scrutinise(parts: Parts) -> None:
    """Try student and teacher on what they are to be measured on, before the run begins.

    Raises:
        UserError: the student does not take an image of the validation, or the teacher gives no
            logits of the data set's classes.
    """
    task = parts.distiller.task
    if parts.val is None or not isinstance(task, Semantic):
        return
    check_size(parts.distiller.student, parts.val, task, "student")
    say_remarks(parts.distiller.teacher, parts.val)


def say_remarks(teacher: nn.Module | None, data: Any) -> None:
    """Print what :func:`remarks` finds; random numbers stay as they are."""
    if teacher is None:
        return
    with seeded(0):
        for line in remarks(teacher, data):
            print(f"warning: {line}", flush=True)


class _Checked(nn.Module):
    """A network whose answers have to be what a network has to give."""

    def __init__(self, network: nn.Module, task: Semantic, who: str) -> None:
        super().__init__()
        self.network, self.task, self.who = network, task, who

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W) -> :class:`SegOutput`."""
        return self.task.output(self.network(images), self.who)


def check_size(network: nn.Module, data: Any, task: Semantic, who: str) -> None:
    """Refuse a network that the images of a data set do not go through, before it is trained.

    Raises:
        UserError: the first image does not.
    """
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with seeded(0), torch.no_grad():
            task.logits(_Checked(network, task, who), to_float(data[0][0])[None])
    except NotTaken as error:
        raise NotTaken(f"{who}, on an image as evaluation would give it: {error}") from error
    finally:
        for module in training:
            module.training = True


def _image(picture: Tensor) -> Tensor:
    """An image (1, 3, H, W) in [0, 1], cut to what is soon looked at."""
    image = to_float(picture)[None]
    height = min(image.shape[-2], 512)
    return image[..., :height, : max(_PIXELS // height, 1)]


def _logits(teacher: nn.Module, image: Tensor) -> tuple[Tensor, str]:
    """A teacher's logits, and what its own scores look like before they are mapped to classes."""
    if isinstance(teacher, ClassMapped):
        logits, kind = _logits(teacher.network, image)
        return teacher.join(logits), kind
    teacher.eval()
    with torch.no_grad():
        output = teacher(image)
    if not hasattr(output, "logits"):
        raise UserError(
            f"teacher.use: the network gives {type(output).__name__}, expected a SegOutput; "
            "bpkd.networks.foreign.from_module makes one of it (module: the same path)"
        )
    return output.logits, kind_of(output.logits)


def _checked(logits: Tensor, classes: int) -> None:
    if logits.shape[1] != classes:
        raise UserError(
            f"teacher: it gives {logits.shape[1]} classes and the data set has {classes}; say "
            "which is which in teacher.class_map"
        )
    if not logits.is_floating_point():
        kind = str(logits.dtype).removeprefix("torch.")
        raise UserError(f"teacher: expected logits, got {kind}: are these classes, after argmax?")
    if not logits.isfinite().all():
        raise UserError(
            "teacher: its logits are not finite on an image of the data set; give an earlier "
            "checkpoint, or see to its normalisation (mean, std, scale)"
        )


def _check_kind(kinds: set[str], teacher: nn.Module) -> None:
    """Refuse probabilities where logits are wanted: nothing fails, and little is taught.

    Args:
        kinds: what its own scores look like, on each image.
        teacher: may say ``gives: logits`` of scores that all lie between 0 and 1.
    """
    said = getattr(_own(teacher), "gives", None)
    if len(kinds) != 1 or "logits" in kinds or (kinds == {"sigmoid"} and said == "logits"):
        return
    kind = kinds.pop()
    sums = ", their sum 1" if kind == "softmax" else ""
    raise UserError(
        f"teacher: it gives probabilities (from 0 to 1{sums}); losses want logits: say gives: "
        f"{kind} of a from_module or from_file, which makes logits of them, or leave the {kind} out"
    )


def _own(teacher: nn.Module) -> nn.Module:
    """The network behind the map of its classes."""
    return _own(teacher.network) if isinstance(teacher, ClassMapped) else teacher
