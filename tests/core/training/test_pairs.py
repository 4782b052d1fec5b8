"""Pairs of pictures of one person, and what training makes of them."""
from __future__ import annotations

import pytest
import torch
from anyone.core.pose import JOINTS
from anyone.core.runtime import Runtime
from anyone.core.synthetic.pool import PoolSettings, write_pool
from anyone.core.training import Pairs, Pool
from anyone.core.training.pool import to_batch
from anyone.core.training.transfer import prepared, score_pairs, sheet
from safetensors.torch import save_file

CPU = torch.device("cpu")
LEFT_WRIST, RIGHT_WRIST, RIGHT_HIP = 7, 4, 8


def shard(folder, person, lacking=()):
    """Uniform pictures numbered by their grey, the person in the left half."""
    count = len(person)
    image = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 16, 8).contiguous()
    people = torch.zeros(count, 16, 8, dtype=torch.uint8)
    people[:, :, :4] = 1
    visibility = torch.full((count, 2, 18), 2, dtype=torch.uint8)
    visibility[list(lacking), 0, RIGHT_HIP] = 0
    points = torch.arange(18.0)[:, None].expand(18, 2) / 4 + 0.5
    save_file({"image": image, "people": people, "visibility": visibility, "person": torch.tensor(person),
               "keypoints": points.expand(count, 2, 18, 2).contiguous()}, folder / "pool-00000.safetensors")
    return folder


def numbers(views):
    return views["image"][:, :, 0, 0, 0].tolist()


def test_all_ordered_pairs_of_one_person(tmp_path):
    pairs = Pairs(shard(tmp_path, [7, 7, 7, 3, 9, 9]))
    found = numbers(pairs.take(torch.arange(len(pairs))))
    assert sorted(found[:6]) == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert sorted(found[6:]) == [[4, 5], [5, 4]]


def test_pictures_without_shoulders_and_hips_are_left_out(tmp_path):
    pairs = Pairs(shard(tmp_path, [7, 7, 7], lacking=[1]))
    assert sorted(numbers(pairs.take(torch.arange(len(pairs))))) == [[0, 2], [2, 0]]
    with pytest.raises(ValueError, match="no two pictures of one person"):
        Pairs(shard(tmp_path, [7, 7, 7], lacking=[1, 2]))


def test_whole_people_are_held_out(tmp_path):
    pairs = Pairs(shard(tmp_path, [0, 0, 0, 1, 1, 1, 2, 2, 2]))
    assert [pairs.hold_out(count) for count in (1, 6, 7, 18)] == [6, 6, 12, 18]


def test_pools_without_persons_are_refused(pool):
    with pytest.raises(ValueError, match="does not tell who is who"):
        Pairs(*pool.folders)


def test_procedural_views_show_one_person(tmp_path):
    write_pool(tmp_path, PoolSettings(8, (48, 32), "studio", first_id=5, views=4), Runtime(device="cpu"))
    samples = Pool(tmp_path).take(torch.arange(8))
    assert samples["person"].tolist() == [5] * 4 + [6] * 4
    assert (samples["identity"][:4] == samples["identity"][0]).all()
    assert not (samples["identity"][4] == samples["identity"][0]).all()
    corner = samples["image"][:4, :, 0, 0]
    assert (corner.int() - corner[0].int()).abs().max() < 8    # the same sweep in the same light
    assert not (samples["keypoints"][1] == samples["keypoints"][0]).all()


def test_a_pair_stands_on_grey(tmp_path):
    pairs = Pairs(shard(tmp_path, [7, 7]))
    pair = prepared(to_batch(pairs.take(torch.tensor([1])), CPU))
    assert (pair.source[..., 4:] == 0).all() and (pair.target[..., 4:] == 0).all()
    assert torch.allclose(pair.source[..., :4], torch.tensor(1 / 255 * 2 - 1))
    assert torch.allclose(pair.target[..., :4], torch.tensor(-1.0))
    assert pair.wanted.shape == (1, 4, 16, 8) and (pair.wanted[:, 3, :, :4] == 1).all()
    assert (pair.wanted[:, 3, :, 4:] == -1).all()
    assert torch.allclose(pair.source_joints[0, :, 0], torch.arange(18.0) / 4)


def test_mirroring_swaps_sides_and_keeps_pairs_together(tmp_path):
    batch = to_batch(Pairs(shard(tmp_path, [7, 7])).take(torch.zeros(64, dtype=torch.long)), CPU)
    pair = prepared(batch, torch.Generator().manual_seed(0))
    flipped = (pair.wanted[:, 3, 0] > 0)[:, -1]
    assert 16 < flipped.sum() < 48
    plain = pair.target_joints[~flipped][0]
    mirrored = pair.target_joints[flipped][0]
    assert mirrored[LEFT_WRIST, 0] == 7 - plain[RIGHT_WRIST, 0]
    assert mirrored[LEFT_WRIST, 1] == plain[RIGHT_WRIST, 1]
    assert ((pair.source[flipped][:, 0, 8, 0] == 0) & (pair.source[~flipped][0, 0, 8, 7] == 0)).all()


def test_hidden_joints_go_missing_but_not_the_trunk(tmp_path):
    batch = to_batch(Pairs(shard(tmp_path, [7, 7])).take(torch.zeros(64, dtype=torch.long)), CPU)
    batch["visibility"][:] = 1
    gone = prepared(batch, torch.Generator().manual_seed(0)).target_joints.isnan().any(-1)      # [64,18]
    trunk = [JOINTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("shoulder", "hip")]
    assert not gone[:, trunk].any() and 0.2 < gone[:, LEFT_WRIST].float().mean() < 0.4
    assert not prepared(batch).target_joints.isnan().any()


def test_sizes_change_for_both_pictures(tmp_path):
    batch = to_batch(Pairs(shard(tmp_path, [7, 7])).take(torch.tensor([0])), CPU, (32, 16))
    assert batch["image"].shape == (1, 2, 3, 32, 16) and batch["people"].shape == (1, 2, 32, 16)
    assert torch.allclose(batch["keypoints"][0, 0, 4], torch.tensor([3.0, 3.0]))


def test_scores_of_the_right_picture_and_of_the_source(tmp_path):
    batch = to_batch(Pairs(shard(tmp_path, [7, 7])).take(torch.tensor([0, 1])), CPU, (32, 16))
    perfect = score_pairs(lambda pair: pair.wanted, [batch])
    assert perfect == {"l1": 0.0, "copied": round(0.5 / 255, 4), "ssim": 1.0, "person_ssim": 1.0,
                       "mask_iou": 1.0}
    copied = score_pairs(lambda pair: torch.cat([pair.source, -torch.ones_like(pair.source[:, :1])], 1),
                         [batch])
    assert copied["l1"] == perfect["copied"] and copied["mask_iou"] == 0


def test_the_sheet_shows_source_pose_and_target(tmp_path):
    pair = prepared(to_batch(Pairs(shard(tmp_path, [7, 7])).take(torch.tensor([0, 1])), CPU))
    rows = sheet(pair, pair.wanted)
    assert rows.shape == (4, 2, 3, 16, 8)
    assert torch.equal(rows[2], rows[3]) and rows[1].amax() > 0.5
    assert torch.allclose(rows[0, 1, 0, 0, 0], torch.tensor(1 / 255)) and rows[0, 0, 0, 0, 7] == 0.5
