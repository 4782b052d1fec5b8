"""StyleGAN2 files from disk to pictures, with the numbers of the golden cases."""
from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints import cli, load

TESTS = Path(__file__).parents[2]
GOLDEN = TESTS / "golden"


SPEC = importlib.util.spec_from_file_location("golden_cases", TESTS / "golden.py")
golden = importlib.util.module_from_spec(SPEC)
sys.modules["golden_cases"] = golden
SPEC.loader.exec_module(golden)
runner = golden.load_module("golden_stylegan", TESTS / "golden_runners/stylegan.py")


def assert_pictures(path, case):
    net = load(path)
    assert net.system.name == "stylegan"
    with torch.no_grad():
        picture = net.module.picture(net.module.mapping(case.inputs["in.z"]), "const")
    expected = case.expected["out.img_const"]
    assert (picture - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_trainer_file_of_the_popular_port(tmp_path, zipped):
    case = golden.Case(GOLDEN / "stylegan2-rosinality")
    tree = runner.tree(case)
    other = {key: torch.zeros_like(value) for key, value in tree["g_ema"].items()}
    torch.save({"g": other, "d": {"convs.0.0.weight": torch.ones(2)}, **tree, "ada_aug_p": 0.3,
                "args": argparse.Namespace(size=32), "g_optim": {"state": {0: {"step": 5}}}},
               tmp_path / "550000.pt", _use_new_zipfile_serialization=zipped)
    assert_pictures(tmp_path / "550000.pt", case)
    assert [path.name for path in tmp_path.iterdir()] == ["550000.pt"], "no pickle of networks, no copy"


@pytest.mark.parametrize("name, file", [("stylegan2-pkl", "tiny.pkl"), ("stylegan2-tf-pkl", "tiny-tf.pkl")])
def test_converted_pickles_of_networks(tmp_path, name, file):
    case, target = golden.Case(GOLDEN / name), tmp_path / "converted.safetensors"
    source = Path(shutil.copy(case.folder / file, tmp_path))
    assert cli.convert(source, target) == "StyleGAN2 generator"
    source.unlink()
    assert_pictures(target, case)
    assert target.stat().st_size < (case.folder / file).stat().st_size / 2, "only the averaged generator"
