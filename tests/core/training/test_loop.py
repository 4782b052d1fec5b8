import json
import os
import signal

import pytest
import torch
from anyone.core.runtime import Interrupted, Runtime
from anyone.core.training import Options, train
from anyone.core.training.task import StepContext


class InterruptedAt(Runtime):
    """A runtime whose user asks to stop at the n-th progress report."""

    def __init__(self, step):
        super().__init__("cpu")
        self.left = step

    def check_interrupt(self):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def state_of(out):
    return torch.load(out / "state.pt", weights_only=True)


def flat(tree, path=""):
    if isinstance(tree, dict):
        return {k: v for key, value in tree.items() for k, v in flat(value, f"{path}/{key}").items()}
    if isinstance(tree, list):
        return flat(dict(enumerate(tree)), path)
    return {path: tree}


def assert_same(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for key, value in one.items():
        same = torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        assert same or key.endswith("/seconds"), key


def test_a_run_learns_and_leaves_its_files(toy, pool, tmp_path):
    from safetensors import safe_open

    out = tmp_path / "run"
    weights = train(toy.ToyTask(), pool, Options(out, steps=300, batch=8), Runtime("cpu"))
    assert weights == out / "toy.safetensors"
    card = json.loads((out / "toy.json").read_text())
    assert card["scores"]["l1"] < 0.02 and card["scores"]["pictures"] == 4
    assert card["steps"] == 300 and card["images"] == 2400 and card["data"] == ["pool"]
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(20, 301, 20))
    assert lines[-1]["loss"] < 0.05 * lines[0]["loss"]
    with safe_open(weights, "pt") as file:
        half = file.get_tensor("0.weight")
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), state_of(out)["ema"]["net"]["0.weight"], atol=2e-3)
    assert (out / "loss.png").exists() and (out / "samples" / "000002400.png").exists()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_resuming_repeats_the_uninterrupted_run_exactly(toy, pool, tmp_path):
    straight, pieces = toy.ToyTask(), toy.ToyTask()
    train(straight, pool, Options(tmp_path / "a", steps=25, batch=8), Runtime("cpu"))
    train(pieces, pool, Options(tmp_path / "b", steps=25, batch=8), InterruptedAt(11))
    assert state_of(tmp_path / "b")["position"]["step"] == 11
    resumed = toy.ToyTask()
    train(resumed, pool, Options(tmp_path / "b", steps=25, batch=8, resume=True), Runtime("cpu"))
    assert_same(state_of(tmp_path / "a"), state_of(tmp_path / "b"))
    assert torch.equal(torch.stack(straight.seen), torch.stack(pieces.seen + resumed.seen))


