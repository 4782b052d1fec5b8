"""Backgrounds in linear RGB: studio sweep, room, outdoors, facade, colour blobs.

Floor and wall are ray cast, so that perspective and shadows fit the figures. Everything is computed for
groups of pictures of one kind: planes are [B,H,W], colours [B,3,1,1] or [B,3,H,W].
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .camera import Camera
from .geometry import inside, smoothstep
from .light import ShadowMap
from .palette import cloth_colour, to_linear
from .rng import Draws
from .texture import noise

_NOWHERE = 1e6


class Scenery:
    """The rays of a group of pictures of one kind and where they meet floor and wall."""

    def __init__(self, ids: Tensor, seed: int, camera: Camera, height: int, width: int,
                 distance: Tensor) -> None:
        """`distance`: [B] metres from the figure back to the wall."""
        self.draws = Draws(ids, seed, "background")
        self.seed = self.draws.bits("texture")[:, None, None]
        self.height, self.width = height, width
        device = ids.device
        self.row = torch.arange(height, device=device)[:, None] + .5              # [H,1]
        self.column = torch.arange(width, device=device)[None] + .5               # [1,W]
        x = (self.column - _plane(camera.centre[:, 0])) / _plane(camera.focal)
        y = (self.row - _plane(camera.centre[:, 1])) / _plane(camera.focal)
        turn, eye = camera.turn, camera.eye
        self.ray = tuple(x * _plane(turn[:, 0, k]) + y * _plane(turn[:, 1, k]) + _plane(turn[:, 2, k])
                         for k in range(3))
        dx, dy, dz = self.ray
        eye_x, eye_y, eye_z = (_plane(eye[:, k]) for k in range(3))
        to_floor = torch.where(dy < -1e-4, -eye_y / dy.clamp(max=-1e-4), _NOWHERE)
        to_wall = (-_plane(distance) - eye_z) / dz.clamp(max=-1e-4)
        self.floor_x, self.floor_z = eye_x + to_floor * dx, eye_z + to_floor * dz
        self.wall_x, self.wall_y = eye_x + to_wall * dx, eye_y + to_wall * dy
        self.is_floor = (to_floor < 1e5) & (self.floor_z > -_plane(distance))       # [B,H,W]
        self.far = (to_floor / 12).clamp(0, 1)
        self.before_wall = self.floor_z + _plane(distance)
        #: Metres that a pixel covers.
        self.footprint = torch.where(self.is_floor, to_floor, to_wall) / _plane(camera.focal)

    def number(self, name: str, low: float, high: float) -> Tensor:
        """[B,1,1]"""
        return _plane(self.draws.uniform(name, low, high))

    def chance(self, name: str, probability: float) -> Tensor:
        """[B,1,1] bool"""
        return _plane(self.draws.chance(name, probability))

    def choice(self, name: str, weights: tuple[float, ...]) -> Tensor:
        """[B,1,1]"""
        return _plane(self.draws.choice(name, weights))

    def cloth(self, name: str, vivid: float) -> Tensor:
        """[B,3,1,1] linear"""
        return to_linear(cloth_colour(self.draws, name, vivid))[..., None, None]

    def colour(self, name: str, *ranges: tuple[float, float]) -> Tensor:
        """[B,3,1,1]"""
        channels = [self.draws.uniform(f"{name}/{k}", *limits) for k, limits in enumerate(ranges)]
        return torch.stack(channels, -1)[..., None, None]

    def soft(self, distance: Tensor, footprint: Tensor | None = None) -> Tensor:
        """Inside of a signed distance in metres, softened by the pixel's footprint."""
        return inside(distance, (self.footprint if footprint is None else footprint) * 1.2 + .004)


@dataclass(frozen=True)
class _Kind:
    """`wall`: nearest and farthest metres behind the figure; `floor`: has one, with shadows on it."""

    draw: Callable[[Scenery], Tensor]
    weight: float
    wall: tuple[float, float]
    floor: bool = True
    blurred: bool = True


