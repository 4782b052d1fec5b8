"""Latent nodes: sampled, drawn, truncated, mixed, interpolated, moved, saved and loaded."""
from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from anyone.core.runtime import Runtime
from anyone.core.stylegan.directions import apply, ganspace, sefa
from anyone.core.stylegan.infer import generator_of, interpolate_z, render, sample_latents
from anyone.core.stylegan.latents import slerp
from anyone.core.stylegan.tuned import Delta, TunedNet
from anyone.nodes import (
    AnyoneInterpolateLatents,
    AnyoneLatentDirections,
    AnyoneLoadLatent,
    AnyoneMixLatents,
    AnyoneRenderLatent,
    AnyoneSampleLatent,
    AnyoneSaveLatent,
)
from safetensors.torch import save_file

CPU = Runtime("cpu")


@pytest.fixture
def sample(run, generator):
    """`sample(seed, count, **inputs)` -> a latent of the tiny generator."""
    return lambda seed=0, count=1, **inputs: run(
        AnyoneSampleLatent, generator=generator, seed=seed, count=count, **inputs).args[0]


@pytest.fixture
def mean(generator):
    return generator_of(generator).mapping.w_avg


@pytest.fixture
def tuned(generator, sample):
    """Another colour in every picture; the same mapping network."""
    key = "synthesis.b32.torgb.bias"
    bias = dict(generator_of(generator).generator.named_parameters())[key]
    delta = Delta({key: torch.full_like(bias, 0.5).half()}, "tiny", sample().identity)
    return TunedNet(generator, delta)


def shown(net, latent, *arguments):
    pictures = (generator_of(net).generator.picture(latent.w_plus, *arguments) + 1) / 2
    return pictures.movedim(1, -1).clamp(0, 1)


def test_seeds_are_people(generator, sample):
    found = sample(5, 3)
    assert torch.equal(found.w_plus, sample_latents(generator, [5, 6, 7], runtime=CPU).w_plus)
    z = torch.from_numpy(np.random.RandomState(7).randn(1, 7))
    torch.testing.assert_close(found.w_plus[2:], generator.module.mapping(z, psi=0.7))
    torch.testing.assert_close(sample(6).w_plus, found.w_plus[1:2])
    assert len(sample(2**64 - 1, 2)) == 2


def test_truncation_when_sampling(sample, mean):
    plain = sample(truncation_psi=1.0)
    assert torch.equal(sample(truncation_psi=0.0).w_plus, mean.expand(1, 8, -1))
    some = sample(truncation_psi=0.0, truncation_cutoff=3)
    assert torch.equal(some.w_plus[:, :3], mean.expand(1, 3, -1))
    assert torch.equal(some.w_plus[:, 3:], plain.w_plus[:, 3:])
    assert torch.equal(sample(truncation_psi=0.0, truncation_cutoff=0).w_plus, plain.w_plus)
    torch.testing.assert_close(sample(truncation_psi=-1.0).w_plus, 2 * mean - plain.w_plus)


def test_classes(run, make_generator, sample):
    net = make_generator(labels=3, embed=5)
    found = [run(AnyoneSampleLatent, generator=net, label=label).args[0].w_plus for label in (-1, 0, 2)]
    for w_plus, label in zip(found, (None, 0, 2), strict=True):
        assert torch.equal(w_plus, sample_latents(net, [0], label=label, runtime=CPU).w_plus)
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])
    with pytest.raises(ValueError, match="tiny knows classes 0 to 2; got class 3"):
        run(AnyoneSampleLatent, generator=net, label=3)
    with pytest.raises(ValueError, match="tiny knows no classes; got class 0"):
        sample(label=0)


@pytest.mark.parametrize("noise", ["const", "none"])
def test_drawing(run, generator, sample, noise):
    latent = sample(1, 2)
    picture, drawn = run(AnyoneRenderLatent, generator=generator, latent=latent, noise_mode=noise).args
    assert picture.shape == (2, 32, 16, 3) and drawn is latent
    torch.testing.assert_close(picture, shown(generator, latent, noise), atol=1e-5, rtol=0)


