"""The stand-ins for core nodes give what ComfyUI's give."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from anyone.core.graph import core_nodes, files
from anyone.core.graph.standin import running_on, ui
from anyone.core.graph.standin.schema import Hidden, locked
from anyone.core.runtime import Runtime
from PIL import Image


@pytest.fixture(autouse=True)
def runtime(tmp_path):
    (tmp_path / "input").mkdir()
    runtime = Runtime("cpu", tmp_path)
    with running_on(runtime):
        yield runtime


def picture(tmp_path, array, name="a.png", **options):
    Image.fromarray(np.asarray(array)).save(tmp_path / "input" / name, **options)
    return name


RGBA = np.dstack([np.full((2, 3), value, np.uint8) for value in (255, 51, 0, 64)])


def test_alpha_becomes_the_mask(tmp_path):
    image, mask = core_nodes.LoadImage.execute(picture(tmp_path, RGBA)).args
    assert image.shape == (1, 2, 3, 3) and image.dtype == torch.float32
    assert torch.allclose(image[0, 0, 0], torch.tensor([1.0, 0.2, 0.0]))
    assert mask.shape == (1, 2, 3) and torch.allclose(mask, torch.full((1, 2, 3), 1 - 64 / 255))


@pytest.mark.parametrize("array", [RGBA[..., :3], RGBA[..., 0]], ids=["rgb", "grey"])
def test_no_alpha_is_a_64x64_zero_mask(tmp_path, array):
    image, mask = core_nodes.LoadImage.execute(picture(tmp_path, array)).args
    assert image.shape == (1, 2, 3, 3) and image[0, 0, 0, 0] == 1
    assert mask.shape == (1, 64, 64) and mask.sum() == 0


def test_sixteen_bit_greys_keep_their_range(tmp_path):
    image, _ = core_nodes.LoadImage.execute(picture(tmp_path, np.full((2, 2), 32768, np.uint16))).args
    assert torch.allclose(image, torch.full((1, 2, 2, 3), 32768 / 65535))


def test_the_camera_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    array = np.zeros((2, 4, 3), np.uint8)
    array[0, 0] = 255
    image, _ = core_nodes.LoadImage.execute(picture(tmp_path, array, exif=exif)).args
    assert image.shape == (1, 4, 2, 3) and image[0, 0, 1, 0] == 1


def test_frames_become_a_batch(tmp_path):
    frames = [Image.new("RGB", (4, 4), (level, level, level)) for level in (0, 255)]
    frames[0].save(tmp_path / "input" / "a.gif", save_all=True, append_images=frames[1:])
    image, mask = core_nodes.LoadImage.execute("a.gif").args
    assert image[:, 0, 0, 0].tolist() == [0, 1] and mask.shape[0] == 2


@pytest.mark.parametrize(("channel", "level"),
                         [("alpha", 1 - 64 / 255), ("red", 1.0), ("green", 0.2), ("blue", 0.0)])
def test_masks_from_channels(tmp_path, channel, level):
    mask, = core_nodes.LoadImageMask.execute(picture(tmp_path, RGBA), channel).args
    assert mask.shape == (1, 2, 3) and torch.allclose(mask, torch.full((1, 2, 3), level))


def test_an_opaque_picture_as_alpha_mask_is_empty(tmp_path):
    mask, = core_nodes.LoadImageMask.execute(picture(tmp_path, RGBA[..., :3]), "alpha").args
    assert mask.shape == (1, 2, 3) and mask.sum() == 0


def test_the_fingerprint_follows_the_content(tmp_path):
    name = picture(tmp_path, RGBA)
    before = core_nodes.LoadImage.fingerprint_inputs(name)
    assert core_nodes.LoadImage.fingerprint_inputs(name) == before
    picture(tmp_path, RGBA + 1)
    assert core_nodes.LoadImage.fingerprint_inputs(name) != before


def test_missing_and_corrupt_pictures_are_named(tmp_path):
    assert "Invalid image file: b.png" in core_nodes.LoadImage.validate_inputs("b.png")
    (tmp_path / "input" / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(ValueError, match=r"c\.png cannot be read as a picture"):
        core_nodes.LoadImage.execute("c.png")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "sub/../../secret.png", "..\\secret.png",
                                  "../secret.png [output]", "link.png"])
def test_files_outside_the_folders_are_refused(tmp_path, name):
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "input" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ValueError, match="outside the folder"):
        core_nodes.LoadImage.validate_inputs(name)


def test_other_folders_can_be_named(tmp_path, runtime):
    assert files.resolve_file("a b.png [output]", runtime) == tmp_path / "output" / "a b.png"
    assert files.resolve_file("sub/a.png", runtime) == tmp_path / "input" / "sub" / "a.png"


def save(images, prefix, **hidden):
    values = {Hidden[name]: value for name, value in hidden.items()}
    return locked(core_nodes.SaveImage, values).execute(images, prefix).ui["images"]


def test_saving_counts_on_and_stores_the_workflow(tmp_path):
    levels = torch.tensor([0.0, 0.5, 1.0, 2.0]).reshape(1, 1, 4, 1).expand(2, 1, 4, 3)
    hidden = {"prompt": {"1": "p"}, "extra_pnginfo": {"workflow": {"nodes": []}}}
    first = save(levels, "sub/look_%width%x%height%", **hidden)
    assert first == [{"filename": f"look_4x1_0000{index}_.png", "subfolder": "sub", "type": "output"}
                     for index in (1, 2)]
    assert save(levels[:1], "sub/look_4x1")[0]["filename"] == "look_4x1_00003_.png"
    assert save(levels[:1], "sub/look_4")[0]["filename"] == "look_4_00001_.png"
    saved = Image.open(tmp_path / "output" / "sub" / first[0]["filename"])
    assert np.asarray(saved)[0, :, 0].tolist() == [0, 127, 255, 255]
    assert json.loads(saved.text["prompt"]) == {"1": "p"}
    assert json.loads(saved.text["workflow"]) == {"nodes": []}
    assert len(list((tmp_path / "output" / "sub").iterdir())) == 4  # nothing half-written stays behind


@pytest.mark.parametrize("prefix", ["../out", "/tmp/out", "sub/../../out", "", ".", "sub/.."])
def test_saving_stays_in_the_output_folder(tmp_path, prefix):
    with pytest.raises(ValueError, match="outside the folder|holds no file name"):
        save(torch.zeros(1, 2, 2, 3), prefix)
    assert not list(tmp_path.rglob("*.png"))


def test_batch_numbers_do_not_overwrite_earlier_files(tmp_path):
    names = [file["filename"] for _ in range(2) for file in save(torch.zeros(2, 2, 2, 3), "a%batch_num%")]
    assert len(set(names)) == 4


def test_previews_lie_in_the_temp_folder(tmp_path):
    shown = ui.PreviewMask(torch.ones(5, 4)).as_dict()["images"]
    assert Image.open(tmp_path / "temp" / shown[0]["filename"]).size == (4, 5)
    assert ui.PreviewText("hello").as_dict() == {"text": ("hello",)}


@pytest.mark.parametrize(("value", "text"),
                         [("a", "a"), (None, "None"), (1.5, "1.5"), ([1, "b"], '[1, "b"]')])
def test_previews_of_anything(value, text):
    assert core_nodes.PreviewAny.execute(value).ui.value == text


def test_masks_and_images_convert_both_ways():
    mask = torch.rand(2, 3, 4)
    image, = core_nodes.MaskToImage.execute(mask).args
    assert image.shape == (2, 3, 4, 3)
    assert torch.equal(core_nodes.ImageToMask.execute(image, "green").args[0], mask)
    assert torch.equal(core_nodes.InvertMask.execute(mask).args[0], 1 - mask)
    with pytest.raises(ValueError, match="3 channels and no alpha"):
        core_nodes.ImageToMask.execute(image, "alpha")


@pytest.mark.parametrize(("expand", "tapered", "count"),
                         [(1, True, 5), (2, True, 13), (1, False, 9), (2, False, 25)])
def test_growing_and_shrinking(expand, tapered, count):
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1
    grown, = core_nodes.GrowMask.execute(point, expand, tapered).args
    assert grown.sum() == count
    assert torch.equal(core_nodes.GrowMask.execute(grown, -expand, tapered).args[0], point)
    assert torch.equal(core_nodes.GrowMask.execute(point, 0, tapered).args[0], point)


@pytest.mark.parametrize(("width", "height", "expected"), [(8, 0, (1, 4, 8, 3)), (0, 8, (1, 8, 16, 3)),
                                                           (0, 0, (1, 2, 4, 3)), (5, 5, (1, 5, 5, 3))])
@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_scaling_keeps_the_aspect_for_a_zero_side(width, height, expected, method):
    scaled, = core_nodes.ImageScale.execute(torch.full((1, 2, 4, 3), 0.5), method, width, height,
                                            "disabled").args
    assert scaled.shape == expected and torch.allclose(scaled, torch.tensor(0.5), atol=1 / 255)


def test_scaling_can_cut_to_the_middle():
    image = torch.tensor([0.0, 1, 1, 0]).reshape(1, 1, 4, 1).expand(1, 2, 4, 3)
    cut, = core_nodes.ImageScale.execute(image, "bilinear", 6, 6, "center").args
    assert cut.shape == (1, 6, 6, 3) and cut.min() == 1


def test_batches():
    small, large = torch.zeros(1, 2, 2, 3), torch.ones(2, 4, 4, 4)
    joined, = core_nodes.ImageBatch.execute(small, large).args
    assert joined.shape == (3, 2, 2, 4) and joined[0, ..., 3].min() == 1
    repeated, = core_nodes.RepeatImageBatch.execute(large, 3).args
    assert repeated.shape[0] == 6
    assert core_nodes.ImageFromBatch.execute(repeated, 4, 9).args[0].shape[0] == 2
    assert core_nodes.ImageFromBatch.execute(repeated, 99, 1).args[0].shape[0] == 1
    assert core_nodes.GetImageSize.execute(torch.zeros(3, 5, 7, 3)).args == (7, 5, 3)
