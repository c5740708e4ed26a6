"""Trimap bands: the pixels near an outline, in which trimap metrics count."""

from __future__ import annotations

import torch
from torch import Tensor

from bpkd.boundary.label_maps import check_shape, shrink
from bpkd.boundary.windows import mixed
from bpkd.errors import UserError


def trimap_bands(labels: Tensor, width: int) -> Tensor:
    """Pixels within ``width`` of another label: the bands in which trimap metrics count.

    True where the (2 * width + 1)² window, cut at the frame, holds more than one label value.
    The ignore value counts as a value of its own, as in :func:`edge_masks`. The trimap is from
    Kohli et al., *Robust Higher Order Potentials for Enforcing Label Consistency*, IJCV 2009.

    Args:
        labels: (N, H, W), any integer dtype.
        width: half-width of the band in pixels, at least 1.

    Returns:
        (N, H, W) bool.

    Raises:
        UserError: a width below 1, a wrong shape or dtype.

    Example:
        >>> trimap_bands(torch.tensor([[[0, 0, 0, 1, 1, 1]]]), width=1).int().tolist()
        [[[0, 0, 1, 1, 0, 0]]]
    """
    if width < 1:
        raise UserError(f"width is {width}: expected a number of pixels, at least 1")
    check_shape(labels)
    lowest, highest = (int(value) for value in torch.aminmax(labels))
    return mixed(shrink(labels, lowest, highest), 2 * width + 1)
