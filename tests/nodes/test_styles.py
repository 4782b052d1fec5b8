"""Style nodes: read, mixed, filled in between, crossed over, drawn, saved; and regions edited for them."""
from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.regions import FACE_PALETTE, FACE_REGIONS, PERSON_REGIONS, RegionMap
from anyone.core.runtime import Runtime
from anyone.core.sean.codes import StyleCodes
from anyone.core.sean.infer import encode_styles, render
from anyone.core.sean.network import Config, Discriminator, Generator
from anyone.core.sean.styles import MEANS, mean_styles, write_means
from anyone.core.sean.weights import SYSTEM, select
from anyone.nodes import (
    AnyoneCrossoverStyles,
    AnyoneEditRegions,
    AnyoneEncodeStyles,
    AnyoneInterpolateStyles,
    AnyoneLoadStyleCodes,
    AnyoneLoadStyler,
    AnyoneMixStyles,
    AnyoneRenderRegions,
    AnyoneSaveStyleCodes,
    AnyoneSyntheticPeople,
)
from safetensors.torch import save_file

TINY = Config(labels=12, dims=(12, 10, 8), style=6, hidden=5, encoder=4, start=(4, 4),
              styled=(True,) * 4 + (False,))
METADATA = {"size": "32x32", "regions": ",".join(PERSON_REGIONS)}
HAIR, TOP, SHOES, ACCESSORY = (PERSON_REGIONS.index(name) for name in ("hair", "top", "shoes", "accessory"))
CPU = Runtime("cpu")


@pytest.fixture(scope="session")
def state():
    """Random weights of a SEAN of 32x32 for people."""
    random = torch.Generator().manual_seed(0)
    tensors = Generator(TINY).initialise().state_dict()
    return {name: torch.randn(value.shape, generator=random) / math.sqrt(max(value[0].numel(), 4))
            if value.ndim > 1 else value.clone() for name, value in tensors.items()}


@pytest.fixture(scope="session")
def styler(state):
    return net(state)


def net(state, **metadata):
    metadata = METADATA | metadata
    return LoadedNet(SYSTEM.build(select(dict(state)), metadata), SYSTEM, "tiny", metadata)


