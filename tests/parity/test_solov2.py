"""SOLOv2 against numbers recorded from MMDetection 3.3.0 in float64.

As for the other networks, the references hold no weights: each follows from its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.networks.base import InstanceOutput
from bpkd.networks.checkpoints import openmmlab_keys, to_openmmlab
from bpkd.networks.solov2.deformable import DeformConv2d
from bpkd.networks.solov2.loss import solov2_loss
from bpkd.networks.solov2.matrix_nms import matrix_nms
from bpkd.networks.solov2.predictions import (
    PUBLISHED,
    PostProcessing,
    candidates,
    predictions,
    scored,
)
from bpkd.networks.solov2.targets import FULL, LIGHT, assign, assign_batch
from tests.parity.solov2 import (
    GRIDS,
    NETWORKS,
    annotated,
    arrays,
    bits,
    filled,
    reference,
    seeded_output,
    state,
)

RANGES = {"light_r18": LIGHT, "x101_dcn": FULL}
TAGS = list(RANGES)
SLOW_BIG = ["light_r18", pytest.param("x101_dcn", marks=pytest.mark.slow)]
SETTINGS = {
    "default": PUBLISHED,
    "linear": PostProcessing(kernel="linear", max_per_image=20),
    "filter": PostProcessing(score_threshold=0.2, filter_threshold=0.3, mask_threshold=0.55),
    "nothing": PostProcessing(score_threshold=0.999),
}


def close(ours: Tensor, file: dict[str, Any], key: str, share: float) -> None:
    """Hold a tensor against a sampled one, in standard deviations of the whole."""
    mean, std, low, high, total = file[f"{key}.stats64"]
    assert list(ours.shape) == list(file[f"{key}.shape"]), key
    flat = ours.double().flatten()
    picked = flat[:: int(file[f"{key}.stride"])]
    theirs = torch.from_numpy(file[f"{key}.values"]).double()
    assert (picked - theirs).abs().max() <= share * std + 1e-7 * theirs.abs().max(), key
    found = [flat.mean(), flat.std(), flat.min(), flat.max(), flat.abs().sum() / len(flat)]
    for value, expected in zip(found, [mean, std, low, high, total / len(flat)], strict=True):
        assert abs(value - expected) <= share * std, key


def named(network: nn.Module, images: Tensor) -> tuple[InstanceOutput, dict[str, Tensor]]:
    """The output, and every tensor that the references name."""
    tensors: dict[str, Tensor] = {}
    handles = []
    for i, branch in enumerate(network.mask_head.mask_feature_head.convs_all_levels):
        handles.append(
            branch.register_forward_hook(
                lambda *args, i=i: tensors.update({f"maskbranch{i}": args[2]})
            )
        )
    handles.append(
        network.backbone.register_forward_hook(
            lambda *args: tensors.update({f"c{i}": each for i, each in enumerate(args[2], 2)})
        )
    )
    with torch.no_grad():
        output = network(images)
    for handle in handles:
        handle.remove()
    tensors |= {k: v for k, v in output.features.items() if k != "backbone"}
    tensors["maskfeat"] = output.mask_features
    tensors |= {f"cls{i}": each for i, each in enumerate(output.category)}
    tensors |= {f"kernel{i}": each for i, each in enumerate(output.kernels)}
    return output, tensors


@pytest.mark.parametrize("tag", TAGS)
def test_names_shapes_and_counts(tag: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[tag](80)
    names = openmmlab_keys(network)
    facts = reference(tag)
    shapes = {names[key]: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == facts["state_dict"]
    parameters = list(network.parameters())
    assert sum(p.numel() for p in parameters) == facts["params_total"]
    assert sum(p.numel() for p in parameters if p.requires_grad) == facts["params_trainable"]


@pytest.mark.parametrize("tag", SLOW_BIG)
def test_the_weights_are_the_references(tag: str) -> None:
    tensors = state(tag)
    for key, (total, first, last) in reference(tag)["weight_check"].items():
        flat = tensors[key].double().flatten()
        assert flat.sum().item() == pytest.approx(total, rel=1e-9, abs=1e-9)
        assert (flat[0].item(), flat[-1].item()) == pytest.approx((first, last), rel=1e-7)


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-6), (torch.float32, 5e-4)])
@pytest.mark.parametrize("case", [pytest.param(0, marks=pytest.mark.slow), 1])
@pytest.mark.parametrize("tag", SLOW_BIG)
def test_outputs_and_predictions(tag: str, case: int, dtype: torch.dtype, share: float) -> None:
    file = arrays(f"{tag}_case{case}")
    images = np.random.default_rng(int(file["input_seed"])).standard_normal(file["input_shape"])
    network = filled(tag, dtype)
    output, tensors = named(network, torch.from_numpy(images.astype(np.float32)).to(dtype))
    keys = {key.removesuffix(".values") for key in file if key.endswith(".values")}
    assert keys == set(tensors)
    for key in keys:
        close(tensors[key], file, key, share)
    size, original = (tuple(map(int, file[key])) for key in ("img_shape", "ori_shape"))
    (found,) = predictions(output, [size], [original])
    same_predictions(found, file, "pred.", exact=dtype == torch.float64)


def same_predictions(found: Instances, file: dict[str, Any], start: str, exact: bool) -> None:
    """The same instances; in float32 neighbours in the ranking may have changed places."""
    scores = torch.from_numpy(file[f"{start}scores"])
    labels = torch.from_numpy(file[f"{start}labels"]).long()
    masks = bits(file, f"{start}masks")
    assert found.scores is not None and found.masks.shape == masks.shape
    torch.testing.assert_close(found.scores.float(), scores, rtol=0, atol=3e-4)
    if exact:
        assert torch.equal(found.labels, labels)
        torch.testing.assert_close(found.scores.float(), scores, rtol=0, atol=1e-6)
        assert torch.equal(found.masks, masks)
        return
    assert torch.equal(found.labels.sort().values, labels.sort().values)
    taken: set[int] = set()
    for mask, label, score in zip(found.masks, found.labels, found.scores, strict=True):
        near = ((scores - score).abs() < 1e-3) & (labels == label)
        ious = {
            place: (mask & masks[place]).sum() / (mask | masks[place]).sum().clamp(min=1)
            for place in near.nonzero().flatten().tolist()
            if place not in taken
        }
        best = max(ious, key=lambda place: float(ious[place]))
        assert ious[best] >= 0.99
        taken.add(best)


@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("setting", SETTINGS)
def test_post_processing(setting: str, image: int) -> None:
    file, settings = arrays("predict"), SETTINGS[setting]
    h, w = map(int, file["feat_shape"])
    output = seeded_output([0, 3], 2, int(file["E"]), (h, w), 2.0, -8.0)
    start = f"{setting}.img{image}."
    every = candidates([level[image] for level in output.category], settings.score_threshold)
    assert (
        torch.stack([every.cells, every.labels], 1).tolist() == file[f"{start}cand_inds"].tolist()
    )
    np.testing.assert_allclose(every.scores, file[f"{start}cand_scores"], rtol=1e-6)
    if f"{start}nms_in_scores" in file:
        before = scored(output, image, settings)
        assert before.areas is not None
        np.testing.assert_allclose(before.scores, file[f"{start}nms_in_scores"], rtol=1e-6)
        assert before.labels.tolist() == file[f"{start}nms_in_labels"].tolist()
        assert before.areas.tolist() == file[f"{start}nms_in_area"].tolist()
    sizes = [tuple(map(int, each)) for each in file["img_shape"]]
    originals = [tuple(map(int, each)) for each in file["ori_shape"]]
    same_predictions(predictions(output, sizes, originals, settings)[image], file, start, True)


def test_matrix_nms() -> None:
    file = arrays("matrix_nms")
    masks, labels = bits(file, "masks"), torch.from_numpy(file["labels"])
    scores = torch.from_numpy(file["scores"])
    settings = sorted({key.partition(".")[0] for key in file if ".param." in key})
    assert len(settings) == 6
    for setting in settings:
        given = {
            key.rpartition(".")[2]: value.item()
            for key, value in file.items()
            if key.startswith(f"{setting}.param.")
        }
        given = {k: round(v, 6) if isinstance(v, float) else v for k, v in given.items()}
        if "filter_thr" in given:
            given["filter_threshold"] = given.pop("filter_thr")
        after, indices = matrix_nms(masks, labels, scores, **given)
        assert indices.tolist() == file[f"{setting}.keep_inds"].tolist()
        assert labels[indices].tolist() == file[f"{setting}.labels"].tolist()
        np.testing.assert_allclose(after, file[f"{setting}.scores"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("tag", TAGS)
def test_targets(tag: str) -> None:
    file = arrays("targets")
    assert [tuple(each) for each in file[f"{tag}.scale_ranges"]] == list(RANGES[tag])
    h, w = map(int, file["image_shape"])
    found = assign(annotated(file), (h, w), 80, GRIDS, RANGES[tag])
    for index, (level, grid) in enumerate(zip(found.levels, GRIDS, strict=True)):
        start = f"{tag}.lvl{index}."
        assert level.cells.tolist() == file[f"{start}pos_index"].tolist()
        assert level.labels.tolist() == file[f"{start}cate_labels"].tolist()
        positive = bits(file, f"{start}pos_mask", (grid, grid))
        assert torch.equal(level.labels < 80, positive)
        assert torch.equal(found.masks[level.instances], bits(file, f"{start}mask_targets"))


@pytest.mark.parametrize("tag", TAGS)
def test_losses_and_their_gradients(tag: str) -> None:
    file = arrays("losses")
    channels = int(file[f"{tag}.E"])
    output = seeded_output([0, 5, channels], 2, channels, (40, 56), 2.0, -4.0)
    leaves = {"maskfeat": output.mask_features}
    leaves |= {f"kernel{i}": each for i, each in enumerate(output.kernels)}
    leaves |= {f"cls{i}": each for i, each in enumerate(output.category)}
    for leaf in leaves.values():
        leaf.requires_grad_()
    targets = [annotated(file, f"img{i}.") for i in range(2)]
    found = assign_batch(targets, output, RANGES[tag])
    rows = [len(level.cells) for each in found for level in each.levels]
    cells = [int((level.labels < 80).sum()) for each in found for level in each.levels]
    assert sum(rows) == file[f"{tag}.num_mask_rows"]
    assert sum(cells) == file[f"{tag}.num_pos_cells"]
    terms = solov2_loss(output, found)
    assert terms["mask"].item() == pytest.approx(file[f"{tag}.loss_mask_64"].item(), rel=1e-8)
    assert terms["category"].item() == pytest.approx(file[f"{tag}.loss_cls_64"].item(), rel=1e-8)
    (terms["mask"] + terms["category"]).backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        norm = file[f"{tag}.grad_{name}.l2_64"].item()
        assert leaf.grad.norm().item() == pytest.approx(norm, rel=1e-7)
        picked = leaf.grad.flatten()[::307]
        expected = torch.from_numpy(file[f"{tag}.grad_{name}.values"]).double()
        torch.testing.assert_close(picked, expected, rtol=1e-5, atol=1e-7 * max(norm, 1e-9))
    nobody = [Instances(*(part[:0] for part in each[:4])) for each in targets]
    terms = solov2_loss(output, assign_batch(nobody, output, RANGES[tag]))
    assert terms["mask"].item() == file[f"{tag}.empty.loss_mask_64"]
    expected = file[f"{tag}.empty.loss_cls_64"].item()
    assert terms["category"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # the deformable operator's backward pass on a CPU
@pytest.mark.parametrize("tag", TAGS)
def test_losses_through_the_whole_network(tag: str) -> None:
    file = arrays("train_loss")
    images = np.random.default_rng([0, 8]).standard_normal((2, 3, 192, 256)).astype(np.float32)
    images[1, :, 176:, :] = 0
    images[1, :, :, 240:] = 0
    network = filled(tag).train()
    output = network(torch.from_numpy(images).double())
    targets = [annotated(file, f"img{i}.") for i in range(2)]
    terms = solov2_loss(output, assign_batch(targets, output, RANGES[tag]))
    assert terms["mask"].item() == pytest.approx(file[f"{tag}.loss_mask_64"].item(), rel=1e-7)
    assert terms["category"].item() == pytest.approx(file[f"{tag}.loss_cls_64"].item(), rel=1e-7)
    (terms["mask"] + terms["category"]).backward()
    names = openmmlab_keys(network)
    norms = {
        names[key]: value.grad.norm().item()
        for key, value in network.named_parameters()
        if value.grad is not None
    }
    expected = dict(
        zip(file[f"{tag}.grad_keys"].tolist(), file[f"{tag}.grad_l2_64"].tolist(), strict=True)
    )
    assert set(norms) == set(expected)
    for key, norm in norms.items():
        assert norm == pytest.approx(expected[key], rel=1e-6), key


def test_deformable_convolution() -> None:
    file = arrays("dcn")
    for case in range(3):
        get = {
            key.partition(".")[2]: v for key, v in file.items() if key.startswith(f"case{case}.")
        }
        weight = torch.from_numpy(get["weight"])
        place = [int(get[key]) for key in ("stride", "padding", "dilation", "groups")]
        conv = DeformConv2d(get["x"].shape[1], len(weight), weight.shape[-1], *place)
        conv.load_state_dict(
            {"weight": weight}
            | {k: torch.from_numpy(v) for k, v in get.items() if k.startswith("conv_offset.")}
        )
        with torch.no_grad():
            found = conv.double()(torch.from_numpy(get["x"]).double())
        np.testing.assert_allclose(found, get["y"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tag", SLOW_BIG)
def test_checkpoints_go_there_and_back(tag: str) -> None:
    network = filled(tag, torch.float32)
    tensors = to_openmmlab(network)
    assert set(tensors) == set(state(tag))
    assert all(torch.equal(value, tensors[key]) for key, value in state(tag).items())
