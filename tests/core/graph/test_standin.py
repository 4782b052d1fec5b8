"""The stand-in accepts what every host accepts and refuses the rest."""
from __future__ import annotations

import json

import numpy as np
import pytest
from anyone.core.graph.core_nodes import CORE_NODES
from anyone.core.graph.standin import io, node_info, running_on
from anyone.core.graph.standin.schema import locked
from anyone.core.runtime import Runtime


def make(inputs=(), outputs=(), execute=lambda cls, **inputs: None, **members):
    def define_schema(cls):
        return io.Schema(node_id="Toy", inputs=list(inputs), outputs=list(outputs))

    return type("Toy", (io.ComfyNode,), {"define_schema": classmethod(define_schema),
                                         "execute": classmethod(execute), **members})


def test_object_info_has_the_hosts_shape():
    def execute(cls, image, seed=3, mode="b", text="[]", weight=1.0):
        return io.NodeOutput(image)

    toy = make([io.Image.Input("image", tooltip="A picture."),
                io.Int.Input("seed", default=3, min=0, max=9, control_after_generate=True, optional=True),
                io.Combo.Input("mode", ["a", "b"], default="b", optional=True),
                io.String.Input("text", default="[]", optional=True, dynamic_prompts=False),
                io.MultiType.Input(io.Float.Input("weight", default=1.0, optional=True), [io.Mask])],
               [io.Image.Output(display_name="image"), io.Mask.Output(tooltip="Where.")], execute)
    info = json.loads(json.dumps(node_info(toy)))
    assert info["input"] == {
        "required": {"image": ["IMAGE", {"tooltip": "A picture."}]},
        "optional": {
            "seed": ["INT", {"default": 3, "min": 0, "max": 9, "control_after_generate": True}],
            "mode": ["COMBO", {"default": "b", "options": ["a", "b"], "multiselect": False}],
            "text": ["STRING", {"default": "[]", "multiline": False, "dynamicPrompts": False}],
            "weight": ["FLOAT,MASK", {"default": 1.0, "widgetType": "FLOAT"}]}}
    assert info["input_order"] == {"required": ["image"], "optional": ["seed", "mode", "text", "weight"]}
    assert (info["output"], info["output_name"]) == (["IMAGE", "MASK"], ["image", "MASK"])
    assert (info["output_tooltips"], info["output_is_list"]) == ([None, "Where."], [False, False])
    assert (info["name"], info["output_node"]) == ("Toy", False)


def test_output_nodes_get_prompt_and_png_info(toys):
    info = node_info(toys.Show)
    assert info["output_node"] and set(info["input"]["hidden"]) == {"prompt", "extra_pnginfo"}


def test_extra_options_reach_object_info():
    item = io.Int.Input("steps", default=1)
    item.extra_dict["advanced"] = True
    info = node_info(make([item], execute=lambda cls, steps: None))
    assert info["input"]["required"]["steps"] == ["INT", {"default": 1, "advanced": True}]


@pytest.mark.parametrize("wrong", [
    lambda: io.Schema(node_id="Toy", search_aliases=["x"]),
    lambda: io.Int.Input("a", advanced=True),
    lambda: io.Int.Input("a", extra_dict={}),
    lambda: io.Image.Input("a", default=1),
    lambda: io.Image.Input("a", "a picture"),
    lambda: io.Image.Output(optional=True),
], ids=["schema field", "new argument", "extra_dict on a widget", "default on a socket", "position",
        "output"])
def test_arguments_outside_the_portable_subset_are_refused(wrong):
    with pytest.raises(TypeError):
        wrong()


@pytest.mark.parametrize("name", ["Autogrow", "DynamicCombo", "BoundingBox", "Color", "MatchType"])
def test_names_of_newer_hosts_do_not_exist(name):
    assert not hasattr(io, name)


def accept(cls, a=None, b=None):
    return None


@pytest.mark.parametrize(("members", "phrase"), [
    ({"inputs": [io.Int.Input("a", default=np.int64(1))]}, "int64"),
    ({"inputs": [io.Float.Input("a", default=1.0, max=np.float64(2))]}, "float64"),
    ({"inputs": [io.Float.Input("a", default=float("nan"))]}, "no plain JSON"),
    ({"inputs": [io.Int.Input("a", default=True)]}, "bool"),
    ({"inputs": [io.Int.Input("a", default=7, max=5)]}, "lies outside"),
    ({"inputs": [io.Combo.Input("a", ["x"], default="y")]}, "none of its options"),
    ({"inputs": [io.Combo.Input("a", [])]}, "at least one option"),
    ({"inputs": [io.Image.Input("a"), io.Mask.Input("a")]}, "two inputs are called 'a'"),
    ({"inputs": [io.Image.Input("a")], "outputs": [io.Image.Output("a")]}, "0.3.64 refuses"),
    ({"inputs": [io.Custom("BOUNDING_BOX").Input("a", optional=True)]}, "forceInput"),
    ({"inputs": [io.Image.Input("a", lazy=True)]}, "check_lazy_status"),
    ({"inputs": [io.Image.Input("c")]}, "does not take input 'c'"),
    ({"inputs": [io.Int.Input("a", default=2, optional=True)]}, "the schema's is 2"),
    ({"inputs": [io.Int.Input("a")], "validate_inputs": classmethod(lambda cls, **kw: True)}, "**kwargs"),
    ({"inputs": [io.Int.Input("a")], "fingerprint_inputs": classmethod(lambda cls, z: 1)}, "asks for 'z'"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_schemas_that_break_on_some_host_are_refused(members, phrase):
    with pytest.raises(ValueError, match="Toy: ") as caught:
        make(execute=accept, **members).GET_SCHEMA()
    assert phrase in str(caught.value)


def test_optional_inputs_need_a_default_in_execute():
    with pytest.raises(ValueError, match="needs a default for the optional input 'a'"):
        make([io.Image.Input("a", optional=True)], execute=lambda cls, a: None).GET_SCHEMA()


def test_a_box_input_is_fine_as_a_pure_socket():
    box = io.Custom("BOUNDING_BOX").Input("a", optional=True, extra_dict={"forceInput": True})
    info = node_info(make([box], execute=accept))
    assert info["input"]["optional"]["a"] == ["BOUNDING_BOX", {"forceInput": True}]


def test_the_class_is_locked_while_it_runs(toys):
    bound = locked(toys.Number, {})
    with pytest.raises(AttributeError, match="Cannot modify class attribute 'state'"):
        bound.state = 1


def test_the_core_stand_ins_keep_to_the_subset(tmp_path):
    with running_on(Runtime(root=tmp_path)):
        for stand_in in CORE_NODES:
            assert node_info(stand_in)["name"] == stand_in.__name__
