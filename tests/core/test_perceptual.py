"""Perceptual losses and distances against their definitions, with random VGGs and the embedded detector."""
import pytest
import torch
import torch.nn.functional as F
from anyone.core.checkpoints import embedded, load
from anyone.core.perceptual import LPIPS_LAYERS, VGG16, Lpips, Perceptual, Vgg

# torchvision's numbers of the convolutions, a list per block between two poolings; channels of each block
NUMBERS = ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28,))
CHANNELS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def state():
    generator, inputs, found = torch.Generator().manual_seed(0), 3, {}
    for numbers, width in zip(NUMBERS, CHANNELS, strict=True):
        for number in numbers:
            weight = torch.randn(width, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
            found |= {f"features.{number}.weight": weight,
                      f"features.{number}.bias": torch.randn(width, generator=generator) * 0.1}
            inputs = width
    return {**found, "features.30.weight": torch.zeros(512, 512, 3, 3), "classifier.0.bias": torch.zeros(9)}


@pytest.fixture(scope="module")
def vgg_file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg19-random.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def vgg(vgg_file):
    return Perceptual.vgg19(vgg_file)


@pytest.fixture(scope="module")
def detector():
    return Perceptual.detector()


def pictures(count=1, height=32, width=32, seed=1):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def first_of_each_block(state, x):
    """Features after relu1_1, relu2_1 and so on, by the definition."""
    for numbers in NUMBERS:
        for number in numbers:
            x = F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1)
            x = x.relu()
            if number == numbers[0]:
                yield x
        x = F.max_pool2d(x, 2)


def test_vgg_loss_is_the_weighted_sum_of_five_levels(vgg, state):
    fake, real = pictures(2), pictures(2, seed=2)
    levels = zip(first_of_each_block(state, fake), first_of_each_block(state, real), strict=True)
    distances = [float((a - b).abs().mean()) for a, b in levels]
    expected = sum(weight * each for weight, each in zip((1/32, 1/16, 1/8, 1/4, 1), distances, strict=True))
    assert vgg.title == "VGG-19"
    assert float(vgg(fake, real)) == pytest.approx(expected, rel=1e-5)


def test_layers_can_be_chosen(vgg_file, state):
    chosen = Perceptual.vgg19(vgg_file, {"relu1_2": 0.5})
    fake, real = pictures(), pictures(seed=2)
    assert len(chosen.state_dict()) == 4                    # nothing deeper than needed
    expected = [F.conv2d(next(first_of_each_block(state, x)), state["features.2.weight"],
                         state["features.2.bias"], padding=1).relu() for x in (fake, real)]
    assert torch.allclose(chosen.features(fake)[0], expected[0], atol=1e-5)
    assert float(chosen(fake, real)) == pytest.approx(0.5 * float(F.l1_loss(*expected)), rel=1e-5)


def test_levels_of_the_detector_count_alike(detector):
    fake, real = pictures(2), pictures(2, seed=2)
    module = load(embedded()["detect-person"]).module
    a, b = (module.encode((x + 1) / 2) for x in (fake, real))
    expected = sum(float((x - y).abs().mean() / y.abs().mean()) for x, y in zip(a, b, strict=True))
    assert detector.title == "features of detect-person" and len(a) == 4
    assert float(detector(fake, real)) == pytest.approx(expected, rel=1e-5)


def test_the_detectors_copy_is_its_own(detector):
    shared = load(embedded()["detect-person"]).module
    mine = {p.data_ptr() for p in detector.parameters()}
    assert not mine & {p.data_ptr() for p in shared.parameters()}


@pytest.mark.parametrize("kind", ["vgg", "detector"])
class TestBoth:
    @pytest.fixture
    def loss(self, kind, request):
        return request.getfixturevalue(kind)

    def test_alike_is_zero_and_further_is_more(self, loss):
        real, change = pictures(), pictures(seed=3)
        near, far = (float(loss(real + step * change, real)) for step in (0.02, 0.2))
        assert float(loss(real, real)) == 0
        assert 0 < 4 * near < far

    def test_gradients_reach_the_fake_picture_only(self, loss):
        fake, real = pictures().requires_grad_(), pictures(seed=2).requires_grad_()
        loss(fake, real).backward()
        assert fake.grad.abs().sum() > 0 and real.grad is None
        assert not any(p.requires_grad or p.grad is not None for p in loss.parameters())

    def test_descending_brings_the_pictures_together(self, loss):
        fake, real = pictures().requires_grad_(), pictures(seed=2)
        before = loss(fake, real)
        slope, = torch.autograd.grad(before, fake)
        assert loss(fake - 0.1 * slope / slope.abs().max(), real) < before

    def test_bfloat16_is_near(self, loss):
        fake, real = pictures().requires_grad_(), pictures(seed=2)
        with torch.autocast("cpu", torch.bfloat16):
            half = loss(fake.bfloat16(), real)
        half.backward()
        assert half.dtype == torch.float32 and fake.grad.isfinite().all()
        assert half.item() == pytest.approx(loss(fake, real).item(), rel=0.02)

    def test_odd_sizes(self, loss, kind):
        fake, real = pictures(1, 37, 50), pictures(1, 37, 50, seed=2)
        sizes = {"vgg": [(37, 50), (18, 25), (9, 12), (4, 6), (2, 3)],
                 "detector": [(19, 25), (10, 13), (5, 7), (3, 4)]}
        assert [level.shape[2:] for level in loss.features(fake)] == sizes[kind]
        assert loss(fake, real) > 0

    def test_two_shapes_are_refused(self, loss):
        with pytest.raises(ValueError, match=r"one shape; got \[1, 3, 32, 32\] and \[2, 3, 32, 32\]"):
            loss(pictures(), pictures(2))


