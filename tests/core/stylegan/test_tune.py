"""Pivotal tuning, and the difference it leaves, added to generators and taken away."""
from __future__ import annotations

import copy

import pytest
import torch
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.stylegan.infer import lend, render, sample_latents
from anyone.core.stylegan.latents import identity_of
from anyone.core.stylegan.project import ProjectionSettings, project
from anyone.core.stylegan.tune import TuningSettings, tune
from anyone.core.stylegan.tuned import Delta, TunedNet, load_delta, save_delta
from safetensors.torch import save_file
from torch import nn

CPU = Runtime("cpu")
QUICK = TuningSettings(steps=40, rate=5e-3, enough=0.0)


class Pixels(nn.Module):
    def forward(self, picture):
        return picture.flatten(1) / 50


@pytest.fixture
def learned(make_net):
    net = make_net(start=(4, 2), channels=(8, 8, 8))
    pivot = sample_latents(net, [3], runtime=CPU)
    image = render(net, sample_latents(net, [4], runtime=CPU), runtime=CPU)
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    return net, pivot, image, before, tune(net, image, pivot, Pixels(), QUICK, runtime=CPU)


def unchanged(net, before):
    return all(torch.equal(value, before[name]) for name, value in net.module.state_dict().items())


def test_the_tuned_generator_draws_the_picture_and_the_loaded_one_stays(learned):
    net, pivot, image, before, found = learned
    tuned, plain = TunedNet(net, found.delta), render(net, pivot, runtime=CPU)
    drawn = render(tuned, pivot, runtime=CPU)
    assert (drawn - image).abs().mean() < 0.5 * (plain - image).abs().mean()
    assert unchanged(net, before) and torch.equal(render(net, pivot, runtime=CPU), plain)
    assert len(found.distances) == 41 and found.distances[-1] < 0.3 * found.distances[0]
    with lend(tuned, CPU) as (module, _):
        difference = Pixels()(module.picture(pivot.w_plus)) - Pixels()(image.movedim(-1, 1) * 2 - 1)
    assert difference.square().sum().item() == pytest.approx(found.distances[-1], rel=1e-3)
    assert tuned.name == "tiny, tuned" and len(pivot) == 1


def test_a_lent_generator_is_tuned_in_both_forms_and_only_while_lent(learned):
    net, pivot, _, before, found = learned
    expected = copy.deepcopy(net.module.generator)
    for name, change in found.delta.changes.items():
        expected.get_parameter(name).data += change.float()
    with lend(TunedNet(net, found.delta), CPU) as (module, _):
        assert module is net.module
        drawn = expected.picture(pivot.w_plus)
        torch.testing.assert_close(module.picture(pivot.w_plus), drawn, atol=2e-5, rtol=0)
        torch.testing.assert_close(module.generator.picture(pivot.w_plus), drawn, atol=1e-6, rtol=0)
    assert unchanged(net, before)
    with pytest.raises(RuntimeError, match="boom"), lend(TunedNet(net, found.delta), CPU):
        raise RuntimeError("boom")
    assert unchanged(net, before)


def test_only_what_changed_is_kept_in_half_precision(learned):
    net, _, _, _, found = learned
    names = found.delta.changes.keys()
    assert names <= {name for name, _ in net.module.generator.synthesis.named_parameters(prefix="synthesis")}
    assert "synthesis.b4.const" in names and not any("mapping" in name for name in names)
    assert all(change.dtype == torch.float16 and change.any() for change in found.delta.changes.values())
    assert (found.delta.generator, found.delta.identity) == ("tiny", identity_of(net.module.mapping))


def test_it_ends_when_it_is_good_enough(learned):
    net, pivot, image, before, found = learned
    enough = found.distances[5]
    sooner = tune(net, image, pivot, Pixels(), TuningSettings(40, 5e-3, enough), runtime=CPU)
    assert sooner.distances == found.distances[:6]
    nothing = tune(net, image, pivot, Pixels(), TuningSettings(40, 5e-3, 1e9), runtime=CPU)
    assert nothing.delta.changes == {} and len(nothing.distances) == 1
    assert torch.equal(render(TunedNet(net, nothing.delta), pivot, runtime=CPU),
                       render(net, pivot, runtime=CPU))


