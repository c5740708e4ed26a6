"""transformers' networks: their own answers, normalisation, features and configurations."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from bpkd.errors import UserError
from bpkd.networks.base import resize
from bpkd.networks.foreign import ForeignNetwork, from_transformers
from bpkd.networks.foreign.queries import semantic_logits

transformers = pytest.importorskip("transformers")

PATCHES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 64}
STAGES = [f"stage{i}" for i in (1, 2, 3, 4)]
SWIN = {"model_type": "swin", "embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4}
SWIN |= {"window_size": 4, "image_size": 64, "out_features": STAGES}
QUERIES = {"backbone_config": SWIN, "num_queries": 6}
LAYERS = {"encoder_feedforward_dim": 16, "dim_feedforward": 16, "encoder_layers": 1}
LAYERS |= {"decoder_layers": 2, "num_attention_heads": 2, "hidden_dim": 32}
DETR = {"model_type": "detr", "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
DETR |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_queries": 6}
DETR |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16}

MAPS: dict[str, dict[str, Any]] = {
    "segformer": {
        "depths": [1] * 4,
        "hidden_sizes": [8, 8, 16, 24],
        "num_attention_heads": [1, 1, 2, 2],
        "decoder_hidden_size": 12,
    },
    "beit": {
        **PATCHES,
        "num_hidden_layers": 4,
        "patch_size": 16,
        "out_indices": [1, 2, 3, 4],
        "use_absolute_position_embeddings": True,
        "use_relative_position_bias": True,
    },
    "dpt": {
        **PATCHES,
        "num_hidden_layers": 4,
        "patch_size": 16,
        "backbone_out_indices": [0, 1, 2, 3],
        "neck_hidden_sizes": [8] * 4,
        "fusion_hidden_size": 8,
    },
    "mobilevit": {
        "hidden_sizes": [12, 16, 20],
        "neck_hidden_sizes": [4, 8, 8, 12, 12, 16, 16],
        "num_attention_heads": 2,
        "image_size": 64,
        "aspp_out_channels": 8,
    },
    "upernet": {
        "backbone_config": {
            "model_type": "convnext",
            "depths": [1] * 4,
            "hidden_sizes": [4, 8, 8, 12],
            "out_features": STAGES,
        },
        "hidden_size": 8,
        "pool_scales": [1, 2],
        "auxiliary_channels": 8,
        "auxiliary_in_channels": 8,
    },
}
MASKS: dict[str, dict[str, Any]] = {
    "mask2former": {**QUERIES, **LAYERS, "feature_size": 32, "mask_feature_size": 32},
    "maskformer": {
        "backbone_config": SWIN,
        "decoder_config": DETR,
        "fpn_feature_size": 32,
        "mask_feature_size": 32,
    },
    "oneformer": {
        **QUERIES,
        **LAYERS,
        "mask_dim": 32,
        "conv_dim": 32,
        "text_encoder_width": 32,
        "text_encoder_num_layers": 1,
        "query_dec_layers": 1,
    },
}
#: Channels and stride of the features, stride of the logits.
SHAPES = {
    "segformer": ((24, 32), (12, 4), 4),
    "beit": ((16, 16), (16, 4), 4),
    "dpt": ((16, 16), (8, 2), 1),
    "mobilevit": ((16, 32), (8, 32), 32),
    "upernet": ((12, 32), (8, 4), 4),
    "mask2former": ((64, 32), (32, 4), 4),
    "maskformer": ((64, 32), (32, 4), 4),
    "oneformer": ((64, 32), (32, 4), 4),
}


def tiny(kind: str, num_classes: int | None = 5, **options: Any) -> ForeignNetwork:
    torch.manual_seed(0)
    config = {"model_type": kind, **(MAPS | MASKS)[kind], **options.pop("config", {})}
    return from_transformers(num_classes, config=config, **options)


@torch.no_grad()
def answer(network: nn.Module, images: torch.Tensor) -> Any:
    return network.eval()(images)


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_of_logits_and_features(kind: str) -> None:
    backbone, head, stride = SHAPES[kind]
    output = answer(tiny(kind), torch.rand(2, 3, 96, 64))
    assert output.logits.shape == (2, 5, 96 // stride, 64 // stride)
    for name, (channels, step) in (("backbone", backbone), ("head", head)):
        assert output.features[name].shape == (2, channels, 96 // step, 64 // step), name
    assert output.auxiliary is None


@pytest.mark.parametrize("kind", [k for k in MAPS if k != "dpt"])
def test_logits_are_the_librarys_own(kind: str) -> None:
    network, images = tiny(kind), torch.rand(2, 3, 64, 64)
    own = answer(network.network, network.normalisation(images)).logits
    assert torch.equal(resize(answer(network, images).logits, own.shape[-2:]), own)


def test_dpt_answers_as_the_library_does_on_squares_and_on_others_as_well() -> None:
    network, images = tiny("dpt"), torch.rand(1, 3, 64, 64)
    own = answer(network.network, network.normalisation(images)).logits
    assert torch.equal(answer(network, images).logits, own)
    assert answer(network, torch.rand(1, 3, 96, 128)).logits.shape[-2:] == (96, 128)


@pytest.mark.parametrize("kind", ["beit", "dpt"])
def test_sides_that_are_no_multiple_of_the_patch(kind: str) -> None:
    stride = SHAPES[kind][2]
    output = answer(tiny(kind), torch.rand(1, 3, 72, 58))
    assert output.logits.shape[-2:] == (-(-72 // stride), -(-58 // stride))
    assert output.features["backbone"].shape[-2:] == (5, 4)
    assert answer(tiny(kind), torch.rand(1, 3, 80, 112)).features["backbone"].shape[-2:] == (5, 7)


@pytest.mark.parametrize("kind", ["beit", "dpt", "upernet"])
def test_auxiliary_head_speaks_in_training_and_where_it_is_asked(kind: str) -> None:
    network, images = tiny(kind), torch.rand(2, 3, 64, 64)
    output = network.train()(images)
    assert output.auxiliary is not None and output.auxiliary.shape[:2] == (2, 5)
    output.auxiliary.sum().backward()
    prefix = network.auxiliary_prefix
    heads = [p for name, p in network.named_parameters() if name.startswith(prefix)]
    assert heads and all(p.grad is not None for p in heads)
    assert answer(network, images).auxiliary is None
    network.auxiliary_in_eval = True
    assert answer(network, images).auxiliary is not None


def test_head_is_what_the_classifier_reads_before_its_dropout() -> None:
    network, images = (
        tiny("segformer", config={"classifier_dropout_prob": 0.9}),
        torch.rand(2, 3, 64, 64),
    )
    assert network.features["head"] == "decode_head.dropout:input"
    feature = network.train()(images).features["head"]
    assert (feature == 0).float().mean() < 0.8  # ReLU's zeros, not the dropout's
    output = answer(network, images)
    assert torch.equal(
        network.network.decode_head.classifier(output.features["head"]), output.logits
    )


def test_features_by_name() -> None:
    places = {"head": "decode_head.linear_fuse", "early": "segformer.stages.0"}
    with pytest.raises(UserError, match=r"features.early: Segformer\w+ has no module 'segformer"):
        tiny("segformer", features={"early": "segformer.stagez.0"})
    network = tiny("segformer", features={"head": places["head"]})
    output = answer(network, torch.rand(1, 3, 64, 64))
    assert output.features["head"].min() < 0  # before the ReLU
    assert set(output.features) == {"backbone", "head"}


@pytest.mark.parametrize("kind", MASKS)
def test_semantic_maps_are_the_librarys(kind: str) -> None:
    network, images = tiny(kind), torch.rand(2, 3, 64, 64)
    logits = answer(network, images).logits
    arguments = {"task_inputs": torch.zeros(2, 77)} if kind == "oneformer" else {}
    with torch.no_grad():
        raw = network.network(network.normalisation(images), **arguments)
    assert torch.allclose(
        logits.exp(), semantic_logits(raw.class_queries_logits, raw.masks_queries_logits).exp()
    )
    assert logits.isfinite().all() and logits.dtype == torch.float32
    (network.train()(images).logits.softmax(dim=1)[:, 0].sum()).backward()


@pytest.mark.parametrize("kind", MASKS)
def test_semantic_scores_against_post_processing(kind: str) -> None:
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    names = IMAGE_PROCESSOR_MAPPING_NAMES[kind]
    name = names["torchvision"] if isinstance(names, dict) else names[-1]
    arguments = {"repo_path": None, "class_info_file": None} if kind == "oneformer" else {}
    try:
        processor = getattr(transformers, name)(**arguments)
    except (TypeError, ValueError, OSError):
        processor = getattr(transformers, name).__new__(getattr(transformers, name))
    # Mask2Former's post-processing resizes masks to 384 x 384 first: here they are of that size.
    classes, masks = torch.randn(2, 6, 6) * 3, torch.randn(2, 6, 384, 384) * 3
    output = type("Output", (), {})()
    output.class_queries_logits, output.masks_queries_logits = classes, masks
    expected = torch.stack(processor.post_process_semantic_segmentation(output))
    assert torch.equal(semantic_logits(classes, masks).argmax(dim=1), expected)


def test_normalisation_is_the_image_processors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    for name, kind in (
        ("SegformerImageProcessor", "segformer"),
        ("MobileViTImageProcessor", "mobilevit"),
        ("BeitImageProcessor", "beit"),
    ):
        folder = tmp_path / kind
        tiny(kind).network.save_pretrained(folder)
        processor = getattr(transformers, name)(do_resize=False, do_center_crop=False)
        processor.save_pretrained(folder)
        network = from_transformers(model=str(folder))
        expected = processor(images=list(images), return_tensors="pt")["pixel_values"]
        found = network.normalisation(images / 255)
        assert torch.allclose(found, expected, atol=2e-6), kind
        own = answer(network.network, expected).logits
        assert torch.allclose(answer(network, images / 255).logits, own, atol=1e-5), kind
    assert from_transformers(model=str(tmp_path / "mobilevit")).normalisation.rgb is False
    changed = from_transformers(model=str(tmp_path / "beit"), mean=(1, 2, 3), rgb=False, scale=255)
    assert changed.normalisation.settings() == {
        "mean": [1, 2, 3],
        "std": [0.5] * 3,
        "scale": 255,
        "rgb": False,
    }


def saved(folder: Path, names: list[str]) -> Path:
    config = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    tiny("segformer", None, config=config).network.save_pretrained(folder)
    return folder


def test_a_folder_keeps_its_classes_and_weights_or_starts_a_new_classifier(tmp_path: Path) -> None:
    folder = saved(tmp_path / "own", ["road", "car", "sky"])
    network = from_transformers(model=str(folder))
    assert (network.num_classes, network.classes) == (3, ["road", "car", "sky"])
    assert network.untrained == []
    assert from_transformers(3, str(folder)).untrained == []
    other = from_transformers(7, str(folder))
    assert (other.num_classes, other.classes) == (7, None)
    assert other.untrained == [f"decode_head.classifier.{name}" for name in ("bias", "weight")]
    keys = other.network.state_dict().keys()
    shared = [k for k in keys if "classifier" not in k]
    assert len(shared) > 20
    for k in shared:
        assert torch.equal(other.network.state_dict()[k], network.network.state_dict()[k]), k


def test_a_backbone_alone_has_an_untrained_classifier(tmp_path: Path) -> None:
    tiny("segformer").network.segformer.save_pretrained(tmp_path)
    network = from_transformers(5, str(tmp_path))
    assert "decode_head.classifier.weight" in network.untrained


@pytest.mark.parametrize("kind", MAPS | MASKS)
def test_rebuilt_from_its_description_alone(kind: str) -> None:
    network = tiny(kind)
    entry = yaml.safe_load(yaml.safe_dump(network.rebuild))
    assert json.dumps(entry)
    assert entry.pop("use") == "bpkd.networks.foreign.from_transformers"
    again = from_transformers(5, **entry)
    again.load_state_dict(network.state_dict())
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(answer(network, images).logits, answer(again, images).logits)


def test_copies_are_independent_and_no_hook_stays() -> None:
    network, images = tiny("segformer").train(), torch.rand(2, 3, 64, 64)

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())

    network(images)  # transformers hangs in hooks of its own, once
    before = hooks()
    network(images).logits.sum().backward()
    assert hooks() == before
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    feature = answer(twin, images).features["head"]
    assert feature.abs().max() > 0
    assert torch.equal(twin.network.decode_head.classifier(feature), answer(twin, images).logits)


def test_exports_without_its_code() -> None:
    network = tiny("segformer").eval()
    program = torch.export.export(network, (torch.rand(1, 3, 64, 64),), strict=False).module()
    images = torch.rand(1, 3, 64, 64)
    assert torch.allclose(program(images).logits, answer(network, images).logits, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected model, or config with a model_type"),
        ({"config": {"model_type": "segfomer"}}, "of type 'segfomer'; did you mean 'segformer'"),
        ({"config": {"model_type": "bert"}}, "no semantic segmentation network of type 'bert'"),
        ({"model": "nobody/has-this"}, "nobody/has-this: transformers cannot load it"),
    ],
)
def test_one_line_for_what_cannot_be_loaded(
    arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=message) as raised:
        from_transformers(5, **arguments)
    assert "\n" not in str(raised.value)
