"""`nodes/host.py` on a fake ComfyUI: what it asks of the host, and what it does about the host's quirks."""
from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path

import anyone
import pytest
import torch
from anyone.core.checkpoints import LoadedNet, System
from torch import nn


class FakeManagement(types.ModuleType):
    """`comfy.model_management`, recording what it is asked to load."""

    OOM_EXCEPTION = torch.OutOfMemoryError

    class InterruptProcessingException(BaseException):
        pass

    def __init__(self):
        super().__init__("comfy.model_management")
        self.requests, self.interrupted = [], False
        self.get_torch_device = lambda: torch.device("cpu")
        self.unet_offload_device = lambda: torch.device("cpu")
        self.intermediate_device = lambda: torch.device("cpu")

    def load_models_gpu(self, models, memory_required=0, force_full_load=False):
        self.requests.append((models[0], memory_required, force_full_load, torch.is_inference_mode_enabled()))

    def throw_exception_if_processing_interrupted(self):
        if self.interrupted:
            raise self.InterruptProcessingException


class FakePatcher:
    def __init__(self, model, load_device, offload_device):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device


class FakeBar:
    calls: list = []

    def __init__(self, total):
        self.total = total

    def update_absolute(self, value, total=None, preview=None):
        FakeBar.calls.append((value, total, preview))


class FakeFolders(types.ModuleType):
    def __init__(self, base):
        super().__init__("folder_paths")
        self.base_path, self.models_dir = str(base), str(base / "models")
        self.folder_names_and_paths = {}

    def get_directory_by_type(self, kind):
        return str(Path(self.base_path) / kind)

    def add_model_folder_path(self, folder_name, full_folder_path):
        paths, _ = self.folder_names_and_paths.setdefault(folder_name, ([], set()))
        if full_folder_path not in paths:
            paths.append(full_folder_path)

    def get_folder_paths(self, name):
        return self.folder_names_and_paths[name][0]


def module(name, **members):
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    vars(made).update(members)
    return made


def load_again(name):
    spec = importlib.util.spec_from_file_location(name, anyone.__file__,
                                                  submodule_search_locations=[*anyone.__path__])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


@pytest.fixture
def comfy(monkeypatch, tmp_path):
    """The pack, loaded a second time under another name inside the fake; `.host` is its host module."""
    from anyone.core.graph import standin

    management, folders = FakeManagement(), FakeFolders(tmp_path)
    patcher = module("comfy.model_patcher", ModelPatcher=FakePatcher)
    utils = module("comfy.utils", ProgressBar=FakeBar)
    fakes = {
        "comfy_api": module("comfy_api"), "comfy_api.latest": module(
            "comfy_api.latest", io=standin.io, ui=standin.ui, ComfyExtension=standin.ComfyExtension),
        "comfy": module("comfy", model_management=management, model_patcher=patcher, utils=utils),
        "comfy.model_management": management, "comfy.model_patcher": patcher, "comfy.utils": utils,
        "folder_paths": folders}
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    before = set(sys.modules)
    load_again("anyone_inside_comfyui")
    monkeypatch.setattr(FakeBar, "calls", [])
    yield types.SimpleNamespace(host=sys.modules["anyone_inside_comfyui.nodes.host"], management=management,
                                folders=folders)
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def net():
    system = System("test", "test net", "tester", lambda tree: None, lambda state, metadata: nn.Linear(2, 2))
    return LoadedNet(nn.Linear(2, 2), system, "tiny")


def test_a_net_is_loaded_whole_and_outside_inference_mode(comfy, net):
    with torch.inference_mode(), comfy.host.runtime().use(net, memory=123) as (lent, device):
        assert not torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        assert lent is net.module and device == torch.device("cpu")
    (patcher, memory, full, inference), = comfy.management.requests
    assert (memory, full, inference) == (123, True, False)
    assert patcher is net.handle


def test_a_net_keeps_its_patcher(comfy, net):
    for _ in range(2):
        with comfy.host.runtime().use(net):
            pass
    first, second = (request[0] for request in comfy.management.requests)
    assert first is second
    assert not net.module.training and not any(p.requires_grad for p in net.module.parameters())


