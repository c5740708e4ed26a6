"""Networks of smp, torchvision, files and one's own modules as SegOutput."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput, resize
from bpkd.networks.foreign import (
    ForeignNetwork,
    from_file,
    from_module,
    from_smp,
    from_torchvision,
    from_transformers,
)
from bpkd.networks.foreign.wrapper import read
from bpkd.networks.weights import load_weights

smp = pytest.importorskip("segmentation_models_pytorch")

ENCODER = "tu-test_resnet"


def fpn(**options: Any) -> ForeignNetwork:
    torch.manual_seed(0)
    small = {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32}
    return from_smp(5, "FPN", ENCODER, **{**small, **options})


@torch.no_grad()
def answer(network: nn.Module, images: Tensor) -> SegOutput:
    output: SegOutput = network.eval()(images)
    return output


# segmentation-models-pytorch ---------------------------------------------------------------------


def test_smp_equals_its_own_preprocessing_and_forward() -> None:
    network, images = fpn(), torch.rand(2, 3, 64, 96)
    preprocess = smp.encoders.get_preprocessing_fn(ENCODER, "imagenet")
    pixels = torch.from_numpy(preprocess(images.permute(0, 2, 3, 1).double().numpy())).float()
    with torch.no_grad():
        own = network.network.eval()(pixels.permute(0, 3, 1, 2).contiguous())
    assert torch.allclose(answer(network, images).logits, own, atol=1e-5)
    assert network.normalisation.settings()["mean"] == [0.5, 0.5, 0.5]  # this encoder's own


def test_smp_features() -> None:
    output = answer(fpn(), torch.rand(1, 3, 64, 96))
    assert output.features["backbone"].shape == (1, 96, 2, 3)
    assert output.features["head"].shape == (1, 32, 16, 24)
    assert output.auxiliary is None
    network = fpn(features={"head": "decoder"})
    assert answer(network, torch.rand(1, 3, 64, 96)).features["head"].shape == (1, 32, 16, 24)


@pytest.mark.parametrize("size", [(50, 70), (64, 33)])
def test_smp_takes_any_size(size: tuple[int, int]) -> None:
    network, images = fpn(), torch.rand(1, 3, *size)
    output = answer(network, images)
    assert output.logits.shape[-2:] == size
    sides = [-(-side // 32) * 32 for side in size]
    pixels = torch.zeros(1, 3, *sides)
    pixels[..., : size[0], : size[1]] = network.normalisation(images)
    with torch.no_grad():
        padded = network.network(pixels)
    assert torch.equal(output.logits, padded[..., : size[0], : size[1]])


def test_smp_saved_with_other_classes_starts_a_new_classifier(tmp_path: Path) -> None:
    network = fpn()
    network.network.save_pretrained(tmp_path)
    same, other = from_smp(model=str(tmp_path)), from_smp(3, model=str(tmp_path))
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(answer(same, images).logits, answer(network, images).logits)
    assert (same.num_classes, same.untrained) == (5, [])
    assert answer(other, images).logits.shape[1] == 3
    assert other.untrained == ["segmentation_head.0.weight", "segmentation_head.0.bias"]
    found, expected = (answer(n, images).features["head"] for n in (other, network))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("how", ["built", "saved"])
def test_smp_rebuilt_from_its_description_alone(how: str, tmp_path: Path) -> None:
    network = fpn()
    if how == "saved":
        network.network.save_pretrained(tmp_path)
        network = from_smp(model=str(tmp_path))
    entry = dict(network.rebuild or {})
    assert entry.pop("use") == "bpkd.networks.foreign.from_smp"
    assert "model" not in entry and "encoder_weights" not in entry
    again = from_smp(5, **entry)
    again.load_state_dict(network.state_dict())
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(answer(again, images).logits, answer(network, images).logits)


def test_bgr_and_scale_as_smp_means_them() -> None:
    pixels = np.random.default_rng(0).random((4, 4, 3))
    settings = {"mean": (103.0, 116.0, 123.0), "std": (2.0, 3.0, 4.0)}
    expected = smp.encoders._preprocessing.preprocess_input(
        pixels * 255, **settings, input_space="BGR", input_range=[0, 255]
    )
    network = fpn(**settings, scale=255, rgb=False)
    found = network.normalisation(torch.tensor(pixels).float().permute(2, 0, 1)[None])
    assert np.allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-4)


# torchvision -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_torchvision_logits_before_upsampling(model: str) -> None:
    torch.manual_seed(0)
    network, images = from_torchvision(5, model), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        own = network.network.eval()(network.normalisation(images))["out"]
    output = answer(network, images)
    assert output.logits.shape[-1] < 96 // 4
    assert torch.equal(resize(output.logits, (64, 96)), own)
    assert output.features["backbone"].shape[1] == 960


def test_torchvision_auxiliary_head() -> None:
    network = from_torchvision(5, "deeplabv3_mobilenet_v3_large", aux_loss=True)
    images = torch.rand(2, 3, 64, 64)
    output = network.train()(images)
    assert output.auxiliary is not None and output.auxiliary.shape == (2, 5, 8, 8)
    assert output.features["head"].shape[1] == 256
    assert answer(network, images).auxiliary is None
    assert network.auxiliary_prefix == "network.aux_classifier."
    assert network.backbone is network.network.backbone


def test_torchvision_weights_of_other_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "lraspp_mobilenet_v3_large"
    trained = from_torchvision(21, name).network.state_dict()
    monkeypatch.setattr(
        "torchvision.models._api.WeightsEnum.get_state_dict", lambda *a, **k: dict(trained)
    )
    network = from_torchvision(weights="DEFAULT", model=name)
    assert network.num_classes == 21 and network.untrained == []
    assert network.classes is not None and network.classes[15] == "person"
    other = from_torchvision(5, name, weights="DEFAULT")
    assert {key.split(".")[1] for key in other.untrained} == {"low_classifier", "high_classifier"}
    with pytest.raises(UserError, match="weights: lraspp_mobilenet_v3_large has no 'IMAGENET'"):
        from_torchvision(5, name, weights="IMAGENET")


# One's own module --------------------------------------------------------------------------------


class Net(nn.Module):
    """A plain network; ``style`` says how it gives its logits."""

    def __init__(self, num_classes: int = 5, style: str = "tensor") -> None:
        super().__init__()
        self.trunk = nn.Conv2d(3, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.classifier = nn.Conv2d(4, num_classes, 1)
        self.second = nn.Conv2d(4, num_classes, 1)
        self.style = style

    def forward(self, x: Tensor) -> Any:
        maps = self.norm(self.trunk(x)).relu()
        first, second = self.classifier(maps), self.second(maps)
        styles: dict[str, Any] = {
            "tensor": first,
            "dict": {"out": first, "aux": second},
            "logits": {"logits": first},
            "tuple": (first, second),
            "object": SegOutput(first, {}, second),
            "scores": (first, second.mean((2, 3))),
        }
        return styles[self.style]


@pytest.mark.parametrize("style", ["tensor", "dict", "logits", "tuple", "object", "scores"])
def test_whatever_a_module_gives(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setitem(
        sys.modules, "own_package", importlib.import_module("types").ModuleType("own_package")
    )
    sys.modules["own_package"].Net = Net  # type: ignore[attr-defined]
    network = from_module(
        5, "own_package.Net", {"style": style}, features={"head": "classifier:input"}
    )
    images = torch.rand(2, 3, 8, 8)
    expected = network.network.classifier(answer(network, images).features["head"])
    assert torch.equal(answer(network, images).logits, expected)
    auxiliary = network.train()(images).auxiliary
    assert (auxiliary is not None) == (style in ("dict", "tuple", "object"))
    by_name = ForeignNetwork(network.network, network.normalisation, 5, "Net", auxiliary="second")
    assert by_name.train()(images).auxiliary is not None
    assert by_name.features == {"head": "classifier:input"}  # not what the auxiliary head reads


@pytest.mark.parametrize("output", [None, {"masks": torch.zeros(1)}, torch.zeros(2, 5), (1, 2)])
def test_what_holds_no_logits_is_refused(output: Any) -> None:
    with pytest.raises(UserError, match=r"^Net: expected logits \(N, C, h, w\)"):
        read(output, "Net")


def test_another_number_of_classes_is_refused() -> None:
    network = from_module(
        7, "torch.nn.Conv2d", {"in_channels": 3, "out_channels": 5, "kernel_size": 1}
    )
    with pytest.raises(UserError, match=r"torch\.nn\.Conv2d gives 5 classes, expected 7"):
        network(torch.zeros(1, 3, 4, 4))


def test_copies_pickles_and_graphs() -> None:
    network, images = fpn().train(), torch.rand(2, 3, 64, 64)
    output = network(images)
    output.features["head"].sum().backward()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    held = [v for m in network.modules() for v in vars(m).values() if isinstance(v, Tensor)]
    assert not any(value.grad_fn is not None for value in held)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        expected = answer(network, images)
        assert torch.equal(answer(twin, images).features["head"], expected.features["head"])
        assert twin.state_dict().keys() == network.state_dict().keys()
    assert not any("normalisation" in key for key in network.state_dict())


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("decoderr", "features.head: FPN has no module 'decoderr'; did you mean 'decoder'"),
        ("decoder:output", "expected MODULE or MODULE:input, got 'decoder:output'"),
    ],
)
def test_places_that_are_none(place: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fpn(features={"head": place})


# Files -------------------------------------------------------------------------------------------


def exported(folder: Path, kind: str, module: nn.Module, dynamic: bool = True) -> Path:
    images = torch.rand(2, 3, 16, 16)
    if kind == "pt2":
        auto = torch.export.Dim.AUTO
        shapes = ({0: auto, 2: auto, 3: auto},) if dynamic else None
        torch.export.save(
            torch.export.export(module, (images,), dynamic_shapes=shapes), folder / "a.pt2"
        )
        return folder / "a.pt2"
    program = torch.jit.trace(module, images, strict=False)
    if kind == "frozen":
        program = torch.jit.freeze(program)
    program.save(folder / "a.pt")
    return folder / "a.pt"


@pytest.mark.parametrize("kind", ["pt", "frozen", "pt2"])
def test_programs_as_teachers(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Net(style="dict").eval()
    network = from_file(5, str(exported(tmp_path, kind, module)))
    # What the distiller does to a teacher.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train().eval().requires_grad_(False)
    images = torch.rand(3, 3, 24, 40)
    with torch.no_grad():
        expected = module(network.normalisation(images))["out"]
    output = answer(network, images)
    assert torch.allclose(output.logits, expected, atol=1e-6)
    assert output.features == {} and network.teacher_only


def test_files_that_are_no_programs(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt2").write_text("no")
    for name, message in (
        ("weights.pt", "holds no program: .* weights alone go under checkpoint"),
        ("text.pt2", "holds no program"),
        ("none.pt", "no such file"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            from_file(5, str(tmp_path / name))
        assert "\n" not in str(raised.value)
    fixed = from_file(5, str(exported(tmp_path, "pt2", Net().eval(), dynamic=False)))
    with pytest.raises(UserError, match=r"does not take images of shape \(1, 3, 8, 8\)") as raised:
        fixed(torch.rand(1, 3, 8, 8))
    assert "\n" not in str(raised.value)


# Checkpoints, and what is missing ---------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "model.", "network."])
def test_checkpoints_of_the_library_and_of_ours(prefix: str, tmp_path: Path) -> None:
    network = fpn()
    tensors = {f"{prefix}{key}": value for key, value in network.network.state_dict().items()}
    if prefix == "model.":
        tensors["loss.weight"] = torch.ones(5)  # as Lightning saves a module of several parts
    torch.save({"state_dict": tensors}, tmp_path / "a.pth")
    other = fpn()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_weights(other, tmp_path / "a.pth")
    for key, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
    with pytest.raises(UserError, match="a checkpoint of another network"):
        load_weights(fpn(decoder_segmentation_channels=64), tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("module", "build", "message"),
    [
        (
            "segmentation_models_pytorch",
            lambda: from_smp(5, "FPN"),
            "bpkd.networks.foreign.from_smp needs segmentation-models-pytorch: "
            "pip install 'bpkd[smp]'",
        ),
        (
            "transformers",
            lambda: from_transformers(5, "a/b"),
            "bpkd.networks.foreign.from_transformers needs transformers: "
            "pip install 'bpkd[transformers]'",
        ),
    ],
)
def test_a_missing_extra_says_what_to_install(
    module: str, build: Callable[[], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as raised:
        build()
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: from_smp(5, "Unett"), "smp knows no arch 'Unett'; did you mean 'Unet'?"),
        (lambda: from_smp(5, "Unet", "resnet0"), "encoder_name: smp has no encoder 'resnet0'"),
        (
            lambda: fpn(decoder_channel=3),
            "smp's FPN on tu-test_resnet cannot be built: .*decoder_channel",
        ),
        (lambda: from_smp(5, "Unet", model="a"), "expected arch or model, got both"),
        (lambda: from_smp(5, "FPN", encoder_weights="imagenet"), "smp's FPN on resnet34 cannot"),
        (lambda: from_smp(5, model="nobody/has-this"), "nobody/has-this: smp cannot load it"),
        (lambda: from_torchvision(5, "fcn"), "torchvision knows no network 'fcn'"),
        (lambda: from_module(5, "torch.nn.Conv2d"), "torch.nn.Conv2d cannot be built: .*see args"),
        (
            lambda: from_module(5, "builtins.dict"),
            "builtins.dict is another class, expected a torch.nn.Module",
        ),
    ],
)
def test_one_line_for_what_cannot_be_built(
    build: Callable[[], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=message) as raised:
        build()
    assert "\n" not in str(raised.value)
