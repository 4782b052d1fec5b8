"""Painting people into pictures with tiny random networks."""
from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.people import CropSettings
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.synthetic import identity_vector, sample_identity
from anyone.core.triagan.fast import FastGenerator
from anyone.core.triagan.infer import Latent, Painter, draw_z, inpaint, plan
from anyone.core.triagan.network import Config
from anyone.core.triagan.weights import SYSTEM

FACE = {"layer_scale": False, "use_segmentation": False, "use_joint_map": False, "keypoint_channels": 3}
SIZE = 160, 200


@pytest.fixture
def net(make_generator):
    return LoadedNet(SYSTEM.build(make_generator(w_centers=3).state_dict(), {}), SYSTEM, "tiny")


@pytest.fixture
def crowd(person):
    """Two people whose boxes meet."""
    return [person(20, 20), person(30, 40)]


def test_everything_outside_the_mask_is_bit_identical(net, pair, crowd, picture):
    image = picture(2) * 1.5 - 0.2                        # stray values outside 0..1 survive too
    result, mask = inpaint(net, image, [pair, crowd], runtime=Runtime("cpu"))
    assert result.shape == image.shape and mask.shape == image.shape[:3]
    assert torch.equal(result[mask == 0], image[mask == 0])
    for frame, people in zip(mask, (pair, crowd), strict=True):
        covered = people[0].mask | people[1].mask
        assert set(frame.unique().tolist()) == {0.0, 1.0}
        assert frame[covered].mean() > 0.9                # the tiny network's hole has coarse edges
        assert frame.sum() < 2 * covered.sum()
    assert (result - image)[mask == 1].abs().mean() > 0.1


def test_nobody_means_unchanged_and_no_loading(net, person, picture):
    class Closed(Runtime):
        def use(self, net, memory=0):
            raise AssertionError("nothing to compute")

    tiny = [person(0, 0, 8, 5)]                            # below the minimum area
    image = picture(2)
    result, mask = inpaint(net, image, [[], tiny], runtime=Closed())
    assert torch.equal(result, image) and mask.shape == (2, *SIZE) and mask.sum() == 0


def test_half_alpha_and_grey_pictures(net, pair, picture):
    image = picture().half()
    alpha = torch.cat([image, torch.zeros(1, *SIZE, 1)], -1)
    result, mask = inpaint(net, alpha, [pair], runtime=Runtime("cpu"))
    assert result.dtype == torch.float32 and result.shape[-1] == 3
    assert torch.equal(result[mask == 0], image.float()[mask == 0])
    grey, _ = inpaint(net, image[..., :1], [[]], runtime=Runtime("cpu"))
    assert torch.equal(grey, image[..., :1].float().expand(-1, -1, -1, 3))


def test_seeds_decide_who_appears(net, pair, picture):
    def run(seed, **options):
        return inpaint(net, picture(), [pair], seed=seed, runtime=Runtime("cpu"), **options)[0]

    assert torch.equal(run(3), run(3))
    assert (run(3) - run(4)).abs().max() > 0.02
    assert torch.equal(run(3, strength=0.0), run(4, strength=0.0))          # the mean person
    assert (run(3, strength=0.0) - run(3, truncation="plain")).abs().max() > 0.02
    assert torch.equal(run(0, truncation="multimodal", strength=0.0),
                       run(3, truncation="multimodal", strength=0.0))       # three centres
    assert (run(0, truncation="multimodal", strength=0.0)
            - run(1, truncation="multimodal", strength=0.0)).abs().max() > 0.02
    assert torch.equal(run(2**64 - 1), run(2**32 - 1))


def test_people_keep_their_seed_whoever_else_is_there(net, pair, picture):
    both, _ = inpaint(net, picture(), [pair], seed=7, runtime=Runtime("cpu"))
    second, mask = inpaint(net, picture(), [pair[1:]], seed=8, runtime=Runtime("cpu"))
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


def test_small_people_come_first_and_meeting_boxes_wait(person, pair):
    settings = CropSettings(height=36, width=20)
    large = person(20, 20, 100, 50)
    rounds = plan([[large, pair[1], person(30, 40)], pair], settings, seed=100)
    assert [[(job.picture, job.seed) for job in jobs] for jobs in rounds] == [
        [(0, 102), (0, 101), (1, 100), (1, 101)], [(0, 100)]]


def test_later_people_are_cropped_from_the_painted_picture(net, crowd, picture):
    together, _ = inpaint(net, picture(), [crowd], runtime=Runtime("cpu"))
    first, _ = inpaint(net, picture(), [crowd[:1]], seed=0, runtime=Runtime("cpu"))
    then, _ = inpaint(net, first, [crowd[1:]], seed=1, runtime=Runtime("cpu"))
    assert torch.equal(together, then)


