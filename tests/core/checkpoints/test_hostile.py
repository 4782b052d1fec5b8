"""Files made to run code, to crash or to hang the reader. Nothing of theirs ever runs."""
from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile

import numpy as np
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


def _text(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _long(number):
    data = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return b"\x8b" + struct.pack("<I", len(data)) + data


def _called(path, arguments, times=1):
    """Opcodes that call a global over and over with the same arguments."""
    module, _, name = path.rpartition(".")
    return f"c{module}\n{name}\nq\x070".encode() + arguments + b"q\x080" + b"h\x07h\x08R" * times


def _storage(data=None):
    """Opcodes for what a pickled tensor keeps its values in."""
    data = data or _values(100_000)
    return b"B" + struct.pack("<I", len(data)) + data + b"\x85"


def _values(count):
    return torch.ones(count).__reduce_ex__(2)[1][0].__reduce__()[1][0]


MANY = b"]q\x00(" + b"N" * 100_000 + b"e0"                 # the memo repeats this list for two bytes
LONG_TEXT = _text("a" * 10_000_000)
LOAD = "torch.storage._load_from_bytes"
MULTIPLYING = {
    "lists": MANY + _called("builtins.list", b"h\x00\x85", 2000),
    "sets": MANY + _called("builtins.set", b"h\x00\x85", 20_000),
    "arguments": b"(" + b"N" * 100_000 + b"tq\x000" + _called("collections.defaultdict", b"h\x00", 200_000),
    "keywords": (b"(" + b"N" * 100_000 + b"tq\x000ca\nb\nq\x010}K\x01K\x01sq\x020"
                 + b"h\x01h\x00h\x02\x92" * 2000),
    "bytes": _called("_codecs.encode", LONG_TEXT + _text("latin1") + b"\x86", 200),
    "subclasses": MANY + _called("torch._tensor._rebuild_from_type_v2",
                                 b"(cbuiltins\nlist\nNh\x00\x85Nt", 2000),
    "storages": _called(LOAD, _storage(), 20_000),
    "names": LONG_TEXT + b"q\x00" + b"h\x00h\x00\x93" * 200,
    "objects": b"\x8f" * 1_000_000, "memo": b"N" + b"\x94" * 1_000_000, "marks": b"(" * 1_000_000,
    "records": b"ca\nb\nq\x000" + b"h\x00)R" * 500_000,
    "sizes": b"ctorch._utils\n_rebuild_tensor_v2\n(" + _called(LOAD, _storage())
             + b"K\x00(" + _long(1 << 8_000_000) + b"222222tq\x092\x89NtR",
    "one hash": b"}(" + b"".join(_long(i * ((1 << 61) - 1)) + b"N" for i in range(1, 30_000)) + b"u",
    "large numbers": b"}" + _long(1 << 8_000_000) + b"q\x000" + b"h\x00Ns" * 30_000,
    "equal texts": b"}" + LONG_TEXT + b"q\x00Ns" + LONG_TEXT + b"q\x010" + b"h\x01Ns" * 20_000,
}


@pytest.mark.parametrize("name", MULTIPLYING)
def test_what_the_memo_repeats_is_counted(tmp_path, name):
    """Uncounted, each of these takes gigabytes or minutes."""
    path, data = tmp_path / "bomb.pkl", b"\x80\x04" + MULTIPLYING[name] + b"."
    path.write_bytes(data)
    tracemalloc.start()
    start = time.process_time()
    try:
        assert read_quietly(path).tree == {}
    except ValueError as error:
        assert "bomb.pkl" in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.process_time() - start < 10
    assert peak < (32 << 20) + 32 * len(data)


def _array(state):
    """Opcodes for a network of TensorFlow's with one array in that state."""
    return (b"cdnnlib.tflib.network\nNetwork\n)\x81}(" + _text("variables") + b"]" + _text("w")
            + b"cnumpy.core.multiarray\n_reconstruct\n)R" + state + b"b\x86a"
            + _text("components") + b"}" + _text("static_kwargs") + b"}ub")


MARK = b"X\x17\x00\x00\x00torch_utils.persistence0"         # what makes a pickle one of NVIDIA's


@pytest.mark.parametrize("write", [pickle.dumps, legacy, zipped])
def test_networks_may_ask_for_few_names(tmp_path, nvidia, write):
    """Elsewhere an unknown name makes an inert record; a network needs none."""
    path = tmp_path / "network.pkl"
    path.write_bytes(write({"G_ema": nvidia.Persistent({"w": torch.ones(1)}), "x": OSError("x")}))
    with pytest.raises(ValueError, match=r"asks for \w+.OSError\); it is refused.* as safetensors"):
        read_quietly(path)


@pytest.mark.parametrize("name", payloads())
@pytest.mark.parametrize("place", ["parameters", "state", "storage"])
def test_code_inside_a_network(tmp_path, nvidia, name, place):
    payload, network = payloads()[name], nvidia.Persistent({"w": torch.ones(1)}, gain=1)
    if place == "storage":
        payload = Call(torch.storage._load_from_bytes, legacy(payload))
    if place == "state":
        network.attributes["extra"] = payload
    else:
        network.attributes["_parameters"]["w"] = payload
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps({"G_ema": network}))
    with pytest.raises(ValueError, match=r"network.pkl would run code .*asks for [\w.]+\); it is refused"):
        read_quietly(path)


