"""The methods after BPKD against numbers of the authors' code: values and gradients, float64.

``data/methods`` holds inputs and results of two seeds with different sizes, a file a method.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.losses.afdcd import AfDCD, block_mask, random_mask
from bpkd.losses.afdcd_contrast import afdcd_contrast
from bpkd.losses.attention import cbam_free
from bpkd.losses.attnfd import AttnFD
from bpkd.losses.cirkd_channel import CIRKDChannel
from bpkd.losses.cirkd_memory import cirkd_memory
from bpkd.losses.crosskd import align_scale, crosskd
from bpkd.losses.cwd import CWDLevels, cwd
from bpkd.losses.dist import pearson_distance
from bpkd.losses.fgd import FGD, attention, box_masks
from bpkd.losses.freekd import FreeKD, freekd, prompted
from bpkd.losses.graph import GraphModule
from bpkd.losses.haar import haar
from bpkd.losses.kd import kd
from bpkd.losses.kt import KT, kt, tailored
from bpkd.losses.kt_features import KTFeatures, mixed
from bpkd.losses.maskd import MasKD, mask_dice, maskd, maskd_tokens, receptive_masks
from bpkd.losses.maskd_levels import MasKDLevels
from bpkd.losses.mgd import MGD, mgd
from bpkd.losses.pkd import PKD, pkd
from bpkd.networks.base import SegOutput
from tests.parity import reference

both_seeds = pytest.mark.parametrize("seed", [0, 1])


def Reference(method: str, seed: int) -> reference.Reference:
    return reference.Reference(method, seed, "methods")


def put(module: nn.Module, **values: Tensor) -> None:
    """Set parameters by their dotted names, with the reference's shape or another of its size."""
    parameters = dict(module.named_parameters())
    for name, value in values.items():
        parameter = parameters[name.replace("__", ".")]
        parameter.data = value.view(parameter.shape).clone()


def output(
    logits: Tensor | None = None, aux: Tensor | None = None, **features: Tensor
) -> SegOutput:
    """An output with these parts, whatever is wanted of it."""
    if logits is None:
        first = next(iter(features.values()))
        logits = first.new_zeros(len(first), 4, *first.shape[-2:])
    return SegOutput(logits, features, aux)


def nothing(*sizes: int) -> Tensor:
    """Labels for losses that do not look at them."""
    return torch.zeros(sizes, dtype=torch.int64)


# MasKD --------------------------------------------------------------------------------------------


@both_seeds
def test_maskd(seed: int) -> None:
    ref = Reference("maskd_seg", seed)
    logits, aux = ref.input("logits_s"), ref.input("aux_s")
    masks = receptive_masks(ref["logits_t"], ref["tokens"])
    ref.check(masks, "masks")
    ref.check_loss(maskd(logits, ref["logits_t"], masks), "stage2", stage2_grad=logits)
    module = MasKD(logits.shape[1], num_tokens=8, ignore_index=None).double()
    module.tokens.copy_(ref["tokens"])
    teacher = output(ref["logits_t"], ref["aux_t"])
    terms = module(output(logits, aux), teacher, ref["labels"])
    ref.check_loss(terms["maskd"], "stage2", stage2_grad=logits)
    ref.check_loss(terms["auxiliary"], "stage2_aux", stage2_aux_grad=aux)
    total = sum(module.weights[name] * value for name, value in terms.items())
    ref.check(total.detach(), "stage2_total")  # type: ignore[union-attr]


@both_seeds
def test_maskds_tokens(seed: int) -> None:
    ref = Reference("maskd_seg", seed)
    tokens, labels = ref.input("tokens"), ref["labels"]
    ce, dice = maskd_tokens(ref["logits_t"], tokens, labels, ignore_index=-1)
    for name, value in (("dice", dice), ("ce", ce), ("loss", ce + dice)):
        (gradient,) = torch.autograd.grad(value, tokens, retain_graph=True)
        ref.check(gradient, f"stage1_{name}_grad_tokens")
    ref.check(ce.detach(), "stage1_ce")
    sums = receptive_masks(ref["logits_t"], ref["tokens"]).sum(dim=1, keepdim=True)
    ref.check(ref["logits_t"] * sums, "stage1_out")
    ref.check((ce + dice).detach() + 0.4 * ref["stage1_aux_ce"], "stage1_loss")
    ref.check(mask_dice(ref["masks"]), "stage1_dice")


