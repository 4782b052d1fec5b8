"""The fast form against the plain one."""
from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from anyone.core.sean import fast
from anyone.core.sean.fast import FastGenerator, label_map
from anyone.core.sean.network import Generator, draw_noise, to_mask

MASK_ONLY = {"styled": (False,) * 5, "style": 0, "encoder": 0}
CONFIGS = {
    "styled": {},
    "mask only": MASK_ONLY,
    "more upsampling": {"more": True, "start": (2, 3)},
    "wide enough for Winograd": {"dims": (96, 160, 64), "start": (8, 8)},
    "every block styled": {"styled": (True,) * 5},
    "one doubling less": {"dims": (12, 8), "styled": (True,) * 3 + (False,)},
    "150 labels": {"labels": 150},
}


@pytest.fixture
def pair(make_generator):
    """Keyword arguments of Config -> the plain and the fast form of one network."""
    def make(**changes):
        generator = make_generator(**changes)
        return generator, FastGenerator(generator)
    return make


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def outputs(generator, *arguments, **options):
    features = {}
    return generator(*arguments, features=features, **options), features


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_fast_equals_plain(changes, pair, make_labels, make_codes):
    plain, quick = pair(**changes)
    config = plain.config
    labels = make_labels(2, labels=config.labels)
    labels[0, 10:20, 30:] = config.labels                  # pixels without a label
    codes = make_codes(2, labels=config.labels) if config.styled_stages else None
    noise = draw_noise(config, torch.Generator().manual_seed(1), 2)
    expected, kept = outputs(plain, labels, codes, noise=noise)
    found, noted = outputs(quick, labels, codes, noise=noise)
    assert_same(found, expected)
    assert noted.keys() == kept.keys()
    for name, feature in noted.items():
        torch.testing.assert_close(feature, kept[name], rtol=0, atol=1e-5 * kept[name].abs().max().item())


def test_masks_and_label_maps_are_the_same(pair, make_labels, make_codes):
    _, quick = pair()
    labels, codes = make_labels(), make_codes()
    labels[0, :5] = 5
    assert torch.equal(quick(to_mask(labels, 5), codes), quick(labels, codes))


def test_masks_that_are_not_one_hot_take_the_plain_form(pair, make_labels, make_codes):
    plain, quick = pair()
    mask, codes = to_mask(make_labels(), 5), make_codes()
    soft = F.avg_pool2d(mask, 3, 1, 1)
    several = mask.clone()
    several[:, 1, :20] = 1
    for regions in (soft, several):
        assert label_map(regions, 5) is None
        assert_same(quick(regions, codes), plain(regions, codes))
    assert quick.maps == {}


def test_codes_for_each_block(pair, make_labels, make_codes):
    plain, quick = pair()
    labels, codes = make_labels(), torch.stack([make_codes(seed=seed) for seed in range(4)], 1)
    assert_same(quick(labels, codes), plain(labels, codes))


def test_codes_of_pictures(pair, make_labels):
    plain, quick = pair(encoder=16, style=72)
    image, labels = torch.rand(2, 3, 64, 48) * 2 - 1, make_labels(2)
    assert_same(quick.encode(image, labels), plain.encode(image, labels))


def test_a_series_of_edits_equals_fresh_pictures(pair, make_labels, make_codes):
    """Whatever is kept from call to call must not show."""
    plain, quick = pair()
    labels, codes = make_labels(), make_codes()
    for step in range(6):
        if step % 2:
            labels = labels.clone()
            labels[0, 5 * step:5 * step + 6, 3:9] = step % 5
        else:
            codes = codes.clone()
            codes[0, step % 5] = -codes[0, step % 5]
        assert_same(quick(labels, codes), plain(labels, codes))


def count_calls(monkeypatch, name, size):
    """The sizes of what FastNorm's method `name` is given from now on."""
    calls, method = [], getattr(fast.FastNorm, name)

    def counted(self, *arguments):
        calls.append(size(*arguments))
        return method(self, *arguments)
    monkeypatch.setattr(fast.FastNorm, name, counted)
    return calls