def test_other_files_are_refused_by_name(state, tmp_path):
    with pytest.raises(FileNotFoundError, match="vgg.pth"):
        Perceptual.vgg19(tmp_path / "vgg.pth")
    sixteen = tmp_path / "vgg16.pth"
    torch.save({k: v for k, v in state.items() if "16" not in k}, sixteen)
    with pytest.raises(ValueError, match=r"vgg16.pth .* torchvision: 2 missing \(features.16.weight"):
        Perceptual.vgg19(sixteen)
    normed = tmp_path / "vgg19_bn.pth"
    torch.save({**state, "features.2.weight": torch.ones(64)}, normed)
    with pytest.raises(ValueError, match=r"features.2.weight is \[64\] instead of \[64, 64, 3, 3\]"):
        Perceptual.vgg19(normed)


@pytest.fixture(scope="module")
def sixteen():
    """A random VGG-16, in torchvision's names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = Vgg(VGG16, LPIPS_LAYERS)
        for parameter in network.parameters():
            spread = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
            torch.nn.init.normal_(parameter, std=spread)
    return network.requires_grad_(False)


@pytest.fixture
def channels():
    generator = torch.Generator().manual_seed(5)
    return [torch.rand(1, width, 1, 1, generator=generator) for width, _ in VGG16]


def lpips_names(network, channels):
    """As the lpips package saves its whole network; relu1_2 is layer 3, relu2_2 layer 8 and so on."""
    ends, state = (3, 8, 15, 22, 29), {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    for name, value in network.state_dict().items():
        number = int(name.split(".")[1])
        part = 1 + sum(number > end for end in ends)
        state[name.replace("features.", f"net.slice{part}.")] = value
    return state | {f"lin{level}.model.1.weight": weight for level, weight in enumerate(channels)}


def by_definition(network, channels, a, b):
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (
        (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    levels = zip(*(network((x - mean) / deviation) for x in (a, b)), channels, strict=True)
    return sum(((F.normalize(x, dim=1) - F.normalize(y, dim=1)).square() * weight).sum(1).mean((1, 2))
               for x, y, weight in levels)


def apart(features, a, b):
    return (features(a) - features(b)).square().sum(1)


def test_lpips_is_a_squared_distance(sixteen, channels, tmp_path):
    torch.save(lpips_names(sixteen, channels), tmp_path / "lpips_vgg.pth")
    found, a, b = Lpips.vgg16(tmp_path / "lpips_vgg.pth"), pictures(2), pictures(2, seed=2)
    assert found.title == "LPIPS"
    torch.testing.assert_close(apart(found, a, b), by_definition(sixteen, channels, a, b), rtol=1e-3, atol=0)


def test_without_fitted_weights_all_channels_count_alike(sixteen, tmp_path):
    torch.save(sixteen.state_dict() | {"classifier.0.weight": torch.zeros(3)}, tmp_path / "vgg16.pth")
    found, a, b = Lpips.vgg16(tmp_path / "vgg16.pth"), pictures(), pictures(seed=2)
    assert found.title == "VGG-16"
    torch.testing.assert_close(apart(found, a, b), by_definition(sixteen, [1.0] * 5, a, b), rtol=1e-3, atol=0)


def test_the_detector_takes_the_place_of_vgg():
    found, a, b = Lpips.detector(), pictures(2, 32, 16), pictures(2, 32, 16, seed=2)
    levels = zip(*(load(embedded()["detect-person"]).module.encode((x + 1) / 2) for x in (a, b)), strict=True)
    expected = sum((F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean((1, 2))
                   for x, y in levels)
    assert found.title == "features of detect-person"
    torch.testing.assert_close(apart(found, a, b), expected, rtol=1e-4, atol=0)
    moving = a.clone().requires_grad_()
    apart(found, moving, b).sum().backward()
    assert moving.grad.abs().max() > 0 and not any(value.requires_grad for value in found.parameters())


def test_files_without_a_whole_vgg16_are_refused(sixteen, channels, tmp_path):
    state = lpips_names(sixteen, channels)
    torch.save({name: value for name, value in state.items() if "lin" in name}, tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg.pth cannot be used for perceptual distances. .*26 missing"):
        Lpips.vgg16(tmp_path / "vgg.pth")
    del state["lin2.model.1.weight"]
    torch.save(state, tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match="vgg.pth .* weights of its channels do not fit LPIPS"):
        Lpips.vgg16(tmp_path / "vgg.pth")
