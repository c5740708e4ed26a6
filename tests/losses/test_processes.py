"""CIRKD on two processes is CIRKD on one with all the images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from bpkd.losses.cirkd import CIRKDMiniBatch
from bpkd.losses.cirkd_channel import CIRKDChannel
from bpkd.losses.cirkd_memory import CIRKDMemory
from bpkd.networks.base import SegOutput


def data() -> tuple[Tensor, Tensor, Tensor]:
    """Features of both networks and labels, of four images."""
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(4, 6, 5, 7, generator=draw, dtype=torch.float64)
    teacher = torch.randn(4, 8, 5, 7, generator=draw, dtype=torch.float64)
    labels = torch.randint(4, (4, 5, 7), generator=draw)
    labels[1, :3] = 255
    layout = torch.channels_last  # as networks give them on a GPU
    return student.to(memory_format=layout), teacher.to(memory_format=layout), labels


def results(images: slice) -> dict[str, Tensor]:
    student, teacher, labels = (values[images] for values in data())
    student.requires_grad_()
    logits = torch.zeros(len(student), 4, 5, 7, dtype=torch.float64)
    outputs = SegOutput(logits, {"head": student}), SegOutput(logits, {"head": teacher})
    loss = CIRKDMiniBatch(across_processes=True)(*outputs, labels)["mini_batch"]
    loss.backward()
    memory = CIRKDMemory(6, 8, 4, pixel_slots=50, region_slots=9).double()
    for _ in range(3):
        memory(*outputs, labels)
    assert student.grad is not None
    channels = CIRKDChannel(6, 8, pool=1, slots=50).double()
    for _ in range(3):
        channels(*outputs, labels)
    queues = {name: value for name, value in memory.named_buffers() if not name.startswith("head")}
    queues |= {"channel_queue": channels.queue, "channel_next": channels.next}
    return {"loss": loss.detach(), "gradient": student.grad, **queues}


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(results(slice(2 * rank, 2 * rank + 2)), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    mp.spawn(process, args=(str(tmp_path),), nprocs=2)  # type: ignore[attr-defined,no-untyped-call]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    whole = results(slice(None))
    torch.testing.assert_close((first["loss"] + second["loss"]) / 2, whole["loss"])
    # Each process's backward holds what both losses send to its images; their mean is trained on.
    gradient = torch.cat([first["gradient"], second["gradient"]]) / 2
    torch.testing.assert_close(gradient, whole["gradient"], rtol=1e-9, atol=1e-12)
    names = ("pixel_queue", "region_queue", "pixel_next", "region_next", "calls")
    for name in (*names, "channel_queue", "channel_next"):
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], whole[name], rtol=0, atol=1e-15)
