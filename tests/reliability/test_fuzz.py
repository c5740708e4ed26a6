"""Bad recipes and checkpoints: one line each, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from torch import nn

from bpkd.errors import UserError
from bpkd.networks.pspnet import PSPNet
from bpkd.networks.weights import load_weights
from bpkd.recipe.loading import dump, load_recipe
from tests.reliability.fuzzing import checkpoint, recipes

_QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def read(text: str, folder: Path) -> bool:
    """Read a recipe: whether it was taken; anything but one line fails the test."""
    file = folder / "fuzzed.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        dump(load_recipe(file))
        return True
    except UserError as error:
        assert "Traceback" not in str(error)
        assert len(str(error)) < 2000
        return False


def fuzz_recipes(count: int, number: int, folder: Path) -> tuple[int, int]:
    """So many recipes: how many were tried, and how many of them taken."""
    tried = [0, 0]

    @seed(number)
    @settings(max_examples=count, **_QUIET)
    @given(recipes())
    def look(text: str) -> None:
        tried[0] += 1
        tried[1] += read(text, folder)

    look()
    return tried[0], tried[1]


def fuzz_checkpoints(count: int, first: int, folder: Path) -> tuple[int, int]:
    """The same of checkpoints."""
    network: nn.Module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    if first % 2:
        network = PSPNet(3, "test_resnet.r160_in1k", channels=8)
    sound, taken = {k: v.clone() for k, v in network.state_dict().items()}, 0
    for number in range(first, first + count):
        file = folder / "fuzzed.pth"
        checkpoint(number, sound, file)
        try:
            load_weights(network, file)
            taken += 1
        except UserError as error:
            assert "Traceback" not in str(error) and "weights_only" not in str(error)
        for name, value in network.state_dict().items():
            assert value.isfinite().all(), (number, name)
    return count, taken


def test_bad_recipes(tmp_path: Path) -> None:
    tried, taken = fuzz_recipes(60, 0, tmp_path)
    assert 0 < taken < tried


def test_bad_checkpoints(tmp_path: Path) -> None:
    tried, taken = fuzz_checkpoints(60, 0, tmp_path)
    assert 0 < taken < tried


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_a_thousand_bad_inputs(tmp_path: Path) -> None:
    recipes_tried = [fuzz_recipes(125, number, tmp_path) for number in range(1, 5)]
    files_tried = [fuzz_checkpoints(250, first, tmp_path) for first in (1000, 2001)]
    print(f"recipes: tried and taken {recipes_tried}; checkpoints: {files_tried}")
    assert sum(tried for tried, _ in [*recipes_tried, *files_tried]) >= 1000


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 3000 + "]" * 3000,
        "\n".join("  " * level + "a:" for level in range(3000)),
        "max_iters: " + "9" * 100_000,
        "max_iters: ${",
        "name: ${name}",
        "a: &a [*a]",
        "student: !!python/object/apply:os.system ['true']",
        "? [a, b]\n: c",
        "base: 3",
        "base: [fuzzed.yaml]",
        "\x00",
        "- a\n- b",
    ],
)
def test_what_a_parser_chokes_on(text: str, tmp_path: Path) -> None:
    assert not read(text, tmp_path)


SOUND = """
data: {use: bpkd.datasets.scenes.Scenes}
student: {use: bpkd.networks.pspnet.PSPNet}
teacher: {use: bpkd.networks.pspnet.PSPNet}
"""


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("seed: 10000000000000", "seed: expected at most 4294967295"),
        ("batch_size: true", "batch_size: expected a number; it is true"),
        ("head_lr: yes", "head_lr: expected a number; it is true"),
        ("schedule: {power: -1}", "schedule.power: expected at least 0"),
        ("losses: {'': {use: bpkd.losses.kd.KD}}", "'' cannot be a loss's name"),
        ("losses: {a.b: {use: bpkd.losses.kd.KD}}", "'a.b' cannot be a loss's name"),
        ("losses: {keys: {use: bpkd.losses.kd.KD}}", "'keys' cannot be a loss's name"),
        ("losses: {c: {use: bpkd.losses.cwd.CWD, temperature: -1}}", "temperature: expected a num"),
        (
            "losses: {c: {use: bpkd.losses.cirkd_memory.CIRKDMemory, pixel_slots: 0}}",
            "pixel_slots: expected a number above 0, got 0",
        ),
        ("losses: {c: {use: bpkd.losses.kd.KD, temperature: true}}", "expected a number, got True"),
        ("optimizer: {momentum: .nan}", "optimizer.momentum: expected a number, got nan"),
        (
            "losses: {c: {use: torch.optim.SGD}}",
            "SGD is another class, expected a torch.nn.Mod",
        ),
        ("optimizer: {use: torch.nn.Linear, lr: 1}", "expected a torch.optim.Optimizer"),
    ],
)
def test_numbers_and_names_that_are_none(line: str, key: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(SOUND + line)
    with pytest.raises(UserError) as caught:
        load_recipe(file)
    assert key in str(caught.value)


def test_a_half_precision_checkpoint_is_taken(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    halves = {k: v.half() for k, v in network.state_dict().items()}
    torch.save({"module": halves}, tmp_path / "a.pth")
    load_weights(network, tmp_path / "a.pth")
    assert network.weight.dtype == torch.float32