def _plane(values: Tensor) -> Tensor:
    return values[:, None, None]


def _mix(colour: Tensor, other: Tensor | float, share: Tensor) -> Tensor:
    """[B,3,H,W] towards `other` by share [B,H,W]."""
    return colour + (other - colour) * share[:, None]


def draw_backgrounds(ids: Tensor, seed: int, camera: Camera, height: int, width: int,
                     shadows: ShadowMap, studio: bool) -> Tensor:
    """[B,3,H,W] linear. `studio`: every picture gets the plain sweep."""
    draws = Draws(ids, seed, "background kind")
    kinds = torch.zeros_like(ids) if studio else draws.choice("kind", [kind.weight for kind in _KINDS])
    out = camera.focal.new_empty(len(ids), 3, height, width)
    for k, kind in enumerate(_KINDS):
        index = (kinds == k).nonzero()[:, 0]
        if len(index):
            distance = Draws(ids[index], seed, "background").uniform("wall", *kind.wall)
            scenery = Scenery(ids[index], seed, camera.select(index), height, width, distance)
            out[index] = _draw_group(kind, scenery, index, shadows)
    return out


def _draw_group(kind: _Kind, scenery: Scenery, picture: Tensor, shadows: ShadowMap) -> Tensor:
    """`picture`: [B] places of the group's pictures in the batch."""
    colour = kind.draw(scenery)
    if kind.floor:
        colour = colour * _floor_shadow(scenery, picture, shadows)[:, None]
    off_centre = (scenery.column / scenery.width - .5) ** 2 + (scenery.row / scenery.height - .5) ** 2
    colour = colour * (1 - .30 * off_centre * scenery.number("vignette", 0, 1.5))[:, None]
    return (_defocus(scenery, colour) if kind.blurred else colour).clamp(0, 1.4)


def _defocus(scenery: Scenery, colour: Tensor) -> Tensor:
    """A light blur in 70 %, as wide in a large picture as in a small one."""
    reach = max(1, round(max(scenery.height, scenery.width) / 128))
    padded = F.pad(colour, (reach,) * 4, mode="replicate")
    blurred = F.avg_pool2d(padded, 2 * reach + 1, 1)
    return torch.where(scenery.chance("blur", .7)[:, None], blurred, colour)


def _floor_shadow(scenery: Scenery, picture: Tensor, shadows: ShadowMap) -> Tensor:
    near = scenery.is_floor & (scenery.floor_x.abs() < 3) & (scenery.floor_z.abs() < 3)
    index = near.view(-1).nonzero()[:, 0]
    which = picture[torch.div(index, scenery.height * scenery.width, rounding_mode="floor")]
    x, z = scenery.floor_x.reshape(-1)[index], scenery.floor_z.reshape(-1)[index]
    lit = shadows.lit(torch.stack([x, torch.zeros_like(x), z]), which, .02)
    out = torch.ones_like(scenery.floor_x).view(-1)
    return out.index_copy_(0, index, .52 + .48 * lit).view_as(scenery.floor_x)


def _wall(scenery: Scenery) -> tuple[Tensor, Tensor]:
    """A plain wall, lighter upwards, [B,3,H,W]; and its colour [B,3,1,1], less vivid than clothes."""
    paint = scenery.cloth("wall", .35)
    paint = paint * .75 + .25 * (paint[:, 0:1] + paint[:, 1:2] + paint[:, 2:3]) / 3
    return paint * _lighter_upwards(scenery)[:, None], paint


def _lighter_upwards(scenery: Scenery) -> Tensor:
    return .80 + .35 * (scenery.wall_y / 2.6).clamp(-.5, 1.5)


def _on_floor(scenery: Scenery, floor: Tensor, wall: Tensor) -> Tensor:
    return torch.where(scenery.is_floor[:, None], floor, wall)


def _grain(scenery: Scenery) -> Tensor:
    x, z, seed = scenery.floor_x, scenery.floor_z, scenery.seed
    return noise(x * 18, z * 9, seed) * .6 + noise(x * 60, z * 30, seed) * .4