# Af-DCD and MGD -----------------------------------------------------------------------------------


def afdcd(ref: reference.Reference, projector: str, mask: Tensor, **options: int) -> AfDCD:
    """With the reference's parameters and holes."""
    ours, theirs = ref["feat_s"].shape[1], ref["feat_t"].shape[1]
    module = AfDCD(ours, theirs, projector=projector, ignore_index=None, **options).double()  # type: ignore[arg-type]
    for name, parameter in parameters(module, projector).items():
        parameter.data = ref[name]
    module.holes = lambda maps: mask  # type: ignore[method-assign]
    return module


def parameters(module: AfDCD, projector: str) -> dict[str, Tensor]:
    """By the reference's names."""
    names = {"0.": "plain_conv1_", "2.": "plain_conv2_"}
    found = {f"align_{name}": value for name, value in module.adapter.named_parameters()}
    for name, value in module.projector.named_parameters():
        if projector == "plain":
            found[names[name[:2]] + name[2:]] = value
        else:
            found["enh_" + name.replace(".", "_")] = value
    return found


@both_seeds
@pytest.mark.parametrize("mask", ["rand", "block"])
@pytest.mark.parametrize("projector", ["plain", "enh"])
def test_afdcds_feature_term(seed: int, mask: str, projector: str) -> None:
    ref = Reference("afdcd_fd", seed)
    maps = ref.input("feat_s")
    holes = random_mask(ref["uniform"], float(ref["zeta"]))
    if mask == "block":
        holes = block_mask(*maps.shape[-2:]).double()
    assert torch.equal(holes.expand_as(ref["mask_rand"]).long(), ref[f"mask_{mask}"])
    kind = {"enh": "enhanced"}.get(projector, projector)
    module = afdcd(ref, kind, holes, pool=1, groups=2)
    loss = module(output(head=maps), output(head=ref["feat_t"]), nothing(2, 4, 4))["feature"]
    name = f"fd_{mask}_{projector}"
    wanted = {f"{name}_grad": maps}
    for key, value in parameters(module, kind).items():
        if f"{name}_grad_{key}" in ref.arrays:
            wanted[f"{name}_grad_{key}"] = value
    assert len(wanted) >= 3
    ref.check_loss(loss, name, **wanted)
    if f"{name}_out" in ref.arrays:
        ref.check(module.projector(module.adapter(maps) * holes).detach(), f"{name}_out")


@both_seeds
def test_mgd_with_holes_that_are_channels(seed: int) -> None:
    ref = Reference("afdcd_fd", seed)
    maps, target = ref.input("feat_s"), ref["feat_t"]
    module = MGD(maps.shape[1], target.shape[1], holes="channels", ignore_index=None).double()
    put(module.adapter, weight=ref["align_weight"], bias=ref["align_bias"])
    for index, layer in ((0, "conv1"), (2, "conv2")):
        put(
            module.generator[index],  # type: ignore[arg-type]
            weight=ref[f"plain_{layer}_weight"],
            bias=ref[f"plain_{layer}_bias"],
        )
    holes = random_mask(ref["uniform_channel"], float(ref["zeta"]))
    made = module.generator(module.adapter(maps) * holes)
    ref.check_loss(mgd(made, target), "mgd_channel_mask", mgd_channel_mask_grad=maps)
    seen: list[Tensor] = []
    module.generator.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    module(output(head=maps), output(head=target), nothing(2, 4, 4))
    empty = (seen[0] == 0).flatten(2)
    assert torch.equal(empty.all(dim=2), empty.any(dim=2))