@pytest.mark.parametrize("data", [
    b"\x8c\x0btorch_utils\x8c'persistence._reconstruct_persistent_obj\x93}\x85R",
    b"\x8c\x0ctorch._utils\x8c\x1e_rebuild_tensor_v2.__globals__\x93)R",
    b"\x8c\x04Call\x8c\x06system\x93)R", b"cdnnlib.util\nEasyDict.__init__\n)R",
    b"cdnnlib.util\nEasyDict\n)\x81}X\x08\x00\x00\x00__init__cos\nsystem\nsb",
    b"cnumpy\nload\nX\x01\x00\x00\x00x\x85R", b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nload\n\x85R",
    _called(LOAD, _storage(b"\x80\x02cos\nsystem\n.")),
    _called(LOAD, _storage(b"\x80\x02" + _called(LOAD, _storage(b"\x80\x02cos\nsystem\n.")) + b".")),
], ids=range(9))
def test_tricks_with_names(tmp_path, data):
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04" + MARK + b"}X\x05\x00\x00\x00G_ema" + data + b"s.")
    with pytest.raises(ValueError, match=r"network.pkl would run code"):
        read_quietly(path)


def test_names_cannot_spoil_a_terminal(tmp_path):
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04" + MARK + b"\x8c\x06a\x1b[2Jb\x8c\x06\xed\xa0\x80\n\x1bc\x93.")
    with pytest.raises(ValueError, match=r"would run code") as caught:
        read_quietly(path)
    assert str(caught.value).isascii() and str(caught.value).isprintable()


@pytest.mark.parametrize("data", [
    b"X\x01\x00\x00\x00xQ", b"Pstorage\n", b"(X\x07\x00\x00\x00storageK\x01K\x02tQ",    # persistent ids
    _called(LOAD, b"C\x00\x85"), _called(LOAD, _storage(b"PK\x03\x04")), _called(LOAD, _storage(legacy({}))),
    _called(LOAD, _storage(_values(3)[:-1])), _called(LOAD, b"K\x01\x85"),
    b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))}NtR", b"ctorch._utils\n_rebuild_parameter\n)R",
    b"ctorch_utils.persistence\n_reconstruct_persistent_obj\nK\x01\x85R",
    b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}q\x00X\x05\x00\x00\x00stateh\x00s\x85R",
    b"cdnnlib.tflib.network\nNetwork\n)\x81", b"cdnnlib.tflib.network\nNetwork\n)\x81K\x01b",
    _array(b"(K\x01K\x03\x85cnumpy\ndtype\nX\x02\0\0\0f4\x85R\x89C\x04abcdt"), _array(b"K\x01"),
], ids=range(16))
def test_nonsense_in_a_network(tmp_path, data):
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04" + MARK + b"}X\x05\x00\x00\x00G_ema" + data + b"s.")
    with pytest.raises(ValueError, match=r"network.pkl is no readable weight file"):
        read_quietly(path)


