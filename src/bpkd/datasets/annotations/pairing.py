"""Which mask belongs to which image, where folders and names say so in anybody's words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.image_files import is_image

_MASK = (
    r"(?:masks?|labels?|annots?|annotations?|gts?|groundtruths?|segmentations?|segmentationclass"
    r"|segs?|targets?|trimaps?)"
)
_IMAGE = r"(?:images?|imgs?|jpegimages|photos?|pictures?|rgb|inputs?|originals?|frames?|sat)"
_SPLIT = r"(?:train|training|val|valid|validation|test|testing)"


@dataclass(frozen=True)
class Pairs:
    """Images with their masks, and what has no partner."""

    pairs: list[tuple[Path, Path]]
    images: list[Path]
    masks: list[Path]


def is_mask_name(name: str) -> bool:
    """Whether a folder or a file's stem says that it is about masks.

    >>> [is_mask_name(name) for name in ("labels", "trainannot", "a_mask", "masks_train", "mask-7")]
    [True, True, True, True, True]
    >>> [is_mask_name(name) for name in ("unmasked", "segmentation_data", "img", "mask_shop")]
    [False, False, False, False]
    """
    text = _joined(name)
    ends = rf"(?:^|.* |{_SPLIT}){_MASK}"
    return bool(re.fullmatch(rf"{ends}|{_MASK} (?:{_SPLIT}|[\d ]+)", text))


def masks_and_images(tree: Tree) -> tuple[list[Path], list[Path]]:
    """The files that are masks by their folders or names, and all other images."""
    masks: list[Path] = []
    images: list[Path] = []
    for file in tree.files:
        array = file.suffix.lower() == ".npy"
        if not array and not is_image(file):
            continue
        names = [*file.relative_to(tree.root).parts[:-1], file.stem]
        (masks if array or any(map(is_mask_name, names)) else images).append(file)
    return masks, images


@lru_cache(maxsize=2)
def paired(tree: Tree) -> Pairs:
    """One mask an image: by folders and names without the words for masks and images, or by name.

    ``images/train/a.jpg`` and ``labels/train/a.png`` are a pair, and so are ``train/a.png`` and
    ``trainannot/a.png``, ``a.jpg`` and ``a_mask.png``, ``1_sat.jpg`` and ``1_mask.png``.
    """
    masks, images = masks_and_images(tree)
    by_key = {_key(tree, mask): mask for mask in masks}
    found = {image: by_key[key] for image in images if (key := _key(tree, image)) in by_key}
    if len(found) * 2 < min(len(images), len(masks)):
        names = Counter(_key(tree, file, False) for file in images)
        by_name = {_key(tree, mask, False): mask for mask in masks}
        found = {
            image: by_name[key]
            for image in images
            if (key := _key(tree, image, False)) in by_name and names[key] == 1
        }
    used = set(found.values())
    return Pairs(
        list(found.items()),
        [image for image in images if image not in found],
        [mask for mask in masks if mask not in used],
    )


def _key(tree: Tree, file: Path, folders: bool = True) -> str:
    """What an image and its mask have in common."""
    *above, name = file.relative_to(tree.root).parts
    parts = [*(above if folders else []), Path(name).stem]
    words = [_without(part, f"{_MASK}|{_IMAGE}") for part in parts]
    words[-1] = re.sub(r" l$", "", words[-1])  # CamVid's own label maps are NAME_L.png
    return "/".join(word for word in words if word)


def _joined(name: str) -> str:
    text = " ".join(re.split(r"[\W_]+", unicodedata.normalize("NFC", name).lower())).strip()
    return text.replace("ground truth", "groundtruth")


def _without(name: str, words: str) -> str:
    """A name without the words at its beginning or end, and without what joins words.

    >>> _without("Train_Masks", _MASK), _without("trainannot", _MASK), _without("masks", _MASK)
    ('train', 'train', '')
    """
    text = re.sub(rf"^({_SPLIT})(?=(?:{words})$)", r"\1 ", _joined(name))
    return re.sub(rf"^(?:{words})(?: |$)|(?:^| )(?:{words})$", "", text)