# ---------------------------------------------------------------- studio
def _studio(scenery: Scenery) -> Tensor:
    """Floor and wall are one sweep of paper."""
    wall, paint = _wall(scenery)
    rise = (1 - scenery.before_wall / 1.8).clamp(0, 1)
    return _on_floor(scenery, _mix(paint * .88, wall, rise), wall)


# ---------------------------------------------------------------- room
def _room(scenery: Scenery) -> Tensor:
    wall, paint = _wall(scenery)
    mottle = noise(scenery.wall_x * 3, scenery.wall_y * 3, scenery.seed)
    wall = _wallpaper(scenery, wall, mottle)
    for k in range(3):
        wall = _wall_piece(scenery, wall, mottle, f"piece {k}")
    # skirting board
    wall = _mix(wall, paint * .3 + .5, scenery.soft((scenery.wall_y - .05).abs() - .05))
    wall = wall * (1 - .35 * (scenery.wall_y.clamp(min=0) / -.18).exp())[:, None]
    return _on_floor(scenery, _indoor_floor(scenery), wall)


def _wallpaper(scenery: Scenery, wall: Tensor, mottle: Tensor) -> Tensor:
    """Plain, striped, brick, two colours with a rail, or mottled."""
    x, y = scenery.wall_x, scenery.wall_y
    kind = scenery.choice("wallpaper", (4, 1.2, 1, 1.2, .8))
    stripe = ((x / scenery.number("stripe width", .12, .35)) % 1 - .5).abs() - .25
    wall = wall * (1 - .18 * scenery.soft(stripe, scenery.footprint * 4) * (kind == 1))[:, None]
    column, row = x / .30, (y / .10).floor()
    across, along = ((column + .5 * (row % 2)) % 1 - .5).abs() * .30, ((y / .10) % 1 - .5).abs() * .10
    joint = torch.maximum(scenery.soft(.143 - across), scenery.soft(.044 - along))
    tone = noise((column + .5 * (row % 2)).floor(), row, scenery.seed) - .5
    wall = wall * ((1 - .30 * joint * (kind == 2)) * (1 + .16 * tone * (kind == 2)))[:, None]
    lower = scenery.cloth("lower wall", .45) * _lighter_upwards(scenery)[:, None]
    wall = torch.where(((kind == 3) & (y < .95))[:, None], lower, wall)
    rail = scenery.soft((y - .95).abs() - .02)
    return wall * ((1 - .35 * rail * (kind == 3)) * (1 + .14 * (mottle - .5) * ((kind == 4) + .3)))[:, None]


def _wall_piece(scenery: Scenery, wall: Tensor, mottle: Tensor, name: str) -> Tensor:
    """A picture, a window or a door, in half of the cases."""
    shown = scenery.chance(f"{name}/shown", .50).float()
    door = scenery.chance(f"{name}/door", .25)
    window = scenery.chance(f"{name}/window", .4) & ~door
    y = torch.where(door, .95, scenery.number(f"{name}/y", 1.1, 1.9))
    half_width = torch.where(door, .42, scenery.number(f"{name}/width", .12, .50))
    half_height = torch.where(door, 1.0, scenery.number(f"{name}/height", .15, .55))
    dx, dy = (scenery.wall_x - scenery.number(f"{name}/x", -1.6, 1.6)).abs(), scenery.wall_y - y
    distance = torch.maximum(dx - half_width, dy.abs() - half_height)
    frame = scenery.cloth(f"{name}/frame", .4) * .6 + .2
    glare = .75 + .35 * (dy / half_height).clamp(-1, 1)
    glass = wall.new_tensor([.55, .75, .95])[None, :, None, None] * glare[:, None]
    canvas = scenery.cloth(f"{name}/canvas", .6) * (.7 + .6 * mottle * ~window)[:, None]
    pane = scenery.soft(distance + .035) * shown
    wall = wall * (1 - .25 * (-((distance.clamp(min=0) / .05) ** 2)).exp() * shown)[:, None]
    wall = _mix(wall, frame, scenery.soft(distance) * shown)
    wall = _mix(wall, torch.where(window[:, None], glass, canvas), pane)
    return _mix(wall, frame, pane * scenery.soft(torch.minimum(dx, dy.abs()) - .014) * window)