@both_seeds
def test_afdcds_contrast(seed: int) -> None:
    ref = Reference("afdcd_ctr", seed)
    maps, target = ref.input("proj_s"), ref["feat_t"]
    found = 0
    for key in [key for key in ref.arrays if key.startswith("pool") and key.endswith("_loss")]:
        name = key.removesuffix("_loss")
        groups = int(name.rpartition("_M")[2].split("_")[0])
        given = (groups, 2, (2, 4), 0.2) if "patch" in name else (groups, 4, (4, 4), 0.07)
        if name.endswith("_same"):
            ref.check(afdcd_contrast(target, target, *given), key)
            continue
        ref.check_loss(afdcd_contrast(maps, target, *given), name, **{f"{name}_grad": maps})
        found += 1
    assert found >= 3


@both_seeds
def test_afdcds_contrast_for_camvid(seed: int) -> None:
    ref = Reference("afdcd_ctr_camvid", seed)
    maps = ref.input("proj_s")
    groups = int(ref["num_groups"])
    loss = afdcd_contrast(maps, ref["feat_t"], groups, pool=1, crop=44)
    ref.check(loss.detach(), "loss")
    ref.check(torch.autograd.grad(loss, maps)[0], "grad")


@both_seeds
def test_afdcd_as_a_whole(seed: int) -> None:
    ref = Reference("afdcd_total", seed)
    maps, logits = ref.input("feat_s"), ref.input("logits_s")
    module = afdcd(ref, "plain", ref["mask_rand"].double(), groups=int(ref["num_groups"]))
    terms = module(output(head=maps), output(head=ref["feat_t"]), nothing(2, 4, 4))
    pixels = kd(logits, ref["logits_t"])
    ref.check(pixels.detach(), "kd_loss")
    ref.check(terms["feature"].detach(), "fd_loss")
    ref.check_loss(terms["contrast"], "ctr", ctr_grad=maps)
    weights = {
        "citys": (1, 2e-6, 0.005),
        "ade": (0.5, 1e-6, 0.04),
        "voc": (1, 1e-6, 0.005),
        "coco_stuff": (0.5, 5e-6, 0.005),
        "default": (1, 4e-5, 1e-3),
    }
    values = (pixels, terms["feature"], terms["contrast"])
    for name, given in weights.items():
        total = torch.stack([w * value for w, value in zip(given, values, strict=True)]).sum()
        ref.check(total.detach(), f"total_{name}_loss")
        if name == "citys":
            assert given[1:] == tuple(AfDCD.weights.values())
            prefix = "total_citys_grad"
            named = parameters(module, "plain")
            wanted = {
                prefix: maps,
                f"{prefix}_logits": logits,
                f"{prefix}_align_weight": named["align_weight"],
                f"{prefix}_align_bias": named["align_bias"],
                f"{prefix}_plain_conv2_bias": named["plain_conv2_bias"],
            }
            ref.check_loss(total, "total_citys", **wanted)


# KT -----------------------------------------------------------------------------------------------


@both_seeds
def test_kt(seed: int) -> None:
    ref = Reference("kt_logits", seed)
    logits, labels = ref.input("logits_s"), ref["labels"]
    whole, inside, outside = kt(logits, ref["logits_t"], labels)
    ref.check_loss(whole, "sum", sum_grad=logits)
    ref.check_loss(inside, "in", in_grad=logits)
    ref.check_loss(outside, "out", out_grad=logits)
    terms = KT(ignore_index=-1)(output(logits), output(ref["logits_t"]), labels)
    ref.check_loss(torch.stack(list(terms.values())).sum(), "lt", lt_grad=logits)
    ref.check_loss(cwd(logits, ref["logits_t"]), "kd", kd_grad=logits)
    for who in "st":
        large = nn.functional.interpolate(ref[f"logits_{who}"], labels.shape[-2:], mode="nearest")
        for value, part in zip(tailored(large, labels), ("in", "out"), strict=True):
            ref.check(value, f"tailored_{who}_{part}")


