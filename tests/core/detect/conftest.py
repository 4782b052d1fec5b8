import importlib.util
from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.detect.weights import SYSTEM


@pytest.fixture(scope="session")
def ideal():
    """The module `ideal.py`: people whose place is known, and a network that sees them perfectly."""
    spec = importlib.util.spec_from_file_location("ideal", Path(__file__).parent / "ideal.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world(ideal):
    """world(places, height, width) -> (net, image, keypoints [N,18,2]); `places`: (x, y, size) in pixels."""
    def make(places, height, width, visibility=2):
        people = ideal.figures(places) if places else torch.zeros(0, 18, 2)
        module = ideal.PerfectNet(people, height, width, visibility)
        return LoadedNet(module, SYSTEM, "perfect"), ideal.position_picture(height, width), people
    return make
