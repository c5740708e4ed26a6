"""AfDCD, the contrast: of a patch's parts, each is nearest to the teacher's part at its own place.

Fan et al., Augmentation-Free Dense Contrastive Knowledge Distillation for Efficient Semantic
Segmentation, NeurIPS 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError


def afdcd_contrast(
    projected: Tensor,
    teacher: Tensor,
    groups: int,
    pool: int = 4,
    patch: tuple[int, int] = (4, 4),
    temperature: float = 0.07,
    crop: int | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """InfoNCE between groups of channels at the pixels of a patch, by the 1-norm.

    Both maps are max-pooled and cut into patches (what is left at the border is dropped), their
    channels into M groups. A group at a pixel of the student has the same group at the same pixel
    of the teacher for its positive, and all **other** groups at all pixels of the patch for its
    negatives. Logits are -‖difference‖₁ / τ, not normalised. Summed over groups, mean over pixels
    and images; not 0 at equality.

    Args:
        projected: (N, D, h, w), what the projector made of the student's features.
        teacher: (N, D, h, w); no gradient flows to them.
        groups: M; divides D.
        pool: side of the blocks of the max-pool, its stride; 1 for none.
        patch: rows and columns of a patch, in pooled pixels.
        temperature: τ > 0.
        crop: rows and columns at most, cut before the pool; None: all.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Raises:
        UserError: no patch fits into the maps.

    Example:
        >>> student = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        >>> teacher = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)  # log(1 + e⁻²) + log 2
        >>> round(afdcd_contrast(student, teacher, 2, 1, (1, 1), temperature=1.0).item(), 6)
        0.820075
    """
    window, teacher = slice(crop), teacher.detach()
    maps = [maps[..., window, window] for maps in (projected, teacher)]
    if valid is not None:
        valid = valid[..., window, window]
        maps = [each.masked_fill(~valid, torch.finfo(each.dtype).min) for each in maps]
    maps = [F.max_pool2d(each, pool) if pool > 1 else each for each in maps]
    h, w = (size // side * side for size, side in zip(maps[0].shape[-2:], patch, strict=True))
    if not h or not w:
        raise UserError(
            f"AfDCD: maps of {' x '.join(map(str, projected.shape[-2:]))} hold no patch of "
            f"{patch[0]} x {patch[1]} blocks of {pool} x {pool} pixels; set pool or patch lower, "
            "or train on larger crops"
        )
    ours, theirs = (_parts(each[..., :h, :w], groups, patch) for each in maps)
    there = torch.ones(len(projected), 1, h, w, dtype=torch.bool, device=projected.device)
    if valid is not None:
        there = F.max_pool2d(valid.to(projected.dtype), pool)[..., :h, :w] > 0
        seen = _parts(there, 1, patch).repeat_interleave(groups, dim=1)
        ours, theirs = ours.masked_fill(~seen, 0.0), theirs.masked_fill(~seen, 0.0)
    counts = _parts(there, 1, patch).squeeze(2).repeat_interleave(groups, dim=1)
    return _info_nce(ours, theirs, groups, temperature, counts) / there.sum().clamp(min=1)


def _parts(maps: Tensor, groups: int, patch: tuple[int, int]) -> Tensor:
    """(N, D, h, w) -> (patches, pixels of a patch times groups, D / groups)."""
    n, d, h, w = maps.shape
    rows, columns = patch
    cut = maps.view(n, groups, d // groups, h // rows, rows, w // columns, columns)
    return cut.permute(0, 3, 5, 4, 6, 1, 2).reshape(-1, rows * columns * groups, d // groups)


def _info_nce(
    ours: Tensor, theirs: Tensor, groups: int, temperature: float, counts: Tensor
) -> Tensor:
    """Sum over the parts that count of log(Σ exp over positive and negatives) - positive."""
    # One patch is (16 M)² distances; cdist never holds the differences that they are norms of.
    logits = torch.cdist(ours, theirs, p=1) / -temperature
    group = torch.arange(ours.shape[1], device=ours.device) % groups
    compared = (group[:, None] != group) & counts[:, None]
    compared |= torch.eye(len(group), dtype=torch.bool, device=ours.device)
    spread = logits.masked_fill(~compared, -torch.inf).logsumexp(dim=2)
    terms = spread - logits.diagonal(dim1=1, dim2=2)
    return torch.where(counts, terms, 0.0).sum()