def test_random_noise_follows_from_the_seed(run, generator, sample):
    latent = sample().taken([0, 0])

    def draw(**inputs):
        return run(AnyoneRenderLatent, generator=generator, latent=latent, **inputs).args[0]

    found = draw(noise_mode="random", seed=7)
    assert torch.equal(found, render(generator, latent, "random", 7, runtime=CPU))
    assert not torch.equal(found[0], found[1])
    assert torch.equal(draw(noise_mode="random", seed=8)[0], found[1])
    assert torch.equal(draw(seed=7), draw()), "only random noise has a seed"
    assert len(draw(noise_mode="random", seed=2**64 - 1)) == 2


def test_truncation_when_drawing(run, generator, sample, mean):
    plain = sample(3, truncation_psi=1.0)

    def draw(**inputs):
        return run(AnyoneRenderLatent, generator=generator, latent=plain, **inputs).args

    picture, drawn = draw(truncation_psi=0.7)
    torch.testing.assert_close(drawn.w_plus, sample(3).w_plus)
    assert not torch.equal(picture, draw()[0])
    assert torch.equal(picture, run(AnyoneRenderLatent, generator=generator, latent=drawn).args[0])
    some = draw(truncation_psi=0.0, truncation_cutoff=2)[1].w_plus
    assert torch.equal(some[:, :2], mean.expand(1, 2, -1)) and torch.equal(some[:, 2:], plain.w_plus[:, 2:])


def test_a_tuned_generator_draws_and_edits_the_same_latents(run, generator, tuned, sample):
    latent = sample(1)
    picture = run(AnyoneRenderLatent, generator=tuned, latent=latent).args[0]
    before = run(AnyoneRenderLatent, generator=generator, latent=latent).args[0]
    brighter = (before + 0.25).clamp(max=1)
    inside = (before > 0) & (before < 1)
    torch.testing.assert_close(picture[inside], brighter[inside], atol=1e-5, rtol=0)
    assert torch.equal(run(AnyoneSampleLatent, generator=tuned, seed=1).args[0].w_plus, latent.w_plus)
    moved = [run(AnyoneLatentDirections, generator=net, latent=latent, strength_1=2.0).args[0].w_plus
             for net in (generator, tuned)]
    assert torch.equal(*moved)


@pytest.mark.parametrize(("layers", "rows"), [
    ("coarse", [0, 1, 2, 3]), (" Middle", [4, 5, 6, 7]), ("0-2, 7", [0, 1, 2, 7]), ("all", range(8))])
def test_mixing_takes_rows(run, sample, layers, rows):
    a, b = sample(0, 3), sample(9, 2)
    (mixed,) = run(AnyoneMixLatents, latent_a=a, latent_b=b, layers=layers).args
    others = [row for row in range(8) if row not in rows]
    assert torch.equal(mixed.w_plus[:, list(rows)], b.w_plus[[0, 1, 0]][:, list(rows)])
    assert torch.equal(mixed.w_plus[:, others], a.w_plus[:, others])
    assert len(run(AnyoneMixLatents, latent_a=b, latent_b=a).args[0]) == 3


@pytest.mark.parametrize(("layers", "words"), [
    ("fine", "layers means none of the 8 that there are; got 'fine'"), ("5-4", "means none of the 8"),
    ("", "layers should be all, coarse, middle, fine, or numbers"), ("eyes", "layers should be all"),
    ("7-8", "has layers 0 to 7; got '7-8'")])
def test_layers_that_are_not_there(run, generator, sample, layers, words):
    for node, inputs in ((AnyoneMixLatents, {"latent_a": sample(), "latent_b": sample(1)}),
                         (AnyoneLatentDirections, {"generator": generator, "latent": sample()})):
        with pytest.raises(ValueError, match=words):
            run(node, layers=layers, **inputs)


def test_places_on_the_way(run, sample):
    a, b = sample(0, 2), sample(8)
    whole = torch.cat([a.w_plus, b.w_plus])

    def place(t, **inputs):
        return run(AnyoneInterpolateLatents, latent_a=a, latent_b=b, t=t, **inputs).args[0].w_plus[0]

    assert torch.equal(place(0.0), whole[0]) and torch.equal(place(1.0), whole[2])
    torch.testing.assert_close(place(0.5), whole[1])
    torch.testing.assert_close(place(0.625), whole[1] * 0.75 + whole[2] * 0.25)
    torch.testing.assert_close(place(0.5, loop=True), (whole[1] + whole[2]) / 2)
    torch.testing.assert_close(place(0.625, easing="ease_in"), whole[1] * 0.9375 + whole[2] * 0.0625)
    (half,) = run(AnyoneInterpolateLatents, latent_a=a).args
    torch.testing.assert_close(half.w_plus, (whole[:1] + whole[1:2]) / 2)


