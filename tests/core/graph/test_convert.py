"""Interface files become the prompt the frontend would send."""
from __future__ import annotations

import pytest
from anyone.core.graph import workflow
from anyone.core.graph.widgets import widget_values

INFO = {
    "Load": {"input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}},
             "output": ["IMAGE", "MASK"]},
    "Blur": {"input": {"required": {"image": ["IMAGE", {}], "seed": ["INT", {"control_after_generate": True}],
                                    "mode": ["COMBO", {"options": ["soft", "hard"]}]},
                       "optional": {"mask": ["MASK", {}], "amount": ["FLOAT", {"default": 0.5}],
                                    "note": ["STRING", {}]}},
             "output": ["IMAGE"], "display_name": "Blur Image"},
    "Mix": {"input": {"required": {"first": ["IMAGE", {}], "weight": ["FLOAT", {"default": 1.0}],
                                   "second": ["IMAGE", {}]}}, "output": ["IMAGE"]},
    "Save": {"input": {"required": {"images": ["IMAGE", {}], "prefix": ["STRING", {"default": "x"}]}},
             "output": []},
}


def make(key, kind, inputs=(), outputs=(), values=(), mode=0, **more):
    """A node of an interface file; inputs are (name, type, link[, "widget"])."""
    sockets = [{"name": name, "type": type_, "link": link, **({"widget": {"name": name}} if widget else {})}
               for name, type_, link, *widget in inputs]
    return {"id": key, "type": kind, "mode": mode, "inputs": sockets, "widgets_values": list(values),
            "outputs": [{"name": type_, "type": type_, "links": []} for type_ in outputs], **more}


def convert(nodes, links, **more):
    return workflow.to_prompt({"nodes": nodes, "links": links, "version": 0.4, **more}, INFO)


def inputs(prompt):
    return {key: node["inputs"] for key, node in prompt.items()}


LOAD = make(1, "Load", outputs=["IMAGE", "MASK"], values=["b.png", "image"])
BLUR_VALUES = {"seed": 7, "mode": "hard", "amount": 0.25, "note": "hi"}


def blur(key, link, mode=0, values=(7, "randomize", "hard", 0.25, "hi"), more=(), **rest):
    return make(key, "Blur", [("image", "IMAGE", link), ("mask", "MASK", None), *more], ["IMAGE"], values,
                mode, **rest)


def save(key, link):
    return make(key, "Save", [("images", "IMAGE", link)], values=["out"])


def test_wires_titles_and_widget_values():
    prompt = convert([LOAD, blur(2, 1, title="My blur"), blur(4, 1), save(3, 2)],
                     [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]])
    assert inputs(prompt) == {
        "1": {"image": "b.png"}, "2": {"image": ["1", 0], **BLUR_VALUES},
        "4": {"image": ["1", 0], **BLUR_VALUES},
        "3": {"images": ["2", 0], "prefix": "out"}}
    assert [node["_meta"]["title"] for node in prompt.values()] == ["Load", "My blur", "Blur Image", "Save"]


def test_links_as_objects():
    link = {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 3, "target_slot": 0, "type": "IMAGE"}
    prompt = convert([LOAD, save(3, 1)], [link], version=1)
    assert prompt["3"]["inputs"]["images"] == ["1", 0]


@pytest.mark.parametrize(("values", "expected"), [
    ([7, "randomize", "hard", 0.25, "hi"], BLUR_VALUES),
    ([7, "hard", 0.25, "hi"], BLUR_VALUES),
    ([7, "fixed", "hard"], {**BLUR_VALUES, "amount": 0.5, "note": ""}),
    ([], {"seed": 0, "mode": "soft", "amount": 0.5, "note": ""}),
    ({"note": "hi", "seed": 7, "mode": "hard", "amount": 0.25}, BLUR_VALUES),
], ids=["with control", "without control", "old file", "nothing", "by name"])
def test_widget_values_get_their_names(values, expected):
    assert widget_values({"widgets_values": values}, INFO["Blur"]) == expected


def test_names_outrank_positions():
    node = {"widgets_values": [1, "fixed", "soft", 0, ""], "widgets_values_named": BLUR_VALUES}
    assert widget_values(node, INFO["Blur"]) == BLUR_VALUES


@pytest.mark.parametrize("values", [["a.png", "red", "image", 3], ["a.png", "red", 3]])
def test_the_upload_button_is_stepped_over(values):
    spec = {"input": {"required": {"image": ["COMBO", {"options": [], "image_upload": True}],
                                   "channel": [["red"], {}]}, "optional": {"grow": ["INT", {}]}}}
    assert widget_values({"widgets_values": values}, spec) == {"image": "a.png", "channel": "red", "grow": 3}


