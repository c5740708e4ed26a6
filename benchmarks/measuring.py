"""Time and memory of procedures, side by side in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

Procedure = Callable[[], object]
Clock = Callable[[], float]


def seconds(device: torch.device | str, clock: Clock = time.perf_counter) -> float:
    """The clock's seconds, once the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return clock()


def milliseconds(
    procedures: Mapping[str, Procedure], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """The time of each procedure in each round; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in procedures}
    for _ in range(rounds):
        for name, procedure in procedures.items():
            begin = clock()
            procedure()
            times[name].append(1000 * (clock() - begin))
    return times


def peak_megabytes(procedure: Procedure, device: str) -> float:
    """Most memory that the procedure holds at once beside what was there before, in MiB."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        procedure()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    # The profiler sees every allocation, those inside an operator too.
    with torch.profiler.profile(profile_memory=True) as profiler:
        procedure()
    results = profiler.profiler.kineto_results
    events = [event for event in results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 2**20
