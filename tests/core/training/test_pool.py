import pytest
import torch
from anyone.core.regions import PERSON_REGIONS
from anyone.core.training import Pool
from anyone.core.training.pool import Sampler, held_out_batches, to_batch


def test_take_crosses_shards_in_the_asked_order(pool, toy, tmp_path):
    assert len(pool) == 40 and pool.size == (8, 8) and pool.identity_size == 3
    taken = pool.take(torch.tensor([39, 0, 24, 23]))
    assert taken["people"][:, 0, 0].tolist() == [15, 0, 0, 23]            # each shard counts from 0
    colour = taken["image"][:, :, 0, 0].float() / 127.5 - 1
    assert torch.allclose(colour, taken["identity"].float(), atol=1e-3)


def test_take_copies(pool):
    before = pool.take(torch.tensor([3]))["image"].clone()
    pool.take(torch.tensor([3]))["image"].zero_()
    assert torch.equal(pool.take(torch.tensor([3]))["image"], before)


def test_several_folders_follow_each_other(toy, tmp_path):
    first = toy.write_pool(tmp_path / "a", counts=(3,))
    second = toy.write_pool(tmp_path / "b", counts=(5,))
    assert Pool(first, second).take(torch.tensor([2, 7]))["people"][:, 0, 0].tolist() == [2, 4]


def test_refuses_no_shards_a_cut_one_and_a_mixture(toy, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing here"):
        Pool(tmp_path / "nothing here")
    folder = toy.write_pool(tmp_path / "pool")
    other = toy.write_pool(tmp_path / "large", counts=(2,), size=16)
    with pytest.raises(ValueError, match="other fields or sizes"):
        Pool(folder, other)
    shard = folder / "pool-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(ValueError, match="pool-00001.safetensors is no whole shard"):
        Pool(folder)


def test_to_batch_resizes_pictures_labels_and_joints_alike():
    keypoints = torch.tensor([[[[4.0, 2.0]]]])
    labels = torch.zeros(1, 4, 8, dtype=torch.uint8)
    labels[:, :2, :4] = 7
    image = (labels == 7).byte()[:, None].expand(1, 3, 4, 8) * 255
    samples = {"image": image, "regions": labels, "keypoints": keypoints}
    batch = to_batch(samples, torch.device("cpu"), (2, 4))
    assert batch["image"].shape == (1, 3, 2, 4) and batch["image"].dtype == torch.float32
    assert batch["regions"].tolist() == [[[7, 7, 0, 0], [0, 0, 0, 0]]]
    assert batch["keypoints"].flatten().tolist() == [2.0, 1.0]
    assert batch["image"][0, 0, 0, 0] > 0.7 and batch["image"][0, 0, 1, 3] < 0.2
    assert torch.equal(to_batch(samples, torch.device("cpu"))["image"], image.float() / 255)


def test_sampler_is_a_function_of_the_place():
    straight = Sampler(7, seed=3).indices(0, 30)
    pieces = Sampler(7, seed=3)
    assert torch.equal(straight, torch.cat([pieces.indices(0, 11), pieces.indices(11, 19)]))
    assert torch.equal(straight[20:25], Sampler(7, seed=3).indices(20, 5))
    epochs = [straight[i:i + 7] for i in (0, 7, 14, 21)]
    assert all(sorted(epoch.tolist()) == list(range(7)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(straight, Sampler(7, seed=4).indices(0, 30))


def test_held_out_pictures_are_the_last_ones(pool):
    assert [b.tolist() for b in held_out_batches(pool, 5, 2)] == [[35, 36], [37, 38], [39]]


def write_named(folder, **header):
    from safetensors.torch import save_file

    folder.mkdir()
    fields = {"image": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "regions": torch.ones(2, 4, 4).byte()}
    save_file(fields, folder / "pool-00000.safetensors", header)
    return folder


def test_regions_have_the_names_of_the_shards_or_of_people(pool, tmp_path):
    assert pool.names == PERSON_REGIONS and pool.unknown is None
    named = Pool(write_named(tmp_path / "a", names="sky,chest of drawers,unknown", unknown="2"))
    assert named.names == ("sky", "chest of drawers", "unknown") and named.unknown == 2
    assert Pool(write_named(tmp_path / "b", names="sky,tree", unknown="")).unknown is None


def test_pictures_with_regions_alone_are_enough(tmp_path):
    pool = Pool(write_named(tmp_path / "a", names="sky,tree", unknown=""))
    batch = to_batch(pool.take(torch.tensor([1])), torch.device("cpu"), (2, 2))
    assert set(batch) == {"image", "regions"} and batch["regions"].tolist() == [[[1, 1], [1, 1]]]
    with pytest.raises(ValueError, match="holds no identities"):
        _ = pool.identity_size


def test_pools_of_other_regions_do_not_mix(tmp_path):
    folders = [write_named(tmp_path / "a", names="sky,tree"), write_named(tmp_path / "b", names="tree,sky")]
    with pytest.raises(ValueError, match="b.*holds other regions .* tree, sky ... and sky, tree"):
        Pool(*folders)
