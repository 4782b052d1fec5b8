from __future__ import annotations

import math

import pytest
import torch
from anyone.core.people import mask_from_pose, moved_masks, split_mask
from anyone.core.pose import JOINTS, Pose

# A standing adult of 173 pixels seen from the front, 100 pixels a metre, soles at y = 173.
STANDING = {
    "nose": (50, 16), "neck": (50, 38), "right_shoulder": (33, 38), "left_shoulder": (67, 38),
    "right_elbow": (28, 65), "left_elbow": (72, 65), "right_wrist": (26, 89), "left_wrist": (74, 89),
    "right_hip": (41, 85), "left_hip": (59, 85), "right_knee": (40, 127), "left_knee": (60, 127),
    "right_ankle": (40, 165), "left_ankle": (60, 165), "right_eye": (47, 13), "left_eye": (53, 13),
    "right_ear": (42, 14), "left_ear": (58, 14)}


def pose_of(points: dict[str, tuple[float, float]], width=100, height=190) -> Pose:
    keypoints, scores = torch.zeros(18, 2), torch.zeros(18)
    for name, point in points.items():
        keypoints[JOINTS.index(name)], scores[JOINTS.index(name)] = torch.tensor(point, dtype=torch.float), 1
    return Pose(keypoints, scores, width, height)


def standing(dx=0.0, dy=0.0, size=1.0, width=100, height=190, without=()) -> Pose:
    kept = {name: point for name, point in STANDING.items() if name not in without}
    points = {name: (x * size + dx, y * size + dy) for name, (x, y) in kept.items()}
    return pose_of(points, width, height)


