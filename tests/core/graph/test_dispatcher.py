"""`run.py`: picks the command, hands it the pack's nodes, turns errors into one line and an exit code."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def dispatcher(monkeypatch, tmp_path):
    """run.py with one command, `toy`, which does what `dispatcher.act(args)` does."""
    spec = importlib.util.spec_from_file_location("dispatcher", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "toy.py").touch()
    toy = SimpleNamespace(add_arguments=lambda parser: parser.add_argument("--size", type=int, default=1),
                          main=lambda args: module.act(args))
    monkeypatch.setitem(sys.modules, "anyone.toy", toy)
    monkeypatch.setattr(module, "COMMANDS", {"toy": ("toy", "a toy"), "absent": ("absent", "not shipped")})
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "load_pack", lambda: None)
    return module


def test_the_commands_exit_code_is_returned(dispatcher):
    dispatcher.act = lambda args: args.size
    assert dispatcher.main(["toy", "--size", "7"]) == 7


@pytest.mark.parametrize("error", [ValueError("too small"), FileNotFoundError("too small"),
                                   ConnectionError("too small")])
def test_errors_are_one_line(dispatcher, capsys, error):
    def act(args):
        raise error

    dispatcher.act = act
    assert dispatcher.main(["toy"]) == 1
    assert capsys.readouterr().err == "error: too small\n"
    with pytest.raises(type(error)):
        dispatcher.main(["toy", "--debug"])


def test_ctrl_c(dispatcher, capsys):
    def act(args):
        raise KeyboardInterrupt

    dispatcher.act = act
    assert dispatcher.main(["toy"]) == 130
    assert capsys.readouterr().err == "\nstopped\n"


@pytest.mark.parametrize("words", [[], ["absent"], ["nonsense"]])
def test_other_commands_are_refused(dispatcher, words, capsys):
    with pytest.raises(SystemExit) as stop:
        dispatcher.main(words)
    assert stop.value.code == 2


def test_commands_get_the_packs_nodes(dispatcher):
    dispatcher.act = lambda args: [node.__name__ for node in args.pack_nodes()]
    names = dispatcher.main(["toy"])
    assert "AnyoneInpaintPerson" in names and all(name.startswith("Anyone") for name in names)