def test_sockets_take_no_position():
    spec = {"input": {"required": {"a": ["INT", {"forceInput": True}],
                                   "b": ["FLOAT,INT", {"widgetType": "FLOAT"}],
                                   "c": ["ACME_NET", {}], "d": ["STRING", {"multiline": True}]}}}
    assert widget_values({"widgets_values": [0.5, "text"]}, spec) == {"b": 0.5, "d": "text"}


def test_lists_are_wrapped():
    assert widget_values({"widgets_values": [["p", "q"]]},
                         {"input": {"required": {"tags": ["STRING", {}]}}}) == {
        "tags": {"__value__": ["p", "q"]}}


def test_a_link_outranks_the_widget():
    number = make(5, "Number", outputs=["INT"])
    prompt = convert([LOAD, number, blur(2, 1, more=[("seed", "INT", 2, "widget")])],
                     [[1, 1, 0, 2, 0, "IMAGE"], [2, 5, 0, 2, 2, "INT"]])
    assert prompt["2"]["inputs"]["seed"] == ["5", 0]


def test_notes_go_and_muted_nodes_take_their_wires_with_them():
    muted = make(5, "Number", outputs=["INT"], mode=2)
    nodes = [make(8, "Note", values=["read me"]), make(9, "MarkdownNote", values=["# me"]), LOAD, muted,
             blur(2, 1, mode=2), blur(3, 3, more=[("seed", "INT", 4, "widget")])]
    prompt = convert(nodes, [[1, 1, 0, 2, 0, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"], [4, 5, 0, 3, 2, "INT"]])
    assert inputs(prompt) == {"1": {"image": "b.png"}, "3": BLUR_VALUES}


def test_bypass_follows_the_type():
    """Output 0 of a bypassed mixer takes input 0; a MASK wire finds the MASK input of a bypassed blur."""
    mix = make(5, "Mix", [("first", "IMAGE", 1), ("second", "IMAGE", 2)], ["IMAGE"], [1.0], mode=4)
    odd = make(6, "Odd", [("a", "IMAGE", 1), ("b", "MASK", 3)], ["MASK"], mode=4)
    user = make(7, "Blur", [("image", "IMAGE", 4), ("mask", "MASK", 5)], ["IMAGE"])
    prompt = convert([LOAD, make(2, "Load", values=["a.png"]), mix, odd, user],
                     [[1, 1, 0, 5, 0, "IMAGE"], [2, 2, 0, 5, 1, "IMAGE"], [3, 1, 1, 6, 1, "MASK"],
                      [4, 5, 0, 7, 0, "IMAGE"], [5, 6, 0, 7, 1, "MASK"]])
    assert prompt["7"]["inputs"]["image"] == ["1", 0] and prompt["7"]["inputs"]["mask"] == ["1", 1]
    assert "5" not in prompt and "6" not in prompt


def test_bypass_without_a_fitting_input_gives_nothing():
    bypassed = make(5, "Odd", [("text", "STRING", None)], ["IMAGE"], mode=4)
    prompt = convert([bypassed, save(3, 1)], [[1, 5, 0, 3, 0, "IMAGE"]])
    assert inputs(prompt) == {"3": {"prefix": "out"}}


def test_reroutes_and_primitives_are_looked_through():
    nodes = [LOAD, make(4, "Reroute", [("", "*", 1)], ["IMAGE"]),
             make(5, "Reroute", [("", "*", 2)], ["IMAGE"]),
             make(6, "PrimitiveNode", outputs=["INT"], values=[42, "fixed"]),
             make(7, "Reroute", [("", "*", 4)], ["INT"]),
             blur(2, 3, more=[("seed", "INT", 5, "widget")])]
    prompt = convert(nodes, [[1, 1, 0, 4, 0, "IMAGE"], [2, 4, 0, 5, 0, "IMAGE"], [3, 5, 0, 2, 0, "IMAGE"],
                             [4, 6, 0, 7, 0, "INT"], [5, 7, 0, 2, 2, "INT"]])
    assert inputs(prompt) == {"1": {"image": "b.png"}, "2": {"image": ["1", 0], **BLUR_VALUES, "seed": 42}}


def test_wires_that_run_in_a_circle_are_named():
    nodes = [make(1, "Reroute", [("", "*", 2)], ["IMAGE"]), make(2, "Reroute", [("", "*", 1)], ["IMAGE"]),
             save(3, 3)]
    with pytest.raises(ValueError, match="runs in a circle"):
        convert(nodes, [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 1, 0, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]])


def test_unknown_nodes_keep_their_wires():
    prompt = convert([LOAD, make(2, "Stranger", [("image", "IMAGE", 1)], values=[1, 2])],
                     [[1, 1, 0, 2, 0, "IMAGE"]])
    assert prompt["2"] == {"class_type": "Stranger", "inputs": {"image": ["1", 0]},
                           "_meta": {"title": "Stranger"}}


def link(key, origin, slot, target, target_slot):
    return {"id": key, "origin_id": origin, "origin_slot": slot,
            "target_id": target, "target_slot": target_slot, "type": "*"}


TWICE = {
    "id": "uuid-twice", "name": "Blur twice",
    "inputs": [{"name": "image", "type": "IMAGE"}, {"name": "seed", "type": "INT"}],
    "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
    "nodes": [blur(1, 1, more=[("seed", "INT", 3, "widget")]), blur(2, 2)],
    "links": [link(1, -10, 0, 1, 0), link(2, 1, 0, 2, 0), link(3, -10, 1, 1, 2), link(4, 2, 0, -20, 0)],
}


def instance(key, image_link, seed_link=None, values=(), **more):
    return make(key, "uuid-twice", [("image", "IMAGE", image_link), ("seed", "INT", seed_link, "widget")],
                ["IMAGE"],
                values, **more)


def with_subgraph(node, *others, links=()):
    return convert([LOAD, node, save(3, 2), *others],
                   [[1, 1, 0, 8, 0, "IMAGE"], [2, 8, 0, 3, 0, "IMAGE"], *links],
                   definitions={"subgraphs": [TWICE]})


def test_a_subgraph_is_flattened():
    prompt = with_subgraph(instance(8, 1))
    assert inputs(prompt) == {
        "1": {"image": "b.png"}, "8:1": {"image": ["1", 0], **BLUR_VALUES},
        "8:2": {"image": ["8:1", 0], **BLUR_VALUES},
        "3": {"images": ["8:2", 0], "prefix": "out"}}


def test_a_wire_into_a_subgraphs_widget():
    prompt = with_subgraph(instance(8, 1, 5), make(6, "Number", outputs=["INT"]),
                           links=[[5, 6, 0, 8, 1, "INT"]])
    assert prompt["8:1"]["inputs"]["seed"] == ["6", 0] and prompt["8:2"]["inputs"]["seed"] == 7


@pytest.mark.parametrize("node", [
    instance(8, 1, values=[99]),
    instance(8, 1, widgets_values_named={"seed": 99}),
    instance(8, 1, values=[99], properties={"proxyWidgets": [["-1", "seed"]]}),
    instance(8, 1, values=[99], properties={"proxyWidgets": '[["1", "seed"]]'}),
], ids=["position", "name", "proxy of the input", "proxy of the node"])
def test_a_value_on_the_instance_outranks_the_one_inside(node):
    prompt = with_subgraph(node)
    assert prompt["8:1"]["inputs"]["seed"] == 99 and prompt["8:2"]["inputs"]["seed"] == 7


def test_a_bypassed_subgraph_becomes_a_wire():
    assert inputs(with_subgraph(instance(8, 1, mode=4))) == {
        "1": {"image": "b.png"}, "3": {"images": ["1", 0], "prefix": "out"}}


def test_a_muted_subgraph_is_gone():
    assert inputs(with_subgraph(instance(8, 1, mode=2))) == {"1": {"image": "b.png"}, "3": {"prefix": "out"}}


def test_subgraphs_within_subgraphs():
    outer = {"id": "uuid-outer", "name": "Outer", "inputs": [{"name": "image", "type": "IMAGE"}],
             "outputs": [{"name": "IMAGE", "type": "IMAGE"}], "nodes": [instance(4, 1, values=[5])],
             "links": [link(1, -10, 0, 4, 0), link(2, 4, 0, -20, 0)]}
    prompt = convert([LOAD, make(8, "uuid-outer", [("image", "IMAGE", 1)], ["IMAGE"]), save(3, 2)],
                     [[1, 1, 0, 8, 0, "IMAGE"], [2, 8, 0, 3, 0, "IMAGE"]],
                     definitions={"subgraphs": [TWICE, outer]})
    assert list(prompt) == ["1", "8:4:1", "8:4:2", "3"]
    assert prompt["8:4:1"]["inputs"]["image"] == ["1", 0] and prompt["8:4:1"]["inputs"]["seed"] == 5
    assert prompt["3"]["inputs"]["images"] == ["8:4:2", 0]


def test_a_subgraph_that_contains_itself_is_refused():
    endless = {"id": "uuid-endless", "nodes": [make(1, "uuid-endless")], "links": []}
    with pytest.raises(ValueError, match="contains itself"):
        convert([make(1, "uuid-endless")], [], definitions={"subgraphs": [endless]})
