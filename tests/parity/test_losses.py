"""Each distillation loss against numbers of the official code: values and gradients, float64.

``data/losses`` holds the inputs and what the code of CIRKD, SKDS, IFVD and MMRazor gave for them
(seed 0: 12x10 features, seed 1: 13x11; the discriminator: 64x64 and 65x80).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bpkd.losses.at import at
from bpkd.losses.cirkd import CIRKDMiniBatch, cirkd_mini_batch
from bpkd.losses.cirkd_memory import CIRKDMemory, cirkd_memory
from bpkd.losses.cwd import CWDFeatures, cwd
from bpkd.losses.discriminator import Discriminator, SpectralConv
from bpkd.losses.dsd import csd, psd
from bpkd.losses.features import nearest_labels
from bpkd.losses.fitnet import FitNet
from bpkd.losses.holistic import Holistic, gradient_penalty, hinge, wgan
from bpkd.losses.ifvd import class_cosines, ifvd
from bpkd.losses.kd import Reduction, kd
from bpkd.losses.skds import PairWise, pair_wise
from bpkd.networks.base import SegOutput
from tests.parity.reference import Reference

both_seeds = pytest.mark.parametrize("seed", [0, 1])


def features(maps: Tensor, classes: int = 5) -> SegOutput:
    """An output with these features and logits of zeros."""
    n, _, h, w = maps.shape
    return SegOutput(maps.new_zeros(n, classes, h, w), {"head": maps})


def nothing(*sizes: int) -> Tensor:
    """Labels for losses that do not look at them."""
    return torch.zeros(sizes, dtype=torch.int64)


@both_seeds
@pytest.mark.parametrize(
    ("name", "temperature", "reduction"),
    [
        ("cirkd_T1", 1.0, "pixels"),
        ("cirkd_T4", 4.0, "pixels"),
        ("ifvd_T1", 1.0, "elements"),
        ("ifvd_T4", 4.0, "elements"),
        ("mmrazor_batchmean_T1", 1.0, "images"),
        ("skds", 1.0, "skds"),
    ],
)
def test_kd(seed: int, name: str, temperature: float, reduction: Reduction) -> None:
    reference = Reference("kd", seed)
    logits = reference.input("logits_s")
    loss = kd(logits, reference["logits_t"], temperature, reduction)
    reference.check_loss(loss, name, **{f"{name}_grad": logits})


@both_seeds
@pytest.mark.parametrize("temperature", [1, 4])
def test_cwd(seed: int, temperature: int) -> None:
    reference = Reference("cwd", seed)
    logits = reference.input("logits_s")
    loss = cwd(logits, reference["logits_t"], temperature)
    for code in (f"mmrazor_tau{temperature}_w1", f"cirkd_tau{temperature}"):
        reference.check_loss(loss, code, **{f"{code}_grad": logits})


@both_seeds
def test_cwd_on_features(seed: int) -> None:
    reference = Reference("cwd", seed)
    maps, weight = reference.input("feat_s"), reference.input("conv_weight")
    module = CWDFeatures(6, 8, ignore_index=None).double()
    module.adapter.weight = nn.Parameter(weight.detach())
    student, teacher = features(maps), features(reference["feat_t"])
    loss = module(student, teacher, nothing(2, 4, 4))["cwd_features"]
    reference.check(loss.detach(), "feat_tau4_fixed_loss")
    name = "cirkd_feat_tau4"  # divides by the student's channels, not by those compared
    inputs = {f"{name}_grad": maps, f"{name}_grad_conv": module.adapter.weight}
    reference.check_loss(loss * 8 / 6, name, **inputs)


@both_seeds
def test_pair_wise(seed: int) -> None:
    reference = Reference("skds_pairwise", seed)
    maps, target = reference.input("feat_s"), reference["feat_t"]
    arguments = features(maps), features(target), nothing(2, 4, 4)

    def loss(**options: object) -> Tensor:
        module = PairWise(ignore_index=None, **options)  # type: ignore[arg-type]
        value: Tensor = module(*arguments)["pair_wise"]
        return value

    reference.check_loss(loss(), "cirkd", cirkd_grad=maps)
    reference.check_loss(loss(variant="skds"), "skds", skds_grad=maps)
    quarter = loss(variant="skds", scale=0.25)
    reference.check_loss(quarter, "skds_scale025", skds_scale025_grad=maps)
    # The authors' windows with the true gradient; their 1e-8 beside the norm is not in it.
    window = (maps.shape[2] // 2, maps.shape[3] // 2)
    (gradient,) = torch.autograd.grad(pair_wise(maps, target, window), maps)
    expected = reference["skds_gradnorm_grad"]
    assert (gradient - expected).abs().max() < 1e-7 * expected.abs().max()
    assert (gradient - reference["skds_grad"]).abs().max() > 1e-3 * expected.abs().max()


@both_seeds
@pytest.mark.parametrize(("name", "labels"), [("", "labels"), ("_odd", "labels_odd")])
def test_ifvd(seed: int, name: str, labels: str) -> None:
    reference = Reference("ifvd", seed)
    maps, target = reference.input("feat_s"), reference["feat_t"]
    small = nearest_labels(reference[labels], maps.shape[-2:])
    assert torch.equal(small, reference[f"labels_small{name}"])
    loss = ifvd(maps, target, small, num_classes=5)
    reference.check_loss(loss, f"official{name}", **{f"official{name}_grad": maps})
    reference.check(class_cosines(maps.detach(), small, 5), f"official{name}_cos_s")
    reference.check(class_cosines(target, small, 5), f"official{name}_cos_t")


@both_seeds
@pytest.mark.parametrize(("name", "temperature"), [("tau01", 0.1), ("tau1", 1.0)])
def test_cirkd_mini_batch(seed: int, name: str, temperature: float) -> None:
    reference = Reference("cirkd_minibatch", seed)
    maps = reference.input("feat_s")
    loss = cirkd_mini_batch(maps, reference["feat_t"], temperature)
    reference.check_loss(loss, name, **{f"{name}_grad": maps})


@both_seeds
def test_cirkd_mini_batch_of_pooled_features(seed: int) -> None:
    reference = Reference("cirkd_minibatch", seed)
    maps = reference.input("feat_s")
    module = CIRKDMiniBatch(pool=2, ignore_index=None)
    loss = module(features(maps), features(reference["feat_t"]), nothing(2, 4, 4))["mini_batch"]
    reference.check_loss(loss, "tau01_pool2", tau01_pool2_grad=maps)


def memory_module(reference: Reference, enqueue: str) -> CIRKDMemory:
    """The head and queues of the reference, and its random choices in their order."""
    module = CIRKDMemory(6, 8, 5, pixel_slots=40, region_slots=12, enqueue=enqueue).double()  # type: ignore[arg-type]
    first, norm, _, second = module.head
    first.weight = nn.Parameter(reference["head_conv1_weight"])
    norm.weight = nn.Parameter(reference["head_bn_weight"])
    norm.bias = nn.Parameter(reference["head_bn_bias"])
    second.weight = nn.Parameter(reference["head_conv2_weight"])
    module.pixel_queue.copy_(reference["pixel_queue"])
    module.region_queue.copy_(reference["region_queue"])
    module.pixel_next.copy_(reference["pixel_ptr"])
    module.region_next.copy_(reference["region_ptr"])
    recorded = [perm[perm >= 0] for perm in reference["enq_perm"]]
    recorded += [reference["pixel_index"], reference["region_index"]]
    choices = iter(recorded)
    module.choose = lambda total, count: next(choices)  # type: ignore[method-assign]
    return module


@both_seeds
@pytest.mark.parametrize("enqueue", ["fixed", "official"])
def test_cirkd_memory(seed: int, enqueue: str) -> None:
    reference = Reference("cirkd_memory", seed)
    module = memory_module(reference, enqueue)
    maps = reference.input("feat_s")
    terms = module(features(maps), features(reference["feat_t"]), reference["labels"])
    name = f"{enqueue}_pixel"
    reference.check_loss(terms["pixel_memory"], name, **{f"{name}_grad": maps})
    region = terms["region_memory"]
    reference.check_loss(region, "official_region", official_region_grad=maps)
    reference.check(module.pixel_queue, f"{enqueue}_pixel_queue_after")
    reference.check(module.region_queue, "region_queue_after")
    assert torch.equal(module.pixel_next, reference[f"{enqueue}_pixel_ptr_after"])
    assert torch.equal(module.region_next, reference["region_ptr_after"])


@both_seeds
@pytest.mark.parametrize("kind", ["pixel", "region"])
def test_cirkd_memory_without_storing(seed: int, kind: str) -> None:
    reference = Reference("cirkd_memory", seed)
    module = memory_module(reference, "fixed")
    maps = reference.input("feat_s")
    projected = module.head(maps)
    reference.check(projected.detach(), "proj_s")
    kept = nearest_labels(reference["labels"], maps.shape[-2:]) != 255
    assert torch.equal(kept, reference["labels_small"] != 255)
    student = nn.functional.normalize(projected, dim=1).movedim(1, -1)[kept]
    teacher = nn.functional.normalize(reference["feat_t"], dim=1).movedim(1, -1)[kept]
    memory = reference[f"{kind}_queue"][:, reference[f"{kind}_index"]].flatten(0, 1)
    loss = cirkd_memory(student, teacher, memory)
    name = f"core_{kind}"
    inputs = {f"{name}_grad": maps, f"{name}_grad_proj": projected}
    reference.check_loss(loss, name, **inputs)


@both_seeds
def test_at(seed: int) -> None:
    reference = Reference("at", seed)
    maps = reference.input("feat_s")
    reference.check_loss(at(maps, reference["feat_t"]), "cirkd", cirkd_grad=maps)


@both_seeds
def test_fitnet(seed: int) -> None:
    reference = Reference("fitnet", seed)
    maps = reference.input("feat_s")
    module = FitNet(6, 8, ignore_index=None).double()
    module.regressor.weight = nn.Parameter(reference["conv_weight"])
    loss = module(features(maps), features(reference["feat_t"]), nothing(2, 4, 4))["fitnet"]
    reference.check_loss(loss, "cirkd", cirkd_grad=maps, cirkd_grad_conv=module.regressor.weight)


@both_seeds
def test_dsd(seed: int) -> None:
    reference = Reference("dsd", seed)
    names = ("aux", "feat", "logits")
    ours = {name: reference.input(f"{name}_s") for name in names}
    loss = psd(list(ours.values()), [reference[f"{name}_t"] for name in names])
    gradients = {f"psd_grad_{name}": value for name, value in ours.items()}
    reference.check_loss(loss, "psd", **gradients)
    loss = csd(ours["logits"], reference["logits_t"])
    reference.check_loss(loss, "csd", csd_grad_logits=ours["logits"])


def discriminator(reference: Reference, start: str = "u") -> Discriminator:
    """The reference's network, the power iterations starting from its vectors ``start``."""
    network = Discriminator(reference["D_bn_weight"].numel(), width=4).double()
    for name, parameter in network.named_parameters():
        layer = "D_" + name.replace("norm.", "bn.").replace(".", "_")
        parameter.data.copy_(reference[layer])
    for name, module in network.named_modules():
        if isinstance(module, SpectralConv):
            module.u.copy_(reference[f"D_{name}_{start}"])
    return network


