import argparse
import json

import pytest
import torch
from anyone.core.detect import augment as views
from anyone.core.detect.network import GRID, SIDE
from anyone.core.detect.train import DetectTask
from anyone.core.pose import JOINTS
from anyone.core.synthetic import render_people
from anyone.core.training import cli
from anyone.core.training.task import StepContext

FIELDS = ("image", "keypoints", "visibility", "people", "people_regions")


@pytest.fixture(scope="module")
def batch():
    rendering = render_people(torch.arange(8), 128, 128)
    return {name: getattr(rendering, name) for name in FIELDS}


def test_mirroring_swaps_the_sides():
    names = [JOINTS[i] for i in views.MIRRORED]
    assert names[:3] == ["nose", "neck", "left_shoulder"] and names[-1] == "right_ear"
    assert [views.MIRRORED[i] for i in views.MIRRORED] == list(range(18))


def marked(count=6, height=90, width=120):
    """Pictures with a blot at five joints: blue (j + 1) / 20 at joint j; people 1, regions n + 1 there."""
    torch.manual_seed(0)
    places = torch.rand(count, 1, 18, 2) * torch.tensor([width - 40, height - 40])
    keypoints = places.floor() + 20.5
    image = torch.zeros(count, 3, height, width)
    people = torch.zeros(count, height, width, dtype=torch.uint8)
    visibility = torch.zeros(count, 1, 18, dtype=torch.uint8)
    for n in range(count):
        for j in (2, 5, 8, 11, 0):
            x, y = keypoints[n, 0, j].long().tolist()
            image[n, 2, y - 4:y + 5, x - 4:x + 5] = (j + 1) / 20
            people[n, y - 4:y + 5, x - 4:x + 5] = 1
            visibility[n, 0, j] = 2
    return {"image": image, "keypoints": keypoints, "visibility": visibility, "people": people,
            "people_regions": people * (torch.arange(count, dtype=torch.uint8) + 1)[:, None, None]}


@pytest.mark.parametrize("mirror", [False, True])
def test_picture_joints_and_labels_move_together(mirror):
    picture = views._rows(marked(), slice(None))
    count = len(picture["image"])
    view = views.View(torch.linspace(-0.5, 0.5, count), torch.linspace(0.8, 1.4, count),
                      torch.full((count, 2), 5.0), torch.full((count,), mirror), torch.full((count, 3), 0.5))
    image, labels = views._warp(picture, view)
    assert image.shape == (count, 3, SIDE, SIDE) and labels.people.shape == (count, GRID, GRID)
    seen = labels.visibility.nonzero().tolist()
    assert len(seen) > 15
    right = 0
    for n, p, joint in seen:
        x, y = labels.keypoints[n, p, joint].tolist()
        source = views.MIRRORED[joint] if mirror else joint
        right += abs(float(image[n, 2, int(y), int(x)]) - (source + 1) / 20) < 0.02
        assert labels.people[n, int(y / 2), int(x / 2)] == 1
        assert labels.regions[n, int(y / 2), int(x / 2)] == n + 1
    assert right >= len(seen) - 4                         # blots may cover each other


def test_beyond_the_picture_is_the_fill(batch):
    image, labels = views.plain(marked())
    assert (image[:, :, :10] == 0.5).all() and (labels.people[:, :8] == 0).all()
    assert (image[:, :2, 20:100] == 0).all()


def test_mosaics_number_the_people_on(batch):
    four = [views._rows(batch, torch.tensor([i, i + 4])) for i in range(4)]
    square = views._mosaic(four)
    assert square["image"].shape == (2, 3, 256, 256) and square["keypoints"].shape[1] == 12
    for quarter, (y, x) in enumerate([(0, 0), (0, 128), (128, 0), (128, 128)]):
        people = square["people"][0, y:y + 128, x:x + 128].long()
        alone = four[quarter]["people"][0].long()
        assert torch.equal(people, torch.where(alone > 0, alone + quarter * 3, 0))
        moved = square["keypoints"][0, quarter * 3] - torch.tensor([x, y])
        assert torch.allclose(moved, four[quarter]["keypoints"][0, 0], atol=1e-4)


def test_augmented_pictures_are_pictures_and_repeatable(batch):
    one, labels = views.augment(batch, torch.Generator().manual_seed(4))
    again, _ = views.augment(batch, torch.Generator().manual_seed(4))
    other, _ = views.augment(batch, torch.Generator().manual_seed(5))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.shape == (8, 3, SIDE, SIDE) and one.min() >= 0 and one.max() <= 1 and one.std() > 0.1
    assert int(labels.people.max()) <= labels.keypoints.shape[1]


def test_training_learns(batch):
    torch.manual_seed(0)
    task, few, losses = DetectTask(), {name: value[:4] for name, value in batch.items()}, []
    for step in range(32):
        generator = torch.Generator().manual_seed(step % 2)
        context = StepContext(step, step * 4, 0.0, torch.device("cpu"), generator, bf16=True)
        losses.append({name: float(loss.detach()) for name, loss in task.step(few, context).items()})
    for name, part in {"joints": 0.9, "regions": 0.85, "mask": 0.85, "centre": 0.8}.items():
        assert losses[-1][name] < part * losses[0][name], name


def test_the_command_line_trains_scores_and_draws(tmp_path):
    from anyone.core.runtime import Runtime
    from anyone.core.synthetic.pool import PoolSettings, write_pool
    from PIL import Image

    write_pool(tmp_path / "pool", PoolSettings(12, (64, 64)), Runtime("cpu"))
    assert "detect" in cli.systems()
    parser = argparse.ArgumentParser(prog="run.py train")
    cli.add_arguments(parser)
    args = parser.parse_args(["detect", "--data", str(tmp_path / "pool"), "--out", str(tmp_path / "run"),
                              "--steps", "2", "--batch", "4", "--device", "cpu"])
    assert cli.main(args) == 0
    card = json.loads((tmp_path / "run" / "detect.json").read_text())
    assert card["images"] == 8 and set(card["scores"]) == {"pck", "hidden_pck", "mask_iou", "region_miou"}
    sheet = Image.open(tmp_path / "run" / "samples" / "000000008.png")
    assert sheet.height == 3 * SIDE + 2 * 2
    assert cli.main(args) == 1                            # there is a run in that folder already
