"""`run.py models ...` as the user sees it."""
from __future__ import annotations

import argparse
import hashlib

import pytest
import torch
from anyone.core.checkpoints import catalog, cli, load, read
from safetensors.torch import save_file


def run(capsys, *words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    args = parser.parse_args(list(map(str, words)))
    code = cli.main(args)
    return code, capsys.readouterr().out


def test_list(tmp_path, capsys):
    code, text = run(capsys, "list", "--root", tmp_path)
    lines = text.splitlines()
    assert code == 0
    assert lines[0].split() == ["name", "role", "status", "size", "commercial", "licence", "what"]
    assert [line.split()[:2] for line in lines[1:]] == [[row.name, row.role] for row in catalog.CATALOG]
    assert "dead" in lines[3] and " no " in lines[3]
    (tmp_path / "models" / "anyone").mkdir(parents=True)
    (tmp_path / "models" / "anyone" / "triagan-body.ckpt").touch()
    assert run(capsys, "list", "--root", tmp_path)[1].splitlines()[3].split()[2] == "here"


def test_where(tmp_path, capsys):
    folder = tmp_path / "models" / "anyone"
    assert f"{folder} (not there yet)\n" in run(capsys, "where", "--root", tmp_path)[1]
    folder.mkdir(parents=True)
    (folder / "triagan-face.ckpt").touch()
    text = run(capsys, "where", "--root", tmp_path)[1]
    assert f"{folder}\n  triagan-face.ckpt: TriA-GAN face, 128x128\n" in text


def test_check(tmp_path, capsys, toy_system, toy_state, monkeypatch):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.pt"
    save_file(toy_state, good, {"latent": "identity"})
    bad.write_bytes(b"<html>")
    digest = f"md5:{hashlib.md5(good.read_bytes()).hexdigest()}"
    row = catalog.Published(
        "toy-1", "Toy", "toy", "inpainter", ("toy.pt",), "MIT", "yes", "alive", digest=digest)
    monkeypatch.setattr(cli, "CATALOG", (row,))
    line = "good.safetensors: toy painter, 8 numbers in 2 tensors, latent identity, published as toy-1"
    assert run(capsys, "check", good) == (0, f"ok    {line}\n")
    code, text = run(capsys, "check", good, bad, tmp_path / "gone")
    assert code == 1
    assert [line.split()[0] for line in text.splitlines()] == ["ok", "FAIL", "FAIL"]
    assert "an HTML page" in text and "There is no weight file" in text


def test_check_covers_the_model_folder(tmp_path, capsys, toy_system, toy_state, monkeypatch):
    monkeypatch.setattr(cli, "embedded", dict)
    (tmp_path / "models" / "anyone").mkdir(parents=True)
    save_file(toy_state, tmp_path / "models" / "anyone" / "mine.safetensors")
    code, text = run(capsys, "check", "--root", tmp_path)
    assert (code, text) == (0, "ok    mine.safetensors: toy painter, 8 numbers in 2 tensors\n")


def test_convert_keeps_only_the_weights(tmp_path, capsys, toy_system, toy_state):
    source, target = tmp_path / "100.ckpt", tmp_path / "out" / "toy.safetensors"
    torch.save({"EMA": toy_state, "optimiser": torch.ones(1000), "options": argparse.Namespace()}, source)
    assert run(capsys, "convert", source, target) == (0, f"{target}: toy painter\n")
    contents = read(target)
    assert contents.metadata == {"source": "100.ckpt", "system": "toy"}
    assert set(contents.tree) == set(toy_state)
    assert torch.equal(load(target).module.linear.weight, toy_state["linear.weight"])


def test_checkpoints_of_tensorflow_can_be_checked_and_converted(tmp_path, capsys, toy_system, toy_state,
                                                                save_bundle):
    index, target = save_bundle(tmp_path / "model.ckpt-0.index", toy_state), tmp_path / "toy.safetensors"
    assert run(capsys, "check", index)[1] == "ok    model.ckpt-0.index: toy painter, 8 numbers in 2 tensors\n"
    assert run(capsys, "convert", index, target)[0] == 0
    assert torch.equal(read(target).tree["linear.weight"], toy_state["linear.weight"])


def test_convert_to_half_spares_large_values(tmp_path, capsys, toy_system, toy_state):
    toy_state["linear.bias"][0] = 1e6
    torch.save(toy_state, tmp_path / "x.pt")
    run(capsys, "convert", tmp_path / "x.pt", tmp_path / "x.safetensors", "--half")
    tree = read(tmp_path / "x.safetensors").tree
    assert tree["linear.weight"].dtype == torch.float16
    assert torch.equal(tree["linear.bias"], toy_state["linear.bias"])


def test_convert_writes_nothing_on_errors(tmp_path, capsys, toy_system):
    torch.save({"linear.weight": torch.ones(2, 2)}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="x.pt cannot be used: .* 1 missing"):
        run(capsys, "convert", tmp_path / "x.pt", tmp_path / "y.safetensors")
    with pytest.raises(ValueError, match="should end in .safetensors"):
        run(capsys, "convert", tmp_path / "x.pt", tmp_path / "y.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]
