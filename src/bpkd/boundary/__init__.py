"""Where the classes of a label map meet: edge masks for losses, trimap bands for metrics."""

from bpkd.boundary.bands import trimap_bands
from bpkd.boundary.edges import edge_masks
from bpkd.boundary.label_maps import check_shape, check_values

__all__ = ["check_shape", "check_values", "edge_masks", "trimap_bands"]
