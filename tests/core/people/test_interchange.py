"""Boxes, segments and points in every form other packs use (host contract, 5.2 to 5.4)."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from anyone.core.people import (
    read_boxes,
    read_points,
    read_segs,
    write_bounding_boxes,
    write_boxes,
    write_points,
    write_segs,
)

BOX, OTHER = (10, 20, 30, 60), (1, 2, 3, 4)
DICT = {"x": 10, "y": 20, "width": 20, "height": 40, "score": 0.5, "metadata": {}}


def rows(boxes: list[torch.Tensor]) -> list[list[list[float]]]:
    return [one.tolist() for one in boxes]


@pytest.mark.parametrize("value", [
    BOX, list(BOX), [BOX], [[BOX]], ((BOX,),), (10.0, 20.0, 30.0, 60.0, 0.9), torch.tensor([BOX]),
    np.array(BOX), [torch.tensor(BOX)], [np.array([BOX])], DICT, [DICT], [[DICT]], (30, 60, 10, 20)])
def test_one_box_in_every_form(value):
    assert rows(read_boxes(value, 1)) == [[[10, 20, 30, 60]]]


def test_boxes_of_several_pictures():
    assert rows(read_boxes([[BOX, OTHER], [OTHER]], 3)) == [[[*BOX], [*OTHER]], [[*OTHER]], [[*OTHER]]]
    assert rows(read_boxes([[BOX], [], [OTHER]], 2)) == [[[*BOX]], []]
    assert rows(read_boxes([BOX, OTHER], 2)) == [[[*BOX]], [[*OTHER]]]             # as many: one each
    assert rows(read_boxes([BOX, OTHER], 3)) == [[[*BOX], [*OTHER]]] * 3
    assert rows(read_boxes([DICT, DICT], 2)) == [[[*BOX], [*BOX]]] * 2             # all of one frame
    assert rows(read_boxes([], 2)) == [[], []]
    assert read_boxes([], 1)[0].shape == (0, 4)


def test_xywh():
    assert rows(read_boxes((10, 20, 20, 40), 1, xywh=True)) == [[[*BOX]]]
    assert rows(read_boxes(DICT, 1, xywh=True)) == [[[*BOX]]]


@pytest.mark.parametrize("value", [
    None, 7, "10,20,30,60", [7], [[7]], [None], [(1, 2, 3)], [["a", 2, 3, 4]], [[{"x": 1}]], {"x": 1},
    [[(1, 2, 3, float("nan"))]], [BOX, "box"]])
def test_bad_boxes(value):
    with pytest.raises(ValueError, match="boxes"):
        read_boxes(value, 1)


def test_written_boxes_are_read_back():
    boxes = [torch.tensor([BOX, OTHER]).float(), torch.zeros(0, 4)]
    scores = [torch.tensor([0.5, 1.0]), torch.zeros(0)]
    assert write_boxes(boxes) == [[BOX, OTHER], []]
    written = write_bounding_boxes(boxes, scores)
    assert written[0][0] == {"x": 10, "y": 20, "width": 20, "height": 40, "score": 0.5}
    assert rows(read_boxes(written, 2)) == rows(read_boxes(write_boxes(boxes), 2)) == rows(boxes)
    json.dumps(written)


def test_segs():
    masks = torch.zeros(3, 100, 80, dtype=torch.bool)
    masks[0, 20:60, 10:30] = True
    masks[0, 20, 10] = False
    masks[2, 90:, 70:] = True
    (height, width), segments = write_segs(masks, [0.75, 0.9, 1.0], crop_factor=1.5)
    assert (height, width, len(segments)) == (100, 80, 2)
    first, last = segments
    assert type(first)._fields == ("cropped_image", "cropped_mask", "confidence", "crop_region", "bbox",
                                   "label", "control_net_wrapper")
    assert first.cropped_image is first.control_net_wrapper is None
    assert (first.confidence, first.bbox, first.crop_region, first.label) == (
        0.75, (10, 20, 30, 60), [5, 10, 35, 70], "person")
    assert last.crop_region == [68, 88, 80, 100]                                  # cut at the border
    assert first.cropped_mask.dtype == np.float32
    assert first.cropped_mask.shape == (60, 30)
    assert first.cropped_mask.sum() == 799
    assert torch.equal(read_segs(((height, width), segments)), masks[[0, 2]])
    assert read_segs(((5, 4), [])).shape == (0, 5, 4)


@pytest.mark.parametrize("value", [None, 3, [], ((5, 4), [1]), "segs", ((5,), [])])
def test_bad_segs(value):
    with pytest.raises(ValueError, match="Impact Pack"):
        read_segs(value)


def test_points():
    text = '[{"x": 10, "y": 20}, {"x": 30.5, "y": 40, "extra": 1}]'
    assert read_points(text, 100, 50).tolist() == [[10, 20], [30.5, 40]]
    assert read_points(text.replace('"', "'"), 100, 50).tolist() == [[10, 20], [30.5, 40]]
    fractions = read_points('[{"x": 0.5, "y": 0.25}, {"x": 1, "y": 0}]', 100, 50)
    assert fractions.tolist() == [[50, 12.5], [100, 0]]
    assert read_points('[{"x": 1, "y": 0}]', 100, 50).tolist() == [[1, 0]]        # whole numbers are pixels
    assert read_points("[[10, 20], [30.5, 40]]", 100, 50).tolist() == [[10, 20], [30.5, 40]]
    assert read_points([{"x": 10, "y": "20"}, (30.5, 40)], 100, 50).tolist() == [[10, 20], [30.5, 40]]
    assert read_points("", 9, 9).shape == read_points("[]", 9, 9).shape == (0, 2)
    assert write_points(torch.tensor([[10.5, 20.0], [3.99, 4.0]])) == '[{"x": 10, "y": 20}, {"x": 3, "y": 4}]'
    assert read_points(write_points(torch.zeros(0, 2)), 9, 9).shape == (0, 2)


@pytest.mark.parametrize("text", ["[", "7", '{"x": 1}', '[{"x": 1}]', '[{"x": "a", "y": 1}]', "[[1, 2, 3]]",
                                  "[7]", '[{"x": NaN, "y": 1}]', "[" * 100000, None, [None]])
def test_bad_points(text):
    with pytest.raises(ValueError, match="clicks"):
        read_points(text, 9, 9, "clicks")