class Limited(Runtime):
    """Memory for `most` people at once; stands in for the network's forward and notes what was tried."""

    def __init__(self, module, most):
        super().__init__("cpu")
        self.module, self.most, self.tried = module, most, []

    def __call__(self, planes, w, half):
        self.tried.append(len(planes))
        if len(planes) > self.most:
            raise MemoryError("full")
        return FastGenerator.forward(self.module, planes, w, half=half)

    def is_oom(self, error):
        return isinstance(error, MemoryError)


def test_out_of_memory_falls_back_to_one_at_a_time(net, monkeypatch, pair, picture):
    image = picture(2).movedim(-1, 1)
    settings = CropSettings(height=36, width=20)
    painted = []
    for most, batch in ((1, 3), (8, 8)):
        limited = Limited(net.module, most)
        monkeypatch.setattr(net.module, "forward", limited)
        painter = Painter(net.module, torch.device("cpu"), limited, {}, image.clone(), Latent(), settings,
                          feather=0, half=False)
        painter.batch = batch
        [jobs] = plan([pair, pair], settings, 0)
        painter.paint(jobs, limited.progress(4))
        painted.append(painter.pictures)
        assert limited.tried == ([3, 1, 1, 1, 1] if most == 1 else [4])
    torch.testing.assert_close(*painted, rtol=0, atol=1.1 / 255)


def test_memory_for_nobody_is_reported(net, monkeypatch, pair, picture):
    limited = Limited(net.module, 0)
    monkeypatch.setattr(net.module, "forward", limited)
    with pytest.raises(MemoryError, match="full"):
        inpaint(net, picture(), [pair], runtime=limited)
    assert limited.tried == [1]


def test_an_interrupt_stops_between_people_and_gives_the_network_back(net, pair, picture):
    class Impatient(Runtime):
        asked = 0
        inside = False

        def check_interrupt(self):
            self.asked += 1
            if self.asked == 2:
                raise Interrupted

        @contextmanager
        def use(self, net, memory=0):
            self.inside = True
            try:
                with super().use(net, memory) as lent:
                    yield lent
            finally:
                self.inside = False

    runtime, image = Impatient("cpu"), picture()
    before = image.clone()
    with pytest.raises(Interrupted):
        inpaint(net, image, [pair], runtime=runtime)
    assert runtime.asked == 2 and not runtime.inside
    assert torch.equal(image, before)


def test_progress_counts_the_painted(net, person, pair, picture):
    totals = []

    class Counting(Progress):
        def show(self, preview):
            totals.append((self.done, self.total, tuple(preview.shape)))

    inpaint(net, picture(), [[*pair, person(0, 0, 8, 5)]], runtime=Runtime("cpu", progress_class=Counting))
    assert totals == [(1, 2, (*SIZE, 3)), (2, 2, (*SIZE, 3))]


def test_feather_softens_the_seam_inside_the_mask(net, pair, picture):
    hard, hard_mask = inpaint(net, picture(), [pair], runtime=Runtime("cpu"))
    soft, soft_mask = inpaint(net, picture(), [pair], feather=6, runtime=Runtime("cpu"))
    assert torch.equal(hard_mask > 0, soft_mask > 0)
    assert torch.equal(soft[soft_mask == 0], picture()[soft_mask == 0])
    assert torch.equal(soft[soft_mask == 1], hard[soft_mask == 1])


def test_half_precision_paints_nearly_the_same(net, pair, picture):
    full, mask = inpaint(net, picture(), [pair], runtime=Runtime("cpu"))
    half, _ = inpaint(net, picture(), [pair], half=True, runtime=Runtime("cpu"))
    assert 0 < (full - half)[mask == 1].abs().mean() < 0.03


def test_the_face_variant_paints(make_generator, pair, picture):
    module = SYSTEM.build(make_generator(**FACE).state_dict(), {})
    result, mask = inpaint(LoadedNet(module, SYSTEM, "face"), picture(), [pair], runtime=Runtime("cpu"))
    assert (result - picture())[mask == 1].abs().mean() > 0.05


def test_inputs_that_do_not_fit_are_named(net, make_generator, pair, picture):
    runtime = Runtime("cpu")
    with pytest.raises(ValueError, match="2 pictures but people for 1"):
        inpaint(net, picture(2), [pair], runtime=runtime)
    with pytest.raises(ValueError, match="be one of plain, truncated, multimodal; got 'off'"):
        inpaint(net, picture(), [pair], truncation="off", runtime=runtime)
    with pytest.raises(ValueError, match="image holds NaN"):
        inpaint(net, picture() * float("nan"), [pair], runtime=runtime)
    plain = LoadedNet(SYSTEM.build(make_generator().state_dict(), {}), SYSTEM, "plain")
    with pytest.raises(ValueError, match="stores no w_centers"):
        inpaint(plain, picture(), [pair], truncation="multimodal", runtime=runtime)
    with pytest.raises(ValueError, match="not a TriA-GAN"):
        inpaint(LoadedNet(torch.nn.Identity(), SYSTEM, "x"), picture(), [pair], runtime=runtime)