def test_walks(run, sample):
    keys, more = sample(0, 2), sample(8)
    whole = torch.cat([keys.w_plus, more.w_plus])

    def walk(**inputs):
        return run(AnyoneInterpolateLatents, latent_a=keys, latent_b=more, **inputs).args[0].w_plus

    found = walk(frames=4)
    assert len(found) == 9 and torch.equal(found[::4], whole)
    torch.testing.assert_close(found[7], whole[1] * 0.25 + whole[2] * 0.75)
    closed = walk(frames=4, loop=True)
    assert len(closed) == 12 and torch.equal(closed[:9], found)
    torch.testing.assert_close(closed[9], whole[2] * 0.75 + whole[0] * 0.25)
    soft = walk(frames=4, easing="ease_in_out")
    torch.testing.assert_close(soft[1], whole[0] * 0.84375 + whole[1] * 0.15625)
    assert torch.equal(walk(frames=1), whole), "batches put together"


def test_the_way_on_the_sphere(run, generator, sample):
    a, b = sample(1), sample(2)

    def walk(**inputs):
        return run(AnyoneInterpolateLatents, latent_a=a, latent_b=b, generator=generator, space="z",
                   **inputs).args[0]

    found = walk(frames=4)
    torch.testing.assert_close(found.w_plus[[0, 4]], torch.cat([a.w_plus, b.w_plus]))
    expected = interpolate_z(generator, a, b, torch.arange(5) / 4, runtime=CPU)
    torch.testing.assert_close(found.w_plus, expected.w_plus)
    torch.testing.assert_close(found.origin.z[1:2], slerp(a.origin.z, b.origin.z, torch.tensor([0.25])))
    torch.testing.assert_close(walk(t=0.25).w_plus, found.w_plus[1:2])
    straight = run(AnyoneInterpolateLatents, latent_a=a, latent_b=b, frames=4).args[0]
    assert (straight.w_plus[2] - found.w_plus[2]).abs().max() > 0.01


def test_the_sphere_needs_a_generator_and_latents_as_sampled(run, generator, make_generator, sample):
    a, b = sample(1), sample(2)
    edited = run(AnyoneMixLatents, latent_a=a, latent_b=b).args[0]
    for latent_b, net, words in (
            (b, None, "space z needs generator, the one that sampled the latents; connect it"),
            (edited, generator, "z of a latent is not known"),
            (sample(2, truncation_psi=0.5), generator, "put together of some truncated in two ways"),
            (b, make_generator(2, "other"), "made with tiny, which other is no copy of")):
        with pytest.raises(ValueError, match=words):
            run(AnyoneInterpolateLatents, latent_a=a, latent_b=latent_b, generator=net, space="z")


@pytest.mark.parametrize(("method", "find"), [
    ("SeFa", lambda net, rows: sefa(net, rows, runtime=CPU)),
    ("GANSpace", lambda net, rows: ganspace(net, runtime=CPU))])
@pytest.mark.parametrize(("layers", "rows"), [("all", list(range(8))), ("coarse, 6", [0, 1, 2, 3, 6])])
def test_directions(run, generator, sample, method, find, layers, rows):
    latent, directions = sample(1, 2), find(generator, rows)

    def move(**inputs):
        return run(AnyoneLatentDirections, generator=generator, latent=latent, method=method, layers=layers,
                   **inputs).args[0]

    moved = move(strength_0=2.0, strength_5=-1.0)
    expected = (2 * directions.deviations[0] * directions.vectors[0]
                - directions.deviations[5] * directions.vectors[5])
    difference = moved.w_plus - latent.w_plus
    torch.testing.assert_close(difference[:, rows], expected.expand(2, len(rows), -1), atol=1e-5, rtol=0)
    assert not difference[:, [row for row in range(8) if row not in rows]].any()
    later = move(first=3, strength_0=2.0)
    assert torch.equal(later.w_plus, apply(latent, directions, [0, 0, 0, 2], rows).w_plus)
    assert torch.equal(move().w_plus, latent.w_plus)


def test_a_series_along_directions(run, generator, sample):
    latent = sample(1, 2)

    def move(**inputs):
        return run(AnyoneLatentDirections, generator=generator, latent=latent, **inputs).args[0].w_plus

    series = move(strength_2=3.0, frames=5)
    assert len(series) == 10
    for step, strength in enumerate((-3.0, -1.5, 0.0, 1.5, 3.0)):
        torch.testing.assert_close(series[2 * step:2 * step + 2], move(strength_2=strength))


