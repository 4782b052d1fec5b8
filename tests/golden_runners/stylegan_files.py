"""Golden runners of StyleGAN2's files: pickles of the PyTorch and TensorFlow programs, and hostile ones."""
from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anyone.core.checkpoints import Contents, load, read, recognise
from anyone.core.equalised import binomial_filter
from anyone.core.stylegan import weights
from torch import Tensor

TRACE = Path("/tmp/owned")                                # what the hostile files would leave behind


def run_pickles(case: Any) -> dict[str, Tensor]:
    """The state as it is read, and what its networks compute: from each pickle, then from its copy."""
    found: dict[str, Tensor] = {}
    for path in files(case, "must load"):
        check_arguments(case, read(path))
        copy = path.with_name(f"{path.name}.safetensors")
        found |= run_file(case, path)
        found |= {f"{name}[{copy.name}]": value for name, value in run_file(case, copy).items()}
    for path in files(case, "must be refused"):
        check_refusal(path)
    return found


def files(case: Any, fate: str) -> Iterator[Path]:
    """Copies of the case's files of that fate, each in a folder that may be written to."""
    for name, text in case.json["files"].items():
        if fate in text:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(shutil.copy(case.folder / name, folder))


def check_arguments(case: Any, contents: Contents) -> None:
    """TensorFlow's have other names."""
    found, wanted = json.loads(contents.metadata["arguments"]), case.manifest["init_kwargs"]
    assert "img_resolution" not in found or found == wanted, f"the arguments are {found}, not {wanted}"


def run_file(case: Any, path: Path) -> dict[str, Tensor]:
    contents = read(path)
    _, state = recognise(contents)
    found = {name: state.get(name.removeprefix("out.state."), binomial_filter()).reshape(expected.shape)
             for name, expected in case.expected.items() if name.startswith("out.state.")}
    generator = load(path).module
    ws = generator.mapping(case.inputs["in.z"])
    found |= {"out.w": ws[:, 0], "out.img_const": generator.picture(ws, "const")}
    judged = weights.select_discriminator(contents.tree)
    if "in.x" in case.inputs and judged is not None:
        judge = weights.read_discriminator(judged, contents.metadata)
        found["out.logits"] = judge(case.inputs["in.x"])
    return found


def check_refusal(path: Path) -> None:
    before = TRACE.exists()
    try:
        load(path)
    except ValueError as error:
        assert "would run code" in str(error) and TRACE.exists() == before
        assert [left.name for left in path.parent.iterdir()] == [path.name], "a refused file leaves no copy"
    else:
        raise AssertionError(f"{path.name} was not refused")


RUNNERS = {"stylegan2-pkl": run_pickles, "stylegan2-tf-pkl": run_pickles}
