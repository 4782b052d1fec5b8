"""Small PG2s with random weights."""
from __future__ import annotations

import pytest
import torch
from anyone.core.pg2.network import PG2, Config

TINY = {"height": 32, "width": 8, "channels": 4, "code": 3}


@pytest.fixture
def make_net():
    """make_net(**changes): a PG2 for 32x8 with 4 channels unless told otherwise; biases are not zero."""
    def make(**changes):
        net = PG2(Config(**TINY | changes)).initialise(1)
        rng = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=rng)
        return net.eval()
    return make
