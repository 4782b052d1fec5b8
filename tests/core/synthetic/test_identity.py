import dataclasses

import pytest
import torch
from anyone.core.synthetic import Identity, identity_vector, sample_identity
from anyone.core.synthetic.identity import HAIR_STYLES
from anyone.core.synthetic.rng import Draws
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=20, deadline=None)
@given(person=st.integers(0, 2**40), seed=st.integers(0, 2**31), others=st.integers(0, 7))
def test_a_person_is_the_same_alone_and_in_any_batch(person, seed, others):
    ids = torch.arange(others + 1) * 977 + 5
    ids[-1] = person
    alone = sample_identity(torch.tensor([person]), seed)
    together = sample_identity(ids, seed).select(slice(others, None))
    for f in dataclasses.fields(Identity):
        assert torch.equal(getattr(alone, f.name), getattr(together, f.name)), f.name
    assert torch.equal(identity_vector(alone), identity_vector(together))


def test_seed_and_id_both_change_the_person():
    vectors = torch.cat([identity_vector(sample_identity(torch.tensor([i]), s)) for i,
                         s in ((1, 0), (2, 0), (1, 1))])
    assert torch.cdist(vectors, vectors)[~torch.eye(3, dtype=torch.bool)].min() > 5


def test_the_vector_has_fixed_layout_and_scale():
    identity = sample_identity(torch.arange(20000))
    vector = identity_vector(identity)
    assert vector.shape == (20000, 131) and vector.abs().max() <= 4
    numbers = vector[:, :9]                                  # feminine .. bust
    assert numbers.mean(0).abs().max() < .05
    assert (numbers.std(0) - 1).abs().max() < .05
    hair = vector[:, 15:24]                                  # after skin and hair colour
    assert torch.equal(hair.argmax(1), identity.hair_style) and hair.sum(1).eq(1.5).all()
    assert len(HAIR_STYLES) == 9


def test_the_vector_knows_no_texture_seed():
    identity = sample_identity(torch.arange(3))
    other = dataclasses.replace(identity, texture=identity.texture + 1)
    assert torch.equal(identity_vector(identity), identity_vector(other))


def test_clothes_follow_their_rules():
    people = sample_identity(torch.arange(5000))
    dress = people.bottom == 3
    assert torch.equal(people.bottom_colours[dress], people.top_colours[dress])
    assert (people.sleeves[people.jacket > 0] == 2).all()
    assert (people.feminine[people.bottom >= 2] == 1).all()
    assert (people.beard[people.feminine == 1] == 0).all()
    assert people.skin.max() < .98, "lighter skin burns out"


def test_draws_are_named_not_counted():
    draws = Draws(torch.arange(1000), 0, "test")
    first = draws.uniform("a")
    draws.uniform("b")
    assert torch.equal(first, draws.uniform("a"))
    assert not torch.equal(first, Draws(torch.arange(1000), 0, "other").uniform("a"))
    assert 0 <= first.min() < .01 and .99 < first.max() < 1


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_draws_have_their_distribution(name):
    draws = Draws(torch.arange(40000), 3, "test")
    values = draws.uniform("x", 2, 4) if name == "uniform" else draws.normal("x", 3, 2)
    mean, deviation = (3, 2 / 12**.5) if name == "uniform" else (3, 2 * .98)    # the tails are cut at 2.2
    assert abs(values.mean() - mean) < .03
    assert abs(values.std() - deviation) < .03


def test_choices_follow_their_weights():
    chosen = Draws(torch.arange(40000), 3, "test").choice("x", (1, 0, 3))
    share = torch.bincount(chosen, minlength=3) / 40000
    assert share[1] == 0 and abs(share[0] - .25) < .01
