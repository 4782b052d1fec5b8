"""Region nodes: parsed, painted from masks, turned into masks, and shown."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints import embedded, load
from anyone.core.detectors import Detector, detect_people
from anyone.core.parsers import parse_faces, parse_people
from anyone.core.pose import PoseFrame, read_poses, write_poses
from anyone.core.regions import FACE_PALETTE, FACE_REGIONS, PERSON_PALETTE, PERSON_REGIONS, RegionMap
from anyone.core.runtime import Runtime
from anyone.core.synthetic import render_people
from anyone.nodes import (
    AnyoneDetectPeople,
    AnyoneDrawRegions,
    AnyoneParseRegions,
    AnyoneRegionMask,
    AnyoneRegionsFromMasks,
)


@pytest.fixture(scope="module")
def person():
    """IMAGE [1,128,128,3] of somebody who does not exist."""
    return render_people(torch.tensor([11]), 128, 128, mode="studio").image.movedim(1, -1)


@pytest.fixture
def clothes(model):
    return Detector(load(embedded()["detect-person"]), clothes=model("clothes"))


@pytest.fixture
def faces(model):
    return Detector(load(embedded()["detect-person"]), faces=model("faces"))


@pytest.fixture
def regions():
    """Two maps of 8x6: background above, one region after the other below."""
    labels = torch.zeros(2, 6, 8, dtype=torch.uint8)
    labels[0, 3:] = torch.arange(1, 9, dtype=torch.uint8)
    labels[1, 3:] = PERSON_REGIONS.index("shoes")
    return RegionMap(labels)


def test_the_embedded_detectors_own_regions(run, person):
    regions, mask, note = run(AnyoneParseRegions, image=person).args
    expected, = detect_people(load(embedded()["detect-person"]), person, runtime=Runtime("cpu"))
    assert torch.equal(regions.labels[0], expected.regions) and expected.regions.any()
    assert torch.equal(mask[0] > 0, expected.regions > 0) and note == "1 person found."


def test_own_regions_fill_the_people_given(run, person):
    """They are spread over the whole of a mask, and stay in it."""
    pose, mask, seen, *_ = run(AnyoneDetectPeople, image=person).args
    grown = torch.nn.functional.max_pool2d(mask[None], 9, 1, 4)[0]
    for given in ({"mask": grown}, {"mask": grown, "pose": pose}):
        regions, found, _ = run(AnyoneParseRegions, image=person, **given).args
        assert torch.equal(found, grown)
        same = (regions.labels == seen.labels)[mask > 0]
        assert same.float().mean() > 0.9
    half = grown.clone()
    half[..., 64:] = 0
    regions, found, _ = run(AnyoneParseRegions, image=person, mask=half, pose=pose).args
    assert torch.equal(found, half)


def test_nobody_lends_regions_to_somebody_else(run, person):
    """A person the detector does not see has no regions, whatever the neighbours wear."""
    picture = torch.cat([person, torch.full_like(person, 0.5)], 2)
    pose, mask, *_ = run(AnyoneDetectPeople, image=picture).args
    (frame,) = read_poses(pose)
    twin = frame.people[0].moved(128, 0)
    crowd = write_poses([PoseFrame(256, 128, (*frame.people, twin))])
    both = mask + mask.roll(128, 2)
    _, found, note = run(AnyoneParseRegions, image=picture, pose=crowd, mask=both).args
    assert found[..., :128].any() and not found[..., 128:].any() and note == "2 people found."


def test_a_parser_of_clothes_comes_first(run, person, clothes, model):
    pose, mask, *_ = run(AnyoneDetectPeople, image=person).args
    found = detect_people(clothes.finder, person, runtime=Runtime("cpu"))
    for flip in (False, True):
        regions = run(AnyoneParseRegions, image=person, detector=clothes, flip=flip).args[0]
        expected = parse_people(model("clothes"), person, found, flip=flip, runtime=Runtime("cpu"))
        inside = expected.labels > 0
        assert (regions.labels == expected.labels)[inside].float().mean() > 0.95
        assert torch.equal(regions.labels > 0, inside)


def test_regions_of_faces(run, person, faces, model):
    pose, *_ = run(AnyoneDetectPeople, image=person).args
    given, mask, note = run(AnyoneParseRegions, image=person, detector=faces, pose=pose, kind="face").args
    asked = run(AnyoneParseRegions, image=person, detector=faces, kind="face").args[0]
    expected = parse_faces(model("faces"), person, read_poses(pose), runtime=Runtime("cpu"))
    assert torch.equal(given.labels, expected.labels) and torch.equal(asked.labels, expected.labels)
    assert given.names == FACE_REGIONS and given.palette == FACE_PALETTE
    assert torch.equal(mask > 0, expected.labels > 0) and mask.any()
    assert note == "1 person found. 1 face parsed."
    inside = torch.zeros(1, 128, 128)
    inside[..., :64] = 1
    part = run(AnyoneParseRegions, image=person, detector=faces, pose=pose, mask=inside, kind="face").args[0]
    assert torch.equal(part.labels, expected.labels * inside.byte())


def test_what_is_missing_is_named(run, person, faces, model):
    with pytest.raises(ValueError, match="no parser of faces; choose one in faces of Load Person Detector"):
        run(AnyoneParseRegions, image=person, kind="face")
    with pytest.raises(ValueError, match="rf_detr_seg knows no regions; choose a parser in clothes"):
        run(AnyoneParseRegions, image=person, detector=Detector(model("rf_detr_seg")))
    with pytest.raises(ValueError, match="kind should be one of person, face; got 'body'"):
        run(AnyoneParseRegions, image=person, kind="body")
    with pytest.raises(ValueError, match="detector should come from Load Person Detector"):
        run(AnyoneParseRegions, image=person, detector="a text")


@pytest.mark.parametrize("kind", ["person", "face"])
@pytest.mark.parametrize("size", [(1, 1), (40, 30)])
def test_nobody_has_no_regions(run, faces, kind, size):
    image = torch.full((2, *size, 3), 0.5)
    regions, mask, note = run(AnyoneParseRegions, image=image, detector=faces, kind=kind).args
    assert regions.labels.shape == (2, *size) and not mask.any() and note.startswith("No person found")
    with pytest.raises(ValueError, match="image is empty"):
        run(AnyoneParseRegions, image=image[:0], detector=faces, kind=kind)


def test_batches_of_pictures_and_poses_repeat(run, person, clothes):
    pose, *_ = run(AnyoneDetectPeople, image=person).args
    nobody = {**pose[0], "people": []}
    regions, mask, note = run(AnyoneParseRegions, image=person, pose=[pose[0], nobody, pose[0]],
                              detector=clothes).args
    assert regions.labels.shape == (3, 128, 128) and note.startswith("2 people found.")
    assert torch.equal(regions.labels[0], regions.labels[2]) and mask.flatten(1).any(1).tolist() == [
        True, False, True]


def test_later_masks_cover_earlier_ones(run):
    whole, left, corner = torch.ones(1, 6, 8), torch.zeros(1, 6, 8), torch.zeros(1, 6, 8)
    left[..., :4], corner[..., :1] = 1, 1
    (regions,) = run(AnyoneRegionsFromMasks, hair=whole, top=left, accessory=corner).args
    row = ["accessory", *["top"] * 3, *["hair"] * 4]
    expected = torch.tensor([PERSON_REGIONS.index(name) for name in row], dtype=torch.uint8)
    assert torch.equal(regions.labels, expected.expand(1, 6, 8))
    assert regions.names == PERSON_REGIONS and regions.palette == PERSON_PALETTE


def test_every_region_can_be_painted(run):
    for number, name in enumerate(PERSON_REGIONS[1:], 1):
        (regions,) = run(AnyoneRegionsFromMasks, **{name: torch.ones(4, 4)}).args
        assert (regions.labels == number).all() and regions.labels.shape == (1, 4, 4)


def test_masks_over_a_map(run, regions):
    mask = torch.zeros(3, 12, 16)
    mask[:, :, :8] = torch.tensor([1.0, 0.4, 0.6])[:, None, None]
    (painted,) = run(AnyoneRegionsFromMasks, regions=regions, hair=mask).args
    assert painted.labels.shape == (3, 6, 8)
    assert (painted.labels[0, :, :4] == 1).all() and (painted.labels[2, :, :4] == 1).all()
    assert torch.equal(painted.labels[1], regions.labels[1]), "0.4 paints nothing"
    assert torch.equal(painted.labels[:, :, 4:], regions.labels[[0, 1, 0], :, 4:]), "shorter ones repeat"
    assert regions.labels[0, 0, 0] == 0, "the map given is left alone"


@pytest.mark.parametrize("inputs, size", [
    ({}, (512, 512)), ({"width": 30, "height": 20}, (20, 30)),
    ({"top": torch.ones(1, 9, 7), "shoes": torch.ones(1, 5, 5)}, (9, 7)),
    ({"hair": torch.zeros(1, 64, 64), "top": torch.ones(1, 9, 7)}, (9, 7)),       # LoadImage's "no mask"
    ({"top": torch.ones(1, 9, 7), "image": torch.zeros(1, 40, 50, 3)}, (40, 50))])
def test_the_size_of_a_new_map(run, inputs, size):
    (regions,) = run(AnyoneRegionsFromMasks, **inputs).args
    assert regions.labels.shape == (1, *size)
    assert regions.labels.any() == ("top" in inputs)


def test_a_map_of_faces_has_no_top(run):
    faces = RegionMap(torch.zeros(1, 4, 4, dtype=torch.uint8), FACE_REGIONS, FACE_PALETTE)
    (painted,) = run(AnyoneRegionsFromMasks, regions=faces, hair=torch.ones(4, 4)).args
    assert (painted.labels == FACE_REGIONS.index("hair")).all() and painted.names == FACE_REGIONS
    with pytest.raises(ValueError, match="top cannot be painted: regions are background, skin, "):
        run(AnyoneRegionsFromMasks, regions=faces, top=torch.ones(4, 4))


def test_broken_masks_are_refused_by_name(run):
    with pytest.raises(ValueError, match="skirt should be a mask of shape"):
        run(AnyoneRegionsFromMasks, skirt=torch.ones(2, 3, 4, 5, 6))


@pytest.mark.parametrize("names, columns", [
    ("hair", [0]), (" HAIR ,Top,", [0, 3]), ("background", []), ("", range(8)), (" , ", range(8))])
def test_a_mask_by_names(run, regions, names, columns):
    (mask,) = run(AnyoneRegionMask, regions=regions, names=names).args
    assert mask[0, 3:].any(0).nonzero()[:, 0].tolist() == list(columns)
    assert bool(mask[0, :3].all()) == (names == "background") == bool(mask[0, :3].any())


def test_unknown_names_list_the_known(run, regions):
    with pytest.raises(ValueError, match="There is no region 'nose'; this map has background, hair, head"):
        run(AnyoneRegionMask, regions=regions, names="hair, nose")


@pytest.mark.parametrize("node", [AnyoneRegionMask, AnyoneDrawRegions, AnyoneRegionsFromMasks])
def test_what_is_no_map_is_refused(run, node):
    with pytest.raises(ValueError, match="regions should come from a node that makes regions, such as Parse"):
        run(node, regions=torch.zeros(1, 4, 4))


def test_regions_in_colours(run, regions):
    (picture,) = run(AnyoneDrawRegions, regions=regions).args
    assert picture.shape == (2, 6, 8, 3)
    for x, number in ((0, 1), (7, 8)):
        assert (picture[0, 3, x] * 255).round().int().tolist() == list(PERSON_PALETTE[number])


def test_regions_over_a_picture(run, regions):
    image = torch.rand(3, 12, 16, 3, generator=torch.Generator().manual_seed(0))
    (picture,) = run(AnyoneDrawRegions, regions=regions, image=image, opacity=0.25).args
    assert picture.shape == image.shape
    assert torch.equal(picture[:, :6], image[:, :6]), "the background stays"
    hair = torch.tensor(PERSON_PALETTE[1]) / 255
    assert torch.allclose(picture[0, 6:, :2], image[0, 6:, :2] * 0.75 + hair * 0.25, atol=1e-6)
    (hidden,) = run(AnyoneDrawRegions, regions=regions, image=image, opacity=1.0).args
    assert torch.allclose(hidden[2, 6:, :2], hair.expand(6, 2, 3))
