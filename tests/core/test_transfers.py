"""People of pictures in other poses: where they come to lie, on what, in which order, what can go wrong."""
from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from anyone.core import transfers
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.deformable.network import Config, Generator
from anyone.core.deformable.weights import SYSTEM as DEFORMABLE
from anyone.core.people import mask_from_pose
from anyone.core.people.frame import Drawn
from anyone.core.pg2.network import PG2
from anyone.core.pg2.network import Config as PG2Config
from anyone.core.pg2.weights import SYSTEM as PG2_SYSTEM
from anyone.core.pose import Pose
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.transfers import TransferSettings, refusal, transfer_people

WIDTH, HEIGHT = 151, 307                                  # of the pictures: multiples of nothing
RED = torch.tensor([0.8, 0.2, 0.1])
GREY = 0.5


@pytest.fixture
def pose(standing):
    return Pose(standing[0] + 0.5, torch.ones(18), 64, 128).scaled(WIDTH, HEIGHT)


@pytest.fixture
def step(walking):
    """Another pose, smaller and to the left."""
    walk = Pose(walking[0] + 0.5, torch.ones(18), 64, 128)
    return replace(walk.scaled(WIDTH * 3 // 5, HEIGHT * 3 // 5).moved(0, 90), width=WIDTH, height=HEIGHT)


def backdrop(count=1):
    """[B,H,W,3], smooth, another colour each."""
    rows, columns = torch.linspace(0.2, 0.5, HEIGHT)[:, None], torch.linspace(0.3, 0.6, WIDTH)
    plane = torch.stack([rows.expand(-1, WIDTH), columns.expand(HEIGHT, -1), rows + columns - 0.2], -1)
    return plane + 0.1 * torch.arange(count)[:, None, None, None]


def silhouette(pose):
    return mask_from_pose(pose, HEIGHT, WIDTH)


def photograph(pose, count=1):
    """[B,H,W,3]: someone in red, head to toe, before `backdrop`."""
    return torch.where(silhouette(pose)[..., None], RED, backdrop(count))


class Oracle:
    """A system whose network draws a person in red wherever the pose's silhouette is, whoever the source is.

    Notes the sources it was shown and how many poses each time. `opacity`: it knows one, and wants people
    lifted. `most`: poses it has memory for.
    """

    def __init__(self, opacity=True, most=99, background=False):
        self.opacity, self.most, self.background = opacity, most, background
        self.sources, self.asked, self.behind = [], [], []
        self.net = LoadedNet(torch.nn.Identity(), replace(DEFORMABLE, name="oracle"), "oracle")

    def frame_size(self, net):
        return 128, 64

    def lifted(self, net):
        return self.opacity

    def takes_background(self, net):
        return self.background

    def check_joints(self, net, source, target):
        self.checked = source.shape, target.shape

    def artist(self, module, net, device, source, source_joints):
        self.sources.append((source, source_joints))

        def draw(joints, behind):
            self.asked.append(len(joints))
            self.behind.append(behind)
            if len(joints) > self.most:
                raise MemoryError("full")
            poses = [Pose(some + 0.5, some.isfinite().all(1).float(), 64, 128) for some in joints]
            masks = torch.stack([mask_from_pose(one, 128, 64) for one in poses]).float()
            picture = masks[:, None] * RED[:, None, None] + (1 - masks[:, None]) * 0.3
            return Drawn(picture, masks if self.opacity else None)

        return draw


@pytest.fixture
def oracle(monkeypatch):
    def make(**options):
        made = Oracle(**options)
        monkeypatch.setitem(transfers.SYSTEMS, "oracle", made)
        return made
    return make


def transfer(net, *arguments, runtime=None, **options):
    settings = {key: options.pop(key) for key in ("detail", "background", "feather") if isinstance(
        options.get(key), (str, float))}
    return transfer_people(net, *arguments, settings=TransferSettings(**settings),
                           runtime=runtime or Runtime("cpu"), **options)


def overlap(a, b):
    return float((a & b).sum() / (a | b).sum())


def test_the_person_comes_to_where_the_target_is(oracle, pose, step):
    image = photograph(pose)
    found = transfer(oracle().net, image, [pose], [step], background="plain")
    mask = found.mask[0]
    assert overlap(mask > 0.5, silhouette(step)) > 0.93
    assert torch.allclose(found.pictures[0][mask == 1], RED, atol=0.02)
    assert (found.pictures[0][mask == 0] == GREY).all()
    assert overlap(found.source_masks[0] > 0.5, silhouette(pose)) > 0.9       # GrabCut's, nobody gave one
    assert torch.equal(image, photograph(pose))


def test_kept_backgrounds_are_bit_identical(oracle, pose, step):
    image = photograph(pose)
    found = transfer(oracle().net, image, [pose], [step], background="keep")
    outside = found.mask[0] == 0
    assert 0.5 < outside.float().mean() < 0.95
    assert torch.equal(found.pictures[0][outside], image[0][outside])
    assert (found.pictures[0] - image[0]).abs().max() > 0.1


def test_filled_backgrounds_have_nobody(oracle, pose, step):
    image, given = photograph(pose), silhouette(pose)[None].float()
    found = transfer(oracle().net, image, [pose], [step], masks=given, background="fill")
    outside = found.mask[0] == 0
    assert (found.pictures[0] - backdrop()[0])[outside].abs().max() < 0.15
    far = (backdrop()[0] - image[0]).abs().amax(-1) > 0.2
    assert (far & outside).sum() > 1000                     # the old person was to be seen there
    assert torch.equal(found.source_masks, given)


def test_a_given_background_sets_the_size(oracle, pose, step):
    behind = torch.rand(1, 90, 200, 3, generator=torch.Generator().manual_seed(0))
    found = transfer(oracle().net, photograph(pose), [pose], [step], background=behind)
    assert found.pictures.shape == (1, 90, 200, 3) and found.previews.shape == (1, 90, 200, 3)
    assert found.mask.shape == (1, 90, 200) and found.source_masks.shape == (1, HEIGHT, WIDTH)
    assert torch.equal(found.pictures[found.mask == 0], behind[found.mask == 0])
    x = (found.mask[0] * torch.arange(200)).sum() / found.mask[0].sum()
    middle = step.keypoints[:, 0].mean() * 90 / HEIGHT + (200 - WIDTH * 90 / HEIGHT) / 2
    assert float(x) == pytest.approx(float(middle), abs=3)  # the canvas is fitted in, not stretched


@pytest.mark.parametrize("lifted", [True, False])
def test_networks_see_people_as_they_were_trained(oracle, pose, step, lifted):
    system = oracle(opacity=lifted)
    transfer(system.net, photograph(pose), [pose], [step], masks=silhouette(pose)[None])
    [(source, joints)] = system.sources
    assert source.shape == (3, 128, 64)
    assert torch.allclose(source[:, 64, 32], RED, atol=0.01)
    corner = torch.full((3,), GREY) if lifted else backdrop()[0, 0, 0]
    assert torch.allclose(source[:, 0, 0], corner, atol=0.05)
    assert (joints[0] - torch.tensor([32.0, 16.0])).abs().max() < 6   # the fixture's own frame is like ours


def test_without_an_opacity_the_person_is_found_in_the_drawing(oracle, pose, step):
    found = transfer(oracle(opacity=False).net, photograph(pose), [pose], [step])
    assert overlap(found.mask[0] > 0.5, silhouette(step)) > 0.9


def test_networks_with_a_background_are_shown_it(oracle, pose, step):
    system, behind = oracle(opacity=False, background=True), torch.rand(1, 40, 50, 3)
    transfer(system.net, photograph(pose), [pose], [step], background=behind)
    assert system.behind[0].shape == (1, 3, 128, 64)
    assert 0 <= system.behind[0].min() < system.behind[0].max() <= 1
    transfer(oracle().net, photograph(pose), [pose], [step])
    system = oracle()
    transfer(system.net, photograph(pose), [pose], [step])
    assert system.behind == [None]


def test_an_animation_looks_at_its_source_once(oracle, pose, step):
    system = oracle()
    targets = [step.moved(dx, 0) for dx in (0, 5, 10)]
    found = transfer(system.net, photograph(pose), [pose], targets)
    assert len(system.sources) == 1 and system.asked == [1, 1, 1]
    for number, target in enumerate(targets):
        alone = transfer(oracle().net, photograph(pose), [pose], [target])
        assert torch.equal(found.pictures[number], alone.pictures[0])
        assert torch.equal(found.mask[number], alone.mask[0])


def test_batches_cycle(oracle, pose, step):
    system, images = oracle(), photograph(pose, 2)
    targets, masks = [step, pose, step.moved(9, 0)], silhouette(pose)[None]
    found = transfer(system.net, images, [pose], targets, masks=masks)
    assert found.pictures.shape == (3, HEIGHT, WIDTH, 3) and len(system.sources) == 2
    for item in range(3):
        alone = transfer(oracle().net, images[item % 2][None], [pose], [targets[item]], masks=masks)
        assert torch.equal(found.pictures[item], alone.pictures[0])
    found = transfer(oracle().net, images, [pose], [step], background=torch.rand(5, 20, 30, 3))
    assert found.pictures.shape == (5, 20, 30, 3) and found.source_masks.shape == (5, HEIGHT, WIDTH)


def test_previews_show_the_sources_pixels(oracle, pose):
    found = transfer(oracle().net, photograph(pose), [pose], [pose], masks=silhouette(pose)[None])
    inside = silhouette(pose)
    assert torch.allclose(found.previews[0][inside].median(0).values, RED, atol=0.01)
    assert (found.previews[0][:10] == GREY).all()


def test_detail_comes_from_the_source(oracle, pose):
    """Stripes that the network is too small for."""
    image, mask = photograph(pose), silhouette(pose)
    image[0, ::2] = torch.where(mask[::2, :, None], RED + 0.15, image[0, ::2])
    images = [transfer(oracle().net, image, [pose], [pose], masks=mask[None], detail=detail).pictures[0]
              for detail in (0.0, 0.5, 1.0)]
    body = slice(90, 150), slice(65, 85)
    contrast = [float((one[body][1:] - one[body][:-1]).abs().mean()) for one in images]
    assert contrast[0] < 0.01 and contrast[2] > 0.05
    assert contrast[1] == pytest.approx(contrast[2] / 2, rel=0.1)


def test_feather_fades_the_outline_inwards(oracle, pose, step):
    hard, soft = (transfer(oracle().net, photograph(pose), [pose], [step], feather=width).mask[0]
                  for width in (0.0, 4.0))
    assert (soft <= hard).all() and torch.equal(soft > 0, hard >= 0.5)
    assert soft.sum() < 0.8 * hard.sum()


@pytest.mark.parametrize("dx", [-30, 90, 4000])
def test_targets_may_leave_the_picture(oracle, pose, step, dx):
    found = transfer(oracle().net, photograph(pose), [pose], [step.moved(dx, 0)], detail=1.0)
    assert overlap(found.mask[0] > 0.5, silhouette(step.moved(dx, 0))) > 0.9 or dx == 4000
    assert found.mask[0].any() == (dx != 4000)
    assert torch.equal(found.pictures[found.mask == 0], photograph(pose)[found.mask == 0])


def test_sources_at_the_rim_and_tiny_ones(oracle, pose, step):
    beside = pose.moved(-60, 100)
    found = transfer(oracle().net, photograph(beside), [beside], [step], detail=1.0)
    assert overlap(found.source_masks[0] > 0.5, silhouette(beside)) > 0.8
    assert found.pictures.isfinite().all()
    tiny = replace(pose.scaled(9, 18).moved(70, 100), width=WIDTH, height=HEIGHT)
    found = transfer(oracle().net, photograph(tiny), [tiny], [tiny], detail=1.0)
    assert 10 < found.mask.sum() < 200 and found.pictures.isfinite().all()


def test_a_mask_of_several_people_is_divided(oracle, pose, step):
    small = replace(pose.scaled(WIDTH // 3, HEIGHT // 3), width=WIDTH, height=HEIGHT)
    other = torch.zeros(HEIGHT, WIDTH)
    other[-60:, -40:] = 1
    both = torch.maximum(silhouette(small).float(), other)
    found = transfer(oracle().net, photograph(small), [small], [step], masks=both)
    assert torch.equal(found.source_masks[0], silhouette(small).float())


def test_pictures_of_any_kind(oracle, pose, step):
    image = photograph(pose)
    alpha = torch.cat([image, torch.rand(1, HEIGHT, WIDTH, 1)], -1)
    expected = transfer(oracle().net, image, [pose], [step]).pictures
    assert torch.equal(transfer(oracle().net, alpha, [pose], [step]).pictures, expected)
    half = transfer(oracle().net, image.half(), [pose], [step]).pictures
    assert half.dtype == torch.float32 and (half - expected).abs().median() < 1e-3
    with pytest.raises(ValueError, match="image holds NaN"):
        transfer(oracle().net, image * torch.nan, [pose], [step])
    with pytest.raises(ValueError, match="background holds NaN"):
        transfer(oracle().net, image, [pose], [step], background=image * torch.nan)


def test_hosts_may_be_in_inference_mode(oracle, pose, step):
    """ComfyUI calls nodes so."""
    expected = transfer(oracle().net, photograph(pose), [pose], [step], detail=1.0, background="fill")
    with torch.inference_mode():
        found = transfer(oracle().net, photograph(pose), [pose.moved(0, 0)], [step.moved(0, 0)], detail=1.0,
                         background="fill")
    assert torch.equal(found.pictures, expected.pictures) and not found.pictures.is_inference()


class Accelerator(Runtime):
    """A device that is none."""

    def __init__(self, **options):
        super().__init__("cpu", **options)

    @contextmanager
    def use(self, net, memory=0):
        assert memory > 0
        yield net.module, SimpleNamespace(type="cuda")

    def is_oom(self, error):
        return isinstance(error, MemoryError)


def test_out_of_memory_halves_the_poses(oracle, pose, step):
    targets = [step.moved(dx, 0) for dx in range(10)]
    system = oracle(most=3)
    found = transfer(system.net, photograph(pose), [pose], targets, runtime=Accelerator())
    assert system.asked == [8, 4, 2, 2, 2, 2, 2] and len(system.sources) == 1
    system = oracle()
    whole = transfer(system.net, photograph(pose), [pose], targets, runtime=Accelerator())
    assert system.asked == [8, 2] and torch.equal(found.pictures, whole.pictures)
    system = oracle(most=0)
    with pytest.raises(MemoryError, match="full"):
        transfer(system.net, photograph(pose), [pose], targets, runtime=Accelerator())
    assert system.asked == [8, 4, 2, 1]


def test_progress_and_interrupt_between_pictures(oracle, pose, step):
    shown = []

    class Impatient(Progress):
        def show(self, preview):
            shown.append((self.done, self.total, preview.clone()))
            if self.done == 2:
                raise Interrupted

    image = photograph(pose)
    with pytest.raises(Interrupted):
        transfer(oracle().net, image, [pose], [step] * 5, runtime=Runtime("cpu", progress_class=Impatient))
    assert [one[:2] for one in shown] == [(1, 5), (2, 5)]
    assert torch.equal(shown[1][2], transfer(oracle().net, image, [pose], [step]).pictures[0])
    assert torch.equal(image, photograph(pose))


def test_inputs_that_do_not_fit_are_named(oracle, pose, step):
    net, image = oracle().net, photograph(pose)
    with pytest.raises(ValueError, match="background should be one of keep, fill, plain; got 'blur'"):
        TransferSettings(background="blur")
    with pytest.raises(ValueError, match="There is no target pose"):
        transfer(net, image, [pose], [])
    with pytest.raises(ValueError, match="There is no source pose"):
        transfer(net, image, [], [pose])
    one = Pose(torch.full((18, 2), 50.0), torch.eye(18)[0], WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="target pose 2 has too few joints to tell how large the person is"):
        transfer(net, image, [pose], [step, one])
    huge = replace(step, keypoints=step.keypoints * 1e5)
    with pytest.raises(ValueError, match="target pose 1 reaches more than 100 times .* 151x307"):
        transfer(net, image, [pose], [huge])
    with pytest.raises(ValueError, match="source pose 1 reaches more than 100 times"):
        transfer(net, image, [huge], [step], masks=torch.ones(1, HEIGHT, WIDTH))
    for subject, masks in ((pose.moved(9000, 0), None), (pose, torch.zeros(1, HEIGHT, WIDTH))):
        with pytest.raises(ValueError, match="Nobody is to be seen in source picture 1"):
            transfer(net, image, [subject], [step], masks=masks)
    with pytest.raises(ValueError, match="x is a .*, which transfers no poses"):
        transfer(LoadedNet(torch.nn.Identity(), replace(DEFORMABLE, name="sean"), "x"), image, [pose], [step])


def test_poses_are_refused_for_a_reason(oracle, pose, step):
    net, lame = deformable(4), Pose(step.keypoints, (torch.arange(18) != 8).float(), WIDTH, HEIGHT)
    assert refusal(net, pose, step) == "" and refusal(oracle().net, pose, lame) == ""
    assert refusal(net, lame, step).startswith("The source pose needs both shoulders and both hips")
    assert refusal(net, pose, lame).startswith("The target pose needs both shoulders and both hips")
    assert "too few joints to tell how large" in refusal(oracle().net, pose, Pose.empty(4, 4))


def deformable(outputs):
    torch.manual_seed(0)
    module = Generator(Config(widths=(2, 3, 3, 4, 4, 4), outputs=outputs)).eval().requires_grad_(False)
    return LoadedNet(module, DEFORMABLE, "tiny", {"heatmaps": "smooth"})


@pytest.mark.parametrize("outputs", [3, 4])
def test_a_deformable_gan(pose, step, outputs):
    net = deformable(outputs)
    found = transfer(net, photograph(pose), [pose], [step, pose], detail=0.5, background="fill")
    assert found.pictures.shape == (2, HEIGHT, WIDTH, 3)
    assert found.pictures.min() >= 0 and found.pictures.max() <= 1
    assert found.mask.amax((1, 2)).min() > 0.4              # somebody, by a network that learned nothing
    again = transfer(net, photograph(pose), [pose], [pose], detail=0.5, background="fill")
    assert torch.equal(found.pictures[1], again.pictures[0])
    lame = Pose(step.keypoints, (torch.arange(18) != 8).float(), WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="target pose needs both shoulders and both hips; pose 2 lacks some"):
        transfer(net, photograph(pose), [pose], [step, lame])
    with pytest.raises(ValueError, match="source pose needs both shoulders and both hips[.]"):
        transfer(net, photograph(pose), [lame], [step])


def test_pg2_needs_no_source_pose(pose, step):
    module = PG2(PG2Config(height=32, width=16, channels=4, code=3)).initialise(1).requires_grad_(False)
    net = LoadedNet(module, PG2_SYSTEM, "tiny")
    found = transfer(net, photograph(pose), [Pose.empty(WIDTH, HEIGHT)], [step],
                     masks=silhouette(pose)[None], detail=1.0)
    assert found.mask.any() and (found.previews == GREY).all()
    assert torch.equal(found.pictures[found.mask == 0], photograph(pose)[found.mask == 0])
    with pytest.raises(ValueError, match="target pose needs joints[.]"):
        transfer(net, photograph(pose), [pose], [Pose.empty(WIDTH, HEIGHT)])