def test_the_file_is_the_difference(learned, tmp_path):
    net, pivot, _, _, found = learned
    path = tmp_path / "me.safetensors"
    save_delta(found.delta, path)
    read = load_delta(path)
    path.unlink()
    assert torch.equal(render(TunedNet(net, read), pivot, runtime=CPU),
                       render(TunedNet(net, found.delta), pivot, runtime=CPU))
    size = sum(value.numel() for value in net.module.generator.synthesis.parameters())
    assert f"{2 * size / 1e6:.1f} MB" in repr(read)


def test_files_that_hold_no_tuning(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="x.safetensors holds no tuning of a generator"):
        load_delta(path)
    save_file({"a": torch.tensor([torch.nan])}, path, {"kind": "stylegan delta"})
    with pytest.raises(ValueError, match="a holds NaN, infinite or whole numbers"):
        load_delta(path)
    with pytest.raises(FileNotFoundError, match="y.safetensors"):
        load_delta(tmp_path / "y.safetensors")


def test_tunings_of_other_generators_are_refused(learned, make_net):
    net, _, _, _, found = learned
    for other in (make_net(2, "other", start=(4, 2), channels=(8, 8, 8)), make_net(name="other")):
        with pytest.raises(ValueError, match="made for tiny and does not fit other"):
            TunedNet(other, found.delta)
    strange = Delta({"synthesis.b4.noise": torch.zeros(1)}, "tiny", found.delta.identity)
    with pytest.raises(ValueError, match="does not fit tiny"):
        TunedNet(net, strange)


def test_several_pictures_learn_together_and_bad_inputs_are_refused(learned):
    net, pivot, image, before, found = learned
    pair, tuned = pivot.taken([0, 0]), TunedNet(net, found.delta)
    twice = tune(net, image.expand(2, -1, -1, -1), pair, Pixels(), QUICK, runtime=CPU)
    assert twice.distances[:3] == pytest.approx(found.distances[:3], rel=1e-3)
    with pytest.raises(ValueError, match="There are 1 pictures, but 2 latents"):
        tune(net, image, pair, Pixels(), runtime=CPU)
    with pytest.raises(ValueError, match="tiny, tuned is tuned already"):
        tune(tuned, image, pivot, Pixels(), runtime=CPU)
    with pytest.raises(ValueError, match="at least one step"):
        TuningSettings(steps=0)
    with pytest.raises(ValueError, match="went astray after .* steps: .* a learning rate below 1e[+]20"):
        tune(net, image, pivot, Pixels(), TuningSettings(rate=1e20), runtime=CPU)
    assert unchanged(net, before)


def test_an_interrupt_leaves_the_generator_as_it_was(learned):
    class Stopped(Progress):
        def show(self, preview):
            assert (self.label, self.total) == ("tuning the generator", QUICK.steps)
            assert preview.shape == image.shape[1:]
            if self.done == 2:
                raise Interrupted

    net, pivot, image, before, _ = learned
    with pytest.raises(Interrupted):
        tune(net, image, pivot, Pixels(), QUICK, runtime=Runtime("cpu", progress_class=Stopped))
    assert unchanged(net, before)
    assert not any(value.requires_grad for value in net.module.parameters())


def test_tuned_generators_can_be_projected_into(learned):
    net, pivot, image, before, found = learned
    still = ProjectionSettings(1, samples=50, space="w+")
    near, far = (project(some, image, Pixels(), still, start=pivot, runtime=CPU).distances
                 for some in (TunedNet(net, found.delta), net))
    assert near.item() == pytest.approx(found.distances[-1], rel=0.02) and far > 3 * near
    assert unchanged(net, before)
