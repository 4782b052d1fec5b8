"""People drawn straight into the maps of the network."""
from __future__ import annotations

import pytest
import torch
from anyone.core.bench_detectors import STANDING
from anyone.core.openpose.decode import JOINT_COUNT, LIMBS


def draw_maps(people: list[torch.Tensor], height: int, width: int, sigma: float, limb: float):
    """Joints [18,2] in cells of the grid -> fields [38,height,width], heats [19,height,width]."""
    y, x = torch.meshgrid(torch.arange(height) + 0.0, torch.arange(width) + 0.0, indexing="ij")
    heats, fields = torch.zeros(JOINT_COUNT + 1, height, width), torch.zeros(38, height, width)
    for joints in people:
        for joint, (jx, jy) in enumerate(joints.tolist()):
            heat = torch.exp(-((x - jx) ** 2 + (y - jy) ** 2) / (2 * sigma**2))
            heats[joint] = torch.maximum(heats[joint], heat)
        for a, b, channel in LIMBS:
            way = joints[b] - joints[a]
            length = way.norm()
            along = ((x - joints[a, 0]) * way[0] + (y - joints[a, 1]) * way[1]) / length
            aside = ((x - joints[a, 0]) * way[1] - (y - joints[a, 1]) * way[0]).abs() / length
            on = (along > -limb) & (along < length + limb) & (aside < limb)
            fields[channel][on], fields[channel + 1][on] = (way / length).tolist()
    return fields, heats


@pytest.fixture
def maps_of():
    return draw_maps


@pytest.fixture
def standing():
    """standing(x, y, size): the joints of a person whose neck is at (x, y)."""
    return lambda x, y, size: STANDING * size + torch.tensor([x, y], dtype=torch.float32)
