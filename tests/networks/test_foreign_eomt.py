"""EoMT of transformers, which takes one size: others in windows, as its processor cuts them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bpkd.errors import UserError
from bpkd.networks.base import resize
from bpkd.networks.foreign import ForeignNetwork, from_transformers

pytest.importorskip("transformers")

SIDE = 64
EOMT: dict[str, Any] = {
    "model_type": "eomt",
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_blocks": 1,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 16,
    "num_queries": 4,
    "num_upscale_blocks": 2,
    "num_register_tokens": 0,
}


def eomt(**options: Any) -> ForeignNetwork:
    torch.manual_seed(0)
    return from_transformers(5, config=EOMT, **options).eval()


@torch.no_grad()
def test_its_own_size_is_one_window_and_its_features_are_named() -> None:
    network, images = eomt(), torch.rand(2, 3, SIDE, SIDE)
    output = network(images)
    assert output.logits.shape[:2] == (2, 5)
    assert {"backbone", "head"} <= set(output.features)
    assert all(value.shape[0] == 2 and value.dim() == 4 for value in output.features.values())


@torch.no_grad()
@pytest.mark.parametrize("turned", [False, True])
def test_other_sizes_are_windows_side_by_side(turned: bool) -> None:
    network, images = eomt(), torch.rand(1, 3, SIDE, 100)
    first, second = (network(images[..., start : start + SIDE]).logits for start in (0, 36))
    if turned:
        images = images.mT.contiguous()
        first, second = (network(images[..., s : s + SIDE, :]).logits.mT for s in (0, 36))
    logits = network(images).logits
    logits = logits.mT if turned else logits
    side, place = first.shape[-1], round(36 / SIDE * first.shape[-1])
    assert logits.shape[-2:] == (side, place + side)
    torch.testing.assert_close(logits[..., :place], first[..., :place])
    torch.testing.assert_close(logits[..., side:], second[..., side - place :])
    both = (first[..., place:].exp() + second[..., : side - place].exp()) / 2
    torch.testing.assert_close(logits[..., place:side].exp(), both)


@torch.no_grad()
def test_or_resized_by_choice() -> None:
    network, images = eomt(fit="resize"), torch.rand(1, 3, 50, 100)
    expected = network(resize(images, (SIDE, SIDE))).logits
    assert torch.equal(network(images).logits, expected)
    with pytest.raises(UserError, match="takes images of any size; take it out"):
        from_transformers(5, config={"model_type": "segformer"}, fit="resize")
