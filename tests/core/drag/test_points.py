"""Points as texts and lists, in one or in two."""
from __future__ import annotations

import json

import pytest
import torch
from anyone.core.drag.points import read_drag, write_drag

PAIRS = [{"x": 10, "y": 20, "tx": 30.5, "ty": 40}, {"x": 1, "y": 2, "tx": 3, "ty": 4}]
STARTS, ENDS = [[10, 20], [1, 2]], [[30.5, 40], [3, 4]]


@pytest.mark.parametrize("handles, targets", [
    (json.dumps(PAIRS), ""), (str(PAIRS), "[]"), (PAIRS, []),
    (str(STARTS), str(ENDS)), (STARTS, tuple(ENDS)),
    ('[{"x": 10, "y": 20, "color": "red"}, {"x": 1, "y": 2}]', '[{"x": 30.5, "y": 40}, [3, 4]]'),
    ([{**pair, "tx": 0, "ty": 0} for pair in PAIRS], ENDS)],
    ids=["text", "single quotes", "list", "two texts", "two lists", "editors", "targets go before tx, ty"])
def test_every_form_says_the_same(handles, targets):
    starts, ends = read_drag(handles, targets, 100, 50)
    assert starts.tolist() == STARTS and ends.tolist() == ENDS


def test_fractions_are_of_the_pictures_size():
    starts, ends = read_drag('[{"x": 0.5, "y": 0.5, "tx": 1, "ty": 0}]', "", 100, 50)
    assert starts.tolist() == [[50, 25]] and ends.tolist() == [[100, 0]]
    starts, ends = read_drag('[{"x": 0.5, "y": 0.5, "tx": 2, "ty": 0}]', "", 100, 50)
    assert starts.tolist() == [[0.5, 0.5]] and ends.tolist() == [[2, 0]], "all of them or none"


def test_points_without_a_target_come_last():
    starts, ends = read_drag([{"x": 7, "y": 8}, PAIRS[0], [5, 6], PAIRS[1]], "", 100, 50)
    assert starts.tolist() == [*STARTS, [7, 8], [5, 6]] and ends.tolist() == ENDS


def test_what_is_written_can_be_read():
    text = write_drag(torch.tensor(STARTS), torch.tensor(ENDS), 100, 50)
    assert json.loads(text) == PAIRS and '"x": 10,' in text
    assert [points.tolist() for points in read_drag(text, "", 100, 50)] == [STARTS, ENDS]
    assert json.loads(write_drag(torch.tensor([[1 / 3, 9.0]]), torch.tensor([[-2.0, 1.0]]), 100, 50)) == \
        [{"x": 0.33, "y": 9, "tx": -2, "ty": 1}]


@pytest.mark.parametrize("handle, target, written", [
    ([-7.0, 20.0], [3.0, 60.0], [0, 20, 3, 60]), ([99.999, 50.0], [0.0, 0.0], [99, 49, 0, 0]),
    ([1.0, 0.0], [0.8, 0.25], [1, 0, 1, 0])])
def test_what_is_written_can_be_dragged_on(handle, target, written):
    """Handles lie in the picture, and small numbers are pixels all the same."""
    text = write_drag(torch.tensor([handle]), torch.tensor([target]), 100, 50)
    assert torch.cat(read_drag(text, "", 100, 50)).flatten().tolist() == written


@pytest.mark.parametrize("handles, targets, words", [
    ("", "[[1, 2]]", "handles is empty"), ("[]", "", "handles is empty"),
    ("[[1, 2]]", "", "targets is empty; say where"), ('[{"x": 1, "y": 2}]', "[]", "targets is empty"),
    ("a hand", "[[1, 2]]", "handles should be a text like .* got 'a hand'"),
    ("[[1, 2]]", '[{"x": 1}]', "targets should be points like"),
    ("[[1, 2]]", "{}", "targets should be a list"), (None, "", "handles should be a list"),
    ('[{"x": 1, "y": 2, "tx": 3}]', "", "handles should be points like"),
    ('[{"x": 1, "y": 2, "tx": 3, "ty": Infinity}]', "", "handles hold a number that is not finite")])
def test_what_is_no_drag(handles, targets, words):
    with pytest.raises(ValueError, match=words):
        read_drag(handles, targets, 100, 50)
