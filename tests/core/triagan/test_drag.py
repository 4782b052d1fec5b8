"""Dragging painted people with tiny random networks."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.drag import Box, DragSettings, Session
from anyone.core.people import CropSettings, crop_person, person_box
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.triagan.drag import DragSource, drag_inpainted, to_crop, to_picture
from anyone.core.triagan.fast import FastGenerator
from anyone.core.triagan.infer import inpaint
from anyone.core.triagan.weights import SYSTEM

SIZE = 160, 200
CONFIGS = {
    "as published, small": {},
    "without the options": {"layer_scale": False, "noise": False, "blocks": 1, "use_segmentation": False},
    "deeper": {"dims": (6, 8, 12, 16), "height": 40, "width": 24, "middle_blocks": 1},
}
FREE = DragSettings(steps=8, learning_rate=0.05, motion_radius=30, tracking_radius=60, mask_weight=1)


HANDLES, TARGETS = [(150, 80)], [(158, 105)]              # on the second of them


@pytest.fixture
def net(make_generator):
    return LoadedNet(SYSTEM.build(make_generator().state_dict(), {}), SYSTEM, "tiny")


@pytest.fixture
def run(net, pair, picture):
    """Drags the second of the pair through w; keyword arguments as those of `drag_inpainted`."""
    def drag(image=None, people=pair, handles=HANDLES, targets=TARGETS, **options):
        options = {"settings": FREE, "joint_radius": 0, "runtime": Runtime("cpu")} | options
        return drag_inpainted(net, picture() if image is None else image, people, handles, targets, **options)
    return drag


@pytest.fixture
def make_source(make_generator, pair, picture):
    """(changes of the config, block) -> the plain generator, and a source that starts from a random w."""
    def make(changes, block=None):
        plain = make_generator(**changes)
        config, one = plain.config, pair[1]
        settings = CropSettings(height=config.height, width=config.width)
        crop = crop_person(picture()[0].movedim(-1, 0), one, person_box(one.mask, settings), settings)
        return plain, DragSource(FastGenerator(plain), crop, torch.randn(1, config.w), block)
    return make


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("block", [0, None])
def test_features_and_gradients_are_the_plain_generators(name, block, make_source):
    plain, source = make_source(CONFIGS[name], block)
    level = plain.config.levels - 2 if block is None else block
    assert (source.block, source.map_size) == (level, plain.config.size(level))
    rows = (source.start + torch.randn(source.start.shape) / 2).requires_grad_()
    boxes = [Box(0, 0, *source.map_size), Box(1, 1, 4, 3)]
    whole, part = source.features(rows, boxes)
    assert torch.equal(part, whole[:, 1:4, 1:3])

    seen: dict[str, torch.Tensor] = {}
    plain(source.planes, styles=source.generator.styles(source.latent(rows)), features=seen)
    expected = seen[f"dec{level}"][0]
    torch.testing.assert_close(whole, expected, rtol=0, atol=2e-5 * expected.abs().max().item())
    weights = torch.randn_like(expected)
    (found,), (wanted,) = (torch.autograd.grad((x * weights).sum(), rows) for x in (whole, expected))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())
    assert wanted.any(1).all()                            # every row that may change has a say


def test_only_the_decoders_layers_up_to_the_block_change(make_source):
    plain, source = make_source({})
    names = list(plain.modulated_convs())[source.first:source.last]
    assert names[0] == "decoder.middle_blocks.0.conv0" and names[-1] == "decoder.layers.1.1.conv1"
    ws = source.latent(source.start + 1)
    moved = (ws - source.w_plus).abs().amax(2)[0]
    assert (moved[source.first:source.last] > 0.9).all()
    assert moved[:source.first].max() == 0 and moved[source.last:].max() == 0


def test_one_w_per_layer_or_one_for_all(make_generator):
    fast = FastGenerator(make_generator())
    w = torch.randn(2, 12)
    assert torch.equal(fast.styles(w[:, None].expand(-1, fast.rows, -1)), fast.styles(w))
    mixed = torch.stack([w[0]] * 3 + [w[1]] * (fast.rows - 3))[None]
    table = fast.styles(mixed)[0]
    torch.testing.assert_close(table[:3], fast.styles(w)[0, :3])
    torch.testing.assert_close(table[3:], fast.styles(w)[1, 3:])


def test_the_journey_starts_where_inpainting_ends(net, run, pair, picture):
    image = picture()
    expected, mask = inpaint(net, image, [pair], seed=4, runtime=Runtime("cpu"))
    dragged = run(image, seed=4)
    second = dragged.mask[0] > 0
    assert torch.equal(second, (mask[0] > 0) & (torch.arange(SIZE[1]) > 120))
    assert torch.equal(dragged.frames[0][second], expected[0][second])
    again = run(expected, seed=4).frames[0]               # of the painted picture: the other one stays
    assert torch.equal(again[~second], expected[0][~second])
    assert (again - expected[0])[second].abs().mean() < 0.05                       # the crop's rim is softer


def test_everything_outside_the_hole_is_bit_identical(run, pair, picture):
    image = picture() * 1.5 - 0.2                         # stray values outside 0..1 survive too
    dragged = run(image, feather=3)
    kept = dragged.mask[0] == 0
    for frame in dragged.frames:
        assert torch.equal(frame[kept], image[0][kept])
    assert torch.equal(dragged.picture[0], dragged.frames[-1])
    assert (dragged.frames[-1] - dragged.frames[0])[~kept].abs().mean() > 0.01
    assert pair[1].mask[~kept].sum() > 0.9 * pair[1].mask.sum() and kept[pair[0].mask].all()


@pytest.mark.parametrize(("space", "learning_rate"), [("w", 0.2), ("w+", 0.05)])
def test_handles_arrive_and_are_told_in_pixels_of_the_picture(space, learning_rate, run):
    settings = DragSettings(steps=30, learning_rate=learning_rate, space=space, motion_radius=30,
                            tracking_radius=60, mask_weight=0)
    journey = run(settings=settings).journey
    assert journey.outcome == "arrived" and journey.handles.tolist() == [[150, 80]]
    torch.testing.assert_close(journey.targets, torch.tensor([[158.0, 105.0]]), atol=1e-4, rtol=0)
    assert 20 < (journey.steps[0].handles - journey.targets).norm() < 30
    assert journey.distances[0] < 2 * 43 / 20             # two pixels of the crop, whose box is 43 wide
    assert (journey.rows - journey.rows[0]).any() == (space == "w+")


def test_the_loss_falls(make_source):
    """What steps descend: features one pixel ahead become those that were at the handle."""
    _, source = make_source({})
    session = Session(source, [(10, 18)], [(10, 26)], replace(FREE, mask_weight=0, learning_rate=0.02))
    whole = [Box(0, 0, *source.map_size)]
    session.observe()
    [here] = source.features(session.rows().detach(), whole)

    def off():
        [now] = source.features(session.rows().detach(), whole)
        return (now[:, 9:12, 4:7] - here[:, 8:11, 4:7]).abs().mean().item()

    before = off()
    for _ in range(5):
        session.update()
        session.observe()
    assert off() < 0.95 * before


def test_points_go_to_the_crop_and_back(make_source):
    crop = make_source({})[1].crop
    box = crop.box
    corner, end = to_crop([(box.x0 - 0.5, box.y0 - 0.5), (box.x1 - 0.5, box.y1 - 0.5)], crop)
    assert corner == pytest.approx((-0.5, -0.5)) and end == pytest.approx((19.5, 35.5))
    points = torch.tensor([[150.0, 80.0], [141.25, 99.5]])
    back = to_picture(torch.tensor(to_crop(points.tolist(), crop)), crop)
    torch.testing.assert_close(back, points, atol=1e-4, rtol=0)


def test_a_mask_holds_the_rest_of_the_hole(run):
    """The lower half of the person follows less where only the upper half may change."""
    upper = torch.zeros(SIZE)
    upper[:92] = 1
    settings = DragSettings(steps=12, learning_rate=0.02, motion_radius=30, tracking_radius=60,
                            mask_weight=50)
    free, held = (run(mask=mask, settings=settings) for mask in (None, upper))
    assert held.journey.steps[1].fixed > free.journey.steps[1].fixed               # of the same first step
    changes = [(one.frames[-1] - one.frames[0])[92:].abs().mean() for one in (free, held)]
    assert changes[1] < 0.7 * changes[0]


def test_of_people_above_each_other_the_upper_is_dragged(run, person):
    small, large = person(40, 60, 50, 30), person(30, 50, 100, 60)
    for people in ([small, large], [large, small]):       # the larger one is painted last
        dragged = run(people=people, handles=[(75, 60)], targets=[(80, 70)])
        assert dragged.mask[0][large.mask].mean() > 0.9


def test_frames_and_previews(run):
    shown = []

    class Showing(Progress):
        def show(self, preview):
            shown.append((self.done, self.total, preview))

    dragged = run(frames=4, runtime=Runtime("cpu", progress_class=Showing))
    assert len(dragged.journey.steps) == 9 and dragged.frames.shape == (4, *SIZE, 3)
    assert [(done, total) for done, total, _ in shown] == [(count, 10) for count in range(1, 11)]
    assert torch.equal(shown[0][2], dragged.frames[0])
    red, blue = torch.tensor([[235, 50, 45], [40, 110, 245]]) / 255
    for colour in (red, blue):                            # of the crop, with handle and target
        assert (shown[1][2] - colour).abs().amax(-1).lt(0.01).sum() > 20
    assert len(run(frames=100).frames) == 9


def test_an_interrupt_keeps_what_was_reached(run, impatient):
    dragged, whole = run(runtime=impatient(5)), run()
    assert dragged.outcome == "stopped" and len(dragged.journey.steps) == 4
    torch.testing.assert_close(dragged.journey.rows, whole.journey.steps[3].rows)
    at_once = run(runtime=impatient(1))
    assert at_once.outcome == "stopped" and at_once.journey is None and len(at_once.frames) == 1
    assert torch.equal(at_once.picture[0], whole.frames[0])
    for moment in (1, 5):
        with pytest.raises(Interrupted):
            run(runtime=impatient(moment), keep=False)


def test_spare_handles_and_targets_outside_the_hole_are_remarked(run):
    dragged = run(handles=[*HANDLES, (152, 100)], targets=[(139, 62)])
    assert dragged.remarks[0] == "Handles without a target, left out: 1."
    dragged = run(targets=[(150, 57)])
    assert dragged.remarks == ("Targets outside the hole, where nothing is painted: 1.",)
    assert dragged.report().endswith(dragged.remarks[0])


def test_what_cannot_be_dragged(run, make_source, person, pair, picture):
    cases = [
        ({"people": []}, "nobody to drag"),
        ({"people": [person(0, 0, 8, 5)]}, "all too small to paint"),
        ({"handles": [(100, 80)]}, r"Handle 1 at \(100, 80\) lies outside the hole"),
        ({"handles": [*HANDLES, (float("nan"), 80)], "targets": TARGETS * 2}, "Handle 2 at .* lies outside"),
        ({"handles": [*HANDLES, (30, 40)], "targets": TARGETS * 2}, "on different people"),
        ({"handles": []}, "at least one handle"),
        ({"targets": []}, "at least one handle and its target"),
        ({"targets": [(20, 20)]}, r"target at \(20, 20\) is too far from the person"),
        ({"targets": [(20, -3)]}, r"Target 1 at \(20, -3\) is outside the picture"),
        ({"targets": [*TARGETS, *TARGETS]}, "2 targets but 1 handles"),
        ({"mask": torch.ones(9, 9)}, r"shape \[9, 9\], but the picture is 200 wide and 160 high"),
        ({"mask": torch.zeros(SIZE)}, "leaves nothing of the person's hole"),
        ({"mask": (torch.arange(SIZE[0]) > 110)[:, None].expand(SIZE).float()}, "mask allows no change"),
        ({"image": picture(2)}, "one picture at a time; got 2"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            run(**options)
    with pytest.raises(ValueError, match="decoder level 2, .* with 3 levels has them for levels 0 to 1"):
        make_source({}, 2)
    with pytest.raises(ValueError, match="not a TriA-GAN"):
        drag_inpainted(LoadedNet(torch.nn.Identity(), SYSTEM, "x"), picture(), pair, HANDLES, TARGETS,
                       runtime=Runtime("cpu"))