def iou(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_silhouette_has_human_proportions():
    mask = mask_from_pose(standing(), 190, 100)
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    assert int(rows[0]) <= 2                                         # the crown
    assert 171 <= int(rows[-1]) <= 179                               # toes below the ankles
    assert 18 <= int(columns[0]) <= 25
    width = mask.sum(1)
    assert 20 <= int(width[14]) <= 26                                # head
    assert 11 <= int(width[28:32].min()) <= 18                       # neck
    assert 45 <= int(width[45]) <= 62                                # shoulders and arms
    assert mask[140, 40]
    assert mask[140, 60]
    assert not mask[140, 50]                                         # between the shins
    assert mask[97, 25]                                              # a hand beyond the wrist
    assert iou(mask, mask.flip(1)) > 0.98


def test_mask_follows_the_picture_s_size():
    small = mask_from_pose(standing(), 190, 100)
    large = mask_from_pose(standing(), 760, 400)
    assert iou(large[2::4, 2::4], small) > 0.95
    moved = mask_from_pose(standing(dx=300, dy=1000, width=1000, height=2000), 2000, 1000)
    assert iou(moved[1000:1190, 300:400], small) > 0.98
    assert not moved[:990].any()
    assert not moved[:, :300].any()


def test_large_outlines_are_smooth():
    large = mask_from_pose(standing(), 3040, 1600)
    fine = mask_from_pose(standing(), 760, 400)
    assert iou(large, fine.repeat_interleave(4, 0).repeat_interleave(4, 1)) > 0.97
    steps = large.float().argmax(1)[1300:2400].diff().abs()          # edge of arm, hand and leg, by rows
    assert float(steps.float().quantile(0.95)) <= 3


@pytest.mark.parametrize("without", [
    ("neck",), ("right_hip",), ("right_shoulder", "neck"), ("right_ear", "right_eye"),
    ("nose", "right_eye", "left_eye")])
def test_a_missing_joint_hardly_shows(without):
    mask = mask_from_pose(standing(without=without), 190, 100)
    assert iou(mask, mask_from_pose(standing(), 190, 100)) > 0.75


def test_hips_and_legs_below_the_border_are_guessed():
    whole = mask_from_pose(standing(), 190, 100)
    for bottom in (70, 110, 150):
        kept = {name: point for name, point in STANDING.items() if point[1] < bottom}
        assert iou(mask_from_pose(pose_of(kept, 100, bottom), bottom, 100), whole[:bottom]) > 0.75, bottom


@pytest.mark.parametrize("points", [{}, {"nose": (5, 5)}, {"left_wrist": (5, 5), "right_ankle": (50, 90)},
                                    {"nose": (5, 5), "neck": (5, 5)}])
def test_too_few_joints_give_an_empty_mask(points):
    assert not mask_from_pose(pose_of(points), 190, 100).any()


def test_a_face_alone_is_a_head():
    face = {name: STANDING[name] for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")}
    mask = mask_from_pose(pose_of(face), 190, 100)
    assert mask[14, 50]
    assert 200 < int(mask.sum()) < 900


def test_poses_off_the_picture_and_degenerate_ones():
    assert not mask_from_pose(standing(dx=1e4), 190, 100).any()
    assert not mask_from_pose(standing(dx=-1e4, dy=1e5), 17, 9).any()
    assert mask_from_pose(standing(size=1000, dx=-5e4, dy=-5e4), 17, 9).all()        # inside the belly
    assert mask_from_pose(standing(size=0.08), 17, 9).any()


def check_partition(parts: list[torch.Tensor], mask: torch.Tensor) -> None:
    assert torch.equal(torch.stack(parts).sum(0), mask.long()), "every pixel belongs to exactly one part"


def test_people_apart_get_their_own_blob_with_skirts_and_all():
    left, right = standing(width=220), standing(dx=110, width=220)
    one, two = mask_from_pose(left, 190, 220), mask_from_pose(right, 190, 220)
    one[80:130, 20:85] = True                                        # a wide skirt, no limb near its rim
    parts = split_mask(one | two, [right, left])
    assert torch.equal(parts[0], two)
    assert torch.equal(parts[1], one)


def test_people_who_touch_are_cut_between_them():
    left, right = standing(width=160), standing(dx=46, width=160)
    one, two = mask_from_pose(left, 190, 160), mask_from_pose(right, 190, 160)
    mask = one | two
    parts = split_mask(mask, [left, right])
    check_partition(parts, mask)
    assert iou(parts[0] & ~two, one & ~two) > 0.98
    assert iou(parts[1] & ~one, two & ~one) > 0.98


def test_distance_counts_in_body_sizes():
    child, adult = standing(size=0.4, dy=100, width=200), standing(dx=60, width=200)
    mask = torch.zeros(190, 200, dtype=torch.bool)
    mask[130:150, 20:100] = True                                     # a band from one to the other
    parts = split_mask(mask, [child, adult])
    check_partition(parts, mask)
    row = parts[0][140].nonzero().flatten()
    # The child's leg ends near x = 26, the adult's begins near 94: the border is .4 / 1.4 of the way.
    assert 40 <= int(row[-1]) <= 53


def test_strangers_come_last_and_crumbs_together():
    pose = standing(width=600)
    person = mask_from_pose(pose, 190, 600)
    mask = person.clone()
    mask[40:160, 300:340] = True
    mask[40:160, 500:540] = True
    mask[10, 250] = mask[20, 450] = True
    parts = split_mask(mask, [pose])
    check_partition(parts, mask)
    assert torch.equal(parts[0], person)
    assert [int(part.sum()) for part in parts[1:]] == [4800, 4800, 2]


def test_a_foot_cut_off_by_a_pole_stays_with_its_person():
    pose = standing()
    mask = mask_from_pose(pose, 190, 100)
    mask[145:155] = False
    assert [torch.equal(part, mask) for part in split_mask(mask, [pose])] == [True]


def test_without_poses_every_blob_is_somebody():
    mask = torch.zeros(50, 60, dtype=torch.bool)
    mask[5:20, 5:20] = mask[30:45, 40:55] = True
    parts = split_mask(mask, [])
    check_partition(parts, mask)
    assert len(parts) == 2


def test_empty_masks_and_poses_without_joints():
    empty, nobody = torch.zeros(17, 9, dtype=torch.bool), pose_of({})
    assert split_mask(empty, []) == []
    assert [int(part.sum()) for part in split_mask(empty, [standing(), nobody])] == [0, 0]
    assert [int(part.sum()) for part in split_mask(~empty, [nobody])] == [0, 17 * 9]


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_noise_is_still_divided_exactly(share):
    mask = torch.rand(333, 517, generator=torch.Generator().manual_seed(3)) < share
    poses = [standing(dx=dx, width=517, height=333) for dx in (0, 60, 300)]
    parts = split_mask(mask, poses)
    check_partition(parts, mask)
    assert len(parts) <= len(poses) + math.ceil(1 / 0.02) + 1


def test_large_pictures():
    poses = [standing(dx=dx, size=15, width=4000, height=3000) for dx in (0, 1200, 2400)]
    masks = [mask_from_pose(pose, 3000, 4000) for pose in poses]
    mask = masks[0] | masks[1] | masks[2]
    parts = split_mask(mask, poses)
    assert len(parts) == 3
    assert sum(int(part.sum()) for part in parts) == int(mask.sum())
    assert all(iou(part, own) > 0.97 for part, own in zip(parts, masks, strict=True))


def arm_at(x, y):
    """Standing, with the left arm towards the right of the picture."""
    arm = {"left_elbow": (67 + (x - 67) / 2, 38 + (y - 38) / 2), "left_wrist": (x, y)}
    return pose_of(STANDING | arm, width=150)


def test_a_mask_moves_with_the_limb_and_keeps_the_rest():
    start, end = standing(width=150), arm_at(115, 30)
    hair = torch.zeros(190, 150, dtype=torch.bool)
    hair[8:70, 30:40] = True                                         # long, beside the other arm
    mask = mask_from_pose(start, 190, 150) | hair
    still, moved = moved_masks(mask, start, [start, end])
    assert torch.equal(still, mask)
    assert moved[30, 114] and not mask[30, 114]                      # the hand is where it goes
    assert mask[89, 74] and not moved[89, 74]                        # and no longer where it was
    assert moved[hair].all() and moved[90:, :60].equal(mask[90:, :60])
    assert iou(moved, mask_from_pose(end, 190, 150) | hair) > 0.95
    assert mask[89, 74], "the mask that was given stays as it was"


def test_limbs_keep_their_width_when_they_get_longer():
    start, end = standing(width=300), arm_at(115, 30)
    end = pose_of(dict(zip(JOINTS, end.keypoints.tolist(), strict=True)) | {
        "left_elbow": (150, 38), "left_wrist": (230, 38)}, width=300)
    [moved] = moved_masks(mask_from_pose(start, 190, 300), start, [end])
    assert 7 <= int(moved[:, 190].sum()) <= 11                       # a forearm of 85 mm, 100 pixels a metre
    assert iou(moved[100:], mask_from_pose(start, 190, 300)[100:]) > 0.97


def test_a_mask_on_another_size_than_the_pose():
    start, end = standing(width=150), arm_at(115, 30)
    mask = mask_from_pose(start, 380, 300)
    [moved] = moved_masks(mask, start, [end])
    assert moved[60, 228] and not moved[178, 148] and iou(moved, mask_from_pose(end, 380, 300)) > 0.95


def test_somebody_partly_outside_is_drawn_anew():
    """The ankle is not known and lies below the picture at first; lifted, the shin ends at the knee."""
    names = {name: point for name, point in STANDING.items() if name != "left_ankle"}
    start = pose_of(names, 200, 150)
    end = pose_of(names | {"left_knee": (95, 95)}, 200, 150)
    everything = torch.ones(150, 200, dtype=torch.bool)
    still, moved = moved_masks(everything, start, [start, end])
    assert still.equal(everything) and iou(moved, mask_from_pose(end, 150, 200)) > 0.97
