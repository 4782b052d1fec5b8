"""What can be done with latents alone: rows, mixing, interpolation, walks."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.stylegan.latents import (
    Latent,
    Origin,
    check_owner,
    identity_of,
    interpolate,
    join,
    layer_rows,
    mix,
    slerp,
    walk,
    walk_to,
)
from anyone.core.stylegan.network import Config


def latent(count=2, rows=8, width=3, seed=0, **about):
    return Latent(torch.randn(count, rows, width, generator=torch.Generator().manual_seed(seed)), **about)


@pytest.mark.parametrize(("text", "rows"), [
    ("all", range(12)), ("coarse", range(4)), ("middle", range(4, 8)), ("fine", range(8, 12)),
    ("3", [3]), ("0-2, 7", [0, 1, 2, 7]), (" Coarse , 9 - 10", [0, 1, 2, 3, 9, 10]), ("5-4", []),
])
def test_layers_in_words(text, rows):
    assert layer_rows(text, 12) == list(rows)


def test_small_generators_have_no_fine_layers():
    assert layer_rows("fine", 6) == [] and layer_rows("middle", 6) == [4, 5]


@pytest.mark.parametrize("text", ["", "high", "1;2", "-1", "1-", "99999"])
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match="should be all, coarse, middle, fine, or numbers like 0-3, 7"):
        layer_rows(text, 12)


def test_layers_beyond_the_last_are_refused():
    with pytest.raises(ValueError, match="has layers 0 to 11; got '10-12'"):
        layer_rows("10-12", 12)


def test_mixing_takes_the_rows_of_the_other():
    a, b = latent(3), latent(2, seed=1)
    before = a.w_plus.clone()
    mixed = mix(a, b, [1, 5]).w_plus
    assert torch.equal(mixed[2, [1, 5]], b.w_plus[0, [1, 5]])
    assert torch.equal(mixed[1, [1, 5]], b.w_plus[1, [1, 5]])
    others = [0, 2, 3, 4, 6, 7]
    assert torch.equal(mixed[:, others], a.w_plus[:, others])
    assert torch.equal(a.w_plus, before)
    assert len(mix(b, a, [0])) == 3


def test_the_straight_way():
    a, b = latent(1), latent(2, seed=1)
    found = interpolate(a, b, torch.tensor([0, 1, 0.25, 2])).w_plus
    assert torch.equal(found[0], a.w_plus[0]) and torch.equal(found[1], b.w_plus[1])
    torch.testing.assert_close(found[2], 0.75 * a.w_plus[0] + 0.25 * b.w_plus[0])
    torch.testing.assert_close(found[3], 2 * b.w_plus[1] - a.w_plus[0])


def test_the_way_on_the_sphere():
    a, b = torch.tensor([[3.0, 0, 0]]), torch.tensor([[0, 0.5, 0]])
    found = slerp(a.expand(3, 3), b.expand(3, 3), torch.tensor([0, 1 / 3, 1]))
    expected = torch.tensor([[1, 0, 0], [math.cos(math.pi / 6), 0.5, 0], [0, 1, 0]])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    ends = torch.randn(2, 5, 9, generator=torch.Generator().manual_seed(3))
    middle = slerp(*ends, torch.full((5,), 0.5))
    first, second = torch.nn.functional.normalize(ends, dim=2)
    torch.testing.assert_close((middle * first).sum(1), (middle * second).sum(1))
    torch.testing.assert_close(middle.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(slerp(a, a * 2, torch.tensor([0.7])), torch.tensor([[1.0, 0, 0]]))


def test_walks_meet_every_sample():
    keys = latent(3)
    found = interpolate(*walk(keys, 4))
    assert len(found) == 9
    torch.testing.assert_close(found.w_plus[::4], keys.w_plus)
    torch.testing.assert_close(found.w_plus[5], 0.75 * keys.w_plus[1] + 0.25 * keys.w_plus[2])
    closed = interpolate(*walk(keys, 4, closed=True))
    assert len(closed) == 12
    torch.testing.assert_close(closed.w_plus[::4], keys.w_plus)
    torch.testing.assert_close(closed.w_plus[10], (keys.w_plus[2] + keys.w_plus[0]) / 2)
    assert len(interpolate(*walk(latent(1), 4))) == 1
    assert torch.equal(interpolate(*walk(keys, 1)).w_plus, keys.w_plus)


@pytest.mark.parametrize(("closed", "t", "place"), [
    (False, 0.0, 0), (False, 0.25, 2), (False, 0.5, 4), (False, 1.0, 8),
    (True, 0.25, 3), (True, 1.0, 0), (True, 11 / 12, 11)])
def test_single_places_of_a_walk(closed, t, place):
    keys = latent(3)
    whole = interpolate(*walk(keys, 4, closed))
    torch.testing.assert_close(interpolate(*walk_to(keys, t, closed)).w_plus, whole.w_plus[place:place + 1])


def test_a_walk_of_one_stands_still():
    alone = latent(1)
    assert torch.equal(interpolate(*walk_to(alone, 0.7)).w_plus, alone.w_plus)
    assert torch.equal(interpolate(*walk(alone, 3, closed=True)).w_plus, alone.w_plus.expand(3, -1, -1))


def test_batches_put_together():
    first, second = (latent(seed=seed, origin=Origin(torch.full((2, 3), float(seed)), torch.zeros(2, 0), 0.7))
                     for seed in (1, 2))
    both = join(first, second)
    assert torch.equal(both.w_plus, torch.cat([first.w_plus, second.w_plus]))
    assert both.origin.z[:, 0].tolist() == [1, 1, 2, 2] and both.origin.psi == 0.7
    for other in (latent(), latent(origin=Origin(torch.zeros(2, 3), torch.zeros(2, 0)))):
        assert join(first, other).origin is None and len(join(other, first)) == 4
    with pytest.raises(ValueError, match="belong to two generators"):
        join(first, latent(rows=9))


def test_edits_forget_where_a_latent_came_from():
    origin = Origin(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 0))
    known = latent(origin=origin, generator="g", identity="i")
    assert known.taken([1, 0, 1]).origin.z.tolist() == [[2], [1], [2]]
    assert torch.equal(known.taken([1]).w_plus, known.w_plus[1:])
    edited = mix(known, known, [0])
    assert edited.origin is None and (edited.generator, edited.identity) == ("g", "i")


def test_latents_of_two_generators_do_not_meet():
    a = latent(generator="a", identity="1")
    for other in (latent(generator="b", identity="2"), latent(rows=9), latent(width=4)):
        with pytest.raises(ValueError, match="belong to two generators: <Latent 2x8x3 of a>"):
            mix(a, other, [0])
        with pytest.raises(ValueError, match="belong to two generators"):
            interpolate(other, a, torch.zeros(1))
    assert len(mix(a, latent(), [0])) == 2                # a file that does not tell


def test_the_owner_is_known_by_its_mapping_network(make_generator):
    mine, other, tuned = make_generator(), make_generator(2), make_generator()
    tuned.synthesis.b4.const.add_(1)
    config, name = mine.config, identity_of(mine.mapping)
    assert len(name) == 16 and name == identity_of(tuned.mapping) != identity_of(other.mapping)
    own = latent(1, 8, 11, generator="a", identity=name)
    check_owner(own, config, name, "b")
    with pytest.raises(ValueError, match="made with a, which b is no copy of"):
        check_owner(own, config, identity_of(other.mapping), "b")
    with pytest.raises(ValueError, match=r"has 8 layers of 11 numbers, but b needs 14 of 512: .* \(a\)"):
        check_owner(own, Config(), name, "b")


@pytest.mark.parametrize(("w_plus", "message"), [
    (torch.zeros(8, 3), r"\[batch, layers, width\]; got a tensor of shape \[8, 3\]"),
    (torch.zeros(0, 8, 3), r"got a tensor of shape \[0, 8, 3\]"),
    (torch.full((1, 8, 3), torch.nan), "NaN or infinite"),
])
def test_what_is_no_latent(w_plus, message):
    with pytest.raises(ValueError, match=message):
        Latent(w_plus)


def test_an_origin_of_other_samples_is_refused():
    with pytest.raises(ValueError, match="2 latents, but z for 1 and labels for 2"):
        latent(origin=Origin(torch.zeros(1, 4), torch.zeros(2, 0)))
