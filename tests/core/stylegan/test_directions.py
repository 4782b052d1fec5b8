"""SeFa and GANSpace against their definitions, and moving along what they find."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from anyone.core.runtime import Runtime
from anyone.core.stylegan.directions import SAMPLES, apply, ganspace, sefa
from anyone.core.stylegan.infer import render, sample_latents
from anyone.core.stylegan.latents import identity_of

CPU = Runtime("cpu")
AFFINES = {0: "b4.conv1", 1: "b8.conv0", 2: "b8.conv1", 3: "b16.conv0", 4: "b16.conv1", 5: "b32.conv0",
           6: "b32.conv1"}


def samples(net, count=SAMPLES, seed=0):
    z = torch.from_numpy(np.random.RandomState(seed).randn(count, 7))
    return net.module.mapping.map(z)


@pytest.mark.parametrize("layers", [None, [0, 3], [6, 7]])
def test_sefa_finds_what_styles_answer_to_most(layers, make_net):
    net = make_net()
    found = sefa(net, layers, runtime=CPU)
    affine = torch.cat([net.module.generator.get_parameter(f"synthesis.{name}.affine.weight")
                        for row, name in AFFINES.items() if layers is None or row in layers])
    values = torch.linalg.svdvals(affine)
    answers = (found.vectors @ affine.T).norm(dim=1)
    torch.testing.assert_close(answers[:len(values)], values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(11), atol=1e-5, rtol=0)
    spread = (samples(net) @ found.vectors.T).std(0)
    torch.testing.assert_close(found.deviations, spread, rtol=1e-4, atol=1e-5)
    assert (found.method, found.identity) == ("SeFa", identity_of(net.module.mapping))


def test_sefa_needs_a_layer_with_a_style(make_net):
    with pytest.raises(ValueError, match=r"needs a layer from 0 to 6; got \[7\]"):
        sefa(make_net(), [7], runtime=CPU)


def test_ganspace_finds_the_principal_components(make_net):
    net = make_net()
    found, w = ganspace(net, samples=500, seed=3, runtime=CPU), samples(net, 500, 3)
    values = torch.linalg.svdvals(w - w.mean(0)) / 499 ** 0.5
    torch.testing.assert_close(found.deviations, values, rtol=1e-3, atol=1e-4)
    assert (found.deviations.diff() <= 0).all()
    spread = ((w - w.mean(0)) @ found.vectors.T).T.cov()
    torch.testing.assert_close(spread, values.square().diag(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("find", [sefa, ganspace])
def test_signs_do_not_depend_on_chance(find, make_net):
    found = find(make_net(), runtime=CPU)
    largest = found.vectors.gather(1, found.vectors.abs().argmax(1, keepdim=True))
    assert (largest > 0).all() and torch.equal(found.vectors, find(make_net(), runtime=CPU).vectors)


def test_latents_move_by_deviations(make_net):
    net = make_net()
    latent, found = sample_latents(net, [1, 2], runtime=CPU), ganspace(net, runtime=CPU)
    moved = apply(latent, found, [2, 0, -1], [0, 5])
    expected = 2 * found.deviations[0] * found.vectors[0] - found.deviations[2] * found.vectors[2]
    difference = moved.w_plus - latent.w_plus
    torch.testing.assert_close(difference[:, [0, 5]], expected.expand(2, 2, -1), atol=1e-5, rtol=0)
    assert not difference[:, [1, 2, 3, 4, 6, 7]].any()
    everywhere = apply(latent, found, [2]).w_plus - latent.w_plus
    torch.testing.assert_close(everywhere, (2 * found.deviations[0] * found.vectors[0]).expand(2, 8, -1),
                               atol=1e-5, rtol=0)
    assert torch.equal(apply(latent, found, []).w_plus, latent.w_plus)
    change = render(net, apply(latent, found, [3]), runtime=CPU) - render(net, latent, runtime=CPU)
    assert change.abs().mean() > 0.01


def test_directions_of_another_generator_are_refused(make_net):
    net = make_net()
    latent = sample_latents(net, [1], runtime=CPU)
    for other in (make_net(2, "other"), make_net(mapping=(9, 12), name="other")):
        with pytest.raises(ValueError, match="found for other, but the latent belongs to tiny"):
            apply(latent, ganspace(other, samples=20, runtime=CPU), [1])
    with pytest.raises(ValueError, match="There are 11 directions, .* a strength for direction 11"):
        apply(latent, ganspace(net, samples=20, runtime=CPU), [0] * 11 + [1])
