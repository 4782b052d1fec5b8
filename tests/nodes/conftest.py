"""Runs nodes as a host would, on the stand-in, and checks what every node must keep to."""
from __future__ import annotations

import json

import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.detect import Detection
from anyone.core.graph.standin import running_on
from anyone.core.people import mask_from_pose, read_segs
from anyone.core.pose import Pose, PoseFrame, write_poses
from anyone.core.runtime import Runtime
from anyone.core.stylegan import network as stylegan
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.weights import SYSTEM as STYLEGAN
from anyone.core.triagan.network import Config, Generator
from anyone.core.triagan.weights import SYSTEM
from anyone.nodes import subjects
from torch import Tensor


@pytest.fixture(autouse=True)
def runtime(tmp_path):
    """The runtime nodes see; its folders are below `tmp_path`."""
    runtime = Runtime("cpu", tmp_path)
    with running_on(runtime):
        yield runtime


def check_output(kind: str, value) -> None:
    if kind in ("IMAGE", "MASK"):
        assert value.ndim == (4 if kind == "IMAGE" else 3) and value.dtype == torch.float32
        assert kind == "MASK" or value.shape[-1] == 3
        assert value.min() >= 0 and value.max() <= 1
    elif kind == "POSE_KEYPOINT":
        json.dumps(value)
        assert all({"canvas_width", "canvas_height", "people"} <= set(frame) for frame in value)
    elif kind == "BOUNDING_BOX":
        json.dumps(value)
        assert all(box.keys() == {"x", "y", "width", "height", "score"} for frame in value for box in frame)
    elif kind == "SEGS":
        assert len(read_segs(value)) == len(value[1])
    elif kind == "STRING":
        assert isinstance(value, str)
    else:
        assert len(repr(value)) < 100, "errors send this to the client"


@pytest.fixture
def run():
    """`run(Node, **inputs)` -> its outputs; inputs must stay as they are, outputs must be of their types."""
    def call(node, **inputs):
        before = {name: value.clone() for name, value in inputs.items() if isinstance(value, Tensor)}
        with torch.inference_mode():
            output = node.execute(**inputs)
        for name, value in before.items():
            assert torch.equal(value.nan_to_num(), inputs[name].nan_to_num()), f"{name} was changed"
        for declared, value in zip(node.GET_SCHEMA().outputs, output.args, strict=True):
            check_output(declared.io_type, value)
        return output

    return call


STANDING = ((.5, .12), (.5, .25), (.36, .26), (.32, .42), (.3, .55), (.64, .26), (.68, .42), (.7, .55),
            (.42, .55), (.42, .75), (.42, .93), (.58, .55), (.58, .75), (.58, .93),
            (.46, .1), (.54, .1), (.42, .11), (.58, .11))


def standing(width: int, height: int, x0: float = 0.0, x1: float = 1.0) -> Pose:
    """Somebody facing us, between two shares of the canvas' width."""
    points = torch.tensor(STANDING)
    points[:, 0] = x0 + (x1 - x0) * points[:, 0]
    return Pose(points * torch.tensor([width, height]), torch.ones(18), width, height)


@pytest.fixture
def two() -> tuple[PoseFrame, Tensor]:
    """Two people side by side on 120x80, and their masks."""
    frame = PoseFrame(120, 80, (standing(120, 80, 0, .5), standing(120, 80, .5, 1)))
    return frame, torch.stack([mask_from_pose(person, 80, 120) for person in frame.people])


@pytest.fixture
def pose(two):
    """POSE_KEYPOINT of the two."""
    return write_poses([two[0]])


@pytest.fixture
def image():
    """IMAGE [1,80,120,3] of fixed noise."""
    return torch.rand(1, 80, 120, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def tiny_state() -> dict[str, Tensor]:
    """Random weights of a TriA-GAN of 72x40."""
    random = torch.Generator().manual_seed(0)
    generator = Generator(Config(dims=(4, 8, 8), height=72, width=40, blocks=1, middle_blocks=1, z=8, w=8))
    return {name: value.clone() if "resample" in name else torch.randn(value.shape, generator=random)
            for name, value in generator.state_dict().items()}


@pytest.fixture(scope="session")
def inpainter(tiny_state) -> LoadedNet:
    return LoadedNet(SYSTEM.build(tiny_state, {}), SYSTEM, "tiny")


@pytest.fixture(scope="session")
def make_generator():
    """make_generator(seed, name, **config): a StyleGAN2 of random weights, 32 high and 16 wide, with a mean
    latent and noise of its own."""
    def make(seed: int = 1, name: str = "tiny", **changes) -> LoadedNet:
        config = {"channels": (12, 10, 8, 6), "start": (4, 2), "z": 7, "mapping": (9, 11)} | changes
        plain = stylegan.Generator(stylegan.Config(**config)).initialise(seed).requires_grad_(False)
        plain.mapping.w_avg.fill_(0.3)
        for strength in (value for key, value in plain.named_parameters() if key.endswith("noise_strength")):
            strength.fill_(0.3)
        return LoadedNet(FastGenerator(plain), STYLEGAN, name)

    return make


@pytest.fixture(scope="session")
def generator(make_generator) -> LoadedNet:
    return make_generator()


@pytest.fixture
def seen(monkeypatch):
    """Replaces the detector by one that sees what it is told, in every picture: `seen(frame, masks)`."""
    def tell(frame: PoseFrame, masks: Tensor) -> None:
        found = Detection(frame, masks, masks.any(0).to(torch.uint8))
        monkeypatch.setattr(subjects, "load_as", lambda *arguments: None)
        monkeypatch.setattr(subjects, "expect_net", lambda net, *arguments: net)
        monkeypatch.setattr(subjects, "detect_people", lambda net, image, **options: [found] * len(image))

    return tell