@both_seeds
@pytest.mark.parametrize("part", ["early", "late"])
def test_kts_features(seed: int, part: str) -> None:
    ref = Reference("kt_features", seed)
    maps, target = ref.input("feat_s"), ref["feat_t"]
    given = {"early_iters": 10 if part == "early" else 0, "ignore_index": None}
    module = KTFeatures(maps.shape[1], target.shape[1], **given).double()  # type: ignore[arg-type]
    for name, width in (("early", "t"), ("late", "s")):
        for index, layer in enumerate((0, 2, 4)):
            for kind in ("weight", "bias"):
                key = f"{name}__{layer}__{kind}"
                put(module, **{key: ref[f"tail_{width}_width{index}_{kind}"]})
    put(module, anchor__weight=ref["anchor_conv_weight"])
    terms = module(output(head=maps), output(head=target), nothing(2, 4, 4))
    ref.check_loss(terms["features"], f"{part}_ft", **{f"{part}_ft_grad": maps})
    ref.check_loss(terms["triplet"], f"{part}_triplet", **{f"{part}_triplet_grad": maps})
    sources = (maps, target) if part == "early" else (target, maps)
    tail = getattr(module, part)
    for value, name in zip(mixed(*sources), ("high", "low"), strict=True):
        ref.check(tail(value).detach(), f"{part}_{name}")


# PKD ----------------------------------------------------------------------------------------------


@both_seeds
def test_pkd(seed: int) -> None:
    ref = Reference("pkd", seed)
    levels = [int(name[-1]) for name in ref.arrays if name.startswith("feat_s")]
    maps = {f"l{level}": ref.input(f"feat_s{level}") for level in levels}
    target = {f"l{level}": ref[f"feat_t{level}"] for level in levels}
    for level in levels:
        ours = maps[f"l{level}"]
        loss = 6 * pkd(ours, target[f"l{level}"])
        ref.check(loss.detach(), f"w6_loss{level}")
        ref.check(torch.autograd.grad(loss, ours)[0], f"w6_grad{level}")
    ours, theirs = (each["l0"].detach().movedim(1, 0).flatten(1) for each in (maps, target))
    ref.check(1 - pearson_distance(ours, theirs), "pearson0")
    channels = next(iter(maps.values())).shape[1]
    module = PKD(channels, channels, list(maps), ignore_index=None)
    total = module(output(**maps), output(**target), nothing(2, 4, 4))["pkd"]
    ref.check(total.detach(), "w1_sum_loss")


@both_seeds
@pytest.mark.parametrize("resized", ["student", "teacher"])
def test_pkd_of_other_sizes(seed: int, resized: str) -> None:
    ref = Reference("pkd", seed)
    maps, target = ref.input("resize_feat_s"), ref["resize_feat_t"]
    module = PKD(maps.shape[1], maps.shape[1], resized=resized, ignore_index=None)  # type: ignore[arg-type]
    loss = module(output(head=maps), output(head=target), nothing(2, 4, 4))["pkd"]
    ref.check_loss(loss, f"resize_{resized}", **{f"resize_{resized}_grad": maps})


# AttnFD -------------------------------------------------------------------------------------------


@both_seeds
@pytest.mark.parametrize("kind", ["free", "learned"])
def test_attnfd(seed: int, kind: str) -> None:
    ref = Reference("attnfd", seed)
    stages = [int(name[-1]) for name in ref.arrays if name.startswith("feat_s")]
    maps = {f"f{stage}": ref.input(f"feat_s{stage}") for stage in stages}
    target = {f"f{stage}": ref[f"feat_t{stage}"] for stage in stages}
    channels = [[each.shape[1] for each in part.values()] for part in (maps, target)]
    module = AttnFD(*channels, list(maps), kind, ignore_index=None).double()  # type: ignore[arg-type]
    wanted = {f"{kind}_lambda2_grad{stage}": maps[f"f{stage}"] for stage in stages}
    for stage in stages:
        names = {f"s_att{stage}": module.attention[stage]}
        names[f"conn{stage}"] = module.connectors[stage]
        if kind == "learned":
            names[f"t_att{stage}"] = module.teacher_attention[stage]
        for prefix, part in names.items():
            for name, parameter in part.named_parameters():
                key = f"{prefix}_" + name.replace("norm.", "bn.").replace(".", "_")
                key = key.replace("_0_weight", "_weight").replace("_1_", "_bn_")
                put(part, **{name.replace(".", "__"): ref[key]})
                if kind == "free":
                    wanted[f"free_lambda2_grad_{key}"] = parameter
    loss = 2 * module(output(**maps), output(**target), nothing(2, 4, 4))["attnfd"]
    ref.check_loss(loss, f"{kind}_lambda2", **wanted)
    for stage in stages:
        refined = module.attention[stage](maps[f"f{stage}"])
        ref.check(refined.detach(), f"refined_s{stage}")
        refine = module.teacher_attention[stage] if kind == "learned" else cbam_free
        ref.check(refine(target[f"f{stage}"]), f"{kind}_refined_t{stage}")


