"""Train a small segmentation network from a big one, with sharp outlines.

The three things one does, from Python::

    from bpkd import train, evaluate, load

    run = train("camvid/bpkd", "data.root=data/camvid")  # the run's folder
    print(evaluate(run, split="test")["mIoU"])
    network = load(run)  # images (N, 3, H, W), RGB in [0, 1] -> SegOutput
"""

__version__ = "0.1.0"

# The version stands first: the run's folder records it.
from bpkd.building import load
from bpkd.errors import UserError
from bpkd.evaluation import evaluate
from bpkd.networks.base import SegOutput
from bpkd.training import train

__all__ = ["SegOutput", "UserError", "evaluate", "load", "train"]
