"""Transfer Pose with small random networks: who is drawn where, movements, and what comes back when nobody
can be."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.deformable.network import Config, Generator
from anyone.core.deformable.weights import SYSTEM as DEFORMABLE
from anyone.core.people import mask_from_pose
from anyone.core.pg2.network import PG2
from anyone.core.pg2.network import Config as PG2Config
from anyone.core.pg2.weights import SYSTEM as PG2_SYSTEM
from anyone.core.pose import (
    JOINTS,
    Pose,
    PoseFrame,
    read_poses,
    retarget_movement,
    transform_pose,
    write_poses,
)
from anyone.core.runtime import Progress
from anyone.core.transfers import TransferSettings, transfer_people
from anyone.nodes import AnyoneTransferPose

WIDTH, HEIGHT = 90, 150
RIGHT_HIP = JOINTS.index("right_hip")


@pytest.fixture(scope="session")
def net():
    torch.manual_seed(0)
    module = Generator(Config(widths=(2, 3, 3, 4, 4, 4), outputs=4)).eval().requires_grad_(False)
    return LoadedNet(module, DEFORMABLE, "tiny", {"heatmaps": "smooth"})


@pytest.fixture
def photo():
    """IMAGE [1,150,90,3] of noise."""
    return noise(1)


def noise(count: int, height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def source(two) -> Pose:
    return two[0].scaled(WIDTH, HEIGHT).people[0]


@pytest.fixture
def movement(source) -> list[Pose]:
    """Three poses on another canvas: twice as large, an arm goes up, the feet 20 pixels to the right each."""
    poses = []
    for step in range(3):
        keypoints = source.keypoints.clone()
        keypoints[JOINTS.index("right_wrist"), 1] -= 20 * step
        large = transform_pose(replace(source, keypoints=keypoints), torch.zeros(2), scale=2, dx=20 * step)
        poses.append(replace(large, width=300, height=400))
    return poses


def wire(*poses: Pose | None, size: tuple[int, int] = (300, 400)) -> list[dict]:
    """POSE_KEYPOINT with a frame for each, empty for None."""
    return write_poses([PoseFrame(*size) if pose is None else PoseFrame(pose.width, pose.height, (pose,))
                        for pose in poses])


def lame(pose: Pose) -> Pose:
    """Without a hip, which Deformable GAN needs."""
    return replace(pose, scores=(torch.arange(18) != RIGHT_HIP).float())


def keypoints(output, number: int = 0) -> torch.Tensor:
    """[18,2] of the pose that the node says it drew."""
    (person,) = read_poses(output.args[4])[number].people
    return person.keypoints


@pytest.fixture
def transfer(run, net, photo, source):
    """`transfer(target poses, **inputs)`: the node's output, if nothing else is said for the source in the
    photo, without detail."""
    def call(*poses: Pose | None, **inputs):
        usual = {"image": photo, "transfer": net, "target_pose": wire(*poses), "source_pose": wire(source),
                 "mask": silhouette(source)[None].float(), "detail": 0.0}
        return run(AnyoneTransferPose, **usual | inputs)
    return call


def silhouette(pose: Pose) -> torch.Tensor:
    return mask_from_pose(pose, HEIGHT, WIDTH)


def expected(net, photo, source, poses, runtime, **settings):
    return transfer_people(net, photo, [source], poses, masks=silhouette(source)[None],
                           settings=TransferSettings(**settings), runtime=runtime)


def test_one_pose_is_drawn_as_the_library_does(transfer, net, photo, source, movement, runtime):
    output = transfer(movement[1], retarget="off", detail=0.3, background="keep", feather=2.0)
    same = expected(net, photo, source, movement[1:2], runtime, detail=0.3, background="keep", feather=2.0)
    for value, field in zip(output.args, (same.pictures, same.mask, same.previews, same.source_masks),
                            strict=False):
        assert torch.equal(value, field)
    assert 0.05 < output.args[1].mean() < 0.9 and torch.equal(output.args[0][output.args[1] == 0],
                                                              photo[output.args[1] == 0])
    # 300x400 fitted into 90x150: three tenths the size, 15 pixels above and below.
    torch.testing.assert_close(keypoints(output), 0.3 * movement[1].keypoints + torch.tensor([0.0, 15.0]),
                               atol=1e-3, rtol=0)
    assert output.args[5] == "1 picture drawn." == output.ui["text"][0]


def test_a_movement_starts_where_the_person_stands_in_their_size(transfer, net, photo, source, movement,
                                                                runtime):
    output = transfer(*movement)
    performed = retarget_movement(movement, source)
    same = expected(net, photo, source, performed, runtime, background="fill")
    assert torch.equal(output.args[0], same.pictures) and len(same.pictures) == 3
    torch.testing.assert_close(keypoints(output), source.keypoints, atol=1e-3, rtol=0)
    ankle = JOINTS.index("left_ankle")
    steps = [float(keypoints(output, number)[ankle, 0] - source.keypoints[ankle, 0]) for number in range(3)]
    assert steps == pytest.approx([0, 10, 20], abs=1e-3)
    assert output.args[5] == "3 pictures drawn."


def test_each_pose_for_itself_stands_where_the_person_stands(transfer, source, movement):
    larger = transform_pose(movement[2], torch.zeros(2), scale=3)
    output = transfer(lame(movement[0]), larger, retarget="each")
    assert output.args[5].startswith("1 picture drawn. Result 1 as it was: The target pose needs")
    (performed,) = retarget_movement(movement[2:], source)
    torch.testing.assert_close(keypoints(output, 1), performed.keypoints, atol=1e-3, rtol=0)


def test_every_picture_of_a_batch_has_its_own_pose(transfer, source, movement):
    aside = source.moved(15, 0)
    output = transfer(movement[0], movement[2], image=noise(2), source_pose=wire(source, aside), mask=None)
    ankle = JOINTS.index("left_ankle")
    for number, person in enumerate((source, aside)):
        torch.testing.assert_close(keypoints(output, number)[ankle], person.keypoints[ankle], atol=1e-3,
                                   rtol=0)
    assert not torch.equal(output.args[3][0], output.args[3][1])


def test_batches_repeat_to_the_longest(transfer, movement):
    output = transfer(*movement, image=noise(2))
    single = transfer(movement[2], image=noise(2)[:1])
    assert [len(value) for value in output.args[:5]] == [3] * 5
    assert torch.equal(output.args[0][2], single.args[0][0]), "the first picture again, the third pose"


def test_the_first_person_counts(transfer, source, movement):
    two = PoseFrame(300, 400, (movement[0], movement[1]))
    alone = transfer(movement[0], mask=None)
    both = transfer(target_pose=write_poses([two]), mask=None,
                    source_pose=write_poses([PoseFrame(WIDTH, HEIGHT, (source, source.moved(20, 0)))]))
    assert torch.equal(alone.args[0], both.args[0]) and torch.equal(alone.args[3], both.args[3])


def test_a_mask_says_who_is_meant_and_where(transfer, two, source):
    pair = write_poses([two[0].scaled(WIDTH, HEIGHT)])
    mask = silhouette(two[0].people[1])
    output = transfer(source, source_pose=pair, mask=mask[None].float())
    assert torch.equal(output.args[3][0] > 0, mask)
    everybody = mask | silhouette(source)
    output = transfer(source, source_pose=pair, mask=everybody[None].float())
    assert torch.equal(output.args[3][0] > 0, everybody & ~mask)


def test_without_a_pose_the_detector_finds_the_person(transfer, seen, source, movement):
    masks = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    masks[:, 10:140, 8:63] = True
    seen(PoseFrame(WIDTH, HEIGHT, (source,)), masks)
    found = transfer(movement[0], source_pose=None, mask=None)
    given = transfer(movement[0], mask=masks.float())
    assert torch.equal(found.args[3], masks.float())
    assert torch.equal(found.args[0], given.args[0])
    elsewhere = transfer(movement[0], source_pose=None, mask=1 - masks.float())
    assert elsewhere.args[5] == "No picture drawn. Result 1 as it was: nobody to draw."


def test_nobody_means_the_picture_as_it_was(transfer, photo, movement):
    output = transfer(movement[0], None, replace(movement[1], scores=torch.zeros(18)), movement[2])
    picture, mask, warp, source_mask, pose, note = output.args
    for number in (1, 2):
        assert torch.equal(picture[number], photo[0]) and (warp[number] == 0.5).all()
        assert not mask[number].any() and not source_mask[number].any()
    assert [len(frame["people"]) for frame in pose] == [1, 0, 0, 1]
    assert note == "2 pictures drawn. Result 2-3 as it was: nobody to draw."
    alone = transfer(movement[0], movement[2])
    assert torch.equal(picture[3], alone.args[0][1]), "gaps change nothing else"


def test_nobody_anywhere_needs_no_network(transfer, photo, net, monkeypatch):
    monkeypatch.setattr(net, "module", None)
    animals = {"version": "ap10k", "canvas_width": 9, "canvas_height": 9, "animals": [[[1, 2, 1]] * 17]}
    output = transfer(target_pose=animals)
    assert torch.equal(output.args[0], photo) and not output.args[1].any()
    assert output.args[5].startswith("No picture drawn. Result 1 as it was: nobody to draw.")
    assert "AP-10K" in output.args[5]


def test_an_animation_repeats_the_drawing_before_where_joints_are_missing(transfer, movement):
    output = transfer(lame(movement[0]), movement[0], lame(movement[1]), None, lame(movement[1]), movement[2])
    picture, mask, *_, pose, note = output.args
    for value in (picture, mask):
        assert torch.equal(value[0], value[1]) and torch.equal(value[1], value[2])
        assert torch.equal(value[2], value[4]) and not torch.equal(value[4], value[5])
    assert [len(frame["people"]) for frame in pose] == [1, 1, 1, 0, 1, 1] and pose[4] == pose[1]
    assert note == ("2 pictures drawn. Result 4 as it was: nobody to draw. Result 1, 3, 5 as the one before: "
                    "The target pose needs both shoulders and both hips.")


def test_pictures_of_a_batch_do_not_stand_in_for_each_other(transfer, movement):
    output = transfer(movement[0], lame(movement[0]), image=noise(2))
    assert torch.equal(output.args[0][1], noise(2)[1]) and not output.args[1][1].any()
    assert output.args[5].endswith("Result 2 as it was: The target pose needs both shoulders and both hips.")


def test_if_no_pose_can_be_drawn_the_error_says_which(transfer, source, movement):
    words = "Frame 2 of target_pose cannot be drawn for picture 1 of image: The {} pose needs both shoulders"
    with pytest.raises(ValueError, match=words.format("target")):
        transfer(None, lame(movement[0]))
    with pytest.raises(ValueError, match=words.format("source")):
        transfer(None, movement[0], source_pose=wire(lame(source)))


def test_pg2_draws_what_deformable_gan_refuses(transfer, movement):
    module = PG2(PG2Config(height=32, width=16, channels=4, code=3, outputs=4)).initialise(1)
    pg2 = LoadedNet(module.eval().requires_grad_(False), PG2_SYSTEM, "tiny")
    output = transfer(lame(movement[0]), transfer=pg2)
    assert output.args[5] == "1 picture drawn." and output.args[1].any()
    with pytest.raises(ValueError, match="target pose has too few joints to tell how large the person is"):
        transfer(replace(movement[0], scores=(torch.arange(18) == 0).float()), transfer=pg2)


def test_backgrounds(transfer, photo, source, movement):
    behind = noise(2, 100, 200, seed=1)
    output = transfer(*movement, None, background_image=behind)
    picture, mask, _, source_mask, pose, _ = output.args
    assert picture.shape == (4, 100, 200, 3) and source_mask.shape == (4, HEIGHT, WIDTH)
    for number in range(4):
        assert torch.equal(picture[number][mask[number] == 0], behind[number % 2][mask[number] == 0])
    assert (pose[0]["canvas_width"], pose[0]["canvas_height"]) == (200, 100) and not mask[3].any()
    plain, kept = (transfer(movement[0], background=kind) for kind in ("plain", "keep"))
    assert (plain.args[0][plain.args[1] == 0] == 0.5).all()
    assert torch.equal(kept.args[0][kept.args[1] == 0], photo[kept.args[1] == 0])
    filled = transfer(transform_pose(source, torch.zeros(2), scale=0.2), retarget="off").args
    gone = (filled[3] > 0) & (filled[1] == 0)
    assert (filled[0] != photo)[gone].any(-1).float().mean() > 0.9


def test_every_finished_picture_is_shown(transfer, movement, runtime, monkeypatch):
    shown = []

    class Recorder(Progress):
        def show(self, preview):
            shown.append((self.done, self.total, preview.clone()))

    monkeypatch.setattr(runtime, "progress_class", Recorder)
    output = transfer(*movement)
    assert [one[:2] for one in shown] == [(1, 3), (2, 3), (3, 3)]
    assert torch.equal(torch.stack([one[2] for one in shown]), output.args[0])


@pytest.mark.parametrize("change, words", [
    ({"transfer": "text"}, "transfer should come from Load Pose Transfer"),
    ({"background": "beach"}, "background should be one of keep, fill, plain"),
    ({"retarget": True}, "retarget should be one of movement, each, off"),
    ({"target_pose": []}, "target_pose is an empty list"),
    ({"target_pose": [{"people": []}]}, "target_pose: .*canvas_width"),
    ({"source_pose": [5]}, "source_pose: .*dictionary"),
    ({"image": noise(1) * torch.nan}, "image holds NaN"),
    ({"background_image": noise(0)}, "background_image is empty"),
    ({"mask": noise(2)[None]}, "mask should be a mask"),
    ({"detector": "text", "source_pose": None}, "detector should come from Load Person Detector"),
])
def test_wrong_inputs_are_refused_in_a_sentence(transfer, movement, change, words):
    with pytest.raises(ValueError, match=words):
        transfer(movement[0], **change)


@pytest.mark.parametrize("make", [
    lambda image: image.half(), lambda image: image[0], lambda image: torch.cat([image, image[..., :1]], -1),
    lambda image: image[..., :1], lambda image: image[:, :17, :9]],
    ids=["fp16", "no batch", "RGBA", "grey", "9x17"])
def test_every_kind_of_picture_is_taken(transfer, photo, movement, make):
    given = make(photo)
    picture, mask, *_ = transfer(movement[0], image=given, background="keep").args
    assert picture.shape[1:3] == given.shape[-3:-1] and mask.any()
    kept = given[..., :3].float().reshape(1, *picture.shape[1:3], -1).expand_as(picture)
    assert torch.equal(picture[mask == 0], kept[mask == 0])


def test_limbs_without_a_length_are_drawn_as_well_as_can_be(transfer, source):
    """All joints of the arms and legs on the shoulders and hips; in the source, the target, or both."""
    folded = source.keypoints.clone()
    for near, *far in ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 12, 13)):
        folded[far] = source.keypoints[near]
    flat = replace(source, keypoints=folded)
    for one, other in ((source, flat), (flat, source), (flat, flat)):
        picture, mask, *_ = transfer(other, source_pose=wire(one), detail=1.0, retarget="off").args
        assert picture.isfinite().all() and mask.any()


def test_somebody_outside_is_a_clear_error_or_a_held_frame(transfer, source, movement):
    with pytest.raises(ValueError, match="Nobody is to be seen in source picture 1"):
        transfer(movement[0], source_pose=wire(source.moved(1000, 0)), mask=None)
    exploded = transform_pose(source, torch.zeros(2), scale=1e4)
    with pytest.raises(ValueError, match="target pose reaches more than 100 times the size of its picture"):
        transfer(exploded, retarget="off")
    held = transfer(source, exploded, retarget="off")
    assert torch.equal(held.args[0][0], held.args[0][1]) and "as the one before: The target" in held.args[5]
    beside = transfer(source.moved(1000, 0), retarget="off")
    assert beside.args[5] == "1 picture drawn." and not beside.args[1].any()
