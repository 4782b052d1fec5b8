"""Tiny networks and inputs the tests of this folder share."""
from __future__ import annotations

import pytest
import torch
from anyone.core.people import Person
from anyone.core.triagan.network import Config, Generator
from anyone.core.triagan.pose_input import joint_map, network_input

SIZE = 160, 200                                           # of pictures with people
TINY = {"dims": (8, 12, 16), "height": 36, "width": 20, "z": 10, "w": 12}


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def make_generator():
    """Keyword arguments of Config -> a generator in evaluation mode with every part at work."""
    def make(seed=1, **changes):
        generator = Generator(Config(**(TINY | changes))).initialise(seed, layer_scale=0.8).eval()
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in generator.named_parameters():
                if name.endswith(("bias", "noise_strength", "layer_scale")):
                    parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.3)
            generator.style_net.w_avg.normal_(generator=rng)
            if generator.config.w_centers:
                generator.style_net.w_centers.normal_(generator=rng)
        return generator.requires_grad_(False)
    return make


@pytest.fixture
def make_planes():
    """(config, batch) -> random input planes with a hole in the middle."""
    def make(config, batch=2, seed=0):
        rng, height, width = torch.Generator().manual_seed(seed), config.height, config.width
        picture = torch.rand(batch, 3, height, width, generator=rng) * 2 - 1
        mask, person = torch.ones(2, batch, 1, height, width)
        mask[..., height // 4:-height // 4, width // 4:-width // 4] = 0
        person[..., height // 3:-height // 3, width // 3:-width // 3] = 0
        keypoints = torch.rand(batch, 17, 3, generator=rng)
        keypoints[..., 2] = (keypoints[..., 2] > 0.2).float()
        return network_input(picture * mask, mask, person if config.use_segmentation else None,
                             keypoints[:, :config.keypoint_channels],
                             joint_map(keypoints, height, width) if config.use_joint_map else None)
    return make


@pytest.fixture(scope="session")
def person():
    """(top, left, height, width) -> somebody with random joints in a picture of 160x200."""
    def make(top, left, height=60, width=30):
        mask = torch.zeros(SIZE, dtype=torch.bool)
        mask[top:top + height, left:left + width] = True
        rng = torch.Generator().manual_seed(top * 1000 + left)
        xy = torch.rand(17, 2, generator=rng) * torch.tensor([width, height]) + torch.tensor([left, top])
        return Person(mask, torch.cat([xy, torch.ones(17, 1)], 1))
    return make


@pytest.fixture(scope="session")
def pair(person):
    """Two people whose boxes do not meet."""
    return [person(20, 20), person(60, 140, 70, 32)]


@pytest.fixture(scope="session")
def picture():
    """(batch) -> pictures of noise, 160x200."""
    def make(batch=1):
        return torch.rand(batch, *SIZE, 3, generator=torch.Generator().manual_seed(5))
    return make
