"""Loads the repository root as the package `anyone` by file path, the way ComfyUI loads a pack.

Tests then write `from anyone.core.pose import Pose`. Also here: tiny random models of the transformers
package, saved the way the hub keeps them.
"""
from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
SIZE = {"height": 64, "width": 64}                        # of what the tiny models see


def load_pack(name: str = "anyone"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if "anyone" not in sys.modules:
    load_pack()


def vitpose(t, **options):
    backbone = t.VitPoseBackboneConfig(
        image_size=[256, 192], patch_size=[16, 16], hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, mlp_ratio=2, out_indices=[2], **options)
    return t.VitPoseForPoseEstimation(t.VitPoseConfig(num_labels=17, use_simple_decoder=not options,
                                                      backbone_config=backbone))


def vitpose_plus(t):
    return vitpose(t, num_experts=6, part_features=8)


def rt_detr(t):
    backbone = t.RTDetrResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
                                    layer_type="basic", out_features=["stage2", "stage3", "stage4"])
    return t.RTDetrForObjectDetection(t.RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=[8, 16, 16], encoder_hidden_dim=16, encoder_ffn_dim=16,
        encoder_attention_heads=2, encoder_layers=1, d_model=16, num_queries=20,
        decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, decoder_layers=2, decoder_attention_heads=2,
        num_denoising=0, id2label={0: "person", 1: "bicycle"}))


def rf_detr(t, kind="ObjectDetection"):
    backbone = t.RfDetrDinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=64, patch_size=16,
        num_windows=2, out_features=["stage1", "stage2"])
    return getattr(t, f"RfDetrFor{kind}")(t.RfDetrConfig(
        backbone_config=backbone, d_model=32, decoder_layers=2, decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2, decoder_ffn_dim=32, decoder_n_points=2, num_queries=12, group_detr=1,
        id2label={0: "background", 1: "person", 2: "bicycle"}))


def rf_detr_seg(t):
    return rf_detr(t, "InstanceSegmentation")


def sam(t):
    hiera = t.Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[4, 2, 4, 2], global_attention_blocks=[3], image_size=[64, 64],
        window_positional_embedding_background_size=[4, 4])
    vision = t.Sam2VisionConfig(backbone_config=hiera, backbone_channel_list=[64, 32, 16, 8],
                                backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]], fpn_hidden_size=32)
    return t.Sam2Model(t.Sam2Config(
        vision_config=vision,
        prompt_encoder_config=t.Sam2PromptEncoderConfig(hidden_size=32, image_size=64, patch_size=16,
                                                        mask_input_channels=16),
        mask_decoder_config=t.Sam2MaskDecoderConfig(hidden_size=32, mlp_dim=32, num_hidden_layers=2,
                                                    num_attention_heads=2, iou_head_hidden_dim=16)))


def segformer(t, names):
    return t.SegformerForSemanticSegmentation(t.SegformerConfig(
        id2label=dict(enumerate(names)), hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16))


def faces(t):
    from anyone.core.regions import FACE_REGIONS

    return segformer(t, [f"{name}.png" for name in reversed(FACE_REGIONS)])


def clothes(t):
    from anyone.core.regions import ATR_LABELS

    return segformer(t, [name.capitalize() for name in ATR_LABELS])


MODELS = {make.__name__: make for make in (
    vitpose, vitpose_plus, rt_detr, rf_detr, rf_detr_seg, sam, faces, clothes)}


@pytest.fixture(scope="session")
def transformers():
    found = pytest.importorskip("transformers", reason="the transformers package is not installed")
    try:
        found.VitPoseForPoseEstimation  # noqa: B018 (loads it)
    except Exception as error:
        pytest.skip(f"transformers cannot load its models here: {error}")
    return found


@pytest.fixture(scope="session")
def model_file(transformers, tmp_path_factory):
    """model_file(name): `model.safetensors` of one of MODELS, in a folder as the hub keeps it."""
    root = tmp_path_factory.mktemp("models") / "models" / "anyone" / "detection"

    def make(name):
        folder = root / name
        if not folder.exists():
            with torch.random.fork_rng():
                torch.manual_seed(0)
                try:
                    MODELS[name](transformers).eval().save_pretrained(folder)
                except AttributeError as error:
                    pytest.skip(f"transformers {transformers.__version__} is too old: {error}")
            if name != "rt_detr":
                (folder / "preprocessor_config.json").write_text(json.dumps({"size": SIZE}))
        return folder / "model.safetensors"

    return make


@pytest.fixture
def model(model_file):
    """model(name): one of MODELS, loaded as users load it."""
    from anyone.core.checkpoints import load

    return lambda name: load(model_file(name), name)


@pytest.fixture
def impatient(tmp_path):
    """impatient(n): the runtime of somebody who stops at the n-th occasion."""
    from anyone.core.runtime import Interrupted, Runtime

    class Impatient(Runtime):
        def __init__(self, moment):
            super().__init__("cpu", tmp_path)
            self.left = moment

        def check_interrupt(self):
            self.left -= 1
            if not self.left:
                raise Interrupted

    return Impatient


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test that opens a connection or looks up a name."""
    def refuse(*args, **kwargs):
        raise AssertionError("somebody reached for the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
