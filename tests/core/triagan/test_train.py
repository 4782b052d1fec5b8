"""Training: the stages of the embedded network, holes, keypoints, losses, and that a step learns."""
from __future__ import annotations

import pytest
import torch
from anyone.core.synthetic import identity_vector, render_people, sample_identity
from anyone.core.training import StepContext
from anyone.core.triagan import train
from anyone.core.triagan.network import Generator


def generator_of(count: int) -> torch.Generator:
    return torch.Generator().manual_seed(count)


def context(step: int = 0, progress: float = 0.0) -> StepContext:
    return StepContext(step=step, images=0, progress=progress, device=torch.device("cpu"),
                       generator=generator_of(step))


@pytest.fixture(scope="module")
def batch():
    ids = torch.arange(4)
    people = render_people(ids, 36, 20, bystanders=0.0)
    return {"image": people.image, "regions": people.regions, "keypoints": people.keypoints,
            "visibility": people.visibility, "identity": identity_vector(sample_identity(ids))}


def make_task(**options) -> train.TriaganTask:
    generator = Generator(train.person_config(36, 20, 131, base=4, blocks=1)).initialise(1, layer_scale=0.3)
    return train.TriaganTask(generator, **options)


@pytest.mark.parametrize(("size", "dims"), [
    ((36, 20), (96, 96, 96)), ((72, 40), (48, 96, 96, 96)), ((144, 80), (24, 48, 96, 96, 96)),
    ((288, 160), (24, 24, 48, 96, 96, 96))])
def test_a_level_has_the_same_width_at_every_stage(size, dims):
    assert train.person_config(*size, latent=131).dims == dims


@pytest.mark.parametrize("size", [(100, 80), (144, 144), (5, 3)])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match="144x80"):
        train.person_config(*size, latent=131)


def test_growing_keeps_every_level_but_the_new_one():
    small = Generator(train.person_config(36, 20, 9, base=4, blocks=1)).initialise(1)
    large = Generator(train.person_config(72, 40, 9, base=4, blocks=1)).initialise(2)
    fresh = train.grow(large, small.state_dict())
    assert all(name.startswith(("from_rgb", "decoder.to_rgb.weight", "encoder.layers.3", "decoder.layers.3",
                                "decoder.unet_layers.3")) for name in fresh)
    old, new = small.state_dict(), large.state_dict()
    assert all(torch.equal(new[name], old[name]) for name in new.keys() - set(fresh))


def test_holes_cover_the_person_or_a_box_of_it():
    person = torch.zeros(64, 1, 72, 40)
    person[:, :, 20:60, 12:28] = 1
    hole, segmentation = train.make_holes(person, generator_of(0), parts=False)
    assert (hole >= segmentation).all() and (segmentation >= person).all()
    assert (hole.sum((1, 2, 3)) > person.sum((1, 2, 3))).all()
    with_parts, _ = train.make_holes(person, generator_of(0))
    partial = (with_parts * person).sum((1, 2, 3)) < person.sum((1, 2, 3))
    assert 4 < int(partial.sum()) < 32


def test_keypoints_become_coco_shares_of_the_picture():
    points = torch.zeros(1, 18, 2)
    points[0, 0], points[0, 5] = torch.tensor([10.0, 18.0]), torch.tensor([5.0, 9.0])  # nose, left shoulder
    visibility = torch.zeros(1, 18, dtype=torch.uint8)
    visibility[0, [0, 5]] = 2
    coco = train.coco_keypoints(points, visibility, 36, 20, generator_of(0))[0]
    assert coco[0].tolist() == [0.5, 0.5, 1.0] and coco[5].tolist() == [0.25, 0.25, 1.0]
    assert coco[:, 2].sum() == 2


def test_hidden_joints_stay_in_seven_of_ten_cases():
    visibility = torch.ones(500, 18, dtype=torch.uint8)
    coco = train.coco_keypoints(torch.zeros(500, 18, 2), visibility, 36, 20, generator_of(0))
    assert float(coco[..., 2].mean()) == pytest.approx(0.7, abs=0.02)


def test_loss_counts_the_hole_only():
    real, hole = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    hole[..., :8, :] = 1
    fake = torch.ones(1, 3, 16, 16)
    assert float(train.hole_l1(fake, real, hole)) == pytest.approx(1 + 0.5 + 0.5)
    fake[..., :8, :] = 0
    assert float(train.hole_l1(fake, real, hole)) == 0


def test_only_patches_at_the_hole_are_judged():
    hole, patches = torch.zeros(1, 1, 16, 16), torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]])
    hole[..., 7, 15] = hole[..., 8, 0] = 1                                  # top right, bottom left
    assert float(train.hole_mean(patches, hole)) == 3.0
    assert float(train.hole_mean(patches, 0 * hole)) == 0.0


def test_steps_learn(batch):
    task = make_task()
    first, *_, last = [task.step(batch, context(step))["l1"].item() for step in range(40)]
    assert last < 0.7 * first
    assert float(task.generator.style_net.w_avg.abs().sum()) > 0


def test_the_discriminator_joins_late_and_leaves_the_generator_alone(batch):
    task = make_task(adversarial_from=0.5)
    before = [p.clone() for p in task.discriminator.parameters()]
    assert set(task.step(batch, context(0, progress=0.4))) == {"l1"}
    assert all(torch.equal(a, b) for a, b in zip(before, task.discriminator.parameters(), strict=True))
    losses = task.step(batch, context(16, progress=0.5))
    assert set(losses) == {"l1", "adversarial", "discriminator"}
    assert any(not torch.equal(a, b) for a, b in zip(before, task.discriminator.parameters(), strict=True))


def test_sheet_shows_known_pixels_unchanged(batch):
    task = make_task()
    sheet = task.sample(batch, {"generator": task.generator.eval()})
    assert sheet.shape == (6, 4, 3, 36, 20)
    known = (sheet[0] - 0.5).abs().amax(1, keepdim=True) > 1e-6
    assert torch.equal((sheet[1] * known), (sheet[2] * known))
    scores = task.evaluate([batch], {"generator": task.generator})
    assert 0 < scores["hole_l1"] < 2 and scores["identities_apart"] > 0
