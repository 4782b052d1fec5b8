"""Models whose network the `transformers` package has: our files and rules, its code.

A model is a folder with `model.safetensors` and `config.json`; `read` puts the texts beside the weights into
the metadata. Nothing is looked up anywhere else, so nothing can reach for the network.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from torch import nn

from .system import StateDict

# Entries of a configuration that would fetch code or weights, or change the arithmetic.
_REFUSED = ("backbone",)
_DROPPED = ("auto_map", "quantization_config", "dtype", "torch_dtype", "attn_implementation", "fusion_config")


def build_model(title: str, classes: Mapping[str, str], since: str, state: StateDict,
                metadata: Mapping[str, str]) -> nn.Module:
    """The filled network in evaluation mode.

    `classes`: the `model_type` of config.json -> the name of transformers' class. `since`: the first release
    that has them all. Raises ValueError when the configuration or the weights do not fit, RuntimeError when
    transformers cannot help, each with what to do.
    """
    config = read_config(title, metadata)
    kind = str(config.get("model_type"))
    if kind not in classes:
        raise ValueError(f"its config.json describes a model of type {kind}; a {title} is of type "
                         f"{' or '.join(classes)}")
    model_class = find_class(title, classes[kind], since)
    model, report = model_class.from_pretrained(
        None, config=model_class.config_class.from_dict(config), state_dict=dict(state),
        local_files_only=True, output_loading_info=True)
    missing = sorted(report["missing_keys"])              # more is no harm: heads that only training needs
    if missing:
        raise ValueError(f"The weights do not fit a {title}: {len(missing)} missing "
                         f"({', '.join(missing[:4])}).")
    return model.float().eval()


def read_config(title: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of a file, without what is none of its business. Raises ValueError."""
    if "config" not in metadata:
        raise ValueError(f"it needs its config.json beside it; take the whole folder of the {title}")
    try:
        config = json.loads(metadata["config"])
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise ValueError("its config.json is damaged; download it again")
    return _cleaned(config)


def _cleaned(config: dict[str, Any]) -> dict[str, Any]:
    for key in _REFUSED:
        if isinstance(config.get(key), str):
            raise ValueError(f"its config.json wants another model, {config[key]}, to be fetched")
    return {key: _cleaned(value) if isinstance(value, dict) else value for key, value in config.items()
            if not key.startswith("_") and key not in _DROPPED}


def find_class(title: str, name: str, since: str) -> Any:
    """A class of transformers by its name. Raises RuntimeError with the one thing to do."""
    install = f"{sys.executable} -m pip install --upgrade transformers"
    try:
        import transformers
    except ImportError as error:
        raise RuntimeError(f"A {title} needs the package transformers ({error}); install it with: {install}"
                           ) from error
    try:
        found = getattr(transformers, name, None)
    except Exception as error:                            # whatever breaks inside torchvision or torchaudio
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise RuntimeError(f"transformers cannot load {name} ({cause}); repair or reinstall torchvision and "
                           "torchaudio for this torch.") from error
    if found is None:
        raise RuntimeError(f"A {title} needs transformers {since} or newer, here is "
                           f"{transformers.__version__}; upgrade it with: {install}")
    return found


def input_size(metadata: Mapping[str, str], default: int) -> tuple[int, int]:
    """(height, width) of the pictures the model was made for, from its preprocessor_config.json."""
    try:
        size = json.loads(metadata["preprocessor"])["size"]
        sides = size if isinstance(size, dict) else {"shortest_edge": size}
        if "height" in sides:
            return int(sides["height"]), int(sides["width"])
        return int(sides["shortest_edge"]), int(sides["shortest_edge"])
    except (KeyError, TypeError, ValueError):
        return default, default
