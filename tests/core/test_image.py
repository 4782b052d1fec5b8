"""What comes in, distances in masks, and drawings laid over pictures."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from anyone.core.image import distance_to, image_to_bchw, lay_over, mask_to_bhw
from torch._subclasses.fake_tensor import FakeTensorMode


def test_what_the_host_keeps_on_its_gpu_comes_to_the_cpu(monkeypatch):
    """With tensors that only know their shape and device; nobody can look whether they are finite."""
    monkeypatch.setattr(torch, "isfinite", lambda values: SimpleNamespace(all=lambda: True))
    with FakeTensorMode():
        image, mask = torch.empty(1, 8, 9, 3, device="cuda"), torch.empty(1, 8, 9, device="cuda")
        assert image.device.type == mask.device.type == "cuda"
        assert image_to_bchw(image).device.type == mask_to_bhw(mask).device.type == "cpu"


def test_distances_are_exact_and_each_masks_own():
    masks = torch.zeros(3, 7, 9, dtype=torch.bool)
    masks[0, 2, 3] = masks[0, 6, 8] = masks[1, 0, 0] = True
    found = distance_to(masks)
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    first = torch.minimum(torch.hypot(y - 2, x - 3), torch.hypot(y - 6, x - 8))
    torch.testing.assert_close(found[0], first, rtol=0, atol=1e-3)
    torch.testing.assert_close(found[1], torch.hypot(y, x), rtol=0, atol=1e-3)
    assert found[2].isinf().all()


def test_what_is_laid_over_leaves_the_rest_bit_identical():
    random = torch.Generator().manual_seed(0)
    pictures, drawn = torch.rand(2, 3, 9, 12, generator=random), torch.rand(2, 3, 9, 12, generator=random)
    mask = torch.zeros(2, 9, 12, dtype=torch.bool)
    mask[0, :, 5:] = True
    mask[1] = True
    for feather in (0.0, 3.0):
        laid, share = lay_over(pictures, drawn, mask, feather)
        outside = ~mask[:, None].expand_as(laid)
        assert torch.equal(laid[outside], pictures[outside]) and not torch.equal(laid, pictures)
        assert torch.equal(laid[1], drawn[1]), "without a rim nothing fades"
        rising = [1.0] * 7 if not feather else [0.25, 0.5, 0.75, 1, 1, 1, 1]
        assert share[0, 4, 5:].tolist() == pytest.approx(rising)
        torch.testing.assert_close(laid, torch.lerp(pictures, drawn, share[:, None]))
