"""Style codes mixed, filled in between, crossed over and completed."""
from __future__ import annotations

import json

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.regions import RegionMap
from anyone.core.runtime import Runtime
from anyone.core.sean.codes import StyleCodes
from anyone.core.sean.infer import render
from anyone.core.sean.styles import (
    MEANS,
    block_index,
    block_names,
    crossover_styles,
    fill_missing,
    interpolate_styles,
    mean_styles,
    mix_styles,
    own_means,
    write_means,
)
from anyone.core.sean.weights import SYSTEM, select

NAMES = ("skin", "hair", "top")
REGIONS = ("sky", "skin", "hair", "top", "shoes")


def styles(*pictures, names=NAMES, model="net"):
    """One number per region (all its code), None = missing."""
    values = torch.tensor([[0.0 if value is None else value for value in picture] for picture in pictures])
    present = torch.tensor([[value is not None for value in picture] for picture in pictures])
    return StyleCodes(values[..., None].expand(-1, -1, 4).contiguous(), present, names, model)


def numbers(found):
    """The opposite."""
    assert torch.equal(found.codes, found.codes[..., :1].expand_as(found.codes))
    return [[round(value, 6) if there else None for value, there in zip(row, known, strict=True)]
            for row, known in zip(found.codes[..., 0].tolist(), found.present.tolist(), strict=True)]


def test_each_region_from_its_own_source():
    base, a, b = styles([0.0, 0.1, 0.2]), styles([1.0, 0.9, 0.8]), styles([-1.0, -0.9, -0.8])
    mixed = mix_styles(base, {"hair": (a, 1.0), "top": (b, 0.25)})
    assert numbers(mixed) == [[0.0, 0.9, -0.05]]
    assert torch.equal(mixed.codes[:, 1], a.codes[:, 1]), "strength 1 is exact"
    assert mixed.names == NAMES and mixed.model == "net"
    assert numbers(mix_styles(base, {"hair": (a, 0.0)})) == numbers(base) == [[0.0, 0.1, 0.2]]


def test_rows_missing_on_one_side_are_the_others():
    base, source = styles([0.5, None, None]), styles([None, 0.25, None])
    mixed = mix_styles(base, dict.fromkeys(NAMES, (source, 0.5)))
    assert numbers(mixed) == [[0.5, 0.25, None]] and not mixed.codes[0, 2].any()
    assert numbers(mix_styles(base, {"skin": (source, 1.0)})) == [[0.5, None, None]], "not named: not touched"


def test_in_betweens_are_linear_and_go_step_by_step():
    a, b = styles([0.0, 1.0, None], [0.5, None, 0.5]), styles([1.0, 0.0, 0.5])
    found = numbers(interpolate_styles(a, b, [0.0, 0.25, 1.0]))
    assert found == [[0.0, 1.0, 0.5], [0.5, 0.0, 0.5], [0.25, 0.75, 0.5], [0.625, 0.0, 0.5],
                     [1.0, 0.0, 0.5], [1.0, 0.0, 0.5]], "all pictures at the first amount, then at the second"


def test_in_betweens_of_some_regions():
    a, b = styles([0.0, 0.0, None]), styles([1.0, 1.0, 1.0])
    assert numbers(interpolate_styles(a, b, [0.5], ["hair"])) == [[0.0, 0.5, None]]


def test_batches_repeat_to_the_longer():
    base, source = styles([0.1] * 3, [0.2] * 3), styles([0.5] * 3, [0.6] * 3, [0.7] * 3)
    assert numbers(mix_styles(base, {"top": (source, 1.0)})) == [
        [0.1, 0.1, 0.5], [0.2, 0.2, 0.6], [0.1, 0.1, 0.7]]


def test_crossover_gives_each_block_its_own_styles():
    a, b = styles([0.1, 0.2, None]), styles([0.6, None, None], [0.7, 0.8, None])
    crossed = crossover_styles([a, a, b])
    assert crossed.codes.shape == (2, 3, 3, 4)
    assert crossed.codes[0, :, 0, 0].tolist() == pytest.approx([0.1, 0.1, 0.6])
    assert crossed.codes[0, :, 1, 0].tolist() == pytest.approx([0.2, 0.2, 0.2]), "b has none"
    assert crossed.codes[1, :, 1, 0].tolist() == pytest.approx([0.2, 0.2, 0.8])
    assert crossed.present.tolist() == [[True, True, False]] * 2 and not crossed.codes[:, :, 2].any()


