"""What a network's file says of itself: in its metadata, and in the YAML file beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bpkd.datasets.classes import check_names
from bpkd.errors import UserError

#: How images go into every file.
INPUT = "RGB, float32 in [0, 1], N x 3 x H x W; normalisation is inside"
Channel = Annotated[int, Field(ge=0, le=255)]


class Description(BaseModel):
    """What a stranger needs to use a network's file.

    Attributes:
        task: ``semantic`` or ``instance``.
        classes: names, in the order of the logits.
        palette: their colours.
        size: (H, W) of the images that it takes; None: any.
        output: ``logits`` (N, C, h, w), ``labels`` (N, h, w) in uint8, or ``instances``, see
            :mod:`bpkd.networks.files.instances`.
        grids: S of each level, of a network that finds objects.
        at: whether the output has the ``image``'s size or the ``network``'s own, smaller one.
        precision: fp32, fp16 or int8.
        parameters: numbers that the network learned; 0 where nobody knows.
        fingerprint: of the recipe and the weights.
        bpkd: version that wrote it.
        input: how images go in.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    classes: Annotated[list[str], Field(min_length=1)]
    palette: list[tuple[Channel, Channel, Channel]]
    task: str = "semantic"
    size: tuple[int, int] | None = None
    output: Literal["logits", "labels", "instances"] = "logits"
    grids: list[int] = []
    at: Literal["image", "network"] = "image"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    parameters: int = 0
    fingerprint: str = ""
    bpkd: str = ""
    input: str = INPUT

    def metadata(self) -> dict[str, str]:
        """As the formats hold metadata: text by name, each of it JSON.

        Example:
            >>> Description(classes=["road"], palette=[(1, 2, 3)]).metadata()["classes"]
            '["road"]'
        """
        return {name: json.dumps(value) for name, value in self.model_dump(mode="json").items()}


def beside(file: str | Path) -> Path:
    """The YAML file beside a network's.

    Example:
        >>> beside("student.onnx").name
        'student.onnx.yaml'
    """
    return Path(f"{file}.yaml")


def described(file: str | Path, metadata: Mapping[str, str]) -> Description:
    """What a file says of itself, which the YAML file beside it must not contradict.

    A file from elsewhere has no such metadata: there the YAML file alone says it, which needs no
    more than ``classes`` and ``palette``.

    Raises:
        UserError: neither says it, what is said is no description, or the two differ.
    """
    inside = {key: _loaded(text) for key, text in metadata.items() if key in _FIELDS}
    outside = read_beside(file)
    if "classes" not in inside and "classes" not in outside:
        raise UserError(
            f"{file}: does not say which classes it knows; write them beside it into "
            f"{beside(file)}: classes: [road, car], palette: [[128, 64, 128], [0, 0, 142]]"
        )
    for key in ("classes", "palette", "size", "output"):
        if key in inside and key in outside and inside[key] != outside[key]:
            raise UserError(
                f"{file}: its own {key} are not those of {beside(file)}; one of the two is another "
                "network's: export it again"
            )
    try:
        known = Description.model_validate({**outside, **inside})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{file}: {key} in its description: {first['msg'].lower()}") from None
    check_names(known.classes, str(file))
    if len(known.palette) != len(known.classes):
        raise UserError(
            f"{file}: says {len(known.classes)} classes and {len(known.palette)} colours; expected "
            "a colour a class"
        )
    return known


_FIELDS = frozenset(Description.model_fields)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_beside(file: str | Path) -> dict[str, Any]:
    """What the YAML file beside a network's says; nothing where there is none.

    Raises:
        UserError: it is no YAML file of keys.
    """
    page = beside(file)
    try:
        content = yaml.safe_load(page.read_text(encoding="utf-8")) if page.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{page}: is damaged: expected what bpkd export wrote; export again")
    return content
