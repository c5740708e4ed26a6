"""Networks of other libraries, or your own, as teacher or student: one file a library.

Each function here is named in a recipe (``use: bpkd.networks.foreign.from_smp``) and returns a
:class:`bpkd.networks.foreign.wrapper.ForeignNetwork`: images (N, 3, H, W), RGB in [0, 1] ->
:class:`bpkd.networks.base.SegOutput`, normalised as the library itself does it.
"""

from bpkd.networks.foreign.files import from_file
from bpkd.networks.foreign.modules import from_module
from bpkd.networks.foreign.smp import from_smp
from bpkd.networks.foreign.torchvision import from_torchvision
from bpkd.networks.foreign.transformers import from_transformers
from bpkd.networks.foreign.wrapper import ForeignNetwork

__all__ = [
    "ForeignNetwork",
    "from_file",
    "from_module",
    "from_smp",
    "from_torchvision",
    "from_transformers",
]