def test_too_weak_directions(run, generator, sample):
    with pytest.raises(ValueError, match="There are 11 directions, .* a strength for direction 11"):
        run(AnyoneLatentDirections, generator=generator, latent=sample(), first=6, strength_5=1.0)
    last = [run(AnyoneLatentDirections, generator=generator, latent=sample(), **inputs).args[0].w_plus
            for inputs in ({"first": 10, "strength_0": 1.0}, {"first": 5, "strength_5": 1.0})]
    assert torch.equal(*last), "sliders at 0 beyond the end do not matter"
    with pytest.raises(ValueError, match="SeFa needs a layer from 0 to 6"):
        run(AnyoneLatentDirections, generator=generator, latent=sample(), layers="7")


def test_other_generators_refuse_a_latent(run, make_generator, sample):
    other, larger = make_generator(2, "other"), make_generator(name="larger", channels=(6, 6, 6, 6, 6))
    for node in (AnyoneRenderLatent, AnyoneLatentDirections):
        with pytest.raises(ValueError, match="made with tiny, which other is no copy of"):
            run(node, generator=other, latent=sample())
        with pytest.raises(ValueError, match="8 layers of 11 numbers, but larger needs 10 of 11"):
            run(node, generator=larger, latent=sample())
    strange = run(AnyoneSampleLatent, generator=other).args[0]
    for node in (AnyoneMixLatents, AnyoneInterpolateLatents):
        with pytest.raises(ValueError, match="belong to two generators"):
            run(node, latent_a=sample(), latent_b=strange)


@pytest.mark.parametrize(("node", "inputs", "words"), [
    (AnyoneSampleLatent, {"truncation_psi": float("nan")}, "NaN or infinite"),
    (AnyoneRenderLatent, {"truncation_psi": float("inf")}, "NaN or infinite"),
    (AnyoneRenderLatent, {"noise_mode": "loud"}, "noise_mode should be one of const, random, none"),
    (AnyoneLatentDirections, {"strength_0": float("nan")}, "NaN or infinite"),
    (AnyoneLatentDirections, {"method": "magic"}, "method should be one of SeFa, GANSpace"),
    (AnyoneInterpolateLatents, {"t": float("nan")}, "NaN or infinite"),
    (AnyoneInterpolateLatents, {"space": "x"}, "space should be one of w, z"),
    (AnyoneInterpolateLatents, {"easing": "jump"}, "easing should be one of linear, ease_in"),
    (AnyoneSampleLatent, {"generator": "net"}, "generator should come from Load Generator; got net"),
    (AnyoneRenderLatent, {"latent": {"samples": 1}}, "latent should come from a node that makes"),
    (AnyoneMixLatents, {"latent_b": 5}, "latent_b should come from a node that makes"),
    (AnyoneInterpolateLatents, {"latent_a": None}, "latent_a should come from a node that makes"),
    (AnyoneSaveLatent, {"latent": "x"}, "latent should come from a node that makes")])
def test_what_is_no_input_is_refused_in_a_sentence(run, generator, sample, node, inputs, words):
    usual = {"generator": generator, "latent": sample(), "latent_a": sample(0, 2), "latent_b": sample(2)}
    taken = {item.id for item in node.GET_SCHEMA().inputs}
    with pytest.raises(ValueError, match=words):
        run(node, **{name: value for name, value in (usual | inputs).items() if name in taken})


def test_detectors_are_no_generators(run, inpainter):
    with pytest.raises(ValueError, match="generator should come from Load Generator; got <TriA-GAN"):
        run(AnyoneSampleLatent, generator=inpainter)


