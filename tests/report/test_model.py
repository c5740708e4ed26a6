"""What networks cost, against sums that can be made by hand."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks import speed as speeds
from bpkd.networks.base import SegNetwork, SegOutput
from bpkd.networks.cost import CONVENTION, parameters
from bpkd.networks.memory import peak_bytes
from bpkd.networks.speed import find_device, speed
from bpkd.report.model import Summary, counted, markdown, notes, rows, summarise, write_csv
from bpkd.report.named import named

FLOAT = 4
PIXELS = 8 * 12


class Backbone(nn.Module):
    """Maps at stride 2 and 4, of 4 and 6 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 2, stride=2, bias=False)
        self.coarse = nn.Conv2d(4, 6, 2, stride=2, bias=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.fine(images)
        return [fine, self.coarse(fine)]


class Head(nn.Module):
    """Reads one map, through as many channels as it is told to."""

    def __init__(self, index: int, channels: int, width: int) -> None:
        super().__init__()
        self.index = index
        self.widen = nn.Conv2d(channels, width, 1, bias=False)
        self.classifier = nn.Conv2d(width, 5, 1)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        feature = self.widen(maps[self.index])
        return self.classifier(feature), feature


@pytest.fixture
def network() -> SegNetwork:
    return SegNetwork(Backbone(), Head(0, 4, 7), Head(1, 6, 1000))


WEIGHTS = {
    "backbone": 4 * 3 * 4 + 6 * 4 * 4,
    "decode head": 4 * 7 + 7 * 5 + 5,
    "auxiliary head": 6 * 1000 + 1000 * 5 + 5,
}


def test_counts_by_hand(network: SegNetwork) -> None:
    figures = summarise("tiny", 5, network, (8, 12)).figures
    assert set(figures) == {"parameters", "exported", "multiply_adds", "stride"}
    assert figures["parameters"] == {**WEIGHTS, "total": sum(WEIGHTS.values())}
    costs = {
        "backbone": PIXELS // 4 * 4 * 12 + PIXELS // 16 * 6 * 16,
        "decode head": PIXELS // 4 * (4 * 7 + 7 * 5),
        "auxiliary head": PIXELS // 16 * (6 * 1000 + 1000 * 5),
        "resize": 4 * 5 * PIXELS,
    }
    whole = sum(costs.values()) - costs["auxiliary head"]
    assert figures["multiply_adds"] == {**costs, "total": whole}


def test_strides(network: SegNetwork) -> None:
    strides = {"backbone": 4.0, "decode head": 2.0, "auxiliary head": 4.0, "total": 2.0}
    assert summarise("tiny", 5, network, (8, 12)).figures["stride"] == strides
    # 9 x 13 gives 4 x 6 pixels, so neither side says it alone.
    odd = summarise("tiny", 5, network, (9, 13)).figures["stride"]["total"]
    assert odd == pytest.approx((9 / 4 * 13 / 6) ** 0.5)


def test_memory_by_hand(network: SegNetwork) -> None:
    memory = speed(network, (8, 12))[1]
    # Weights, the mean and standard deviation, the image; the image normalised, while it is read.
    always = sum(WEIGHTS.values()) + 6 + 3 * PIXELS
    maps = 4 * PIXELS // 4 + 6 * PIXELS // 16
    feature, logits = 7 * PIXELS // 4, 5 * PIXELS // 4
    head = always + maps + feature + logits
    auxiliary = head + (1000 + 5) * PIXELS // 16
    assert memory["backbone"] == FLOAT * (always + 3 * PIXELS + maps)
    assert memory["decode head"] == FLOAT * head
    assert memory["auxiliary head"] == FLOAT * auxiliary
    # The logits alone are left, and their enlarged copy comes.
    assert memory["resize"] == FLOAT * (always + logits + 5 * PIXELS)
    # The image less its mean, and that by its deviation, before the backbone begins.
    before = FLOAT * (always + 2 * 3 * PIXELS)
    inference = (before, memory["backbone"], memory["decode head"], memory["resize"])
    assert memory["total"] == max(inference) < memory["auxiliary head"]


def test_memory_forgets_what_nobody_needs() -> None:
    layers = [nn.Conv2d(3, 8, 1, bias=False)] + [nn.ReLU() for _ in range(5)]
    memory = speed(nn.Sequential(*layers), (4, 4))[1]
    assert memory["network"] == FLOAT * (3 * 16 + 24 + 2 * 8 * 16)


def test_memory_counts_shared_and_viewed_tensors_once() -> None:
    tensor = torch.zeros(10)

    def work(watch: speeds.Watch) -> None:
        watch.begin("views")
        tensor.view(2, 5).t().unsqueeze(0)
        watch.end("views")

    device = torch.device("cpu")
    assert peak_bytes(work, [tensor, tensor[3:]], device)["views"] == FLOAT * 10


def test_milliseconds_and_the_auxiliary_head(network: SegNetwork) -> None:
    """On a clock that the parts alone move: 3 ms, 20 ms and, in training alone, 500 ms."""
    now = 0.0
    spent = {network.backbone: 0.003, network.decode_head: 0.02, network.auxiliary_head: 0.5}

    def spend(module: nn.Module, *_: object) -> None:
        nonlocal now
        now += spent[module]

    handles = [module.register_forward_hook(spend, prepend=True) for module in spent]
    with patch.object(time, "perf_counter", lambda: now):
        milliseconds = speed(network, (8, 12))[0]
    expected = {"backbone": 3, "decode head": 20, "auxiliary head": 500, "resize": 0, "total": 23}
    assert milliseconds == pytest.approx(expected, abs=1e-6)
    for handle in handles:
        handle.remove()


def test_the_passes_end_when_enough_time_has_gone(network: SegNetwork) -> None:
    seen: list[int] = []

    def progress(passes: range) -> list[int]:
        return [seen.append(each) or each for each in passes]  # type: ignore[func-returns-value]

    calls = []
    network.backbone.register_forward_hook(lambda *_: calls.append(1))
    speed(network, (8, 12), progress=progress)
    assert len(calls) == len(seen) == 1 + speeds.MOST
    calls.clear()
    with patch.object(speeds, "ENOUGH", 0.0):
        speed(network, (8, 12))
    assert len(calls) == 1 + speeds.LEAST


def test_the_network_stays_as_it_was(network: SegNetwork) -> None:
    network.backbone.eval()
    summarise("tiny", 5, network, (8, 12), "cpu")
    assert network.training and not network.backbone.training
    assert network.auxiliary_in_eval is False
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda(network: SegNetwork) -> None:
    milliseconds, memory = speed(network, (64, 64), "cuda")
    assert set(milliseconds) == set(memory)
    assert memory["total"] >= FLOAT * sum(WEIGHTS.values())
    assert "max_memory_allocated" in " ".join(notes([], (64, 64), "cuda"))


def test_a_device_that_is_not_here() -> None:
    assert find_device("cpu") == "cpu"
    with (
        patch.object(torch.cuda, "is_available", lambda: False),
        pytest.raises(UserError, match="'cuda': expected cpu"),
    ):
        find_device("cuda")


# Networks of others -------------------------------------------------------------------------------


class Choosy(nn.Module):
    """Its way depends on the image's numbers, so shapes alone do not get through."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 4, stride=4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.conv(images) * (1 if images.mean().item() > 0 else 2)}


def test_a_network_that_shapes_do_not_get_through() -> None:
    summary = summarise("choosy", 2, Choosy(), (8, 8), "cpu")
    assert set(summary.figures) == {"parameters", "exported", "milliseconds", "bytes"}
    assert summary.figures["parameters"] == {"network": 98, "total": 98}
    assert "choosy cannot be found out from shapes" in notes([summary], (8, 8))[-1]


def test_a_network_that_cannot_run_at_that_size() -> None:
    with pytest.raises(UserError, match="choosy cannot run at 2 x 2 on cpu"):
        summarise("choosy", 2, Choosy(), (2, 2), "cpu")


class Plain(nn.Module):
    def __init__(self, num_classes: int, width: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 1, bias=False)
        self.classifier = nn.Conv2d(width, num_classes, 2, stride=2, bias=False)

    def forward(self, images: Tensor) -> SegOutput:
        return SegOutput(self.classifier(self.conv(images)), {})


def test_a_network_without_parts() -> None:
    figures = summarise("plain", 3, Plain(3, 2), (4, 6), "cpu").figures
    assert figures["multiply_adds"]["total"] == 24 * 3 * 2 + 6 * 2 * 4 * 3 + 4 * 3 * 24
    assert figures["stride"] == {"network": 2.0, "total": 2.0}
    assert set(figures["bytes"]) == {"network", "resize", "total"}


# Tables -------------------------------------------------------------------------------------------


@pytest.fixture
def two(network: SegNetwork) -> list[Summary]:
    return [summarise("tiny", 5, network, (8, 12)), summarise("plain", 3, Plain(3), (8, 12))]


def test_side_by_side(two: list[Summary]) -> None:
    lines = {line[0]: line[1:] for line in rows(two) if not line[0].startswith("·")}
    assert lines[""] == ["tiny", "plain"] and lines["classes"] == ["5", "3"]
    assert lines["parameters"] == [counted(sum(WEIGHTS.values())), "15"]
    assert lines["output stride"] == ["2", "2"]
    assert ["· decode head", "68", "-"] in rows(two)
    assert not any("milliseconds" in line for line in lines)
    table = markdown(two).splitlines()
    assert table[0] == "|  | tiny | plain |" and table[1] == "| --- | ---: | ---: |"
    assert len(table) == 1 + len(rows(two))


def test_csv(two: list[Summary], network: SegNetwork, tmp_path: Path) -> None:
    write_csv(two, (8, 12), tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as stream:
        lines = [line for line in csv.DictReader(stream) if line["network"] == "tiny"]
    found = {line["part"]: line["parameters"] for line in lines}
    assert found.pop("resize") == ""
    assert {part: int(number) for part, number in found.items()} == parameters(network)
    assert {(line["height"], line["width"]) for line in lines} == {("8", "12")}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (999_994, "999.99 k"), (999_996, "1.00 M")],
)
def test_counted(count: int, text: str) -> None:
    assert counted(count) == text


def test_the_convention_is_said(two: list[Summary]) -> None:
    first, *_ = notes(two, (8, 12))
    assert first == f"One image of 8 x 12. {CONVENTION}"
    assert "threads: " in notes(two, (8, 12), "cpu")[-1]


# Names --------------------------------------------------------------------------------------------


def test_arguments_belong_to_the_name_before_them() -> None:
    small = ["backbone=test_resnet.r160_in1k", "auxiliary=false"]
    found = named(["PSPNet", *small, "channels=8", "bpkd.networks.PSPNet", *small], classes=4)
    assert [each.classes for each in found] == [4, 4]
    narrow, wide = (each.build() for each in found)
    assert isinstance(narrow, SegNetwork) and narrow.auxiliary_head is None
    assert [n.decode_head.classifier.conv_seg.weight.shape for n in (narrow, wide)] == [  # type: ignore[union-attr]
        (4, 8, 1, 1),
        (4, 512, 1, 1),
    ]


def test_weights_need_not_be_there() -> None:
    [found] = named(["PSPNet", "backbone=test_resnet.r160_in1k", "weights=none.pth"])
    assert isinstance(found.build(), SegNetwork)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pspnet_r19"], "pspnet_r19: no network, run or recipe.*did you mean 'pspnet_r18'"),
        (["channels=8"], "'channels=8' is an argument of no network"),
        (["PSPNet", "chanels=8"], "PSPNet.chanels: .* did you mean 'channels'"),
        (["bpkd.networks.PSPnet"], "bpkd.networks has no 'PSPnet'; did you mean 'PSPNet'"),
        (["demo/bpdk"], "demo/bpdk: no network, run or recipe.*did you mean 'demo/bpkd'"),
        (["none.yaml"], "none.yaml: no such recipe file"),
    ],
)
def test_bad_names(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        named(words)


def test_what_is_no_network() -> None:
    for path in ("collections.OrderedDict", "fractions.Fraction"):
        with pytest.raises(UserError, match=f"{path} is another class, expected a torch.nn.Module"):
            named([path])