def test_a_type_that_doubles(tmp_path):
    """A tuple of 2^99 parts where the name of an array's type is expected: not even its text is made."""
    dtype = b"cnumpy\ndtype\n)q\x01" + b"h\x01\x86q\x01" * 99 + b"\x85R"
    network = _array(b"(K\x01K\x03\x85" + dtype + b"\x89C\x04abcdt")
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04" + MARK + b"}" + _text("G_ema") + network + b"s.")
    assert read_quietly(path).tree == {"G_ema": {}}


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


@settings(max_examples=300, deadline=5000, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_networks_get_an_answer(tmp_path, nvidia, data):
    first = nvidia.Network([("w", np.ones(2, "f4"))], {"synthesis": nvidia.Network([("n", np.ones(1))])})
    layer = nvidia.Persistent({"w": torch.ones(1, 2)}, {"f": torch.ones(2).half()}, gain=np.float64(2))
    snapshot = {"G_ema": nvidia.Persistent(inside={"a": layer}, options=nvidia.EasyDict(x=1))}
    value = data.draw(st.sampled_from([snapshot, (first, first, first)]))
    whole = bytearray(pickle.dumps(value, data.draw(st.sampled_from([3, 4]))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place:place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    expect_an_answer(tmp_path / "damaged.pkl", bytes(whole[:data.draw(st.integers(1, 3 * len(whole)))]))


def expect_an_answer(path, data):
    """A tree whose tensors can be touched, or one sentence; a few megabytes of memory."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        for part in read_quietly(path).tree.values():
            for value in part.values() if isinstance(part, dict) else [part]:
                if isinstance(value, torch.Tensor):
                    value.clone()
    except ValueError as error:
        assert path.name in str(error) and str(error).isprintable()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 16 << 20


_OPCODES = [
    *(bytes([byte]) for byte in b"}])(t\x85\x86\x87Rb\x81\x92sudlaeo"),
    *(bytes([byte]) for byte in b"\x8f\x90\x91012N\x88\x94\x93Q"),
    b"K\x02", b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"M\xff\xff", b"J\xff\xff\xff\xff", b"C\x02ab",
    b"G\x7f\xf8\0\0\0\0\0\0", b"\x8a\x01\x05", _long(1 << 70),
    *map(_text, ["G_ema", "state", "_parameters", "_buffers", "_modules", "_init_kwargs", "variables",
                 "components", "static_kwargs", "numpy", "dtype", "<f4", "os", "system"]),
    *(f"c{name}\n".encode() for name in (
        "torch_utils.persistence\n_reconstruct_persistent_obj", "dnnlib.tflib.network\nNetwork",
        "builtins\nset", "dnnlib.util\nEasyDict", "collections\nOrderedDict", "numpy\ndtype",
        "torch._utils\n_rebuild_tensor_v2", "torch._utils\n_rebuild_parameter", "_codecs\nencode",
        "numpy.core.multiarray\nscalar", "numpy.core.multiarray\n_reconstruct")),
    _called(LOAD, _storage(_values(3))), _called("numpy.dtype", b"X\x02\0\0\0f4\x85"),
]


@settings(max_examples=500, deadline=5000, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=st.lists(st.sampled_from(_OPCODES), min_size=1, max_size=60), network=st.booleans())
def test_any_opcodes_get_an_answer(tmp_path, program, network):
    """`}` first and `.` last, so that many programs come to an end."""
    data = b"\x80\x04" + MARK * network + b"}" + b"".join(program)
    expect_an_answer(tmp_path / "random.pkl", data + b".")