def person(*extra: int, size: int = 32) -> RegionMap:
    """Hair over top over shoes in the middle of a square; `extra`: labels of single squares in a corner."""
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    for row, label in ((1, HAIR), (3, TOP), (5, SHOES)):
        labels[0, row:row + 2, 2:6] = label
    for place, label in enumerate(extra):
        labels[0, 0, place] = label
    return RegionMap(labels.repeat_interleave(size // 8, 1).repeat_interleave(size // 8, 2))


def noise(batch: int = 1, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, size, size, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def styles(run, styler):
    """`styles(seed, *extra)`: of a picture of noise."""
    return lambda seed=0, *extra: run(
        AnyoneEncodeStyles, styler=styler, image=noise(seed=seed), regions=person(*extra)).args[0]


def test_encoding_says_what_there_is(run, styler):
    regions = person()
    regions.labels[0, 31, 31] = ACCESSORY                  # between the pixels the network looks at
    output = run(AnyoneEncodeStyles, styler=styler, image=noise(), regions=regions)
    found, note = output.args
    assert torch.equal(found.codes, encode_styles(styler, noise(), regions, CPU).codes)
    assert note == "background, hair, top, shoes; too small to read: accessory." == output.ui["text"][0]


def test_means_fill_what_pictures_do_not_have(run, styler, styles):
    means = mean_styles(styles(1, ACCESSORY))
    found, note = run(AnyoneEncodeStyles, styler=styler, image=noise(2), regions=person(), means=means).args
    assert torch.equal(found.codes[:, ACCESSORY], means.codes[:, ACCESSORY].expand(2, -1))
    assert not torch.equal(found.codes[:, HAIR], means.codes[:, HAIR].expand(2, -1))
    assert found.present.sum(1).tolist() == [5, 5]
    assert note.splitlines() == [
        f"Picture {i}: background, hair, top, shoes; from the means: accessory." for i in (1, 2)]


def test_mixing_by_names_and_strengths(run, styles):
    base, a, b = styles(0), styles(1, ACCESSORY), styles(2)
    kept = base.codes.clone()
    (mixed,) = run(AnyoneMixStyles, styles=base, a=a, a_names=" Hair, ACCESSORY", b=b, b_names="top",
                   b_strength=0.25).args
    assert torch.equal(mixed.codes[:, [HAIR, ACCESSORY]], a.codes[:, [HAIR, ACCESSORY]])
    torch.testing.assert_close(mixed.codes[:, TOP], base.codes[:, TOP] * 0.75 + b.codes[:, TOP] * 0.25)
    assert torch.equal(mixed.codes[:, SHOES], base.codes[:, SHOES]) and torch.equal(base.codes, kept)
    (everything,) = run(AnyoneMixStyles, styles=base, a=a).args
    assert torch.equal(everything.codes, a.codes)
    assert run(AnyoneMixStyles, styles=base, a_names="hair", a_strength=0.5).args[0] is base
    (both,) = run(AnyoneMixStyles, styles=base, a=a, c=b, c_names="hair").args
    assert torch.equal(both.codes[:, HAIR], b.codes[:, HAIR]), "later ones come on top"


def test_in_betweens(run, styles):
    a, b = styles(0), styles(1)
    (series,) = run(AnyoneInterpolateStyles, styles_a=a, styles_b=b, steps=5).args
    assert len(series) == 5
    assert torch.equal(series.codes[[0, 4]], torch.cat([a.codes, b.codes]))
    torch.testing.assert_close(series.codes[1:2], a.codes * 0.75 + b.codes * 0.25)
    (loop,) = run(AnyoneInterpolateStyles, styles_a=a, styles_b=b, steps=5, loop=True).args
    assert torch.equal(loop.codes, series.codes[[0, 1, 2, 3, 4, 3, 2, 1]])
    (hair,) = run(AnyoneInterpolateStyles, styles_a=a, styles_b=b, steps=2, names="hair").args
    assert torch.equal(hair.codes[1, HAIR], b.codes[0, HAIR])
    assert torch.equal(hair.codes[1, TOP], a.codes[0, TOP])


@pytest.mark.parametrize(("change_at", "early"), [("middle", 1), ("fine", 3), ("G_middle_1", 2), ("up_0", 3)])
def test_crossover(run, styler, styles, change_at, early):
    coarse, fine = styles(0), styles(1)
    (crossed,) = run(AnyoneCrossoverStyles, styler=styler, coarse=coarse, fine=fine,
                     change_at=change_at).args
    assert crossed.codes.shape == (1, 4, 12, 6)
    for block in range(4):
        assert torch.equal(crossed.codes[:, block], (coarse if block < early else fine).codes)
    picture = run(AnyoneRenderRegions, styler=styler, regions=person(), styles=crossed).args[0]
    plain = run(AnyoneRenderRegions, styler=styler, regions=person(), styles=coarse).args[0]
    assert (picture - plain).abs().max() > 0.01


def test_drawing(run, styler, styles):
    given, regions = styles(), person(size=64)
    picture, mask, note = run(AnyoneRenderRegions, styler=styler, regions=regions, styles=given).args
    assert torch.equal(picture, render(styler, regions, given, runtime=CPU))
    assert picture.shape == (1, 64, 64, 3)
    assert torch.equal(mask > 0, regions.labels > 0) and note == "Every region has its style."


def test_seeds(run, state, styles):
    noisy = net({name: value + 1 if name.endswith("noise_var") else value for name, value in state.items()})
    given, draw = styles(), lambda seed: run(
        AnyoneRenderRegions, styler=noisy, regions=person(), styles=given, noise=seed).args[0]
    assert torch.equal(draw(0), draw(0)) and torch.equal(draw(2**64 - 1), draw(2**64 - 1))
    assert not torch.equal(draw(0), draw(3)) and not torch.equal(draw(4), draw(3))


def test_only_the_person_in_the_picture_changes(run, styler, styles):
    given, regions, image = styles(), person(), noise(size=96, seed=5)
    picture, mask, _ = run(AnyoneRenderRegions, styler=styler, regions=regions, styles=given,
                           image=image).args
    inside = person(size=96).labels > 0
    assert torch.equal(mask > 0, inside) and torch.equal(picture[~inside], image[~inside])
    drawn = run(AnyoneRenderRegions, styler=styler, regions=person(size=96), styles=given).args[0]
    assert torch.equal(picture[inside], drawn[inside])


def test_a_mask_and_a_soft_seam(run, styler, styles):
    given, image, mask = styles(), noise(), torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1

    def draw(**inputs):
        return run(AnyoneRenderRegions, styler=styler, regions=person(), styles=given, image=image,
                   **inputs).args[:2]

    hard, full = draw(mask=mask)
    soft, share = draw(mask=mask, feather=3)
    assert torch.equal(full, mask) and torch.equal(share > 0, mask > 0)
    assert share[0, 16, 8:13].tolist() == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert torch.equal(soft[mask == 0], image[mask == 0]) and torch.equal(hard[mask == 0], image[mask == 0])
    torch.testing.assert_close(soft, torch.lerp(image, hard, share[..., None]), rtol=0, atol=1e-6)
    assert torch.equal(draw(mask=torch.zeros(1, 64, 64))[1], draw()[1]), "LoadImage's \"no mask\" is none"


def test_batches_repeat(run, styler, styles):
    (series,) = run(AnyoneInterpolateStyles, styles_a=styles(0), styles_b=styles(1), steps=3).args
    image = noise(2)
    picture, mask, _ = run(AnyoneRenderRegions, styler=styler, regions=person(), styles=series,
                           image=image).args
    assert len(picture) == len(mask) == 3 and torch.equal(picture[2][mask[2] == 0], image[0][mask[2] == 0])
    assert not torch.equal(picture[0], picture[2])
    (many, *_) = run(AnyoneRenderRegions, styler=styler, regions=person(), styles=styles(),
                     image=noise(4)).args
    assert len(many) == 4


def test_painted_regions_take_means_or_are_named(run, styler, state, styles):
    given, regions = styles(), person(ACCESSORY)

    def draw(styler, styles):
        picture, _, note = run(AnyoneRenderRegions, styler=styler, regions=regions, styles=styles).args
        return picture, note

    assert draw(styler, given)[1] == "Without any style, mix one in: accessory."
    other = styles(1, ACCESSORY)
    own = net(state, **{MEANS: write_means(other)})
    lent, note = draw(own, given)
    assert note == "In a mean style: accessory."
    mixed = run(AnyoneMixStyles, styles=given, a=other, a_names="accessory").args[0]
    torch.testing.assert_close(lent, draw(styler, mixed)[0], rtol=0, atol=1e-3)    # means are rounded
    pair = StyleCodes(torch.cat([given.codes, other.codes]), torch.cat([given.present, other.present]),
                      given.names, given.model)
    pictures, note = draw(styler, pair)
    assert note == "In a mean style: accessory." and torch.equal(pictures[:1], draw(styler, mixed)[0])


def test_networks_without_styles_need_none(run, styler):
    bare = Generator(replace(TINY, style=0, encoder=0, styled=(False,) * 5)).initialise()
    spade = LoadedNet(SYSTEM.build(select(bare.state_dict()), METADATA), SYSTEM, "spade")
    assert run(AnyoneRenderRegions, styler=spade, regions=person()).args[2] == "Drawn without styles."
    with pytest.raises(ValueError, match="needs style codes; encode a picture first"):
        run(AnyoneRenderRegions, styler=styler, regions=person())


def test_what_is_saved_loads_again(run, styler, styles, tmp_path):
    (crossed,) = run(AnyoneCrossoverStyles, styler=styler, coarse=styles(0), fine=styles(1)).args
    for i, given in enumerate((styles(), crossed), 1):
        output = run(AnyoneSaveStyleCodes, styles=given)
        path = f"styles/anyone_0000{i}_.safetensors [output]"
        assert output.args == (given, path) and (tmp_path / "output" / path.split(" ")[0]).is_file()
        assert output.ui["files"] == [
            {"filename": f"anyone_0000{i}_.safetensors", "subfolder": "styles", "type": "output"}]
        loaded, note = run(AnyoneLoadStyleCodes, path=path).args
        assert torch.equal(loaded.codes, given.codes) and torch.equal(loaded.present, given.present)
        assert loaded.model == "tiny" and note == "background, hair, top, shoes."
    with pytest.raises(ValueError, match="outside"):
        run(AnyoneSaveStyleCodes, styles=crossed, filename_prefix="../x")


@pytest.fixture
def folder(tmp_path):
    """The codes of two labels as published, in the input folder."""
    for label in (1, 4):
        place = tmp_path / "input" / "mean" / str(label)
        place.mkdir(parents=True)
        np.save(place / "ACE.npy", np.full(6, label / 10, np.float32))
    return tmp_path / "input" / "mean"


def test_published_folders(run, styler, styles, folder):
    faces, note = run(AnyoneLoadStyleCodes, path="mean").args
    assert faces.names == FACE_REGIONS and note == "skin, l_eye."
    people, note = run(AnyoneLoadStyleCodes, path="mean", styler=styler).args
    assert (people.names, people.model, note) == (PERSON_REGIONS, "tiny", "hair, top.")
    assert people.codes[0, TOP].tolist() == pytest.approx([0.4] * 6)
    mixed = run(AnyoneMixStyles, styles=styles(), a=people).args[0]
    assert torch.equal(mixed.codes[0, [HAIR, TOP]], people.codes[0, [HAIR, TOP]])


def test_the_fingerprint_follows_every_file(folder):
    def stamp():
        return AnyoneLoadStyleCodes.fingerprint_inputs(path="mean", styler=None)

    seen = [stamp()]
    for label in (1, 4):
        os.utime(folder / str(label) / "ACE.npy", ns=(1, 1))
        seen.append(stamp())
    assert stamp() == seen[2] and len({str(one) for one in seen}) == 3
    assert AnyoneLoadStyleCodes.fingerprint_inputs(path=None) == ""


@pytest.mark.parametrize(("path", "words"), [
    ("", "path is empty"), ("none", "there is no none"), ("../x", "outside"),
    ("empty", "holds no style codes; it should have folders 0, 1, 2"),
    ("other.safetensors", "holds no style codes; choose a file that this pack saved")])
def test_what_cannot_be_loaded_is_refused_in_a_sentence(run, tmp_path, path, words):
    (tmp_path / "input" / "empty").mkdir(parents=True)
    save_file({"x": torch.zeros(2)}, tmp_path / "input" / "other.safetensors")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(AnyoneLoadStyleCodes, path=path)


def test_the_loader_knows_embedded_published_and_own_files(run, state, tmp_path):
    models = tmp_path / "models" / "anyone"
    models.mkdir(parents=True)
    save_file(state, models / "mine.safetensors", METADATA)
    judge = Discriminator(12, 4).initialise().state_dict()
    save_file({name: value.contiguous() for name, value in judge.items()}, models / "judge.safetensors")
    offered = AnyoneLoadStyler.GET_SCHEMA().inputs[0].options
    assert offered == ["sean-person", "sean-celebahq", "judge.safetensors", "mine.safetensors"]
    mine, note = run(AnyoneLoadStyler, name="mine.safetensors").args
    assert repr(mine) == "<SEAN region styler: mine.safetensors>"
    assert note.startswith("mine.safetensors draws 32x32. Regions: background, hair, head, ")
    assert note.endswith("Blocks with styles: head_0, G_middle_0, G_middle_1, up_0.")
    with pytest.raises(FileNotFoundError, match="from https://drive.google.com/.* in a browser"):
        run(AnyoneLoadStyler, name="sean-celebahq")
    assert "not here" in AnyoneLoadStyler.fingerprint_inputs(name="sean-celebahq")
    with pytest.raises(ValueError, match="discriminator, which only training needs"):
        run(AnyoneLoadStyler, name="judge.safetensors")
    with pytest.raises(ValueError, match="holds a TriA-GAN person inpainter, which is no styler"):
        run(AnyoneLoadStyler, name="triagan-person")


def test_the_embedded_styler_restyles_people(run):
    embedded, note = run(AnyoneLoadStyler).args
    assert note.startswith("sean-person (Apache-2.0) draws ")
    people = [run(AnyoneSyntheticPeople, width=128, height=128, seed=seed, pose="calm", mode="studio").args
              for seed in (20, 28)]                        # in red trousers, in green ones
    given = [run(AnyoneEncodeStyles, styler=embedded, image=image, regions=regions).args[0]
             for image, _, _, regions in people]
    (mixed,) = run(AnyoneMixStyles, styles=given[0], a=given[1], a_names="trousers").args
    regions = people[0][3]
    before, after = (run(AnyoneRenderRegions, styler=embedded, regions=regions, styles=styles).args[0]
                     for styles in (given[0], mixed))
    change, trousers = (after - before).abs().mean(-1), regions.labels == PERSON_REGIONS.index("trousers")
    assert change[trousers].mean() > max(0.05, 5 * change[~trousers].mean())


def test_other_models_styles_are_refused(run, styler, styles):
    faces = StyleCodes(torch.zeros(1, 19, 6), torch.ones(1, 19, dtype=torch.bool), FACE_REGIONS, "faces")
    longer = StyleCodes(torch.zeros(1, 12, 9), torch.ones(1, 12, dtype=torch.bool), PERSON_REGIONS, "wide")
    for other, words in ((faces, "come from faces and describe background, skin"),
                         (longer, "takes 12 of 6 numbers; got 12 of 9")):
        with pytest.raises(ValueError, match=words):
            run(AnyoneRenderRegions, styler=styler, regions=person(), styles=other)
        with pytest.raises(ValueError, match="do not go together; encode both with the same styler"):
            run(AnyoneMixStyles, styles=styles(), a=other)
        with pytest.raises(ValueError, match="do not go together"):
            run(AnyoneInterpolateStyles, styles_a=styles(), styles_b=other)
        with pytest.raises(ValueError, match="do not go together"):
            run(AnyoneEncodeStyles, styler=styler, image=noise(), regions=person(), means=other)


def test_maps_that_do_not_fit_are_refused(run, styler, styles):
    faces = RegionMap(torch.full((1, 32, 32), 3, dtype=torch.uint8), FACE_REGIONS, FACE_PALETTE)
    with pytest.raises(ValueError, match="a region 'eye_g', which this styler does not know; it knows backg"):
        run(AnyoneRenderRegions, styler=styler, regions=faces, styles=styles())
    with pytest.raises(ValueError, match="map is 32x32 but the picture 32x40"):
        run(AnyoneEncodeStyles, styler=styler, image=torch.zeros(1, 40, 32, 3), regions=person())
    with pytest.raises(ValueError, match="map is 32x32 but image 32x40; they should show the same picture"):
        run(AnyoneRenderRegions, styler=styler, regions=person(), styles=styles(),
            image=torch.zeros(1, 40, 32, 3))
    with pytest.raises(ValueError, match="mask says where to draw into image; connect image"):
        run(AnyoneRenderRegions, styler=styler, regions=person(), styles=styles(), mask=torch.ones(1, 8, 8))


@pytest.mark.parametrize(("node", "inputs", "words"), [
    (AnyoneMixStyles, {"styles": "a text"}, "styles should come from a node that makes styles, such as"),
    (AnyoneMixStyles, {"a": 5}, "a should come from a node that makes styles"),
    (AnyoneMixStyles, {"a": "ok", "a_names": "hat"}, "no region 'hat'; these styles know background, hair"),
    (AnyoneInterpolateStyles, {"names": "tail"}, "no region 'tail'"),
    (AnyoneRenderRegions, {"styler": None}, "styler should come from Load Region Styler"),
    (AnyoneRenderRegions, {"regions": None}, "regions should come from a node that makes regions"),
    (AnyoneCrossoverStyles, {"change_at": "up_9"}, "change_at should be one of middle, fine, G_middle_0"),
    (AnyoneCrossoverStyles, {"change_at": "up_2"}, "no block up_2 that takes styles; it has head_0, G_"),
])
def test_bad_inputs_are_named(run, styler, styles, node, inputs, words):
    good = {AnyoneMixStyles: {"styles": styles()},
            AnyoneInterpolateStyles: {"styles_a": styles(), "styles_b": styles(1)},
            AnyoneRenderRegions: {"styler": styler, "regions": person(), "styles": styles()},
            AnyoneCrossoverStyles: {"styler": styler, "coarse": styles(), "fine": styles(1)}}[node]
    inputs = {name: styles() if value == "ok" else value for name, value in inputs.items()}
    with pytest.raises(ValueError, match=words):
        run(node, **{**good, **inputs})


def test_maps_of_4096_are_edited_read_and_drawn(run, styler, styles):
    (large,) = run(AnyoneEditRegions, regions=person(size=4096), region="hair", amount=512).args
    image = torch.zeros(1, 4096, 4096, 3)
    _, note = run(AnyoneEncodeStyles, styler=styler, image=image, regions=large).args
    picture, mask, _ = run(AnyoneRenderRegions, styler=styler, regions=large, styles=styles()).args
    assert note == "background, hair, top, shoes." and picture.shape == image.shape
    assert mask[0, 0, 1200] == 1 and person().labels[0, 0, 9] == 0, "hair reaches the border now"


EDITS = {"grow": {"amount": 4}, "shrink": {"amount": 3}, "move": {"dx": 4, "dy": -4}, "remove": {},
       "paint": {"mask": torch.eye(32)[None]}, "replace": {"mask": torch.eye(32)[None]},
       "swap": {"with_region": "Skirt"}}


@pytest.mark.parametrize("operation", EDITS)
def test_editing(run, operation):
    before = person()
    (after,) = run(AnyoneEditRegions, regions=before, operation=operation, region="TOP",
                   **EDITS[operation]).args
    was, now = before.labels == TOP, after.labels == TOP
    diagonal = torch.eye(32, dtype=torch.bool)[None]
    expected = {"grow": (now & was).sum() == was.sum() and now.sum() > was.sum(),
                "shrink": (now & was).sum() == now.sum() and 0 < now.sum() < was.sum(),
                "move": torch.equal(now, was.roll((-4, 4), (1, 2))), "remove": not now.any(),
                "paint": torch.equal(now, was | diagonal), "replace": torch.equal(now, diagonal),
                "swap": torch.equal(after.labels == PERSON_REGIONS.index("skirt"), was)}
    assert expected[operation] and torch.equal(before.labels, person().labels)


def test_editing_with_regions(run):
    def edit(operation, with_region, **inputs):
        return run(AnyoneEditRegions, regions=person(), operation=operation, region="top",
                   with_region=with_region, **inputs).args[0].labels

    grown = edit("grow", "background, hair", amount=99)
    assert (grown == SHOES).sum() == (person().labels == SHOES).sum() and not (grown == HAIR).any()
    assert torch.equal(edit("remove", "background"), person().labels.masked_fill(person().labels == TOP, 0))


@pytest.mark.parametrize(("inputs", "words"), [
    ({"operation": "melt"}, "operation should be one of grow, shrink, move, paint, replace, remove, swap"),
    ({"region": "tail"}, "no region 'tail'; this map has background"),
    ({"region": ""}, "region should name one region for grow; got none"),
    ({"region": "hair, top"}, "region should name one region for grow; got hair, top"),
    ({"operation": "paint"}, "paint needs a mask"),
    ({"operation": "replace", "mask": torch.zeros(1, 64, 64)}, "replace needs a mask"),
    ({"operation": "swap"}, "with_region should name one region for swap; got none"),
    ({"operation": "remove", "with_region": "top, head"}, "with_region should name one region for remove"),
    ({"operation": "shrink", "with_region": "HAIR"}, "with_region and region are both hair"),
    ({"regions": torch.zeros(1, 8, 8)}, "regions should come from a node that makes regions"),
])
def test_edits_that_make_no_sense_are_refused(run, inputs, words):
    with pytest.raises(ValueError, match=words):
        run(AnyoneEditRegions, **{"regions": person(), **inputs})