# CIRKDV2 ------------------------------------------------------------------------------------------


def channel_module(ref: reference.Reference) -> CIRKDChannel:
    ours, theirs = ref["feat_s"].shape[1], ref["feat_t"].shape[1]
    module = CIRKDChannel(ours, theirs, slots=len(ref["queue"]), ignore_index=None).double()
    for layer, name in ((0, "conv1"), (1, "bn"), (3, "conv2")):
        put(module.head[layer], weight=ref[f"head_{name}_weight"])
    put(module.head[1], bias=ref["head_bn_bias"])
    module.queue = ref["queue"].clone()
    module.next.copy_(ref["queue_ptr"])
    choices = iter([ref["enq_perm"], ref["contrast_index"]])
    module.choose = lambda total, count: next(choices)  # type: ignore[method-assign]
    return module


@both_seeds
def test_cirkds_channel_terms(seed: int) -> None:
    ref = Reference("cirkd_channel", seed)
    maps = ref.input("feat_s")
    module = channel_module(ref)
    terms = module(output(head=maps), output(head=ref["feat_t"]), nothing(2, 4, 4))
    layers = {
        "conv1_weight": module.head[0].weight,
        "bn_weight": module.head[1].weight,
        "bn_bias": module.head[1].bias,
        "conv2_weight": module.head[3].weight,
    }
    for name, term in (("minibatch", "channel_mini_batch"), ("mse", "channel_mse")):
        wanted = {f"{name}_grad_head_{layer}": value for layer, value in layers.items()}
        ref.check_loss(terms[term], name, **{f"{name}_grad": maps}, **wanted)  # type: ignore[arg-type]
    memory = terms["channel_memory"]
    ref.check_loss(memory, "official_memory", official_memory_grad=maps)
    ref.check(module.queue, "queue_after")
    assert module.next == ref["queue_ptr_after"]
    total = torch.stack([module.weights[name] * value for name, value in terms.items()]).sum()
    ref.check_loss(total, "official_weighted", official_weighted_grad=maps)


@both_seeds
def test_cirkds_channel_memory_without_storing(seed: int) -> None:
    ref = Reference("cirkd_channel", seed)
    maps = ref.input("feat_s")
    module = channel_module(ref)
    pooled, target = (nn.functional.avg_pool2d(m, 4) for m in (maps, ref["feat_t"]))
    projected = module.head(pooled)
    ref.check(projected.detach(), "proj_s")
    rows = [nn.functional.normalize(m.flatten(2), dim=2).flatten(0, 1) for m in (projected, target)]
    loss = cirkd_memory(rows[0], rows[1], ref["queue"][ref["contrast_index"]])
    wanted = {
        "core_memory_grad_head_conv1_weight": module.head[0].weight,
        "core_memory_grad_head_bn_weight": module.head[1].weight,
        "core_memory_grad_head_bn_bias": module.head[1].bias,
        "core_memory_grad_head_conv2_weight": module.head[3].weight,
    }
    ref.check_loss(loss, "core_memory", core_memory_grad=maps, **wanted)  # type: ignore[arg-type]