def _indoor_floor(scenery: Scenery) -> Tensor:
    """Plain, planks, tiles or carpet."""
    x, z, seed, foot = scenery.floor_x, scenery.floor_z, scenery.seed, scenery.footprint
    kind = scenery.choice("floor", (1.5, 2, 1.6, 1))[:, None]
    paint = scenery.cloth("floor", .25) * .8 + .06
    plank = x / .14
    joint = scenery.soft(.062 - (plank % 1 - .5).abs() * .14, foot * 1.5)
    tone = noise(plank.floor(), (z / 1.2 + plank.floor() * .37).floor(), seed) - .5
    wood = x.new_tensor([.36, .22, .12])[None, :, None, None] * scenery.number("wood", .6, 1.7)[:, None]
    wood = wood * (1 + .35 * tone + .2 * (noise(x * 40, z * 3, seed) - .5) - .4 * joint)[:, None]
    size = scenery.number("tile", .3, .6)
    chequer = ((x / size).floor() + (z / size).floor()) % 2 * scenery.chance("chequered", .5)
    grout = torch.maximum(scenery.soft(size * .48 - ((x / size) % 1 - .5).abs() * size, foot * 2),
                          scenery.soft(size * .48 - ((z / size) % 1 - .5).abs() * size, foot * 4))
    tile = paint * (1 - .22 * chequer - .22 * grout)[:, None]
    carpet = paint * (.85 + .3 * _grain(scenery))[:, None]
    return torch.where(kind == 0, paint, torch.where(kind == 1, wood, torch.where(kind == 2, tile, carpet)))


# ---------------------------------------------------------------- outdoors
def _outdoor(scenery: Scenery) -> Tensor:
    horizon = scenery.colour("horizon", (.80, .98), (.78, .92), (.70, .95))
    green = scenery.colour("green", (.10, .34), (.26, .46), (.08, .20))
    sky = _sky(scenery, horizon)
    for k in range(3):
        sky = _hill(scenery, sky, horizon, green, k)
    for k in range(3):
        sky = _tree(scenery, sky, green, f"tree {k}", k)
    return _on_floor(scenery, _outdoor_floor(scenery, horizon, green), sky)


def _sky(scenery: Scenery, horizon: Tensor) -> Tensor:
    x, y, seed = scenery.ray[0] * 2.2, scenery.ray[1], scenery.seed
    blue = scenery.colour("sky", (.30, .62), (.50, .72), (.80, .98))
    sky = _mix(horizon, blue, (y / .35).clamp(0, 1))
    cloud = noise(x * 3, y * 9, seed) * .6 + noise(x * 7 + 20, y * 20, seed) * .4
    return _mix(sky, .97, smoothstep(.52, .75, cloud) * .6)


def _hill(scenery: Scenery, sky: Tensor, horizon: Tensor, green: Tensor, k: int) -> Tensor:
    """Three ranges, the nearer the darker."""
    x, y, seed = scenery.ray[0] * 2.2, scenery.ray[1], scenery.seed
    ridge = noise(x * (3 + 2 * k) + 9 * k, torch.full_like(x, 3.3 + 11 * k), seed)
    height = scenery.number(f"hill {k}", .03, .16) * (1 - .25 * k) + .05 * (ridge - .3)
    leaves = .7 + .6 * noise(x * 60 + 20 * k, y * 90, seed)
    colour = green * (.9 - .18 * k) * leaves[:, None] * (.55 + .2 * k) + horizon * (.45 - .2 * k)
    return _mix(sky, colour, inside(y - height, .011))


