"""The ray casting against closed forms."""
import torch
from anyone.core.synthetic.camera import Camera, look_along
from anyone.core.synthetic.primitives import Builder, Group, Material, Part
from anyone.core.synthetic.raycast import FAR, build_table, cast_rays, nearest

PART = Part(4, Material.TOP, Group.TOP)
SIZE = 64


def camera(orthographic: bool = False, focal: float = 80.0) -> Camera:
    """From z = 5 towards the origin."""
    return Camera(torch.tensor([[0.0, 0.0, 5.0]]), look_along(torch.tensor([[0.0, 0.0, -1.0]])),
                  torch.tensor([focal]), torch.tensor([[SIZE / 2, SIZE / 2]]), orthographic)


def depth_of(builder: Builder, view: Camera) -> torch.Tensor:
    table = build_table(builder.build(), view, torch.zeros(1, dtype=torch.long), SIZE, SIZE)
    return nearest(cast_rays(table, SIZE, SIZE), SIZE * SIZE)[0].view(SIZE, SIZE)


def pixel_rays() -> tuple[torch.Tensor, torch.Tensor]:
    grid = torch.arange(SIZE, dtype=torch.float64) + .5 - SIZE / 2
    return torch.meshgrid(grid, grid, indexing="ij")[::-1]


def test_a_sphere_in_perspective_and_from_afar():
    for orthographic, focal in ((False, 80.0), (True, 20.0)):
        builder = Builder(torch.zeros(1))
        builder.sphere(PART, torch.tensor([[.2, .1, .3]]), 1.0, torch.eye(3)[None])
        found = depth_of(builder, camera(orthographic, focal))
        x, y = (p / focal for p in pixel_rays())
        cx, cy, cz = .2, -.1, 4.7                                   # the centre in view coordinates
        if orthographic:
            inside = 1 - (x - cx) ** 2 - (y - cy) ** 2
            depth = cz - inside.clamp(min=0).sqrt()
        else:
            a, b, c = x * x + y * y + 1, x * cx + y * cy + cz, cx * cx + cy * cy + cz * cz - 1
            inside = b * b - a * c
            depth = (b - inside.clamp(min=0).sqrt()) / a
        expected = torch.where(inside > 0, depth, FAR)
        assert ((found < FAR) == (inside > 0)).float().mean() > .999     # rims may round differently
        both = (found < FAR) & (inside > 1e-3)
        assert both.sum() > 500
        assert (found[both] - expected[both]).abs().max() < 2e-3         # the sphere is a cone .1 mm long


def test_every_hit_lies_on_a_slanted_scaled_cone():
    """Distance to the segment, less the radius there, is zero on a rounded cone of equal scales."""
    start, end, first, last = torch.tensor([-.8, -.5, .4]), torch.tensor([.7, .9, -.6]), .5, .2
    builder = Builder(torch.zeros(1))
    builder.add(PART, start[None], end[None], (first, last), torch.tensor([[1.0, 0, 0]]))
    found = depth_of(builder, camera())
    x, y = (p / 80 for p in pixel_rays())
    hit = found < FAR
    depth = found[hit].double()
    points = torch.stack([x[hit] * depth, -y[hit] * depth, 5 - depth], -1)
    steps = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None, None]
    centres = start.double() + steps * (end - start).double()
    gap = ((points - centres).norm(dim=-1) - (first + steps[..., 0] * (last - first))).amin(0)
    assert hit.sum() > 300
    assert gap.abs().max() < 2e-3


def test_the_scales_belong_to_the_local_axes():
    builder = Builder(torch.zeros(1))
    builder.sphere(PART, torch.zeros(1, 3), 1.0, torch.eye(3)[None], scale=(1.2, .5, .8))
    found = depth_of(builder, camera(orthographic=True, focal=20.0))
    rows, columns = (found < FAR).nonzero().T
    assert columns.max() - columns.min() + 1 == 48 and rows.max() - rows.min() + 1 == 20
    assert abs(found.min() - 4.2) < .01


def test_a_hollow_garment_shows_its_inside_and_a_clip_cuts():
    def pipe(hollow: bool) -> Builder:
        builder = Builder(torch.zeros(1))
        builder.add(PART, torch.tensor([[0.0, 0, -2.0]]), torch.tensor([[0.0, 0, 1.0]]), (1.0, 1.0),
                    torch.tensor([[1.0, 0, 0]]), hollow=hollow, clip=(0, 1, 0, 2.0))
        return builder
    view = camera()
    open_end, capped = depth_of(pipe(True), view), depth_of(pipe(False), view)
    middle = SIZE // 2
    assert open_end[middle, middle] == FAR                          # looks through to the missing far cap
    table = build_table(pipe(True).build(), view, torch.zeros(1, dtype=torch.long), SIZE, SIZE)
    assert cast_rays(table, SIZE, SIZE).inner.all()
    assert capped[middle, middle] == FAR                            # its end cap lies beyond the clip


def test_equal_depths_go_to_the_first():
    builder = Builder(torch.zeros(1))
    for _ in range(3):
        builder.sphere(PART, torch.zeros(1, 3), .5, torch.eye(3)[None])
    table = build_table(builder.build(), camera(), torch.zeros(1, dtype=torch.long), SIZE, SIZE)
    fragments = cast_rays(table, SIZE, SIZE)
    _, winner = nearest(fragments, SIZE * SIZE)
    assert (fragments.row[winner[winner >= 0]] == 0).all()
