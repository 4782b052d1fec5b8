"""Toy nodes on the stand-in, and an executor that knows them."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
from anyone.core.graph.core_nodes import CORE_NODES
from anyone.core.graph.executor import Executor
from anyone.core.graph.standin import io
from anyone.core.runtime import Interrupted, Runtime


def node(name, inputs=(), outputs=(), execute=None, base=io.ComfyNode, **schema):
    """A node class with the body `execute(cls, …)`; hooks and other members go through `base`."""
    def define_schema(cls):
        return io.Schema(node_id=name, inputs=list(inputs), outputs=list(outputs), **schema)

    return type(name, (base,), {"define_schema": classmethod(define_schema), "execute": classmethod(execute)})


@pytest.fixture
def calls():
    """What ran, in order."""
    return []


@pytest.fixture
def toys(calls):
    """Classes by name; those that run write themselves into `calls`."""
    def number(cls, value):
        calls.append(f"number {value}")
        return io.NodeOutput(value)

    def add(cls, a, b=100):
        calls.append(f"add {a} {b}")
        return io.NodeOutput(a + b)

    def show(cls, value):
        return io.NodeOutput(ui={"text": [str(value)]})

    def count_up(cls, to):
        return io.NodeOutput(list(range(to)))

    def collect(cls, values, factor):
        return io.NodeOutput(sum(values) * factor[0])

    def fail(cls, value):
        raise ValueError("no luck")

    def block(cls, value):
        return io.NodeOutput(None, block_execution="nothing here")

    def stop(cls, value):
        raise Interrupted

    def who(cls, value):
        return io.NodeOutput(f"{value} in {cls.hidden.unique_id}")

    def switch(cls, which, left=None, right=None):
        return io.NodeOutput(left if which else right)

    def mode(cls, mode, strength=0.5):
        return io.NodeOutput(f"{mode} {strength}")

    class Lazy(io.ComfyNode):
        @classmethod
        def check_lazy_status(cls, which, left=None, right=None):
            return ["left" if which else "right"]

    class Checked(io.ComfyNode):
        @classmethod
        def validate_inputs(cls, value):
            return True if value < 5 else "value is not small"

    class Versioned(io.ComfyNode):
        version = [1]

        @classmethod
        def fingerprint_inputs(cls, value):
            return cls.version[0]

    integer, anything = io.Int.Input, io.AnyType
    a_number = [integer("value", min=-10, max=10, default=1)]
    result = [io.Int.Output(display_name="value")]
    classes = [
        node("Number", a_number, result, number),
        node("Add", [integer("a", force_input=True), integer("b", default=100, optional=True)], result, add),
        node("Show", [anything.Input("value")], (), show, is_output_node=True),
        node("CountUp", [integer("to")], [io.Int.Output(is_output_list=True)], count_up),
        node("Collect", [integer("values"), integer("factor")], result, collect, is_input_list=True),
        node("Fail", a_number, result, fail),
        node("Block", a_number, result, block),
        node("Stop", a_number, result, stop),
        node("Who", a_number, [io.String.Output()], who, hidden=[io.Hidden.unique_id]),
        node("WhoAgain", a_number, [io.String.Output()], who, hidden=[io.Hidden.unique_id],
             not_idempotent=True),
        node("Switch", [io.Boolean.Input("which"), anything.Input("left", optional=True, lazy=True),
                        anything.Input("right", optional=True, lazy=True)], [anything.Output()], switch,
             base=Lazy),
        node("Small", a_number, result, number, base=Checked),
        node("Versioned", a_number, result, number, base=Versioned),
        node("Mode", [io.Combo.Input("mode", ["soft", "hard"]),
                      io.Float.Input("strength", default=0.5, min=0.0, max=1.0, optional=True)],
             [io.String.Output()], mode),
    ]
    return SimpleNamespace(**{toy.__name__: toy for toy in classes}, all=classes)


@pytest.fixture
def executor(toys, tmp_path):
    return Executor([*toys.all, *CORE_NODES], Runtime("cpu", tmp_path))


@pytest.fixture
def run(executor):
    """Validates and runs `{id: (class, inputs)}`."""
    def run(short, **options):
        validation = executor.validate(prompt(short))
        assert validation.error is None, validation.response()
        return executor.run(validation, **options)

    return run


def prompt(short):
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in short.items()}


@pytest.fixture(name="prompt")
def prompt_fixture():
    return prompt
