"""Networks compiled by torch, where the machine can compile."""

from __future__ import annotations

import torch
from torch import nn

from bpkd.support.messages import one_line


def compile_networks(networks: list[nn.Module | None], device: torch.device) -> str | None:
    """Have networks compiled when they are first called; their keys and weights stay as they are.

    The losses stay as they are: they are a small share of a step, and the sizes in some depend on
    the labels.

    Args:
        networks: student and teacher.
        device: that they will work on.

    Returns:
        Why nothing is compiled, in a line; None: all is well.
    """
    try:
        # The only answer that counts: a compiler, its headers and torch's version of Triton.
        probe = torch.ones(8, device=device)
        torch.compile(lambda x: (x * 2).sin())(probe)
    except Exception as error:  # whatever the machine lacks
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else one_line(error)
        return f"compile: nothing can be compiled here ({reason[:150]}); the run goes on without"
    finally:
        torch.compiler.reset()
    for network in networks:
        if network is not None:
            network.compile()
    return None
