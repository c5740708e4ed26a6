"""Instances resized, cut, mirrored and gathered; each draw the same however it is reached."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bpkd.datasets.draws import Draws
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instance_transforms import flipped, gather, instance_transform
from bpkd.datasets.instances import Instances, boxes_of
from bpkd.datasets.loading import eval_loader, train_loader
from bpkd.errors import UserError

PUBLISHED = [(768, 512), (768, 480), (768, 448), (768, 416), (768, 384), (768, 352)]


def one(mask: torch.Tensor) -> tuple[torch.Tensor, Instances]:
    """A black image that is white where its one instance is."""
    image = mask.byte()[None].repeat(3, 1, 1) * 255
    return image, Instances.of(mask[None], torch.tensor([4]))


def square(height: int, width: int, top: int, left: int, side: int) -> torch.Tensor:
    mask = torch.zeros(height, width).bool()
    mask[top : top + side, left : left + side] = True
    return mask


def test_published_sizes_keep_the_ratio() -> None:
    transform = instance_transform(PUBLISHED)
    image, instances = one(square(48, 64, 10, 20, 8))
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        resized, found = transform(image, instances)
        assert resized.dtype == torch.float32 and resized.shape[1:] == found.masks.shape[1:]
        seen.add(tuple(resized.shape[1:]))
    # 48x64 in (768, 512): the least of 768/64 and 512/48 is 10.67; 683 = 64 x 10.67.
    assert seen == {(512, 683), (480, 640), (448, 597), (416, 555), (384, 512), (352, 469)}


def test_what_is_true_goes_where_the_image_goes() -> None:
    transform = instance_transform([(120, 90)], scale=(0.5, 2), crop=(64, 96))
    for seed in range(30):
        torch.manual_seed(seed)
        image, found = transform(*one(square(60, 80, 20, 30, 16)))
        assert image.shape == (3, 64, 96) and found.masks.shape[1:] == (64, 96)
        for mask, box in zip(found.masks, found.boxes, strict=True):
            white = image.mean(0) > 0.5  # padding is the mean, 0.45
            assert (mask & white).sum() / (mask | white).sum() > 0.85
            assert (box - boxes_of(mask[None])[0]).abs().max() <= 1.5
        assert found.labels.tolist() in ([4], [])


def test_mirrored_twice_is_as_before() -> None:
    _, instances = InstanceScenes("val")[0]
    mirrored = flipped(instances)
    assert torch.equal(mirrored.boxes, boxes_of(mirrored.masks))
    assert not torch.equal(mirrored.boxes, instances.boxes)
    for before, after in zip(instances, flipped(mirrored), strict=True):
        assert (before is None and after is None) or torch.equal(before, after)


def test_a_flip_moves_image_and_instances() -> None:
    transform = instance_transform(None, flip=1)
    image, found = transform(*one(square(6, 10, 1, 0, 3)))
    assert found.boxes.tolist() == [[7, 1, 10, 4]]
    assert torch.equal(image[0] > 0.5, found.masks[0])


def test_boxes_of_the_file_are_kept_in_parts_of_a_pixel() -> None:
    image, instances = one(square(40, 60, 10, 10, 8))
    instances = instances._replace(boxes=torch.tensor([[9.5, 10.25, 18.5, 62]]))
    _, found = instance_transform([(120, 80)], flip=0)(image, instances)
    assert found.boxes.tolist() == [[19, 20.5, 37, 80]]  # doubled, and cut at the frame
    assert found.areas is None


def test_crowds_and_what_is_too_small_are_left_out() -> None:
    image = torch.zeros(3, 64, 64).byte()
    masks = torch.stack([square(64, 64, 0, 0, s) for s in (2, 32, 32)])
    instances = Instances.of(masks, torch.tensor([0, 1, 2]))
    instances = instances._replace(crowd=torch.tensor([False, False, True]))
    assert instance_transform(None)(image, instances)[1].labels.tolist() == [0, 1]
    assert instance_transform([(16, 16)])(image, instances)[1].labels.tolist() == [1]  # 0.5 pixels
    assert instance_transform(None, least=40)(image, instances)[1].masks.shape == (0, 64, 64)
    nothing = instance_transform([(128, 128)], crop=96)(image, Instances.none(64, 64))
    assert nothing[1].masks.shape == (0, 96, 96)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sizes": []},
        {"sizes": [800]},
        {"sizes": [(800, 0)]},
        {"scale": (2, 1)},
        {"crop": (0, 5)},
        {"flip": 2},
        {"least": -1},
    ],
)
def test_arguments_out_of_range(arguments: Any) -> None:
    with pytest.raises(UserError, match=next(iter(arguments))):
        instance_transform(**arguments)


def same(first: Any, second: Any) -> bool:
    """Whether two batches are equal to the bit."""
    images = torch.equal(first[0], second[0])
    pairs = zip(first[1], second[1], strict=True)
    return images and all(
        torch.equal(a.masks, b.masks) and torch.equal(a.boxes, b.boxes) for a, b in pairs
    )


def test_a_draw_is_a_function_of_seed_and_number() -> None:
    transform = instance_transform([(96, 64), (128, 96)], scale=(0.8, 1.2), photometric=True)
    data = InstanceScenes("train", size=(64, 96), count=5)
    draws = Draws(data, transform, seed=3, total=20)  # type: ignore[arg-type]
    forward = [draws[k] for k in range(20)]
    state = torch.random.get_rng_state()
    for k in (19, 0, 7):
        image, instances = draws[k]
        assert torch.equal(image, forward[k][0])
        assert torch.equal(instances.masks, forward[k][1].masks)  # type: ignore[attr-defined]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_batches_are_the_same_after_a_resume_and_with_workers() -> None:
    data: Any = InstanceScenes("train", size=(64, 96), count=5)
    transform: Any = instance_transform([(96, 64), (128, 96)])

    def loader(start: int = 0, workers: int = 0) -> list[Any]:
        return list(
            train_loader(
                data, transform, seed=1, batch_size=2, iterations=4, start=start, workers=workers,
                gather=gather,
            )
        )  # fmt: skip

    whole = loader()
    for images, instances in whole:
        assert images.shape[0] == len(instances) == 2
        assert images.shape[2] % 32 == images.shape[3] % 32 == 0
        for one_of_two in instances:
            assert isinstance(one_of_two, Instances)
            height, width = one_of_two.masks.shape[1:]
            assert height <= images.shape[2] and width <= images.shape[3]
    assert all(map(same, loader(start=2), whole[2:]))
    assert all(map(same, loader(workers=1), whole))


def test_an_evaluation_has_every_image_once() -> None:
    data: Any = InstanceScenes("val", size=(40, 70), count=5)
    shares = [list(eval_loader(data, gather=gather, rank=r, world_size=2)) for r in range(2)]
    assert [len(share) for share in shares] == [3, 2]
    images, (instances,) = shares[1][0]
    assert images.shape == (1, 3, 64, 96) and instances.masks.shape[1:] == (40, 70)
    assert torch.equal(instances.masks, data[1][1].masks)
    assert torch.allclose(images[0, :, 40:, :].amin((1, 2)), torch.tensor([0.485, 0.456, 0.406]))