class Stranded(nn.Module):
    """Claims to lie on another device, as weights do that --novram did not move."""

    def __init__(self):
        super().__init__()
        self.moves = []

    def parameters(self, recurse=True):
        yield types.SimpleNamespace(device=torch.device("meta"), requires_grad_=lambda flag: None)

    def to(self, device):
        self.moves.append(str(device))
        return self


def test_tensors_the_host_left_behind_are_moved_and_brought_back(comfy, net):
    net.module = Stranded()
    with comfy.host.runtime().use(net):
        assert net.module.moves == ["cpu"]
    assert net.module.moves == ["cpu", "cpu"]


def test_the_net_is_brought_back_after_an_error(comfy, net):
    net.module = Stranded()
    with pytest.raises(RuntimeError, match="broken"), comfy.host.runtime().use(net):
        raise RuntimeError("broken")
    assert len(net.module.moves) == 2


def test_progress_reports_and_previews_are_few_and_small(comfy, monkeypatch):
    clock = iter(x / 10 for x in range(10, 1000))
    monkeypatch.setattr(comfy.host.time, "monotonic", lambda: next(clock))
    progress = comfy.host.runtime().progress(40)
    for _ in range(40):
        progress.update(1, torch.full((300, 2000, 3), 0.5))
    assert [value for value, _, _ in FakeBar.calls] == list(range(1, 41))
    previews = [preview for _, _, preview in FakeBar.calls if preview]
    assert 2 <= len(previews) <= 20, "one at most every 0.25 s, and a call takes 0.1 s or 0.2 s here"
    kind, picture, side = previews[0]
    assert (kind, side, max(picture.size)) == ("JPEG", 512, 512)
    assert picture.getpixel((5, 5)) == (127, 127, 127)


def test_the_last_preview_is_shown_at_once(comfy, monkeypatch):
    monkeypatch.setattr(comfy.host.time, "monotonic", lambda: 1.0)
    progress = comfy.host.runtime().progress(3)
    for shade in (0.2, 0.4, 0.6):
        progress.update(1, torch.full((4, 4, 3), shade))
    first, second, third = [preview for _, _, preview in FakeBar.calls]
    assert first and not second and third[1].getpixel((0, 0)) == (153, 153, 153)


def test_progress_notices_an_interrupt(comfy):
    runtime = comfy.host.runtime()
    progress = runtime.progress(3)
    comfy.management.interrupted = True
    with pytest.raises(runtime.interrupts):
        progress.update()
    assert not FakeBar.calls


def test_out_of_memory_is_told_by_the_hosts_own_test_where_it_has_one(comfy):
    runtime = comfy.host.runtime()
    assert runtime.is_oom(torch.OutOfMemoryError()) and not runtime.is_oom(RuntimeError())
    comfy.management.is_oom = lambda error: str(error) == "device lost"
    assert runtime.is_oom(RuntimeError("device lost")) and not runtime.is_oom(torch.OutOfMemoryError())


def test_the_hosts_device_and_type_for_pictures(comfy):
    runtime = comfy.host.runtime()
    assert runtime.output_dtype is torch.float32
    comfy.management.intermediate_dtype = lambda: torch.float16
    assert runtime.output_dtype is torch.float16


def test_the_model_folder_is_merged_into_what_the_user_configured(comfy, tmp_path):
    comfy.folders.folder_names_and_paths["anyone"] = ([str(tmp_path / "mine")], set())
    comfy.host.register_model_folder()
    comfy.host.register_model_folder()
    paths, suffixes = comfy.folders.folder_names_and_paths["anyone"]
    assert paths == [str(tmp_path / "mine"), str(tmp_path / "models" / "anyone")]
    assert ".safetensors" in suffixes and "" not in suffixes
    assert comfy.host.runtime().model_folders() == [tmp_path / "mine", tmp_path / "models" / "anyone"]
    assert comfy.host.runtime().folder("output") == tmp_path / "output"


def test_schema_drops_what_the_host_does_not_know(comfy):
    schema = comfy.host.Schema(node_id="X", search_aliases=["y"], display_name="Z")
    assert (schema.node_id, schema.display_name) == ("X", "Z")
    assert not hasattr(schema, "search_aliases")


def test_opt_adds_options_older_hosts_have_no_argument_for(comfy):
    widget = comfy.host.opt(comfy.host.io.Int.Input("n", default=1), advanced=True)
    assert widget.as_dict()["advanced"] is True