@both_seeds
def test_discriminator(seed: int) -> None:
    reference = Reference("skds_holistic", seed)
    student, teacher = reference["logits_s"], reference["logits_t"]
    share = reference["alpha"]
    with torch.no_grad():
        reference.check(discriminator(reference)(student), "out_s")
        reference.check(discriminator(reference)(teacher), "out_t")
        between = share * teacher + (1 - share) * student
        reference.check(discriminator(reference)(between), "out_hat")
        reference.check(discriminator(reference, "u0")(student), "onestep_out_s")


@both_seeds
def test_holistic(seed: int) -> None:
    reference = Reference("skds_holistic", seed)
    logits, target = reference.input("logits_s"), reference["logits_t"]
    module = Holistic(logits.shape[1], width=4, ignore_index=None).double()
    module.discriminator = discriminator(reference).requires_grad_(False)
    arguments = SegOutput(logits, {}), SegOutput(target, {}), nothing(2, 4, 4)
    loss = module(*arguments)["holistic"]
    reference.check_loss(loss, "wgan_g", wgan_g_grad=logits)
    assert all(p.grad is None for p in module.discriminator.parameters())

    network = discriminator(reference)
    real, fake = network(target), network(logits.detach())
    reference.check(hinge(fake, real).detach(), "hinge_d_loss")
    loss = wgan(fake, real)
    reference.check_loss(loss, "wgan_d", **wanted(reference, network, "wgan_d_grad_D_"))
    loss = 10 * gradient_penalty(network, logits, target, reference["alpha"])
    reference.check_loss(loss, "gp", **wanted(reference, network, "gp_grad_D_"))


def wanted(reference: Reference, network: Discriminator, prefix: str) -> dict[str, Tensor]:
    """The parameters whose gradients the reference has, under its names."""
    names: dict[str, Tensor] = {
        prefix + name.replace("norm.", "bn.").replace(".", "_"): parameter
        for name, parameter in network.named_parameters()
    }
    found = {name: value for name, value in names.items() if name in reference.arrays}
    assert len(found) == 7
    return found
