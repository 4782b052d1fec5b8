"""The fast form against the plain one."""
from __future__ import annotations

from functools import reduce

import pytest
import torch
from anyone.core.deformable import fast, network
from anyone.core.deformable.fast import FastGenerator
from anyone.core.deformable.network import Config, Generator, Norm
from anyone.core.pose.maps import gaussian_maps
from anyone.core.pose.parts import part_geometry, whole_geometry
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

SIZE = (128, 64)
TINY = (2, 3, 3, 4, 4)
WIDE = (8, 64, 64, 8, 8)                                  # enough channels and pixels for Winograd


def built(widths=TINY, **options):
    torch.manual_seed(0)
    generator = Generator(Config(widths=widths, **options)).eval().requires_grad_(False)
    for norm in generator.modules():
        if isinstance(norm, Norm):
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-0.5, 0.5)
    return generator


@pytest.fixture
def given(standing, walking):
    """Arguments of a call for two pictures; the second one's target lacks an arm and leaves the picture."""
    source, target = torch.cat([standing, walking]), torch.cat([walking, standing + 15])
    target[1, 3:5] = torch.nan
    picture = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return picture, *(gaussian_maps(joints, *SIZE) for joints in (source, target)), part_geometry(
        source, target, SIZE)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [
    {}, {"widths": WIDE}, {"fusion": network.AVERAGE}, {"widths": (3, 4, 2)}, {"outputs": 4}], ids=str)
def test_fast_equals_plain(options, given):
    generator = built(**options)
    found, expected = FastGenerator(generator)(*given), generator(*given)
    assert expected.std() > 0.1 and found.is_contiguous()
    assert_same(found, expected)


def test_the_baseline_equals_plain(given):
    generator = built(deformable=False)
    assert_same(FastGenerator(generator)(*given[:3]), generator(*given[:3]))


def test_a_background_and_the_person_as_a_whole(given, standing, walking):
    generator, geometry = built(background=True), whole_geometry(
        torch.cat([standing, walking]), torch.cat([walking, standing]), SIZE)
    call = *given[:3], geometry, given[0].flip(3)
    assert_same(FastGenerator(generator)(*call), generator(*call))


def test_a_sequence_looks_once(given, standing, walking):
    generator, (picture, own, *_) = FastGenerator(built()), given
    targets = torch.cat([walking, standing, standing.flip(0) - 8])
    geometry, wanted = part_geometry(standing.expand(3, -1, -1), targets, SIZE), gaussian_maps(targets, *SIZE)
    looks = generator.appearance(torch.cat([picture[:1], own[:1]], 1))
    before = [look.clone() for look in looks]
    found = generator.draw(looks, wanted, geometry)
    assert all(map(torch.equal, looks, before))
    for i in range(3):
        alone = part_geometry(standing, targets[i:i + 1], SIZE)
        assert_same(found[i:i + 1], generator(picture[:1], own[:1], wanted[i:i + 1], alone))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 0.03), (torch.float16, 0.005)])
def test_half_precision_of_planes_or_of_everything(dtype, limit, given):
    generator = built(WIDE)
    quick, expected = FastGenerator(generator), generator(*given)
    planes = [plane.to(dtype) for plane in given[:3]]
    for net in (quick, quick.to(dtype)):
        found = net(*planes, given[3])
        assert found.dtype == dtype
        assert 0 < (found.float() - expected).square().mean().sqrt() < limit * expected.std()


def test_sums_of_the_norm_stay_float32():
    x = torch.full((2, 64, 64, 4), 100.0).half()
    x[..., :2] = 102
    gain, offset = fast.norm_line(Norm(), x, x[0].numel())
    torch.testing.assert_close(gain.flatten(), torch.full((2,), 1 / 1.001).half(), rtol=2e-3, atol=0)
    torch.testing.assert_close(offset.flatten(), torch.full((2,), -101 / 1.001).half(), rtol=2e-3, atol=0)


def test_a_norm_of_few_numbers_among_zeros():
    x = torch.zeros(1, 3, 3, 2)
    x[0, 1, 1] = torch.tensor([4.0, 8.0])
    gain, offset = fast.norm_line(Norm(), x, 2)
    assert (gain.item(), offset.item()) == pytest.approx((1 / 2.001, -6 / 2.001))


def test_windows_make_the_pixels_of_the_transposed_convolution():
    torch.manual_seed(0)
    x, weight = torch.randn(1, 3, 5, 4), torch.randn(3, 2, 4, 4)
    expected = torch.nn.functional.conv_transpose2d(x, weight, None, 2, 1)         # [1,2,10,8]
    kernel = fast.window_taps(weight).permute(3, 2, 0, 1)                          # [8,3,2,2]
    windows = torch.nn.functional.conv2d(x, kernel, padding=1).view(1, 2, 2, 2, 6, 5)
    pixels = windows.permute(0, 3, 4, 1, 5, 2).reshape(1, 2, 12, 10)               # rows -1..10
    torch.testing.assert_close(pixels[:, :, 1:-1, 1:-1], expected)


def test_a_canvas_is_empty_around_the_maps():
    canvas, spot = fast.empty_canvas(torch.empty(2, 9, 31, 20), 3)
    assert canvas.shape == (2, 34, 22, 3) and spot.shape == (2, 31, 20, 3)
    spot.zero_()
    assert not canvas.any()


def test_the_plain_generator_stays_as_it_was(given):
    generator = built()
    expected = generator(*given)
    quick = FastGenerator(generator)
    quick(*given)
    assert torch.equal(generator(*given), expected)
    assert quick.state_dict().keys() == generator.state_dict().keys()
    assert not any(parameter.requires_grad for parameter in quick.parameters())


def test_bad_calls_say_what_is_wrong(given):
    with pytest.raises(ValueError, match="needs the geometry of the two poses; got none"):
        FastGenerator(built())(*given[:3])


class PlainSkip(torch.nn.Module):
    def forward(self, features, geometry):
        return reduce(torch.maximum, network.moved(features, geometry))


class Memory(TorchDispatchMode):
    """The largest sum of what is held in memory after an operation: of tensors made since the start."""

    def __enter__(self):
        self.held, self.peak = {}, 0
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.held[storage.data_ptr()] = StorageWeakRef(storage), storage.nbytes()
        self.held = {at: (alive, size) for at, (alive, size) in self.held.items() if not alive.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.held.values()))
        return made


def test_the_fast_form_needs_no_more_memory(given, standing, walking):
    """For six pictures: what Winograd's method takes for itself is the same for any number."""
    generator = built((32, 64, 64, 64, 64))
    generator.skips = torch.nn.ModuleList(PlainSkip() for _ in generator.skips)
    geometry = part_geometry(standing.expand(6, -1, -1), walking.expand(6, -1, -1), SIZE)
    call = *(plane.repeat(3, 1, 1, 1) for plane in given[:3]), geometry
    with Memory() as plain:
        generator(*call)
    quick = FastGenerator(generator)
    with Memory() as less:
        quick(*call)
    assert less.peak < 0.95 * plain.peak


def test_the_accelerator_route_has_the_right_shapes():
    decoder = FastGenerator(built(WIDE)).decoder.to("meta")
    skips = [[torch.empty(2, width, 128 >> level, 64 >> level, device="meta")] * 2
             for level, width in enumerate(WIDE)]
    assert decoder(reversed(skips)).shape == (2, 3, 128, 64)
