"""Train a small segmentation network from a big one, with sharp outlines.

The three things one does, from Python::

    from bpkd import train, evaluate, load

    run = train("camvid/bpkd", "data.root=data/camvid")  # the run's folder
    print(evaluate(run, split="test")["mIoU"])
    network = load(run)  # images (N, 3, H, W), RGB in [0, 1] -> SegOutput

And from a folder of annotated images, with no recipe written::

    run = bpkd.distill("photos")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpkd.errors import UserError
    from bpkd.inference.evaluation import evaluate
    from bpkd.networks.base import SegOutput
    from bpkd.recipe.trust import trusted
    from bpkd.report.push import push_to_hub
    from bpkd.runs.hub import from_pretrained
    from bpkd.runs.loading import load
    from bpkd.starting.distilling import distill
    from bpkd.training.run import train

__version__ = "0.1.0"
__all__ = [
    "SegOutput",
    "UserError",
    "distill",
    "evaluate",
    "from_pretrained",
    "load",
    "push_to_hub",
    "train",
    "trusted",
]

_HOMES = {
    "SegOutput": "bpkd.networks.base",
    "UserError": "bpkd.errors",
    "distill": "bpkd.starting.distilling",
    "evaluate": "bpkd.inference.evaluation",
    "from_pretrained": "bpkd.runs.hub",
    "load": "bpkd.runs.loading",
    "push_to_hub": "bpkd.report.push",
    "train": "bpkd.training.run",
    "trusted": "bpkd.recipe.trust",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the package itself loads at once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bpkd' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