def test_a_crash_after_the_last_save_leaves_no_trace(toy, pool, tmp_path):
    class Crashing(toy.ToyTask):
        def step(self, batch, context):
            if context.step == 17:
                raise OSError("power cut")
            return super().step(batch, context)

    options = Options(tmp_path / "b", steps=25, batch=8, log_every=2, resume=True)
    train(toy.ToyTask(), pool, options, InterruptedAt(11))
    with pytest.raises(OSError, match="power cut"):
        train(Crashing(), pool, options, Runtime("cpu"))
    train(toy.ToyTask(), pool, options, Runtime("cpu"))
    train(toy.ToyTask(), pool, Options(tmp_path / "a", steps=25, batch=8, log_every=2), Runtime("cpu"))
    assert_same(state_of(tmp_path / "a"), state_of(tmp_path / "b"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 25


def test_ctrl_c_ends_after_the_step_with_everything_saved(toy, pool, tmp_path):
    class Pressed(toy.ToyTask):
        def step(self, batch, context):
            if context.step == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(batch, context)

    before = signal.getsignal(signal.SIGINT)
    weights = train(Pressed(), pool, Options(tmp_path / "run", steps=50, batch=8), Runtime("cpu"))
    assert signal.getsignal(signal.SIGINT) is before
    assert state_of(tmp_path / "run")["position"]["step"] == 5
    assert json.loads(weights.with_suffix(".json").read_text())["scores"] == {}


def test_an_old_run_is_never_overwritten_by_accident(toy, pool, tmp_path):
    options = Options(tmp_path / "run", steps=2, batch=8)
    train(toy.ToyTask(), pool, options, Runtime("cpu"))
    with pytest.raises(ValueError, match="already holds a run; add --resume"):
        train(toy.ToyTask(), pool, options, Runtime("cpu"))


def test_another_network_cannot_resume(toy, pool, tmp_path):
    train(toy.ToyTask(), pool, Options(tmp_path / "run", steps=2, batch=8), Runtime("cpu"))
    other = toy.ToyTask()
    other.net[0] = torch.nn.Linear(3, 9)
    with pytest.raises(ValueError, match="does not fit the networks of this run"):
        train(other, pool, Options(tmp_path / "run", steps=4, batch=8, resume=True), Runtime("cpu"))


def test_one_bad_step_is_skipped(toy, pool, tmp_path):
    task = toy.ToyTask(poison={3})
    weights = train(task, pool, Options(tmp_path / "run", steps=10, batch=8), Runtime("cpu"))
    assert json.loads(weights.with_suffix(".json").read_text())["skipped_steps"] == 1
    assert all(torch.isfinite(p).all() for p in task.net.parameters())


def test_many_bad_steps_stop_the_run_and_keep_the_good_state(toy, pool, tmp_path):
    out = tmp_path / "run"
    train(toy.ToyTask(), pool, Options(out, steps=100, batch=8), InterruptedAt(5))
    good = (out / "state.pt").read_bytes()
    task = toy.ToyTask(poison=set(range(8, 100)))
    with pytest.raises(FloatingPointError, match=r"20 steps in a row.* stopped at step 28.*last good state"):
        train(task, pool, Options(out, steps=100, batch=8, resume=True), Runtime("cpu"))
    assert (out / "state.pt").read_bytes() == good


def test_a_broken_weight_is_never_saved(toy, pool, tmp_path):
    class Broken(toy.ToyTask):
        def step(self, batch, context):
            losses = super().step(batch, context)
            if context.step == 2:
                self.net[2].bias.data[0] = float("inf")
            return losses

    with pytest.raises(FloatingPointError, match=r"net.2.bias is not finite"):
        train(Broken(), pool, Options(tmp_path / "run", steps=3, batch=8), Runtime("cpu"))
    assert not (tmp_path / "run" / "state.pt").exists()


def test_a_clock_budget_ends_the_run(toy, pool, tmp_path):
    train(toy.ToyTask(), pool, Options(tmp_path / "run", seconds=0.5, batch=8), Runtime("cpu"))
    position = state_of(tmp_path / "run")["position"]
    assert 0.5 <= position["seconds"] < 5 and position["step"] > 3


def test_held_out_pictures_are_never_trained_on(toy, pool, tmp_path):
    class Watching(toy.ToyTask):
        colours: set = set()

        def step(self, batch, context):
            self.colours |= {tuple(c) for c in batch["identity"].tolist()}
            return super().step(batch, context)

    train(Watching(), pool, Options(tmp_path / "run", steps=10, batch=8), Runtime("cpu"))
    everybody = [tuple(c) for c in pool.take(torch.arange(40))["identity"].float().tolist()]
    assert Watching.colours == set(everybody[:36])


def test_global_random_numbers_are_left_alone(toy, pool, tmp_path):
    task = toy.ToyTask()
    torch.manual_seed(77)
    expected = torch.rand(3)
    torch.manual_seed(77)
    train(task, pool, Options(tmp_path / "run", steps=3, batch=8), Runtime("cpu"))
    assert torch.equal(torch.rand(3), expected)


def context(step=0, progress=0.0, **more):
    return StepContext(step, 0, progress, torch.device("cpu"), torch.Generator(), **more)


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 1.0), (0.6, 1.0), (0.8, 0.5), (1.0, 0.0)])
def test_learning_rate_falls_over_the_last_part(progress, factor):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], 0.5)
    for _ in range(2):                                    # the factor applies to the first rate, not the last
        context(progress=progress).descend(optimizer, (weight * 1.0).sum())
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * factor)
    assert weight.item() == pytest.approx(1 - 2 * 0.5 * factor)


def test_descend_touches_its_own_parameters_only_and_cuts_gradients():
    mine, other = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([mine], 1.0)
    assert context().descend(optimizer, (mine * other).sum() * 30, max_norm=0.5)
    assert other.grad is None
    assert (1 - mine).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_lazy_terms_and_precision():
    assert [step for step in range(40) if context(step).every(16)] == [0, 16, 32]
    with context(bf16=True).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with context().autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