def _tree(scenery: Scenery, sky: Tensor, green: Tensor, name: str, k: int) -> Tensor:
    x, y = scenery.ray[0] * 2.2, scenery.ray[1]
    shown = scenery.chance(f"{name}/shown", .55)
    dx = x * .6 - scenery.number(f"{name}/x", -.9, .9)
    dy = y - scenery.number(f"{name}/y", .06, .30)
    leaves = noise(x * 40 + 20 * k, y * 60, scenery.seed)
    crown = (dx * dx + (dy * .9) ** 2).sqrt() - scenery.number(f"{name}/size", .10, .28) * (.8 + .4 * leaves)
    bark = x.new_tensor([.20, .13, .08])[None, :, None, None]
    sky = _mix(sky, bark, inside(dx.abs() - .018, .011) * (dy < 0) * shown)
    foliage = green * scenery.number(f"{name}/value", .6, 1.2)[:, None] * (.55 + .7 * leaves)[:, None]
    return _mix(sky, foliage, inside(crown, .011) * shown)


def _outdoor_floor(scenery: Scenery, horizon: Tensor, green: Tensor) -> Tensor:
    """Grass or a path, paler with distance."""
    grain = _grain(scenery)
    grass = green * (.825 + .55 * grain)[:, None]
    path = _asphalt(scenery, grain) * grass.new_tensor([1.1, 1.02, .88])[None, :, None, None]
    floor = torch.where(scenery.chance("grass", .6)[:, None], grass, path)
    return _mix(floor, horizon * .6, scenery.far * .5)


def _asphalt(scenery: Scenery, grain: Tensor) -> Tensor:
    tint = grain.new_tensor([1.0, .99, .96])[None, :, None, None]
    return tint * (scenery.number("asphalt", .18, .42) * (.85 + .3 * grain))[:, None]


# ---------------------------------------------------------------- facade and blobs
def _facade(scenery: Scenery) -> Tensor:
    """A house front with windows, some lit, above a shop band."""
    x, y, seed = scenery.wall_x, scenery.wall_y, scenery.seed
    _, paint = _wall(scenery)
    wide, tall = scenery.number("window width", .9, 1.6), scenery.number("window height", 1.1, 1.6)
    column, row = x / wide, y / tall
    window = torch.maximum((column % 1 - .5).abs() - .28, (row % 1 - .55).abs() - .28)
    lit = smoothstep(.55, .8, noise(column.floor(), row.floor(), seed))
    wall = paint * (.75 + .2 * noise(x * 3, y * 3, seed))[:, None]
    glass = x.new_tensor([.20, .27, .36])[None, :, None, None] + .5 * lit[:, None]
    wall = _mix(wall, glass, scenery.soft(window, scenery.footprint / wide))
    wall = _mix(wall, scenery.cloth("shop", .45) * .7, scenery.soft((y - .35).abs() - .35))
    return _on_floor(scenery, _asphalt(scenery, _grain(scenery)) * 1.1, wall)


def _blobs(scenery: Scenery) -> Tensor:
    """Out-of-focus lights, no floor."""
    colour, _ = _wall(scenery)
    aspect = scenery.height / scenery.width
    for k in range(6):
        dx = scenery.column / scenery.width - scenery.number(f"blob {k}/x", 0, 1)
        dy = (scenery.row / scenery.height - scenery.number(f"blob {k}/y", 0, 1)) * aspect
        radius = (dx * dx + dy * dy).sqrt() / scenery.number(f"blob {k}/size", .06, .35)
        colour = _mix(colour, scenery.cloth(f"blob {k}", .7), (1 - smoothstep(.3, 1, radius)) * .75)
    return colour


_KINDS = (_Kind(_studio, 2, (2.5, 5.0), blurred=False), _Kind(_room, 3.2, (.7, 2.6)),
          _Kind(_outdoor, 2.4, (40, 40)), _Kind(_facade, 1.6, (4, 10)),
          _Kind(_blobs, .8, (40, 40), floor=False))