@both_seeds
def test_cirkds_graph(seed: int) -> None:
    ref = Reference("cirkd_channel", seed)
    maps = ref.input("gcn_x")
    module = GraphModule(maps.shape[1]).double()
    for name in ("q", "k", "v"):
        put(module, **{f"{name}__weight": ref[f"gcn_{name}_weight"]})
    for name, key in (("message", "conv1"), ("out", "out")):
        put(module, **{f"{name}__0__weight": ref[f"gcn_{key}_weight"]})
        for kind in ("weight", "bias"):
            put(module, **{f"{name}__1__{kind}": ref[f"gcn_{key}_bn_{kind}"]})
    made = module(maps)
    ref.check(made.detach(), "gcn_out")
    inputs = [maps, module.k.weight, module.q.weight, module.v.weight]
    gradients = torch.autograd.grad(made.square().sum() / 2, inputs)
    for value, name in zip(gradients, ("", "_k_weight", "_q_weight", "_v_weight"), strict=True):
        ref.check(value, f"gcn_grad{name}")


# Pyramids -----------------------------------------------------------------------------------------


def levels(ref: reference.Reference) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Student's and teacher's maps, p2, p3, ..."""
    count = sum(name.startswith("feat_s") and name[6:].isdigit() for name in ref.arrays)
    ours = {f"p{2 + level}": ref.input(f"feat_s{level}") for level in range(count)}
    return ours, {f"p{2 + level}": ref[f"feat_t{level}"] for level in range(count)}


@both_seeds
def test_cwd_on_levels(seed: int) -> None:
    ref = Reference("cwd_fpn", seed)
    ours, theirs = levels(ref)
    for level, name in enumerate(ours):
        loss = 10 * cwd(ours[name], theirs[name], 1.0)
        gradient = torch.autograd.grad(loss, ours[name])[0]
        # A level of one pixel is 0; its reference is 0 too.
        assert (gradient - ref[f"tau1_w10_grad{level}"]).abs().max() < 1e-12
        assert abs(loss.item() - ref[f"tau1_w10_loss{level}"].item()) < 1e-9
    channels = ours["p2"].shape[1]
    module = CWDLevels(channels, channels, features=list(ours))
    total = 10 * module(output(**ours), output(**theirs), None)["cwd_levels"]
    ref.check(total.detach(), "tau1_w10_total_loss")


@both_seeds
@pytest.mark.parametrize("kind", ["warmup", "custom", "unweighted"])
def test_maskd_on_levels(seed: int, kind: str) -> None:
    ref = Reference("maskd_det", seed)
    ours, theirs = levels(ref)
    channels = ours["p2"].shape[1], theirs["p2"].shape[1]
    module = MasKDLevels(
        *channels,
        num_tokens=len(ref["tokens0"]),
        warmup=0 if kind == "custom" else 9,
        weighted=kind != "unweighted",
        features=list(ours),
    ).double()
    wanted = {}
    for level in range(len(ours)):
        put(module, **{f"tokens__{level}": ref[f"tokens{level}"]})
        for part in ("conv1", "conv2"):
            for each in ("weight", "bias"):
                value = ref[f"prob{level}_{part}_{each}"]
                put(module, **{f"weighting__{level}__{part}__{each}": value})
        for each in ("weight", "bias"):
            put(module, **{f"adapters__{level}__{each}": ref[f"align{level}_{each}"]})
            if kind != "unweighted":
                key = f"{kind}_grad_align{level}_{each}"
                wanted[key] = getattr(module.adapters[level], each)
        wanted[f"{kind}_grad{level}"] = ours[f"p{2 + level}"]
        maps = theirs[f"p{2 + level}"]
        ref.check(module.weighting[level](maps).detach(), f"weights{level}")
        made, dice = module.masked(level, maps)
        ref.check(made.detach(), f"stage1_out{level}")
        tokens = module.tokens[level].requires_grad_(True)
        made, dice = module.masked(level, maps)
        ref.check(dice.detach(), f"stage1_dice{level}")
        (gradient,) = torch.autograd.grad(dice, tokens)
        ref.check(gradient, f"stage1_dice_grad_tokens{level}")
    loss = module(output(**ours), output(**theirs), None)["maskd_levels"]
    ref.check_loss(loss, kind, **wanted)


@both_seeds
def test_freekd(seed: int) -> None:
    ref = Reference("freekd", seed)
    ours, theirs = levels(ref)
    tokens = [ref[f"tokens{level}"] for level in range(len(ours))]
    for level, name in enumerate(ours):
        ref.check(freekd(ours[name], theirs[name], tokens[level]).detach(), f"loss{level}")
    channels = ours["p2"].shape[1]
    module = FreeKD(channels, channels, tokens[0].shape[1], features=list(ours)).double()
    for level, value in enumerate(tokens):
        put(module, **{f"tokens__{level}": value})
        eye = torch.eye(channels, dtype=torch.float64)
        put(module, **{f"adapters__{level}__weight": eye})
        put(module, **{f"adapters__{level}__bias": torch.zeros(channels, dtype=torch.float64)})
    terms = module(output(**ours), output(**theirs), None)
    ref.check(terms["freekd"].detach(), "loss")
    gradients = torch.autograd.grad(terms["freekd"], list(ours.values()), retain_graph=True)
    for level, gradient in enumerate(gradients):
        ref.check(gradient, f"grad{level}")
    ref.check(terms["squares"].detach(), "mse_loss")
    total = torch.stack([module.weights[name] * value for name, value in terms.items()]).sum()
    ref.check(total.detach(), "recipe_loss")


@both_seeds
def test_freekds_bands_and_prompts(seed: int) -> None:
    ref = Reference("freekd", seed)
    low, details = haar(ref["feat_t0"], 3)
    ref.check(low, "bands_t0_low")
    for scale, value in enumerate(details, 1):
        ref.check(value, f"bands_t0_scale{scale}")
    masks = receptive_masks(details[0].sum(dim=2), ref["tokens0"][1])
    ref.check(masks, "masks_t0_scale1")
    level = int(ref["prompt_level"])
    tokens = ref.input(f"tokens{level}")
    made, dice = prompted(ref[f"feat_t{level}"], tokens)
    ref.check(made.detach(), "prompt_out")
    ref.check(dice.detach(), "prompt_dice")
    ref.check(torch.autograd.grad(dice, tokens)[0], "prompt_dice_grad_tokens")


def fgd_module(ref: reference.Reference, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> FGD:
    module = FGD(ours["p2"].shape[1], theirs["p2"].shape[1], features=list(ours)).double()
    for level in range(len(ours)):
        for each in ("weight", "bias"):
            if f"align{level}_{each}" in ref.arrays:
                put(module, **{f"adapters__{level}__{each}": ref[f"align{level}_{each}"]})
            for who, part in (("s", "ours"), ("t", "theirs")):
                place = f"{part}__{level}"
                put(module, **{f"{place}__mask__{each}": ref[f"mask_conv_{who}{level}_{each}"]})
                for layer, key in (("conv1", "conv1"), ("norm", "ln"), ("conv2", "conv2")):
                    value = ref[f"context_{who}{level}_{key}_{each}"]
                    put(module, **{f"{place}__{layer}__{each}": value})
    return module


@both_seeds
def test_fgd(seed: int) -> None:
    ref = Reference("fgd", seed)
    ours, theirs = levels(ref)
    boxes = [ref[f"boxes{image}"] for image in range(len(ours["p2"]))]
    sizes = ref["img_shape"].tolist()
    module = fgd_module(ref, ours, theirs)
    weights = {
        "solo": tuple(FGD.weights.values()),
        "default": (1e-3, 5e-4, 1e-3, 5e-6),
        "two_stage": (5e-5, 2.5e-5, 5e-5, 5e-7),
    }
    for level, name in enumerate(ours):
        maps = ours[name]
        masks = box_masks(boxes, sizes, *maps.shape[-2:])
        for mask, key in zip(masks, ("mask_fg", "mask_bg"), strict=True):
            ref.check(mask, f"{key}{level}")
        places, channels = attention(theirs[name])
        ref.check(places, f"spatial_att_t{level}")
        ref.check(channels, f"channel_att_t{level}")
        terms = module.level(level, maps, theirs[name], boxes, sizes)
        for term, key in zip(terms, ("fg", "bg", "att", "rel"), strict=True):
            ref.check(term.detach(), f"{key}_loss{level}")
            (gradient,) = torch.autograd.grad(term, maps, retain_graph=True)
            ref.check(gradient, f"{key}_grad{level}")
        for tag, given in weights.items():
            total = torch.stack([w * term for w, term in zip(given, terms, strict=True)]).sum()
            ref.check(total.detach(), f"{tag}_loss{level}")
            if tag == "solo":
                check_fgds_gradients(ref, module, level, total, maps)


def check_fgds_gradients(
    ref: reference.Reference, module: FGD, level: int, total: Tensor, maps: Tensor
) -> None:
    context, theirs = module.ours[level], module.theirs[level]
    wanted = {
        "": maps,
        f"_mask_conv_s{level}_weight": context.mask.weight,
        f"_mask_conv_t{level}_weight": theirs.mask.weight,
        f"_context_s{level}_conv1_weight": context.conv1.weight,
        f"_context_s{level}_ln_weight": context.norm.weight,
        f"_context_s{level}_conv2_weight": context.conv2.weight,
        f"_context_t{level}_conv2_weight": theirs.conv2.weight,
    }
    if f"align{level}_weight" in ref.arrays:
        wanted[f"_align{level}_weight"] = module.adapters[level].weight
        wanted[f"_align{level}_bias"] = module.adapters[level].bias
    gradients = torch.autograd.grad(total, list(wanted.values()), retain_graph=True)  # type: ignore[arg-type]
    for key, gradient in zip(wanted, gradients, strict=True):
        ref.check(gradient, f"solo_grad{level}" if not key else f"solo_grad{key}")


@both_seeds
def test_fgd_as_a_loss_of_instances(seed: int) -> None:
    ref = Reference("fgd", seed)
    ours, theirs = levels(ref)
    module = fgd_module(ref, ours, theirs)
    module.boxes_over = "image"
    target = [
        SimpleNamespace(
            boxes=ref[f"boxes{image}"],
            crowd=torch.zeros(len(ref[f"boxes{image}"]), dtype=torch.bool),
            masks=torch.zeros(1, *size),
        )
        for image, size in enumerate(ref["img_shape"].tolist())
    ]
    terms = module(output(**ours), output(**theirs), target)
    total = torch.stack([module.weights[name] * value for name, value in terms.items()]).sum()
    ref.check(total.detach(), "solo_sum_loss")


@both_seeds
def test_crosskd(seed: int) -> None:
    ref = Reference("crosskd", seed)
    rows, target = ref.input("cls_s"), ref["cls_t"]
    given = ref["row_weight"], ref["avg_factor"]
    for beta in (1, 2):
        loss = crosskd(rows, target, *given, beta=beta)
        ref.check_loss(loss, f"beta{beta}", **{f"beta{beta}_grad": rows})
    ref.check_loss(crosskd(rows, target), "beta1_plain", beta1_plain_grad=rows)


@both_seeds
def test_crosskd_through_the_teachers_head(seed: int) -> None:
    ref = Reference("crosskd", seed)
    maps = ref.input("feat_s")
    aligned = align_scale(maps, ref["feat_t"])
    ref.check(aligned.detach(), "aligned")

    def head(features: Tensor) -> Tensor:
        bias = ref["tower_bias"] if "tower_bias" in ref.arrays else None
        made = F.conv2d(features.relu(), ref["tower_weight"], bias, padding=1)
        if bias is None:
            norm = ref["tower_gn_weight"], ref["tower_gn_bias"]
            made = F.group_norm(made, int(ref["tower_groups"]), *norm)
        return F.conv2d(made.relu(), ref["classifier_weight"], ref["classifier_bias"], padding=1)

    scores = head(aligned), head(ref["feat_t"])
    ref.check(scores[0].detach(), "cross_scores")
    ref.check(scores[1], "teacher_scores")
    rows = [each.movedim(1, 3).flatten(0, 2) for each in scores]
    loss = crosskd(*rows, ref["label_weights"].flatten(), ref["num_pos"])
    ref.check_loss(loss, "cross", cross_grad=maps)