def test_crossed_styles_can_be_crossed_and_mixed_again():
    a, b, c = styles([0.1] * 3), styles([0.2] * 3), styles([0.3] * 3)
    crossed = crossover_styles([a, b, b])
    again = crossover_styles([crossed, crossed, c])
    assert again.codes[0, :, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    mixed = mix_styles(c, {"hair": (crossed, 1.0)})
    assert mixed.codes[0, :, 1, 0].tolist() == pytest.approx([0.1, 0.2, 0.2])
    assert mixed.codes[0, :, 2, 0].tolist() == pytest.approx([0.3] * 3)
    assert mean_styles(crossed).codes.shape == (1, 3, 3, 4)
    with pytest.raises(ValueError, match="Styles of net are for 3 residual blocks, not for 2"):
        crossover_styles([crossed, crossed])
    with pytest.raises(ValueError, match="for 2 residual blocks, not for 3"):
        mix_styles(crossed, {"hair": (crossover_styles([a, b]), 1.0)})


def test_missing_rows_come_from_the_first_that_has_them():
    given = styles([0.1, None, None], [None, None, None])
    later = styles([0.7, 0.8, 0.9], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    filled = fill_missing(given, styles([0.5, 0.6, None]), later)
    assert numbers(filled) == [[0.1, 0.6, 0.9], [0.5, 0.6, 1.0]]
    assert numbers(fill_missing(given)) == numbers(given)


def test_means_count_only_the_pictures_that_have_the_region():
    assert numbers(mean_styles(styles([0.2, 1.0, None], [0.4, None, None]))) == [[0.3, 1.0, None]]


def test_nothing_changes_its_inputs():
    a, b = styles([0.1, None, 0.3]), styles([0.5, 0.6, None])
    before = [part.clone() for each in (a, b) for part in (each.codes, each.present)]
    mix_styles(a, {"hair": (b, 0.5)})
    crossover_styles([a, b])
    fill_missing(a, b, mean_styles(b))
    after = [part for each in (a, b) for part in (each.codes, each.present)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_unknown_regions_and_other_models_are_refused():
    a = styles([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="There is no region 'hat'; these styles know skin, hair, top"):
        mix_styles(a, {"hat": (a, 1.0)})
    for other in (styles([0.1, 0.2], names=("skin", "hair"), model="faces"),
                  styles([0.1, 0.2, 0.3], names=("skin", "hair", "hat"), model="faces")):
        with pytest.raises(ValueError, match=r"net \(3 regions of 4 numbers\) and of faces \([23] regions"):
            interpolate_styles(a, other, [0.5])
    longer = StyleCodes(torch.zeros(1, 3, 5), torch.ones(1, 3, dtype=torch.bool), NAMES, "wide")
    with pytest.raises(ValueError, match=r"wide \(3 regions of 5 numbers\) do not go together; encode"):
        fill_missing(a, longer)


@pytest.fixture
def make_net(make_generator):
    def make(means=None, **changes):
        generator = make_generator(**changes)
        height, width = generator.config.size
        metadata = {"size": f"{height}x{width}", "regions": ",".join(REGIONS)} | (means or {})
        return LoadedNet(SYSTEM.build(select(generator.state_dict()), metadata), SYSTEM, "tiny", metadata)
    return make


def test_the_networks_own_means(make_net):
    assert own_means(make_net()) is None
    given = torch.rand(1, 5, 10) * 2 - 1
    present = torch.tensor([[True, True, False, True, True]])
    text = write_means(StyleCodes(given * present[..., None], present, REGIONS, "tiny"))
    assert set(json.loads(text)) == {"sky", "skin", "top", "shoes"}
    found = own_means(make_net({MEANS: text}))
    assert (found.names, found.model, found.present.tolist()) == (REGIONS, "tiny", present.tolist())
    torch.testing.assert_close(found.codes, given * present[..., None], rtol=0, atol=5.1e-5)


def test_blocks_by_name_and_by_thirds(make_net):
    net = make_net()
    assert block_names(net) == ["head_0", "G_middle_0", "G_middle_1", "up_0"]
    assert [block_index(net, name) for name in ("head_0", "up_0", "middle", "fine")] == [0, 3, 1, 3]
    with pytest.raises(ValueError, match="no block up_1 that takes styles; it has head_0, G_middle_0, "):
        block_index(net, "up_1")
    bare = make_net(styled=(False,) * 5, style=0, encoder=0)
    with pytest.raises(ValueError, match="no block fine that takes styles; it has none at all"):
        block_index(bare, "fine")


def test_the_network_draws_crossed_styles(make_net, make_labels):
    net = make_net()
    regions = RegionMap(make_labels(1, 32, 48).to(torch.uint8), REGIONS, ((0, 0, 0),) * 5)
    a, b = (StyleCodes(torch.rand(1, 5, 10) * 2 - 1, torch.ones(1, 5, dtype=torch.bool), REGIONS, "tiny")
            for _ in range(2))

    def drawn(given):
        return render(net, regions, given, runtime=Runtime("cpu"))

    assert torch.equal(drawn(crossover_styles([a] * 4)), drawn(a))
    late, early = drawn(crossover_styles([a, a, a, b])), drawn(crossover_styles([b, a, a, a]))
    assert not torch.equal(late, drawn(a)) and not torch.equal(early, late)
    with pytest.raises(ValueError, match="takes 5 of 10 numbers"):
        drawn(crossover_styles([a, b]))
