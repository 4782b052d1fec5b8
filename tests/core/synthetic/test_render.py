"""The checks of a picture and its annotation; limits from the specification unless a comment says why not."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from anyone.core.synthetic import (
    REGION_NAMES,
    REGION_PALETTE,
    Camera,
    Rendering,
    render_people,
    sample_identity,
    sample_pose,
)
from anyone.core.synthetic.camera import look_along
from anyone.core.synthetic.skeleton import build_skeleton

FACE, ARM, LEG = ("head", "hair", "headwear"), ("sleeves", "arms"), ("trousers", "skirt", "legs", "shoes")
TRUNK = ("top", "sleeves", "arms", "hair", "accessory")
EXPECTED = {0: FACE, 1: ("top", "head", "hair", "accessory", "sleeves"), 2: TRUNK, 5: TRUNK, 3: ARM, 4: ARM,
            6: ARM, 7: ARM, 8: (*TRUNK, "trousers", "skirt"), 11: (*TRUNK, "trousers", "skirt"), 9: LEG,
            10: LEG, 12: LEG, 13: LEG, 14: FACE, 15: FACE, 16: FACE, 17: FACE}


def picture_of(rendering: Rendering, k: int) -> dict[str, torch.Tensor]:
    return {name: value[k] for name, value in vars(rendering).items()}


@pytest.mark.parametrize("mode", ["studio", "scene"])
def test_a_picture_alone_is_its_picture_in_any_batch_bit_for_bit(mode):
    options = {"mode": mode, "bystanders": .5, "occluders": .3}
    ids = torch.arange(12)
    together = render_people(ids, 72, 40, **options)
    order = torch.tensor([7, 2, 11, 0, 5])
    mixed = render_people(order, 72, 40, **options)
    for place, k in enumerate(order.tolist()):
        alone = picture_of(render_people(ids[k:k + 1], 72, 40, **options), 0)
        for name, value in picture_of(together, k).items():
            assert torch.equal(alone[name], value), (k, name)
            assert torch.equal(getattr(mixed, name)[place], value), (k, name)


def test_pictures_are_the_same_on_every_machine():
    """Within 1/255; adjust the numbers when a change of the looks is intended."""
    means = render_people(torch.arange(3), 64, 64).image.mean((2, 3))
    expected = torch.tensor([[.5440, .4084, .5644], [.5013, .5318, .6205], [.4762, .5313, .5158]])
    assert (means - expected).abs().max() < 1 / 255, means


def test_shapes_types_and_ranges(scenes):
    assert scenes.image.shape == (64, 3, 144, 80) and scenes.image.min() >= 0 and scenes.image.max() <= 1
    assert scenes.image.std() > .15
    assert scenes.keypoints.shape == (64, 3, 18, 2) and scenes.visibility.shape == (64, 3, 18)
    assert scenes.regions.dtype == scenes.people.dtype == scenes.visibility.dtype == torch.uint8
    assert scenes.identity_vector.shape == (64, 131)
    assert len(REGION_NAMES) == len(REGION_PALETTE) == 12
    for value in vars(scenes).values():
        assert torch.isfinite(value).all()


def test_masks_regions_and_people_agree(scenes):
    main = scenes.people == 1
    assert torch.equal(scenes.mask, main)
    assert torch.equal(scenes.mask, scenes.coverage[:, 0] >= .5)
    assert torch.equal(scenes.regions > 0, scenes.mask)
    assert torch.equal(scenes.people_regions > 0, scenes.people > 0)
    assert torch.equal(scenes.people_regions[main], scenes.regions[main])
    for number in range(3):
        assert torch.equal(scenes.present[:, number], (scenes.people == number + 1).flatten(1).any(1))
    assert .3 < scenes.present[:, 1].float().mean() < .7 and scenes.present[:, 2].any()


@pytest.mark.parametrize("pictures", ["studio", "scenes"])
def test_visible_joints_lie_on_their_regions(pictures, request):
    rendering = request.getfixturevalue(pictures)
    allowed = torch.zeros(18, 12, dtype=torch.bool)
    for joint, names in EXPECTED.items():
        allowed[joint, [REGION_NAMES.index(name) for name in names]] = True
    picture, person, joint = (rendering.visibility == 2).nonzero().T
    x, y = rendering.keypoints[picture, person, joint].long().T
    assert (rendering.people[picture, y, x] == person + 1).all()
    regions = rendering.people_regions[picture, y, x].long()
    assert len(joint) > 600
    assert allowed[joint, regions].float().mean() >= .99


def test_visibility_is_zero_outside_the_picture_and_for_nobody(scenes):
    x, y = scenes.keypoints.unbind(-1)
    outside = (x < 0) | (x >= 80) | (y < 0) | (y >= 144)
    assert outside.any()
    assert (scenes.visibility[outside] == 0).all()
    nobody = (scenes.keypoints == 0).all(-1).all(-1)                       # [B,P]: no bystander was placed
    assert nobody[:, 1:].any() and not scenes.present[nobody].any()
    assert (scenes.visibility[~outside & ~nobody[..., None]] > 0).all()


def test_in_profile_the_far_eye_is_hidden():
    ids = torch.arange(16)
    pose = sample_pose(ids, kind="stand")
    for name, angle in (("yaw", 90.0), ("neck_yaw", 0.0), ("spine_twist", 0.0)):
        pose.degrees(name)[:] = angle                                      # turned to +x in the picture
    rendering = render_people(ids, 160, 80, mode="studio", pose=pose)
    assert (rendering.visibility[:, 0, 14] == 2).float().mean() > .8       # the right eye faces us
    assert (rendering.visibility[:, 0, 15] == 2).float().mean() == 0


def test_joints_agree_with_an_independent_projection():
    ids = torch.arange(8)
    identity, pose = sample_identity(ids), sample_pose(ids)
    forward = torch.nn.functional.normalize(torch.tensor([[.2, -.1, -1.0]]), dim=1).expand(8, 3)
    eye = torch.tensor([[-.8, 1.4, 5.0]]).expand(8, 3)
    centre = torch.tensor([[41.0, 70.0]]).expand(8, 2)
    camera = Camera(eye, look_along(forward), torch.full((8,), 210.0), centre)
    rendering = render_people(ids, 144, 80, mode="studio", identity=identity, pose=pose, camera=camera)
    joints = build_skeleton(identity, pose).keypoints().double().numpy()
    z = forward[0].double().numpy()
    x = np.cross(z, [0, 1, 0])
    x /= np.linalg.norm(x)
    extrinsic = np.eye(4)
    extrinsic[:3, :3] = np.stack([x, np.cross(z, x), z])
    extrinsic[:3, 3] = -extrinsic[:3, :3] @ eye[0].double().numpy()
    intrinsic = np.array([[210.0, 0, 41, 0], [0, 210, 70, 0], [0, 0, 1, 0]])
    projected = np.concatenate([joints, np.ones((8, 18, 1))], -1) @ (intrinsic @ extrinsic).T
    assert np.abs(projected[..., :2] / projected[..., 2:] - rendering.keypoints[:, 0].numpy()).max() < .01


def test_the_same_person_in_two_poses_has_the_same_colours():
    ids = torch.arange(32)
    identity = sample_identity(ids)
    first, second = (render_people(ids, 128, 128, mode="studio", identity=identity, pose=sample_pose(ids + k))
                     for k in (0, 5000))

    def difference(a: int, b: int) -> float:
        found = []
        for region in range(1, 12):
            areas = first.regions[a] == region, second.regions[b] == region
            if min(int(area.sum()) for area in areas) > 60:
                means = first.image[a][:, areas[0]].mean(1), second.image[b][:, areas[1]].mean(1)
                found.append(float((means[0] - means[1]).abs().mean()))
        return float(np.mean(found)) if found else float("nan")

    assert np.nanmean([difference(k, k) for k in range(32)]) < .06
    assert np.nanmean([difference(k, (k + 7) % 32) for k in range(32)]) > .15


def test_identity_pose_and_scene_are_independent():
    """Another scene id changes neither the person nor the pose; another identity keeps the background."""
    ids, identity, pose = torch.arange(4), sample_identity(torch.arange(4)), sample_pose(torch.arange(4))
    base = render_people(ids, 64, 64, identity=identity, pose=pose, bystanders=0, occluders=0, crops=0)
    moved = render_people(ids + 50, 64, 64, identity=identity, pose=pose, bystanders=0, occluders=0, crops=0)
    assert torch.equal(base.identity_vector, moved.identity_vector)
    assert not torch.equal(base.image, moved.image)
    camera = Camera(torch.tensor([[0.0, 1.2, 6.0]]).expand(4, 3),
                    look_along(torch.tensor([[0.0, 0, -1]])).expand(4, 3, 3), torch.full((4,), 170.0),
                    torch.full((4, 2), 32.0))
    other = sample_identity(ids + 900)
    a, b = (render_people(ids, 64, 64, identity=who, pose=pose, camera=camera, bystanders=0, occluders=0)
            for who in (identity, other))
    rim = (slice(None), slice(None), slice(0, 6))                           # above the heads
    assert torch.equal(a.image[rim], b.image[rim])


def test_one_component_without_holes():
    rendering = render_people(torch.arange(24), 256, 256, mode="studio")
    closed = []
    for mask in rendering.mask.numpy().astype(np.uint8):
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        assert stats[1:, cv2.CC_STAT_AREA].max() / mask.sum() >= .98
        padded = cv2.morphologyEx(np.pad(mask, 4), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        closed.append(padded.sum() / mask.sum() - 1)
    # The narrow gap between an arm and the trunk may close too: the limit is for the mean, twice it for one
    # picture.
    assert np.mean(closed) < .01 and max(closed) < .02


def test_no_skin_shows_through_skirts_and_shorts():
    """No patch of leg skin that cloth surrounds, whatever the pose: 5 in 1000 pixels of skin at most."""
    people = sample_identity(torch.arange(300))
    wearers = (people.bottom >= 1).nonzero()[:24, 0]
    patches = skin = 0
    for k, kind in enumerate(("sit", "crouch", "kick", "lunge")):
        ids = wearers[k * 6:k * 6 + 6]
        rendering = render_people(ids, 128, 128, mode="studio", identity=people.select(ids),
                                  pose=sample_pose(ids, kind=kind))
        for regions in rendering.regions.numpy():
            leg = (regions == REGION_NAMES.index("legs")).astype(np.uint8)
            skin += leg.sum()
            count, labels = cv2.connectedComponents(leg, connectivity=8)
            for patch in range(1, count):
                area = (labels == patch).astype(np.uint8)
                rim = (cv2.dilate(area, np.ones((3, 3), np.uint8)) > 0) & (area == 0)
                if np.isin(regions[rim], [REGION_NAMES.index(n) for n in ("top", "trousers", "skirt")]).all():
                    patches += area.sum()
    assert skin > 1000
    assert patches < .005 * skin


def test_trousers_cover_the_legs_down_to_the_calf():
    people = sample_identity(torch.arange(100))
    ids = ((people.bottom == 0) & (people.boots < .5)).nonzero()[:12, 0]
    rendering = render_people(ids, 160, 96, mode="studio", identity=people.select(ids),
                              pose=sample_pose(ids, kind="calm"))
    seen = 0
    for k in range(12):
        points = (rendering.regions[k] == REGION_NAMES.index("legs")).nonzero().float()[:, [1, 0]]
        if len(points):
            joints = rendering.keypoints[k, 0]
            knees, ankles = (torch.cdist(points, joints[index]).amin(1) for index in ([9, 12], [10, 13]))
            assert (ankles < knees).all()
            seen += len(points)
    assert seen > 10


def test_every_class_turns_up_as_often_as_it_should(studio):
    share = {name: (studio.regions == k).flatten(1).any(1).float().mean().item() for k,
             name in enumerate(REGION_NAMES)}
    for name in ("top", "arms", "shoes"):
        assert share[name] > .96
    assert share["hair"] > .92 and share["head"] > .92
    # 64 pictures: a share of p scatters by half of 1/8, so these limits are wider than five per cent.
    for name, expected in (("sleeves", .88), ("trousers", .77), ("legs", .62), ("headwear", .26),
                           ("skirt", .23), ("accessory", .26)):
        assert abs(share[name] - expected) < .17, (name, share[name])


def test_people_fill_a_tall_picture():
    rendering = render_people(torch.arange(32), 128, 64, mode="studio")
    assert .18 < rendering.mask.float().mean() < .32


@pytest.mark.parametrize("mode", ["studio", "scene"])
def test_a_small_picture_is_the_large_one_scaled_down(mode):
    ids = torch.arange(8)
    large, small = (render_people(ids, size, size, mode=mode) for size in (256, 128))
    assert (F.avg_pool2d(large.image, 2) - small.image).abs().mean() < .02
    assert (large.keypoints / 2 - small.keypoints).abs().max() < .01
    reduced = F.avg_pool2d(large.mask[:, None].float(), 2)[:, 0] >= .5
    union = (reduced | small.mask).flatten(1).sum(1)
    assert ((reduced & small.mask).flatten(1).sum(1) / union).min() > .95


def test_studio_shows_one_whole_person_in_the_middle(studio):
    assert not studio.present[:, 1:].any()
    x, y = studio.keypoints[:, 0].unbind(-1)
    assert x.min() > 0 and x.max() < 128 and y.min() > 0 and y.max() < 128
    corner = studio.image[:, :, :4, :4].flatten(2)
    assert corner.std(-1).max() < .03                                       # a plain sweep


def test_occluders_hide_and_crops_cut():
    ids = torch.arange(24)
    free, hidden, cropped = (render_people(ids, 96, 96, bystanders=0, occluders=o, crops=c)
                             for o, c in ((0, 0), (1, 0), (0, 1)))
    assert torch.equal(free.keypoints, hidden.keypoints)
    assert not (hidden.mask & ~free.mask).any()
    assert hidden.mask.sum() < .97 * free.mask.sum()
    assert (hidden.visibility <= free.visibility).all() and (hidden.visibility < free.visibility).sum() > 20
    assert (free.visibility[:, 0] > 0).all()
    ankles = cropped.visibility[:, 0][:, [10, 13]]
    assert (ankles == 0).float().mean() > .8 and (cropped.visibility[:, 0, 0] > 0).float().mean() > .9


def test_wrong_requests_say_what_is_wrong():
    with pytest.raises(ValueError, match="mode should be scene or studio; got 'indoor'"):
        render_people(torch.arange(1), 64, 64, mode="indoor")
    with pytest.raises(ValueError, match="height 8, width 64"):
        render_people(torch.arange(1), 8, 64)
    with pytest.raises(ValueError, match="got 0 ids"):
        render_people(torch.arange(0), 64, 64)
