"""Files made to run code, to crash or to hang the reader. Nothing of theirs ever runs."""
from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import time
import zipfile

import pytest
import torch
from anyone.core.checkpoints import read
from anyone.core.checkpoints.pickle_machine import Record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as safetensors_bytes

_heard: list[str] = []
_listening = False
_EXECUTION = {"os.system", "exec", "compile", "subprocess.Popen", "pickle.find_class", "socket.connect"}


def _hook(event, args):
    if _listening and event in _EXECUTION:
        _heard.append(event)


sys.addaudithook(_hook)                                   # for good: Python cannot take one back


def read_quietly(path):
    """Reads while listening for anything that runs code; ValueError counts as an answer."""
    global _listening
    _heard.clear()
    _listening = True
    try:
        return read(path)
    finally:
        _listening = False
        assert _heard == []


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args, state=None):
        self.answer = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.answer


def legacy(value):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zipped(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def payloads():
    import builtins
    import functools
    import importlib
    import operator
    import runpy
    import shutil
    import socket
    import subprocess
    return {
        "os.system": Call(os.system, "echo run"), "eval": Call(eval, "1+1"), "exec": Call(exec, "x=1"),
        "open": Call(open, "/tmp/x", "w"), "import": Call(builtins.__import__, "os"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"), "popen": Call(subprocess.Popen, ["true"]),
        "runpy": Call(runpy.run_path, "x.py"), "socket": Call(socket.socket),
        "rmtree": Call(shutil.rmtree, "/x"),
        "import_module": Call(importlib.import_module, "os"),
        "attrgetter": operator.attrgetter("system"),
        "reduce": Call(functools.reduce, operator.add, [1, 2]), "torch.load": Call(torch.load, "x.pt"),
        "hub": Call(torch.hub.load, "a/b", "c"), "loads": Call(pickle.loads, b"."),
        "partial": functools.partial(os.system, "echo run"), "nested": Call(list, (Call(eval, "1"),)),
        "state": Call(list, state=Call(eval, "1")), "key": {("k", 1): [Call(os.system, "echo run")]},
    }


@pytest.mark.parametrize("name", payloads())
@pytest.mark.parametrize("write", [pickle.dumps, legacy, zipped])
def test_code_is_refused_with_its_name(tmp_path, name, write):
    path = tmp_path / "model.ckpt"
    path.write_bytes(write({"weight": [1.0], "x": payloads()[name]}))
    with pytest.raises(ValueError, match=r"^model\.ckpt would run code .*asks for [\w.]+\); it is refused"):
        read_quietly(path)


@pytest.mark.parametrize("data", [
    b"cos\nsystem\n(S'echo run'\ntR.",
    b"(S'echo run'\nios\nsystem\n.",
    b"\x80\x02(cos\nsystem\nX\x08\x00\x00\x00echo runo.",
    b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.",
    b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93\x8c\x01x\x85R.",
    b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x01x\x85R.",
    b"c__builtin__\neval\n(S'1'\ntR.",
    b"\x80\x02cbuiltins\nobject\n)\x81}X\x01\x00\x00\x00acos\nsystem\nsb.",
], ids=["global", "inst", "obj", "stack_global", "dotted", "memo", "python2", "attribute"])
def test_hand_written_opcodes(tmp_path, data):
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="model.pkl would run code"):
        read_quietly(path)


def test_unknown_functions_are_records(tmp_path):
    """What is not known to be dangerous is not called either."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02}X\x01\x00\x00\x00kcsome.package\nrun_it\nX\x01\x00\x00\x00x\x85Rs.")
    record = read_quietly(path).tree["k"]
    assert isinstance(record, Record) and record.path == "some.package.run_it" and record.args == ("x",)


def _nested_tuples(depth):
    return b"\x80\x02})" + b"\x85" * depth + b"K\x01s."


def _doubling_tuples(depth):
    """Each tuple holds the one before twice: few bytes, 2^depth leaves."""
    body = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))
    return b"\x80\x02})" + body + b"K\x01s."


@pytest.mark.parametrize("data", [
    _nested_tuples(100_000), _doubling_tuples(200),
    b"\x80\x04\x8c\x01kr\xff\xff\xff\xff}.",                                      # memo index 2^32 - 1
    b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",                       # text of 4 EiB
    b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"abc.",
    b"\x80\x02}X\x01\x00\x00\x00kcbuiltins\nbytearray\nL999999999999L\n\x85Rs.",
    b"\x80\x02}X\x01\x00\x00\x00kcbuiltins\nrange\nL999999999999L\n\x85Rs.",
    b"\x80\x02c" + b"a.b" * 100_000 + b"\nc\n.",
    b"\x80\x02" + b"(" * 100_000 + b".", b"\x80\x02]q\x00" + b"h\x00a" * 100_000 + b".",
    b"\x80\x04" + b")" + b"\x85" * 100_000 + b"\x8c\x01x\x93.",
    b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R.", b"\x80\x02cbuiltins\nlist\n)\x81K\x01b.",
    b"\x80\x02cbuiltins\nset\nK\x01\x85R.", b"\x80\x02NK\x01a.", b"\x80\x0200.", b"\x80\x02.",
    b"\x80\x02K\x01K\x02R.",
], ids=lambda data: repr(data[:12]))
def test_bombs_end_at_once(tmp_path, data):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(data)
    start = time.process_time()
    try:
        tree = read_quietly(path).tree
        assert list(tree) in ([], ["k"])
    except ValueError as error:
        assert "bomb.pkl" in str(error)
    assert time.process_time() - start < 5


def _torch_zip(pickled, storage=b"\0" * 64):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/data/0", storage)
    return file.getvalue()


def _tensor_pickle(count, offset, size, stride, key):
    """{"w": tensor} with free numbers."""
    file = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, key, "cpu", count) if value == "STORAGE" else None

    rebuild = Call(torch._utils._rebuild_tensor_v2, "STORAGE", offset, size, stride, False, None)
    Pickler(file, 2).dump({"w": rebuild})
    return file.getvalue()


@pytest.mark.parametrize("numbers", [
    (16, 0, (17,), (1,), "0"), (16, 9, (2, 4), (4, 1), "0"),
    (1 << 50, 0, (1 << 40,), (1,), "0"), (16, -4, (4,), (1,), "0"),
    (16, 0, (4,), (-1,), "0"), (16, 0, (1 << 62, 4), (0, 0), "0"),
    (16, 0, (4, 4), (1,), "0"), (16, 0, (1 << 30,), (0,), "0"),
    (16, 0, (True,), (1,), "0"), (16, 0.0, (4,), (1,), "0"),
    (-1, 0, (1,), (1,), "0"), (16, 0, (1,) * 200, (1,) * 200, "0"),
    (16, 0, (4,), (1,), "1"), (16, 0, (4,), (1,), "../x"),
])
def test_tensors_stay_inside_their_storage(tmp_path, numbers):
    path = tmp_path / "model.pt"
    path.write_bytes(_torch_zip(_tensor_pickle(16, 2, (2, 3), (4, 1), "0")))
    assert read(path).tree["w"].shape == (2, 3)
    path.write_bytes(_torch_zip(_tensor_pickle(*numbers)))
    with pytest.raises(ValueError, match="model.pt"):
        read_quietly(path)


def test_index_pointing_elsewhere(tmp_path):
    """A zip entry whose place in the central directory is forged."""
    whole = bytearray(zipped({"w": torch.ones(8)}))
    place = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"data/0"))
    whole[place + 42:place + 46] = struct.pack("<I", 5)
    path = tmp_path / "model.pt"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="model.pt"):
        read_quietly(path)


def _samples():
    value = {"weight": torch.arange(6.).reshape(2, 3), "more": {"n": [1, (2, "x")], "o": OSError("x")}}
    return {"zip": zipped(value), "legacy": legacy(value), "pickle": pickle.dumps({"a": [1, {2: "b"}]}),
            "safetensors": safetensors_bytes({"weight": torch.arange(6.)}, {"a": "b"})}


@pytest.mark.parametrize("name", _samples())
@settings(max_examples=200, deadline=5000, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_get_an_answer(tmp_path, name, data):
    """Any change of any bytes: a tree whose tensors can be touched, or one sentence."""
    whole = bytearray(_samples()[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place:place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "damaged.pt"
    path.write_bytes(whole)
    try:
        tree = read_quietly(path).tree
    except ValueError as error:
        assert "damaged.pt" in str(error)
    else:
        for value in tree.values():
            if isinstance(value, torch.Tensor):
                value.clone()
