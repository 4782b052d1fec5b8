"""Refusals have the server's shape, words and error types."""
from __future__ import annotations

import json

import pytest


@pytest.fixture
def check(executor, prompt):
    """Validates a short prompt whose node "9" shows the output of node "1"."""
    def check(kind, inputs, **others):
        return executor.validate(prompt({"1": (kind, inputs), "9": ("Show", {"value": ["1", 0]}), **others}))

    return check


def only_error(validation, node="1"):
    assert list(validation.node_errors) == [node]
    assert len(validation.node_errors[node]["errors"]) == 1
    json.dumps(validation.response())
    return validation.node_errors[node]["errors"][0]


def test_the_whole_answer_to_a_missing_input(check):
    assert check("Mode", {}).response() == {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation",
                  "details": "", "extra_info": {}},
        "node_errors": {"1": {
            "errors": [{"type": "required_input_missing", "message": "Required input is missing",
                        "details": "mode", "extra_info": {"input_name": "mode"}}],
            "dependent_outputs": ["9"], "class_type": "Mode"}}}


@pytest.mark.parametrize(("kind", "inputs", "expected", "message", "details"), [
    ("Number", {"value": "many"}, "invalid_input_type", "Failed to convert an input value to a INT value",
     "value, many, invalid literal for int() with base 10: 'many'"),
    ("Number", {"value": -11}, "value_smaller_than_min", "Value -11 smaller than min of -10", "value"),
    ("Number", {"value": 11}, "value_bigger_than_max", "Value 11 bigger than max of 10", "value"),
    ("Mode", {"mode": "loud"}, "value_not_in_list", "Value not in list",
     "mode: 'loud' not in ['soft', 'hard']"),
    ("Mode", {"mode": "soft", "strength": 2}, "value_bigger_than_max", "Value 2.0 bigger than max of 1.0",
     "strength"),
    ("Number", {"value": ["2"]}, "bad_linked_input",
     "Bad linked input, must be a length-2 list of [node_id, slot_index]", "value"),
    ("Number", {"value": ["77", 0]}, "bad_linked_input", "Linked output does not exist",
     "value, node 77 has no output 0"),
    ("Number", {"value": ["2", 3]}, "bad_linked_input", "Linked output does not exist",
     "value, node 2 has no output 3"),
    ("Number", {"value": ["3", 0]}, "return_type_mismatch", "Return type mismatch between linked nodes",
     "value, received_type(STRING) mismatch input_type(INT)"),
    ("Number", {"value": 1, "extra": ["2", 0]}, "bad_linked_input", "Linked input does not exist",
     "extra, Number has no such input"),
    ("Small", {"value": 7}, "custom_validation_failed", "Custom validation failed for node",
     "value - value is not small"),
])
def test_error_types(check, kind, inputs, expected, message, details):
    error = only_error(check(kind, inputs,
                             **{"2": ("Number", {"value": 1}), "3": ("Mode", {"mode": "soft"})}))
    assert (error["type"], error["message"], error["details"]) == (expected, message, details)
    assert error["extra_info"]["input_name"] == details.split(" ")[0].strip(",:")


def test_a_range_error_tells_the_declaration(check):
    assert only_error(check("Number", {"value": 11}))["extra_info"] == {
        "input_name": "value", "input_config": ["INT", {"default": 1, "min": -10, "max": 10}],
        "received_value": 11}


@pytest.mark.parametrize(("given", "stored"), [(3.7, 3), (True, 1), ("4", 4), ({"__value__": 5}, 5)])
def test_integers_are_converted_like_on_the_server(check, given, stored):
    validation = check("Number", {"value": given})
    assert validation.error is None and validation.prompt["1"]["inputs"]["value"] == stored


def test_the_given_prompt_stays_as_it_is(executor, prompt):
    given = prompt({"1": ("Number", {"value": "4"}), "2": ("Show", {"value": [1, 0]})})
    before = json.dumps(given)
    validation = executor.validate(given)
    assert json.dumps(given) == before
    assert validation.prompt["2"]["inputs"]["value"] == ["1", 0]


def test_unknown_literals_are_ignored(check):
    assert check("Number", {"value": 1, "old_option": "x"}).error is None


def test_lists_and_dicts_pass_as_literals(executor, prompt):
    validation = executor.validate(prompt({"1": ("Show", {"value": {"__value__": [1, 2, 3]}}),
                                           "2": ("Show", {"value": {"a": 1}})}))
    assert validation.error is None
    assert validation.prompt["1"]["inputs"]["value"] == [1, 2, 3]


@pytest.mark.parametrize("graph", [{}, {"1": ("Number", {"value": 1})}])
def test_a_prompt_without_output_nodes(executor, prompt, graph):
    assert executor.validate(prompt(graph)).response() == {
        "error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "",
                  "extra_info": {}},
        "node_errors": {}}


def test_an_unknown_class_is_named(executor):
    validation = executor.validate({"4": {"class_type": "Nowhere", "inputs": {},
                                          "_meta": {"title": "My node"}}})
    assert validation.error == {
        "type": "missing_node_type", "details": "Node ID '#4'",
        "message": "Node 'My node' not found. The custom node may not be installed.",
        "extra_info": {"node_id": "4", "class_type": "Nowhere", "node_title": "My node"}}


@pytest.mark.parametrize(("broken", "lack"),
                         [({"inputs": {}}, "class_type"), ({"class_type": "Show"}, "inputs")])
def test_a_node_without_its_parts(executor, broken, lack):
    assert f"has no {lack}" in executor.validate({"4": broken}).error["message"]


def test_a_circle_is_found(check):
    validation = check("Add", {"a": ["2", 0]}, **{"2": ("Add", {"a": ["1", 0]})})
    for node in ("1", "2"):
        error = validation.node_errors[node]["errors"][0]
        assert error["type"] == "dependency_cycle" and error["extra_info"]["node_id"] == node
        assert error["details"] in ("1 (Add) -> 2 (Add) -> 1 (Add)", "2 (Add) -> 1 (Add) -> 2 (Add)")


def test_good_outputs_run_beside_broken_ones(executor, prompt, toys):
    validation = executor.validate(prompt({
        "1": ("Number", {"value": 99}), "2": ("Show", {"value": ["1", 0]}),
        "3": ("Number", {"value": 1}), "4": ("Show", {"value": ["3", 0]})}))
    assert validation.error is None and validation.outputs == ("4",)
    assert validation.node_errors["1"]["dependent_outputs"] == ["2"]
    assert executor.run(validation).outputs == {"4": {"text": ["1"]}}


def test_an_error_far_up_names_every_output_it_stops(check):
    validation = check("Number", {"value": 99}, **{"8": ("Show", {"value": ["1", 0]})})
    assert validation.node_errors["1"]["dependent_outputs"] == ["9", "8"]
