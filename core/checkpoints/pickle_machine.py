"""A pickle machine that builds data and calls nothing.

Python's own unpickler imports what a file names and calls it. This one walks the opcodes (parsed by
`pickletools`) and makes lists, dicts, strings and numbers itself; a call becomes the result of one of the few
`builders` it was given, or an inert `Record`. So no file can run code. Files that try to are refused all the
same, by the names they ask for: they are attacks, not weights. Nor can a file take more memory or time than
its size warrants: every opcode costs a little, and what would copy or compare without end is counted.
"""
from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .mapped import shown

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
_FREE, _PER_BYTE, _MOST_SPENT = 4 << 20, 64, 128 << 20    # memory: of any file, per byte read, at most
_USUAL_COST = 64                                          # memory an opcode takes, roughly
_MOST_HANDED = 4                                          # items and bytes for builders, per byte of the file
_LONGEST_NAME = 256                                       # of a global
_LONGEST_KEY = 1024
_HASHED_AS_ITSELF = (1 << 61) - 1                         # greater integers can be made to share one hash


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


class Readable(Protocol):
    """What a pickle is read from. `read` may give views instead of bytes."""

    def read(self, count: int, /) -> Any: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


def run_pickle(stream: Readable, builders: Builders, constants: Mapping[str, Any] | None = None,
               persistent: Callable[[Any], Any] | None = None,
               allowed: Collection[str] | None = None) -> Any:
    """Runs one pickle from the stream's position to its end and returns the value.

    `builders`: dotted name -> function for calls that may be understood. `constants`: dotted name -> value.
    `persistent`: persistent id -> value. `allowed`: the only dotted names the pickle may ask for, by default
    all that are not known to run code. Raises `UnsafePickle` or `DamagedPickle`.
    """
    machine = _Machine(builders, constants or {}, persistent, allowed)
    try:
        for opcode, argument, position in pickletools.genops(stream):  # type: ignore[arg-type]
            machine.position = position or 0
            machine.step(opcode.name, argument)
        return machine.pop()
    except UnsafePickle:
        raise
    except Exception as error:                            # any opcode may meet any value in a damaged file
        raise DamagedPickle(shown(str(error))) from error


class _Machine:
    def __init__(self, builders: Builders, constants: Mapping[str, Any],
                 persistent: Callable[[Any], Any] | None, allowed: Collection[str] | None) -> None:
        self.builders, self.constants, self.persistent = builders, constants, persistent
        self.allowed = allowed
        self.position = 0                                 # bytes read so far
        self.spent = 0                                    # bytes of memory
        self.handed = 0                                   # items and bytes handed to builders so far
        self.stack: list = []
        self.outer: list[list] = []                       # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        self.spent += _COSTS.get(name, _USUAL_COST)
        if self.spent > min(_FREE + _PER_BYTE * self.position, _MOST_SPENT):
            raise ValueError("it makes more objects than its size warrants")
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
        if len(module) + len(name) > _LONGEST_NAME:
            raise ValueError("a global of a very long name")
        module = _PYTHON2.get(module, module)
        path = f"{module}.{name}"
        if _is_known_attack(module, name) or self.is_forbidden(path, name):
            raise UnsafePickle(shown(path))
        return self.constants[path] if path in self.constants else Global(path)

    def is_forbidden(self, path: str, name: str) -> bool:
        return self.allowed is not None and (path not in self.allowed or "." in name)

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
        if builder is None:
            return Record(function.path, args)
        self.handed += len(args) + sum(len(arg) for arg in args if isinstance(arg, _SIZED))
        if self.handed > _MOST_HANDED * self.position:    # builders may copy, and the memo repeats for free
            raise ValueError("it builds more than its size warrants")
        return builder(*args)

    def reduce(self, _: Any) -> None:
        self.push(self.call(*self.pop_many(2)))

    def new_with_keywords(self, _: Any) -> None:
        kind, args, keywords = self.pop_many(3)
        self.push(self.call(kind, (args, keywords) if keywords else args))

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
            target.update(map(safe_key, items))
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


def _is_known_attack(module: str, name: str) -> bool:
    if module == "builtins":
        return name not in _HARMLESS_BUILTINS
    parts = f"{module}.{name}".split(".")[:3]             # as many as the longest refused name has
    return (any(".".join(parts[:end]) in _REFUSED for end in (1, 2, 3))
            or "." in name and not _REFUSED.isdisjoint(name.split(".")))


def _dictionary(items: list) -> dict:
    """`[key, value, key, value, ...]` -> dict."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    return {safe_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def safe_key(key: Any) -> Any:
    """The key, or a record of it: tuples, long texts and large numbers can be made so that hashing and
    comparing them takes for ever, and no weight is found by one."""
    if isinstance(key, (str, bytes)):
        harmless = len(key) <= _LONGEST_KEY
    elif isinstance(key, int):
        harmless = -_HASHED_AS_ITSELF < key < _HASHED_AS_ITSELF
    else:
        harmless = key is None or isinstance(key, (float, Global, Record))
    return key if harmless else Record("unusual key", (key,))


_SIZED = (str, bytes, bytearray, memoryview, list, tuple, dict, set, frozenset)
_PUSH_ARGUMENT = frozenset(                               # numbers and strings
    opcode.name for opcode in pickletools.opcodes
    if opcode.arg and not opcode.stack_before and opcode.stack_after not in ([], [pickletools.anyobject]))
_COSTS = {
    "EMPTY_SET": 256, **dict.fromkeys(("MARK", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"), 128),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"), 1024),
}
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
    "FROZENSET": lambda machine, _: machine.push(frozenset(map(safe_key, machine.pop_to_mark()))),
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