def test_what_is_saved_loads_again(run, sample, tmp_path):
    sampled, b = sample(1, 2), sample(4)
    edited = run(AnyoneMixLatents, latent_a=sampled, latent_b=b).args[0]
    for number, (given, z) in enumerate(((sampled, ", with z"), (edited, "")), 1):
        output = run(AnyoneSaveLatent, latent=given)
        path = f"latents/anyone_0000{number}_.safetensors [output]"
        assert output.args == (given, path) and (tmp_path / "output" / path.split(" ")[0]).is_file()
        assert output.ui["files"] == [
            {"filename": f"anyone_0000{number}_.safetensors", "subfolder": "latents", "type": "output"}]
        loaded, note = run(AnyoneLoadLatent, path=path).args
        assert torch.equal(loaded.w_plus, given.w_plus) and loaded.identity == given.identity
        assert note == f"2 latents of tiny, 8 layers of 11 numbers{z}."
        assert run(AnyoneLoadLatent, path=f" {path}").ui["text"] == [note]
    assert run(AnyoneSaveLatent, latent=b, filename_prefix=" me/x ").args[1] == \
        "me/x_00001_.safetensors [output]"
    with pytest.raises(ValueError, match="outside"):
        run(AnyoneSaveLatent, latent=b, filename_prefix="../x")


def test_files_of_other_programs_draw(run, generator, sample, tmp_path):
    latent, folder = sample(3), tmp_path / "input"
    folder.mkdir()
    np.savez(folder / "projected_w.npz", w=latent.w_plus.numpy())
    torch.save(latent.w_plus[0].clone(), folder / "dragged.pt")
    expected = run(AnyoneRenderLatent, generator=generator, latent=latent).args[0]
    for name in ("projected_w.npz", "dragged.pt"):
        loaded, note = run(AnyoneLoadLatent, path=name).args
        assert note == "1 latent of an unknown generator, 8 layers of 11 numbers."
        assert torch.equal(run(AnyoneRenderLatent, generator=generator, latent=loaded).args[0], expected)
        assert len(run(AnyoneInterpolateLatents, latent_a=latent, latent_b=loaded, frames=2).args[0]) == 3


def test_a_folder_is_one_batch_in_the_order_of_names(run, sample, tmp_path):
    for seed, name in ((7, "b"), (3, "a"), (5, "c")):
        run(AnyoneSaveLatent, latent=sample(seed), filename_prefix=f"people/{name}")
    (tmp_path / "output" / "people" / "notes.txt").write_text("hello")
    loaded, note = run(AnyoneLoadLatent, path="people [output]").args
    expected = torch.cat([sample(seed).w_plus for seed in (3, 7, 5)])
    assert torch.equal(loaded.w_plus, expected) and note.startswith("3 latents of tiny")
    assert loaded.origin is not None, "alike ones keep their z"


def test_the_fingerprint_follows_every_file(run, sample, tmp_path):
    for name in "ab":
        run(AnyoneSaveLatent, latent=sample(), filename_prefix=f"people/{name}")
    stamps = [AnyoneLoadLatent.fingerprint_inputs(path="people [output]")]
    for name in "ab":
        os.utime(tmp_path / "output" / "people" / f"{name}_00001_.safetensors", ns=(1, 1))
        stamps.append(AnyoneLoadLatent.fingerprint_inputs(path="people [output]"))
    assert len({str(stamp) for stamp in stamps}) == 3
    assert AnyoneLoadLatent.fingerprint_inputs(path="people [output]") == stamps[2]
    assert AnyoneLoadLatent.fingerprint_inputs(path=None) is None, "it comes from a node"


class Hostile:
    def __reduce__(self):
        return (print, ("pwned",))


@pytest.mark.parametrize(("path", "words"), [
    ("", "path is empty; give the name of a latent file"), ("none.pt", "there is no none.pt"),
    ("../x.pt", "outside"), ("hostile.pt", "hostile.pt would run code .* it is refused"),
    ("foreign.safetensors", "has no w_plus"), ("nan.safetensors", "NaN or infinite"),
    ("text.pt", "text.pt cannot be used as a latent"), ("empty", "the folder empty has no files of latents"),
    ("mixed", "belong to two generators")])
def test_what_cannot_be_loaded_is_refused_in_a_sentence(run, tmp_path, capsys, path, words):
    folder = tmp_path / "input"
    for name in ("empty", "mixed"):
        (folder / name).mkdir(parents=True)
    torch.save(Hostile(), folder / "hostile.pt")
    save_file({"codes": torch.zeros(2)}, folder / "foreign.safetensors")
    save_file({"w_plus": torch.full((1, 8, 11), torch.nan)}, folder / "nan.safetensors")
    (folder / "text.pt").write_text("hello")
    for layers in (8, 10):
        torch.save(torch.zeros(layers, 11), folder / "mixed" / f"{layers}.pt")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(AnyoneLoadLatent, path=path)
    assert "pwned" not in capsys.readouterr().out
