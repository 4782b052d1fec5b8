"""Dragging latents: what comes back, the block by default, stops, and what cannot be dragged."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.drag import DragSettings
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.stylegan.infer import render, sample_latents
from anyone.core.stylegan.journey import drag_latent
from anyone.core.stylegan.tuned import Delta, TunedNet

RUNTIME = Runtime("cpu")
PERSON = {"start": (4, 2)}                                # 32 high, 16 wide
FREE = DragSettings(steps=6, learning_rate=0.02, motion_radius=48, tracking_radius=64, mask_weight=1)


@pytest.fixture
def run(make_net):
    """Drags a sample of a person's generator; keyword arguments as those of `drag_latent`."""
    def drag(handles=((8, 10),), targets=((8, 25),), net=None, latent=None, **options):
        net = net or make_net(**PERSON)
        latent = latent or sample_latents(net, [3], runtime=RUNTIME)
        return drag_latent(net, latent, handles, targets, **{"settings": FREE, "runtime": RUNTIME} | options)
    return drag


def test_history_and_frames_are_the_steps_from_first_to_last(run, make_net):
    net = make_net(**PERSON)
    start = sample_latents(net, [3], runtime=RUNTIME)
    dragged = run(net=net, latent=start, frames=100)
    steps = dragged.journey.steps
    assert len(dragged.history) == len(dragged.frames) == len(steps) == 7
    assert torch.equal(dragged.history.w_plus[0], start.w_plus[0])
    for latent, step in zip(dragged.history.w_plus, steps, strict=True):
        assert torch.equal(latent[:6], step.rows) and torch.equal(latent[6:], start.w_plus[0, 6:])
    assert dragged.history.identity == start.identity and dragged.history.origin is None
    assert torch.equal(dragged.frames, render(net, dragged.history, runtime=RUNTIME))
    assert (dragged.frames[-1] - dragged.frames[0]).abs().mean() > 0.01
    few = run(net=net, latent=start, frames=3)
    assert torch.equal(few.frames, dragged.frames[[0, 3, 6]])
    assert torch.equal(few.history.w_plus, dragged.history.w_plus[[0, 3, 6]])


def test_going_on_from_a_step_is_going_on(run):
    whole = run(frames=100)
    middle = whole.history.taken([4])
    assert torch.equal(run(latent=middle).frames[0], whole.frames[4])


@pytest.mark.parametrize("channels, block", [((6, 6, 5, 4), 3), ((4,) * 6, 5), ((4,) * 7, 5)])
def test_the_block_is_the_published_one_or_the_last(run, make_net, channels, block):
    net = make_net(channels=channels)
    side = 4 << (len(channels) - 1)
    options = {"net": net, "handles": [(side // 2, side // 2)], "targets": [(side // 2, 0)]}
    one = replace(FREE, steps=1)
    found, same, other = (run(**options, settings=one, block=number).journey.steps[1]
                          for number in (None, block, 2))
    assert torch.equal(found.rows, same.rows) and not torch.equal(found.rows, other.rows)


def test_previews_show_handles_and_targets(run):
    shown = []

    class Showing(Progress):
        def show(self, preview):
            shown.append((self.label, self.done, self.total, preview))

    dragged = run(runtime=Runtime("cpu", progress_class=Showing))
    steps = [(done, total) for label, done, total, _ in shown if label == "dragging a person"]
    assert steps == [(count, 7) for count in range(1, 8)]
    first = shown[0][3]
    assert first.shape == (512, 256, 3)
    for (x, y), colour in (((8, 10), (235, 50, 45)), ((8, 25), (40, 110, 245))):
        assert torch.allclose(first[16 * y + 8, 16 * x + 8], torch.tensor(colour) / 255)
    assert torch.equal(shown[-1][3], dragged.frames[-1])


def test_a_stop_keeps_the_journey_or_goes_to_the_caller(run, impatient):
    stopped, whole = run(runtime=impatient(4), frames=100), run(frames=100)
    assert stopped.journey.outcome == "stopped"
    assert torch.equal(stopped.frames, whole.frames[:4])
    with pytest.raises(Interrupted):
        run(runtime=impatient(4), keep=False)
    with pytest.raises(Interrupted):                      # no longer dragging
        run(runtime=impatient(9))


def test_tuned_generators_are_dragged_as_tuned(run, make_net):
    net = make_net(**PERSON)
    start = sample_latents(net, [3], runtime=RUNTIME)
    redder = {"synthesis.b32.torgb.bias": torch.tensor([0.5, 0.0, -0.5])}
    tuned = TunedNet(net, Delta(redder, net.name, start.identity))
    dragged, plain = run(net=tuned, latent=start), run(net=net, latent=start)
    torch.testing.assert_close(dragged.journey.rows, plain.journey.rows)           # colours come behind it
    assert (dragged.frames - plain.frames)[..., 0].mean() > 0.1
    assert torch.equal(run(net=net, latent=start).frames, plain.frames), "and only as long as it lasts"


def test_what_cannot_be_dragged(run, make_net):
    other = sample_latents(make_net(seed=2, name="other", **PERSON), [3], runtime=RUNTIME)
    held = torch.ones(32, 16)
    held[5:15] = 0
    cases = [
        ({"latent": other}, "made with other, which tiny is no copy of"),
        ({"latent": sample_latents(make_net(), [1], runtime=RUNTIME), "net": make_net(seed=9, z=9)},
         "made with tiny, which tiny is no copy of"),
        ({"block": 4}, "features of block 4, .* only blocks 0 to 3"),
        ({"handles": [(-2, 10)]}, r"Handle 1 at \(-2, 10\) is outside the picture, which is 16 pixels wide"),
        ({"handles": [(8, float("nan"))]}, "Handle 1 at .* is outside"),
        ({"targets": [(30, 10)]}, "Target 1 at .* is outside"),
        ({"handles": []}, "at least one handle"),
        ({"mask": held}, "Handle 1 lies where the mask allows no change"),
        ({"mask": torch.ones(16, 32)}, "16 wide and 32 high"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            run(**options)


def test_sensible_ends(run):
    there = run(targets=[(8, 10)])
    assert there.journey.outcome == "arrived" and len(there.frames) == 1
    assert run(targets=[(-6, 10)]).journey.outcome == "steps used up", "beside a person there is room"
    long = run(handles=[(8, 10)], targets=[(8, 11)], settings=replace(FREE, steps=1000))
    assert long.journey.outcome == "arrived"
    everything = run(mask=torch.ones(32, 16))
    assert "so it was ignored" in everything.journey.report()
