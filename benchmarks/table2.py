"""What each row of the paper's Table 2 costs in multiply-adds, and so in hours of a GPU.

    python -m benchmarks.step --table2 [--throughput 30]

Batch, crop and iterations are the recipes'.
"""

from __future__ import annotations

import torch

from bpkd import networks
from bpkd.networks.cost import multiply_adds
from bpkd.recipe.loading import load_recipe

PAIRS = {
    "pspnet": ("pspnet_r101", "pspnet_r18"),
    "hrnet": ("hrnet_w48", "hrnet_w18s"),
    "deeplabv3plus": ("deeplabv3plus_r101", "deeplabv3plus_mv2"),
    "isanet": ("isanet_r101", "isanet_r18"),
}
DATA = {"cityscapes": 19, "ade20k": 150, "pascal_context": 59}  # folders of recipes: classes


def table2(throughput: float) -> None:
    """Print what each row of Table 2 costs, as Markdown."""
    print(
        "| pair | data set | batch | student, G | teacher, G | plain step, T | taught step, T "
        "| plain run, P | taught run, P | plain, GPU h | taught, GPU h |"
    )
    print("| --- | --- |" + " ---: |" * 9)
    for pair, names in PAIRS.items():
        for data, classes in DATA.items():
            with torch.device("meta"):
                built = [getattr(networks, name)(classes) for name in names]
            recipe = load_recipe(f"table2/{data}/{pair}/bpkd")
            batch = recipe.batch_size * recipe.accumulate
            teacher, student = (multiply_adds(network, recipe.augment.crop) for network in built)
            # A backward pass takes twice the forward pass; an auxiliary head learns, too.
            learning = student["total"] + student.get("auxiliary head", 0)
            plain = 3 * learning * batch
            taught = plain + teacher["total"] * batch
            runs = [plain * recipe.max_iters, taught * recipe.max_iters]
            hours = [run / (throughput * 1e12) / 3600 for run in runs]
            cells = [learning / 1e9, teacher["total"] / 1e9, plain / 1e12, taught / 1e12]
            cells += [*(run / 1e15 for run in runs), *hours]
            shown = [f"{cell:.2f}" for cell in cells[:4]] + [f"{cell:.0f}" for cell in cells[4:6]]
            shown += [f"{cell:.1f}" for cell in cells[6:]]
            print(" | ".join([f"| {pair}", data, str(batch), *shown]) + " |")
