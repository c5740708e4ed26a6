"""Loading: a draw is a function of (seed, k), whatever the workers, processes and resumes."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bpkd.datasets.draws import Draws
from bpkd.datasets.loading import eval_loader, train_loader
from bpkd.datasets.transforms import training_transform
from bpkd.errors import UserError


class Numbers(Dataset[tuple[Tensor, Tensor]]):
    """Image i is full of the number i; sizes may differ, and one may be damaged."""

    def __init__(self, count: int, wide: int = -1, damaged: int = -1) -> None:
        self.count, self.wide, self.damaged = count, wide, damaged

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index == self.damaged:
            raise UserError(f"image {index} is damaged: replace it")
        width = 5 if index == self.wide else 4
        image = torch.full((3, 2, width), index, dtype=torch.uint8)
        return image, torch.zeros(2, width, dtype=torch.uint8)


def noise(image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return image[:, 0, 0].float() + torch.rand(3), labels


def batches(count: int = 7, start: int = 0, **settings: Any) -> list[Tensor]:
    settings = {"seed": 3, "batch_size": 2, "iterations": 9, **settings}
    return [images for images, _ in train_loader(Numbers(count), noise, start=start, **settings)]


def error(loader: DataLoader[Any]) -> str:
    """The message of the UserError that a loader ends with.

    pytest.raises would keep the workers alive in a reference cycle, which takes 5 s to end.
    """
    try:
        list(loader)
    except UserError as caught:
        return str(caught)
    return "no error"


def test_a_draw_is_a_function_of_seed_and_number() -> None:
    draws = Draws(Numbers(7), noise, seed=3, total=20)
    forwards = [draws[k][0] for k in range(20)]
    backwards = [Draws(Numbers(7), noise, seed=3, total=20)[k][0] for k in reversed(range(20))]
    assert all(map(torch.equal, forwards, reversed(backwards)))
    other = Draws(Numbers(7), noise, seed=4, total=20)
    assert not any(torch.equal(forwards[k], other[k][0]) for k in range(20))
    assert len({float(image[0] % 1) for image in forwards}) == 20  # each has noise of its own
    with pytest.raises(IndexError):
        draws[20]


def test_each_epoch_takes_every_sample_once_in_its_own_order() -> None:
    draws = Draws(Numbers(30), noise, seed=0, total=90)
    seen = [int(draws[k][0][0]) for k in range(90)]
    epochs = [seen[:30], seen[30:60], seen[60:]]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(30))


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    batches()
    assert torch.equal(torch.rand(3), expected)


def test_a_resumed_run_sees_what_the_whole_run_saw() -> None:
    whole = batches()
    assert len(whole) == 9
    resumed = batches(start=4)
    assert len(resumed) == 5
    assert all(map(torch.equal, whole[4:], resumed))
    loader = train_loader(Numbers(7), noise, seed=3, batch_size=2, iterations=9, start=4)
    assert len(loader) == 9
    assert len(list(loader)) == len(list(loader)) == 5
    assert batches(start=9) == []


def test_workers_do_not_matter() -> None:
    alone = batches()
    for workers in (1, 2):
        assert all(map(torch.equal, alone, batches(workers=workers)))


def test_processes_share_the_draws_without_overlap() -> None:
    """Two processes of batch size 2 see, iteration by iteration, what one of batch size 4 sees."""
    one = batches(batch_size=4, iterations=5)
    parts = [batches(iterations=5, rank=rank, world_size=2) for rank in (0, 1)]
    for whole, first, second in zip(one, *parts, strict=True):
        assert torch.equal(whole, torch.cat([first, second]))


def test_a_loader_can_be_left_and_taken_up_again() -> None:
    loader = train_loader(Numbers(7), noise, seed=3, batch_size=2, iterations=9, workers=1)
    first = next(iter(loader))[0]
    assert torch.equal(first, next(iter(loader))[0])


def test_with_the_training_transform() -> None:
    transform = training_transform((6, 8))
    loader = train_loader(Numbers(3), transform, seed=0, batch_size=2, iterations=2)
    images, labels = next(iter(loader))
    assert (images.shape, images.dtype) == ((2, 3, 6, 8), torch.float32)
    assert (labels.shape, labels.dtype) == ((2, 6, 8), torch.uint8)


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 1), (1, 4), (3, 2)])
def test_evaluation_sees_every_image_once(world_size: int, batch_size: int) -> None:
    seen: Counter[int] = Counter()
    for rank in range(world_size):
        loader = eval_loader(Numbers(10), batch_size=batch_size, rank=rank, world_size=world_size)
        for images, labels in loader:
            assert images.dtype == torch.float32
            assert labels.dtype == torch.uint8
            seen.update((images[:, 0, 0, 0] * 255).round().int().tolist())
    assert seen == Counter(range(10))


def test_no_more_workers_than_cores(recwarn: pytest.WarningsRecorder) -> None:
    """PyTorch warns of more; a recipe is written for a larger machine."""
    assert len(list(eval_loader(Numbers(2), workers=1000))) == 2
    assert not list(recwarn)


def test_evaluation_keeps_the_order_with_workers() -> None:
    found = [float(images[0, 0, 0, 0]) for images, _ in eval_loader(Numbers(5), workers=2)]
    assert found == pytest.approx([i / 255 for i in range(5)])


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_different_sizes_cannot_share_a_batch(workers: int) -> None:
    data = Numbers(4, wide=3)
    assert len(list(eval_loader(data))) == 4
    line = error(eval_loader(data, batch_size=2, workers=workers))
    assert "\n" not in line
    assert "(3, 2, 4) and (3, 2, 5)" in line
    assert "batch_size to 1" in line


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_stay_one_line(workers: int) -> None:
    data = Numbers(4, damaged=2)
    loaders = (
        eval_loader(data, workers=workers),
        train_loader(data, noise, seed=0, batch_size=1, iterations=8, workers=workers),
    )
    for loader in loaders:
        assert error(loader) == "image 2 is damaged: replace it"


def test_other_errors_are_not_touched() -> None:
    def faulty(image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        raise ZeroDivisionError("in the transform")

    loader = train_loader(Numbers(2), faulty, seed=0, batch_size=1, iterations=1)
    with pytest.raises(ZeroDivisionError, match="in the transform"):
        list(loader)


def test_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(eval_loader(Numbers(2)))
        batches()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": -1}, "seed -1: expected a whole number from 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"iterations": 0}, "iterations 0"),
        ({"start": 10}, "start 10: expected a whole number from 0 to 9"),
        ({"workers": -1}, "workers -1"),
        ({"rank": 2, "world_size": 2}, "rank 2"),
        ({"batch_size": 2.5}, "batch_size 2.5"),
        ({"count": 0}, "data set is empty"),
    ],
)
def test_faulty_arguments(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        batches(**settings)
