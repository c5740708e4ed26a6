"""A folder of instances, recognised by what lies in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COCO = "bpkd.datasets.coco.COCO"
INSTANCES = "bpkd.datasets.instance_folder.InstanceFolder"
_ROLES = ("train", "val", "test")


def instance_layout(place: Path) -> dict[str, Any]:
    """What a recipe's ``data`` would say of a folder, but for its root; {} where it says nothing.

    COCO's own layout is known by ``annotations/instances_*.json``, and a folder of maps of numbers
    by ``images`` beside ``instances``, if there is no ``labels``.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "annotations").mkdir(), (place / "annotations/instances_val2017.json").touch()
    (None, None)
    >>> instance_layout(place)
    {'use': 'bpkd.datasets.coco.COCO', 'train': 'val2017', 'val': None, 'test': None}
    """
    files = sorted(place.glob("annotations/instances_*.json"))
    if files:
        names = [file.stem.removeprefix("instances_") for file in files]
        found = {
            role: next((n for n in names if n in (role, f"{role}2017")), None) for role in _ROLES
        }
        if found["train"] is None:  # one of the others goes first, for something has to
            spare = next((name for name in found.values() if name), names[0])
            found = {role: None if name == spare else name for role, name in found.items()}
            found["train"] = spare
        return {"use": COCO, **found}
    folders = [place / "images", place / "instances"]
    if not all(map(Path.is_dir, folders)) or (place / "labels").is_dir():
        return {}
    if any(path.is_dir() for path in folders[1].iterdir()):
        return {"use": INSTANCES}
    flat = {"images": "images", "instances": "instances", "val": None, "test": None}
    return {"use": INSTANCES, **flat}
