"""Order, caching, laziness, lists, blocking, hidden values and failures of the executor."""
from __future__ import annotations

import json

import pytest
import torch
from anyone.core.graph.standin import io


def texts(result):
    return {key: shown["text"] for key, shown in result.outputs.items()}


def events(result):
    return [event for event, _ in result.messages]


SUM = {"1": ("Number", {"value": 2}), "2": ("Number", {"value": 3}),
       "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}), "4": ("Show", {"value": ["3", 0]})}


def test_runs_each_node_once_after_what_it_needs(run, calls):
    result = run(SUM)
    assert calls == ["number 2", "number 3", "add 2 3"]
    assert texts(result) == {"4": ["5"]} and result.error is None
    assert events(result) == ["execution_start", "execution_cached", *["executing"] * 4, "executed",
                              "execution_success"]


def test_nodes_no_output_needs_do_not_run(run, calls):
    run({**SUM, "5": ("Number", {"value": 9})})
    assert "number 9" not in calls


def test_missing_optional_inputs_are_left_to_execute(run):
    assert texts(run({"1": ("Number", {"value": 1}), "2": ("Add", {"a": ["1", 0]}),
                      "3": ("Show", {"value": ["2", 0]})})) == {"3": ["101"]}


def test_equal_prompts_run_nothing_again_and_show_the_same(run, calls):
    run(SUM)
    calls.clear()
    again = run({key.replace("1", "7"): (kind, {name: ["7", 0] if value == ["1", 0] else value
                                                 for name, value in inputs.items()})
                 for key, (kind, inputs) in SUM.items()})
    assert calls == [] and texts(again) == {"4": ["5"]}
    assert sorted(again.messages[1][1]["nodes"]) == ["2", "3", "4", "7"]


def test_a_changed_literal_runs_only_what_hangs_on_it(run, calls):
    run(SUM)
    calls.clear()
    assert texts(run({**SUM, "2": ("Number", {"value": 4})})) == {"4": ["6"]}
    assert calls == ["number 4", "add 2 4"]


def test_results_the_last_prompt_did_not_use_are_dropped(run, calls):
    run(SUM)
    run({"1": ("Number", {"value": 9}), "2": ("Show", {"value": ["1", 0]})})
    calls.clear()
    run(SUM)
    assert calls == ["number 2", "number 3", "add 2 3"]


def test_a_changed_fingerprint_runs_again(run, calls, toys):
    graph = {"1": ("Versioned", {"value": 1}), "2": ("Show", {"value": ["1", 0]})}
    run(graph)
    run(graph)
    assert calls == ["number 1"]
    toys.Versioned.version[0] = 2
    run(graph)
    assert calls == ["number 1"] * 2


def test_a_failing_fingerprint_counts_as_changed(run, calls, toys):
    graph = {"1": ("Versioned", {"value": 1}), "2": ("Show", {"value": ["1", 0]})}
    toys.Versioned.version.clear()
    run(graph)
    run(graph)
    assert calls == ["number 1"] * 2


@pytest.mark.parametrize(("kind", "second"), [("Who", "1 in 1"), ("WhoAgain", "1 in 2")])
def test_only_nodes_that_say_so_get_a_result_per_id(run, kind, second):
    graph = {"1": (kind, {"value": 1}), "2": (kind, {"value": 1}),
             "3": ("Show", {"value": ["1", 0]}), "4": ("Show", {"value": ["2", 0]})}
    run({key: graph[key] for key in ("1", "3")})
    assert texts(run(graph)) == {"3": ["1 in 1"], "4": [second]}


def test_only_the_requested_lazy_input_is_computed(run, calls):
    result = run({"1": ("Number", {"value": 1}), "2": ("Number", {"value": 2}),
                  "3": ("Switch", {"which": False, "left": ["1", 0], "right": ["2", 0]}),
                  "4": ("Show", {"value": ["3", 0]})})
    assert calls == ["number 2"] and texts(result) == {"4": ["2"]}


def test_lists_run_downstream_nodes_per_item_and_repeat_the_last(run):
    result = run({"1": ("CountUp", {"to": 3}), "2": ("CountUp", {"to": 2}),
                  "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}), "4": ("Show", {"value": ["3", 0]})})
    assert texts(result) == {"4": ["0", "2", "3"]}
    assert result.values["3"] == [[0, 2, 3]]


def test_a_list_node_gets_everything_at_once(run):
    result = run({"1": ("CountUp", {"to": 4}), "2": ("Collect", {"values": ["1", 0], "factor": 10}),
                  "3": ("Show", {"value": ["2", 0]})})
    assert texts(result) == {"3": ["60"]}


def test_an_empty_list_is_named(run):
    result = run({"1": ("CountUp", {"to": 0}), "2": ("Add", {"a": ["1", 0]}),
                  "3": ("Show", {"value": ["2", 0]})})
    assert "Input 'a' received an empty list" in result.error["exception_message"]


def test_a_block_skips_what_follows_and_is_reported_once(run, calls):
    result = run({"1": ("Block", {"value": 1}), "2": ("Add", {"a": ["1", 0]}),
                  "3": ("Show", {"value": ["2", 0]}), "4": ("Number", {"value": 4}),
                  "5": ("Show", {"value": ["4", 0]})})
    assert texts(result) == {"5": ["4"]} and calls == ["number 4"]
    blocked = [data for event, data in result.messages if event == "execution_error"]
    assert [(data["node_id"], data["exception_message"]) for data in blocked] == [
        ("2", "Execution Blocked: nothing here")]


def test_an_exception_is_told_as_the_server_tells_it(run):
    result = run({"1": ("Number", {"value": 2}), "2": ("Fail", {"value": ["1", 0]}),
                  "3": ("Show", {"value": ["2", 0]})})
    assert set(result.error) == {
        "prompt_id", "node_id", "node_type", "executed", "exception_message", "exception_type", "traceback",
        "current_inputs", "current_outputs", "timestamp"}
    assert (result.error["node_id"], result.error["node_type"]) == ("2", "Fail")
    assert (result.error["exception_type"], result.error["exception_message"]) == ("ValueError", "no luck\n")
    assert (result.error["executed"], result.error["current_inputs"]) == (["1"], {"value": [2]})
    assert any("no luck" in line for line in result.error["traceback"])
    json.dumps(result.messages)


def test_what_worked_before_a_failure_is_kept(run, calls):
    failing = {"1": ("Number", {"value": 2}), "2": ("Fail", {"value": ["1", 0]}),
               "3": ("Show", {"value": ["2", 0]})}
    run(failing)
    run(failing)
    assert calls == ["number 2"]


def test_an_interrupt_is_no_error_message(run):
    result = run({"1": ("Stop", {"value": 2}), "2": ("Show", {"value": ["1", 0]})})
    assert events(result)[-1] == "execution_interrupted"
    assert set(result.error) == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}


def test_nodes_run_in_inference_mode(executor, run, toys, monkeypatch):
    seen = []
    monkeypatch.setattr(toys.Number, "execute", classmethod(
        lambda cls, value: seen.append(torch.is_inference_mode_enabled()) or io.NodeOutput(value)))
    run({"1": ("Number", {"value": 2}), "2": ("Show", {"value": ["1", 0]})})
    assert seen == [True] and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(("returned", "phrase"), [
    ({"result": (1,)}, "must return io.NodeOutput"), (io.NodeOutput(1, 2), "gave 2 values, not 1"),
    (io.NodeOutput(1, expand={}), "needs ComfyUI"),
    (io.NodeOutput(block_execution="x"), "gave 0 values, not 1")],
    ids=["dict", "count", "expand", "block without values"])
def test_what_some_host_would_not_accept_is_refused(run, toys, monkeypatch, returned, phrase):
    monkeypatch.setattr(toys.Number, "execute", classmethod(lambda cls, value: returned))
    result = run({"1": ("Number", {"value": 2}), "2": ("Show", {"value": ["1", 0]})})
    assert phrase in result.error["exception_message"]


def test_a_chain_far_longer_than_pythons_stack(run):
    links = {str(index): ("Add", {"a": [str(index - 1), 0], "b": 0}) for index in range(1, 1500)}
    result = run({"0": ("Number", {"value": 7}), **links, "end": ("Show", {"value": ["1499", 0]})})
    assert texts(result) == {"end": ["7"]}


def test_the_listener_hears_everything_as_it_happens(run):
    heard = []
    result = run(SUM, listener=lambda event, data: heard.append((event, data)))
    assert heard == result.messages
