"""A pickle machine that builds data and calls nothing.

Python's own unpickler imports what a file names and calls it. This one walks the opcodes (parsed by
`pickletools`) and makes lists, dicts, strings and numbers itself; a call becomes the result of one of the few
`builders` it was given, or an inert `Record`. So no file can run code. Files that try to are refused all the
same, by the names they ask for: they are attacks, not weights.
"""
from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import IO, Any

_PYTHON2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_HARMLESS_BUILTINS = frozenset({
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
    "range", "set", "slice", "str", "tuple",
})
_REFUSED = frozenset({
    "_io", "_operator", "_osx_support", "_pickle", "_posixsubprocess", "_winapi", "_xxsubinterpreters",
    "asyncio", "bdb", "cloudpickle", "code", "codeop", "commands", "cProfile", "ctypes", "dill",
    "distutils", "doctest", "ensurepip", "ftplib", "functools.reduce", "gc", "http", "idlelib",
    "imaplib", "imp", "importlib", "inspect", "io", "ipykernel", "IPython", "joblib", "linecache",
    "marshal", "mmap", "multiprocessing", "nt", "ntpath", "numpy.f2py", "numpy.load", "numpy.loads",
    "numpy.testing", "operator", "os", "pdb", "pickle", "pip", "pkgutil", "poplib", "posix",
    "posixpath", "pty", "pydoc", "requests", "runpy", "setuptools", "shelve", "shutil", "signal",
    "site", "smtplib", "socket", "socketserver", "ssl", "subprocess", "sys", "telnetlib", "tempfile",
    "threading", "timeit", "torch.hub", "torch.jit.load", "torch.load", "torch.serialization",
    "torch.utils.cpp_extension", "types.CodeType", "types.FunctionType", "types.LambdaType", "urllib",
    "urllib2", "venv", "webbrowser", "xmlrpc", "zipimport",
})


class UnsafePickle(ValueError):
    """The pickle asks for something that runs code; `args[0]` is its dotted name."""


class DamagedPickle(ValueError):
    """The opcodes make no sense."""


@dataclass(frozen=True)
class Global:
    """A name the pickle asks for, such as `torch.FloatStorage`. Never looked up."""

    path: str


class Record:
    """An object of a class nobody here knows, kept as what the pickle said about it."""

    def __init__(self, path: str, args: tuple = ()) -> None:
        self.path, self.args = path, args
        self.state: Any = None                            # what __setstate__ or __dict__ would have got
        self.entries: dict = {}                           # of a class derived from dict
        self.elements: list = []                          # of a class derived from list or set

    def __repr__(self) -> str:
        return f"<record of {self.path}>"


Builders = Mapping[str, Callable[..., Any]]


def run_pickle(stream: IO[bytes] | mmap, builders: Builders, constants: Mapping[str, Any] | None = None,
               persistent: Callable[[Any], Any] | None = None) -> Any:
    """Runs one pickle from the stream's position to its end and returns the value.

    `builders`: dotted name -> function for calls that may be understood. `constants`: dotted name -> value.
    `persistent`: persistent id -> value. Raises `UnsafePickle` or `DamagedPickle`.
    """
    machine = _Machine(builders, constants or {}, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
            machine.step(opcode.name, argument)
        return machine.pop()
    except UnsafePickle:
        raise
    except Exception as error:                            # any opcode may meet any value in a damaged file
        raise DamagedPickle(str(error)[:120]) from error


class _Machine:
    def __init__(self, builders: Builders, constants: Mapping[str, Any],
                 persistent: Callable[[Any], Any] | None) -> None:
        self.builders, self.constants, self.persistent = builders, constants, persistent
        self.stack: list = []
        self.outer: list[list] = []                       # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSH_ARGUMENT:
            self.push(argument)
        elif name in _PUSH_NEW:
            self.push(_PUSH_NEW[name]())
        else:
            _OPERATIONS[name](self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_many(self, count: int) -> list:
        return [self.stack.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def mark(self, _: Any) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def find(self, module: str, name: str) -> Any:
        """A dotted `name` is a way to reach what a module imported."""
        module = _PYTHON2.get(module, module)
        path = f"{module}.{name}"
        if module == "builtins":
            unsafe = name not in _HARMLESS_BUILTINS
        else:
            parts = path.split(".")[:3]                   # as many as the longest refused name has
            unsafe = any(".".join(parts[:end]) in _REFUSED for end in (1, 2, 3))
            unsafe |= "." in name and not _REFUSED.isdisjoint(name.split("."))
        if unsafe:
            raise UnsafePickle(path[:80])
        return self.constants[path] if path in self.constants else Global(path)

    def global_(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.push(self.find(module, name))

    def stack_global(self, _: Any) -> None:
        module, name = self.pop_many(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a global without a name")
        self.push(self.find(module, name))

    def call(self, function: Any, args: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise TypeError(f"a call of {type(function).__name__}")
        builder = self.builders.get(function.path)
        return builder(*args) if builder else Record(function.path, args)

    def reduce(self, _: Any) -> None:
        self.push(self.call(*self.pop_many(2)))

    def new_with_keywords(self, _: Any) -> None:
        kind, args, keywords = self.pop_many(3)
        self.push(self.call(kind, (*args, keywords) if keywords else args))

    def instance(self, argument: str) -> None:
        args = tuple(self.pop_to_mark())
        self.global_(argument)
        self.push(self.call(self.pop(), args))

    def object_(self, _: Any) -> None:
        kind, *args = self.pop_to_mark()
        self.push(self.call(kind, tuple(args)))

    def build(self, _: Any) -> None:
        """Attributes of dicts and tensors (`_metadata` of a state dict) carry no weights and are dropped."""
        state = self.pop()
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state

    def extend(self, items: list) -> None:
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(map(checked_key, items))
        elif isinstance(target, (list, Record)):
            (target if isinstance(target, list) else target.elements).extend(items)
        else:
            raise TypeError(f"items for {type(target).__name__}")

    def set_items(self, items: list) -> None:
        target = self.stack[-1]
        if not isinstance(target, (dict, Record)):
            raise TypeError(f"entries for {type(target).__name__}")
        (target if isinstance(target, dict) else target.entries).update(_dictionary(items))

    def persist(self, identifier: Any) -> None:
        if self.persistent is None:
            raise ValueError("a persistent id outside a torch file")
        self.push(self.persistent(identifier))


def _dictionary(items: list) -> dict:
    """`[key, value, key, value, ...]` -> dict."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def checked_key(key: Any) -> Any:
    """Nested tuples can be made so that hashing them takes for ever; no honest file has such keys."""
    if isinstance(key, tuple) and (len(key) > 16 or any(isinstance(part, tuple) for part in key)):
        raise ValueError("an unusual key")
    return key


_PUSH_ARGUMENT = frozenset(                               # numbers and strings
    opcode.name for opcode in pickletools.opcodes
    if opcode.arg and not opcode.stack_before and opcode.stack_after not in ([], [pickletools.anyobject]))
_PUSH_NEW: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}
_OPERATIONS: Mapping[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.pop() if machine.stack else machine.pop_to_mark(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, i: machine.push(machine.memo[i])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, i: machine.remember(i)),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop_many(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop_many(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop_many(3))),
    "FROZENSET": lambda machine, _: machine.push(frozenset(map(checked_key, machine.pop_to_mark()))),
    "DICT": lambda machine, _: machine.push(_dictionary(machine.pop_to_mark())),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_many(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persist,
    "BINPERSID": lambda machine, _: machine.persist(machine.pop()),
}
