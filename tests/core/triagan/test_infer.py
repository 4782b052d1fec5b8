"""Painting people into pictures with tiny random networks."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.people import CropSettings, Person
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.synthetic import identity_vector, sample_identity
from anyone.core.triagan.infer import Latent, draw_z, inpaint, plan
from anyone.core.triagan.network import Config
from anyone.core.triagan.weights import SYSTEM

SIZE = 160, 200


@pytest.fixture
def net(make_generator):
    return LoadedNet(SYSTEM.build(make_generator(w_centers=3).state_dict(), {}), SYSTEM, "tiny")


def person(top, left, height=60, width=30):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[top:top + height, left:left + width] = True
    rng = torch.Generator().manual_seed(top * 1000 + left)
    xy = torch.rand(17, 2, generator=rng) * torch.tensor([width, height]) + torch.tensor([left, top])
    return Person(mask, torch.cat([xy, torch.ones(17, 1)], 1))


def picture(batch=1):
    return torch.rand(batch, *SIZE, 3, generator=torch.Generator().manual_seed(5))


PAIR = [person(20, 20), person(60, 140, 70, 32)]          # boxes do not meet
CROWD = [person(20, 20), person(30, 40)]                  # boxes meet


def test_everything_outside_the_mask_is_bit_identical(net):
    image = picture(2) * 1.5 - 0.2                        # stray values outside 0..1 survive too
    result, mask = inpaint(net, image, [PAIR, CROWD], runtime=Runtime("cpu"))
    assert result.shape == image.shape and mask.shape == image.shape[:3]
    assert torch.equal(result[mask == 0], image[mask == 0])
    for frame, people in zip(mask, (PAIR, CROWD), strict=True):
        covered = people[0].mask | people[1].mask
        assert set(frame.unique().tolist()) == {0.0, 1.0}
        assert (frame[covered] == 1).float().mean() > 0.99
        assert frame.sum() < 2 * covered.sum()
    assert (result - image)[mask == 1].abs().mean() > 0.1


def test_nobody_means_unchanged_and_no_loading(net):
    class Closed(Runtime):
        def use(self, net, memory=0):
            raise AssertionError("nothing to compute")

    tiny = [person(0, 0, 8, 5)]                            # below the minimum area
    image = picture(2)
    result, mask = inpaint(net, image, [[], tiny], runtime=Closed())
    assert torch.equal(result, image) and mask.shape == (2, *SIZE) and mask.sum() == 0


def test_half_alpha_and_grey_pictures(net):
    image = picture().half()
    alpha = torch.cat([image, torch.zeros(1, *SIZE, 1)], -1)
    result, mask = inpaint(net, alpha, [PAIR], runtime=Runtime("cpu"))
    assert result.dtype == torch.float32 and result.shape[-1] == 3
    assert torch.equal(result[mask == 0], image.float()[mask == 0])
    grey, _ = inpaint(net, image[..., :1], [[]], runtime=Runtime("cpu"))
    assert torch.equal(grey, image[..., :1].float().expand(-1, -1, -1, 3))


def test_seeds_decide_who_appears(net):
    def run(seed, **options):
        return inpaint(net, picture(), [PAIR], seed=seed, runtime=Runtime("cpu"), **options)[0]

    assert torch.equal(run(3), run(3))
    assert (run(3) - run(4)).abs().max() > 0.02
    assert torch.equal(run(3, strength=0.0), run(4, strength=0.0))          # the mean person
    assert (run(3, strength=0.0) - run(3, truncation="plain")).abs().max() > 0.02
    assert torch.equal(run(0, truncation="multimodal", strength=0.0),
                       run(3, truncation="multimodal", strength=0.0))       # three centres
    assert (run(0, truncation="multimodal", strength=0.0)
            - run(1, truncation="multimodal", strength=0.0)).abs().max() > 0.02
    assert torch.equal(run(2**64 - 1), run(2**32 - 1))


def test_people_keep_their_seed_whoever_else_is_there(net):
    both, _ = inpaint(net, picture(), [PAIR], seed=7, runtime=Runtime("cpu"))
    second, mask = inpaint(net, picture(), [PAIR[1:]], seed=8, runtime=Runtime("cpu"))
    assert torch.equal(both[mask == 1], second[mask == 1])


def test_latents_follow_the_published_formulas(net):
    style_net, z = net.module.style_net, torch.randn(2, 10)
    w = style_net(z)
    torch.testing.assert_close(Latent("plain", 0.0).w(style_net, z, [0, 0]), w)
    pulled = Latent("truncated", 0.25).w(style_net, z, [0, 0])
    torch.testing.assert_close(pulled, 0.75 * style_net.w_avg + 0.25 * w)
    centred = Latent("multimodal", 0.25).w(style_net, z, [4, 2])
    torch.testing.assert_close(centred, 0.75 * style_net.w_centers[[1, 2]] + 0.25 * w)
    torch.testing.assert_close(Latent("truncated", 7.0).w(style_net, z, [0, 0]), w)
    drawn = draw_z(net.module.config, [5, 9], {})
    assert np.array_equal(drawn[1:], np.random.RandomState(9).normal(size=(1, 10)).astype(np.float32))


def test_identity_latents_are_procedural_people():
    wanted = identity_vector(sample_identity(torch.tensor([4, 11])))
    found = draw_z(Config(z=wanted.shape[1]), [4, 11], {"latent": "identity"})
    assert torch.equal(found, wanted)
    with pytest.raises(ValueError, match=f"describes them by {wanted.shape[1]}"):
        draw_z(Config(z=7), [4], {"latent": "identity"})


def test_small_people_come_first_and_meeting_boxes_wait():
    settings = CropSettings(height=36, width=20)
    large = person(20, 20, 100, 50)
    rounds = plan([[large, PAIR[1], person(30, 40)], PAIR], settings, seed=100)
    assert [[(job.picture, job.seed) for job in jobs] for jobs in rounds] == [
        [(0, 102), (0, 101), (1, 100), (1, 101)], [(0, 100)]]


def test_later_people_are_cropped_from_the_painted_picture(net):
    together, _ = inpaint(net, picture(), [CROWD], runtime=Runtime("cpu"))
    first, _ = inpaint(net, picture(), [CROWD[:1]], seed=0, runtime=Runtime("cpu"))
    then, _ = inpaint(net, first, [CROWD[1:]], seed=1, runtime=Runtime("cpu"))
    assert torch.equal(together, then)


class Accelerator(Runtime):
    """Pretends that the CPU is an accelerator which cannot hold more than `most` people at once."""

    def __init__(self, most):
        super().__init__("cpu")
        self.most, self.batches = most, []

    def is_oom(self, error):
        return isinstance(error, MemoryError)


@pytest.fixture
def batches(net, monkeypatch):
    """most -> (runtime, sizes of the batches the generator then sees)."""
    def start(most):
        seen, forward = [], net.module.forward

        def limited(planes, *args, **options):
            seen.append(len(planes))
            if len(planes) > most:
                raise MemoryError
            return forward(planes, *args, **options)

        class Device:
            type = "cuda"

        class Pretended(Runtime):
            def use(self, net, memory=0):
                from contextlib import nullcontext
                return nullcontext((net.module, Device()))

            def is_oom(self, error):
                return isinstance(error, MemoryError)

        monkeypatch.setattr(net.module, "forward", limited)
        monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **options: self)
        return Pretended("cpu"), seen
    return start


def test_placeholder():
    pass