def test_only_what_is_new_is_computed(pair, make_labels, make_codes, monkeypatch):
    _, quick = pair()
    labels, codes = make_labels(), make_codes()
    rows = count_calls(monkeypatch, "add_rows", lambda patterns, chosen: len(chosen))
    styles = count_calls(monkeypatch, "style", lambda labels, codes: labels.tolist())
    quick(labels, codes)
    whole = sum(rows)
    rows.clear()
    styles.clear()
    quick(labels, codes)                                   # the same again
    assert rows == styles == []
    other = codes.clone()
    other[:, 2] = 0
    quick(labels, other)                                   # another style of one region
    assert rows == [] and styles and all(labels == [2] for labels in styles)
    stroke = labels.clone()
    stroke[0, 20:23, 20:23] = (stroke[0, 21, 21] + 1) % 5
    quick(stroke, other)                                   # a small stroke
    assert 0 < sum(rows) < whole / 4


def test_pictures_of_a_batch_share_the_tables(pair, make_labels, make_codes, monkeypatch):
    _, quick = pair()
    labels, codes = make_labels(), make_codes(4)
    rows = count_calls(monkeypatch, "add_rows", lambda patterns, chosen: len(chosen))
    alone = quick(labels, codes[2:3])
    once = len(rows)
    together = quick(labels.expand(4, -1, -1), codes)
    assert len(rows) == once
    assert torch.equal(together[2:3], alone)


def test_too_many_neighbourhoods_are_forgotten(pair, make_labels, make_codes, monkeypatch):
    plain, quick = pair()
    monkeypatch.setattr(fast, "KEPT", 100)
    codes, noisy = make_codes(), torch.randint(0, 6, (1, 50, 50))
    for labels in (make_labels(seed=1), noisy, make_labels(seed=2), make_labels(seed=1)):
        assert_same(quick(labels, codes), plain(labels, codes))
    for block in quick.children():
        if isinstance(block, fast.FastBlock):
            assert len(block.numbers) == len(block.ace_0.mask_rows)
            assert block.latest[0].ids.numel() <= 100 or len(block.numbers) <= len(block.latest[0].keys)


@pytest.mark.parametrize(("name", "value"), [("STRIP", 1), ("BAND", 1), ("BAND", 500), ("ROWS", 7)])
def test_portions_do_not_show(name, value, pair, make_labels, make_codes, monkeypatch):
    plain, quick = pair(dims=(12, 72, 64))
    monkeypatch.setattr(fast, name, value)
    labels, codes = make_labels(), make_codes()
    noise = draw_noise(plain.config, torch.Generator().manual_seed(1))
    assert_same(quick(labels, codes, noise=noise), plain(labels, codes, noise=noise))


def test_inputs_and_the_plain_network_stay_as_they_were(make_generator, make_labels, make_codes):
    generator = make_generator()
    before, labels, codes = copy.deepcopy(generator.state_dict()), make_labels(), make_codes()
    quick = FastGenerator(generator)
    mask = to_mask(labels, 5)
    first, untouched = quick(mask, codes), (mask.clone(), codes.clone())
    assert torch.equal(quick(mask, codes), first)
    assert torch.equal(mask, untouched[0]) and torch.equal(codes, untouched[1])
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_its_state_dict_is_that_of_an_equal_plain_network(pair, make_labels, make_codes):
    plain, quick = pair()
    labels, codes = make_labels(), make_codes()
    expected = quick(labels, codes)                        # fills the tables, which are no part of the state
    assert quick.state_dict().keys() == plain.state_dict().keys()
    again = Generator(plain.config)
    again.load_state_dict(quick.state_dict())
    assert_same(again.eval()(labels, codes), expected)
    assert not any(value.requires_grad for value in quick.parameters())


def test_on_accelerators_nothing_is_cut_into_portions(pair, make_labels, make_codes, monkeypatch):
    plain, quick = pair(dims=(96, 160, 64), start=(8, 8))
    monkeypatch.setattr(fast, "at_once", lambda limit, x: 1 << 40)
    labels, codes = make_labels(), make_codes()
    assert_same(quick(labels, codes), plain(labels, codes))
