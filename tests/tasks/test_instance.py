"""Instances as a task: batches of differing images, targets, losses, predictions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instances import Instances
from bpkd.datasets.transforms import PADDING
from bpkd.errors import UserError
from bpkd.inference.tasks import build_task
from bpkd.metrics.instances import InstanceMeasures
from bpkd.networks.base import InstanceOutput, SegOutput
from bpkd.networks.solov2 import SOLOv2
from bpkd.networks.solov2.loss import solov2_loss
from bpkd.networks.solov2.targets import FULL, LIGHT, assign_batch
from bpkd.recipe.instance import InstanceAugment, InstanceRecipe
from bpkd.recipe.schema import Recipe
from bpkd.tasks.instance import Instance
from bpkd.tasks.semantic import Semantic

SMALL: dict[str, Any] = {
    "channels": 32,
    "stacked_convs": 1,
    "kernel_channels": 32,
    "mask_channels": 32,
    "pyramid_channels": 32,
    "num_grids": (12, 10, 8, 6, 4),
}
GREY = "test_resnet.r160_in1k"  # of mean 0.5
IMAGENET = "test_efficientnet.r160_in1k"


def network(backbone: str = IMAGENET) -> SOLOv2:
    torch.manual_seed(0)
    return SOLOv2(2, backbone, **SMALL).eval()


def task(**given: Any) -> Instance:
    return Instance(InstanceMeasures(2, boundary=False), **given)


def random(height: int, width: int, seed: int = 0) -> tuple[Tensor, Instances]:
    """An image of noise with two objects in it."""
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    masks = torch.zeros(2, height, width).bool()
    masks[0, 4:20, 4:24] = masks[1, 20:40, 20:44] = True
    return image, Instances.of(masks, torch.tensor([0, 1]))


def same(first: InstanceOutput, second: InstanceOutput) -> bool:
    """Whether two outputs are equal, up to how a batch is summed up."""
    parts = [(*out.category, *out.kernels, out.mask_features) for out in (first, second)]
    return all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(*parts, strict=True))


def of(output: InstanceOutput, image: int) -> InstanceOutput:
    one = slice(image, image + 1)
    return InstanceOutput(
        [level[one] for level in output.category],
        [level[one] for level in output.kernels],
        output.mask_features[one],
        {},
    )


@pytest.mark.parametrize("backbone", [IMAGENET, GREY])
@torch.no_grad()
def test_padding_is_what_the_network_itself_pads_with(backbone: str) -> None:
    """An image of 50x70 in a batch of 64x96, and alone, where the network pads it to that size."""
    net, samples = network(backbone), [random(50, 70), random(64, 96, 1)]
    images, targets = task(padding=net.mean.flatten().tolist()).gather(samples)
    assert images.shape == (2, 3, 64, 96)
    assert [tuple(each.masks.shape) for each in targets] == [(2, 50, 70), (2, 64, 96)]
    output = net(images)
    for place, (image, _) in enumerate(samples):
        assert same(of(output, place), net(image[None]))
    black = task(padding=[0.0, 0.0, 0.0]).gather(samples)[0]
    assert not same(of(net(black), 0), net(samples[0][0][None]))
    # ImageNet's mean is 0 to a network that takes it off, and to no other.
    default = of(net(task().gather(samples)[0]), 0)
    assert same(default, of(output, 0)) == (backbone == IMAGENET)


class Two(nn.Module):
    """Sees an object in the lower left half of the image and none in padding, whatever its size."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> InstanceOutput:
        self.sizes.append(tuple(images.shape))
        n, _, h, w = images.shape
        height, width = -(-h // 32) * 8, -(-w // 32) * 8
        category = [torch.full((n, 2, s, s), -9.0) for s in (4, 3, 2, 2, 2)]
        category[0][:, 1, 2, 1] = 5.0
        kernels = [torch.ones(n, 1, s, s) for s in (4, 3, 2, 2, 2)]
        features = torch.full((n, 1, height, width), -6.0)
        features[:, :, h // 8 : h // 4, : w // 8] = 6.0
        return InstanceOutput(category, kernels, features, {})


def test_what_is_found_does_not_depend_on_the_batch() -> None:
    samples = [random(48, 64), random(64, 96), random(48, 64, 2)]
    images, targets = task().gather(samples)
    found = task().predict(net := Two(), images, targets)
    assert net.sizes == [(2, 3, 48, 64), (1, 3, 64, 96)]  # those of one size together, unpadded
    for (image, truth), each in zip(samples, found, strict=True):
        alone = task().predict(Two(), *task().gather([(image, truth)]))[0]
        assert each.masks.shape == (1, *image.shape[1:]) and each.labels.tolist() == [1]
        assert torch.equal(each.masks, alone.masks)
        height, width = image.shape[1:]
        rows, columns = each.masks[0].any(1).nonzero(), each.masks[0].any(0).nonzero()
        assert abs(int(rows[0]) - height // 2) <= 2 and int(rows[-1]) == height - 1
        assert int(columns[0]) == 0 and abs(int(columns[-1]) - width // 2) <= 2


def test_images_are_resized_for_the_network_and_masks_back() -> None:
    image, truth = random(48, 64)
    found = task(size=(256, 128)).predict(net := Two(), image[None], [truth])
    assert net.sizes == [(1, 3, 128, 171)]  # the short side decides
    assert found[0].masks.shape == (1, 48, 64)
    share = found[0].masks.float().mean().item()
    assert share == pytest.approx(0.25, abs=0.02)


def test_own_loss_is_solov2s_in_the_students_levels() -> None:
    net = network().train()
    images, targets = task().gather([random(64, 64)])
    output = net(images)
    total, terms = task(scale_ranges=LIGHT).own_loss(output, targets)
    expected = solov2_loss(output, assign_batch(targets, output, LIGHT))
    assert terms == expected
    assert torch.equal(total, expected["mask"] + expected["category"])
    other = task(scale_ranges=FULL).own_loss(output, [random(64, 64)[1]])[0]
    assert torch.isfinite(other)
    empty, _ = task().own_loss(output, [Instances.none(64, 64)])
    empty.backward()  # type: ignore[no-untyped-call]


def test_targets_move_as_they_are() -> None:
    (moved,) = task().target([random(48, 64)[1]], torch.device("meta"))
    assert moved.masks.device.type == moved.boxes.device.type == "meta"
    assert moved.scores is None and moved.areas is None


def test_a_network_of_label_maps_is_refused() -> None:
    with pytest.raises(UserError, match=r"student.use: the network gives SegOutput, and the data"):
        task().output(SegOutput(torch.zeros(1, 2, 4, 4), {}), "student")


def test_the_recipes_transform() -> None:
    transform = task().transform(InstanceAugment(sizes=[(96, 96)], flip=0, least=2.0))
    image, truth = InstanceScenes("train", size=(48, 48), count=1)[0]
    large, found = transform(image, truth)
    assert large.shape == (3, 96, 96) and found.masks.shape[1:] == (96, 96)
    assert large.min() >= 0 and large.max() <= 1


RECIPE = {
    "name": "x",
    "run": "x",
    "data": {"use": "bpkd.datasets.instance_scenes.InstanceScenes"},
    "student": {"use": "bpkd.networks.SOLOv2"},
}


def test_the_data_set_chooses_the_task() -> None:
    scenes = InstanceScenes("val", size=(48, 48))
    given = {"size": [640, 480], "nms_pre": 50, "size_limits": [16, 48], "boundary": False}
    recipe = InstanceRecipe.model_validate(RECIPE | {"evaluation": given})
    built = build_task(recipe, scenes, student=network(GREY))
    assert isinstance(built, Instance)
    assert built.padding == [0.5, 0.5, 0.5] and built.size == (640, 480)
    assert built.settings.nms_pre == 50 and built.scale_ranges == FULL
    assert built.measures.sizes["m"] == (256, 2304) and list(built.measures.kinds) == [""]
    assert build_task(recipe, scenes).padding == PADDING  # type: ignore[attr-defined]

    class Maps(list[Any]):
        classes = ("a", "b")
        ignore_index = 255

    assert isinstance(build_task(Recipe.model_validate(RECIPE), Maps()), Semantic)
    with pytest.raises(UserError, match="gives a data set for 'instance' and does not say so"):
        build_task(Recipe.model_validate(RECIPE), scenes)


def crowded(count: int, side: int) -> Instances:
    """So many squares of a side on a grid, all of class 0."""
    masks = torch.zeros(count, 96, 96).bool()
    for i in range(count):
        top, left = 8 * (i // 12), 8 * (i % 12)
        masks[i, top : top + side, left : left + side] = True
    return Instances.of(masks, torch.zeros(count))


@pytest.mark.parametrize("truth", [crowded(3, 1), crowded(130, 6)], ids=["tiny", "many"])
def test_objects_smaller_than_a_cell_and_more_than_a_hundred(truth: Instances) -> None:
    """One pixel is less than a cell of any grid; of 130 objects 100 at most can be found."""
    net = network().train()
    images, targets = task().gather([(torch.rand(3, 96, 96), truth)])
    total, _ = task().own_loss(net(images), targets)
    total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    one = task()
    (found,) = one.predict(net.eval(), images, targets)
    assert len(found.labels) <= 100
    one.measures.update([found], targets)
    scores = one.measures.compute()
    assert 0 <= scores["AP"] <= 1
    assert torch.tensor(scores["class_AP"]).isnan().tolist() == [False, True]  # class 1: never seen
    perfect = task()
    perfect.measures.update([truth._replace(scores=torch.ones(len(truth.labels)))], targets)
    assert perfect.measures.compute()["AR"] == pytest.approx(min(1, 100 / len(truth.labels)))
