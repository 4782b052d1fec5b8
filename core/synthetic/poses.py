"""Poses: archetypes plus noise look far more natural than random angles.

Angles are degrees. A limb turns by abduction, then flexion, then twist about itself. "left" is the person's
left.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import RADIANS
from .rng import Draws

_SIDED = ("shoulder_flexion", "shoulder_abduction", "shoulder_twist", "elbow", "hip_flexion", "hip_abduction",
          "hip_twist", "knee", "ankle", "wrist")
_CENTRAL = ("root_pitch", "root_roll", "yaw", "spine_pitch", "spine_roll", "spine_twist", "neck_pitch",
            "neck_roll", "neck_yaw")
#: Every number of a pose. `lift`: metres above the floor; `seat`: 1 = on a stool.
FIELDS = (*_CENTRAL, *(f"{side}_{name}" for side in ("left", "right") for name in _SIDED), "lift", "seat")
_INDEX = {name: k for k, name in enumerate(FIELDS)}

#: Joint limits, without the side.
LIMITS = {
    "spine_pitch": (-15, 50), "spine_roll": (-20, 20), "spine_twist": (-30, 30),
    "neck_pitch": (-25, 30), "neck_roll": (-18, 18), "neck_yaw": (-55, 55),
    "shoulder_flexion": (-50, 175), "shoulder_abduction": (2, 165), "shoulder_twist": (-90, 90),
    "elbow": (2, 140), "hip_flexion": (-25, 115), "hip_abduction": (-4, 50), "hip_twist": (-25, 35),
    "knee": (1, 140), "ankle": (-30, 25),
}
_NOISE = {
    "root_pitch": 2, "root_roll": 2, "spine_pitch": 4, "spine_roll": 3.5, "spine_twist": 7, "neck_pitch": 7,
    "neck_roll": 5, "neck_yaw": 16, "shoulder_flexion": 12, "shoulder_abduction": 8, "shoulder_twist": 10,
    "elbow": 12, "hip_flexion": 5, "hip_abduction": 4, "hip_twist": 6, "knee": 5, "ankle": 4, "wrist": 14,
}
_MIRRORED = ("root_roll", "spine_roll", "spine_twist", "neck_roll", "neck_yaw")


@dataclass(frozen=True)
class Archetype:
    """`left`, `right` and `both` hold sided angles, `centre` the others."""

    weight: float
    both: dict[str, float]
    left: dict[str, float]
    right: dict[str, float]
    centre: dict[str, float]

    def row(self) -> Tensor:
        """[F] degrees."""
        row = torch.zeros(len(FIELDS))
        for side, angles in (("left", {**self.both, **self.left}), ("right", {**self.both, **self.right})):
            for name, value in angles.items():
                row[_INDEX[f"{side}_{name}"]] = value
        for name, value in self.centre.items():
            row[_INDEX[name]] = value
        return row


def _archetype(weight: float, both: str = "", left: str = "", right: str = "", centre: str = "") -> Archetype:
    """Angles as "name value, name value" with the short names of `_SHORT`."""
    def parse(text: str) -> dict[str, float]:
        pairs = [item.split() for item in text.split(",") if item]
        return {_SHORT.get(name, name): float(value) for name, value in pairs}
    return Archetype(weight, parse(both), parse(left), parse(right), parse(centre))


_SHORT = {"flex": "shoulder_flexion", "abduct": "shoulder_abduction", "twist": "shoulder_twist",
          "hip": "hip_flexion", "spread": "hip_abduction", "turn": "hip_twist", "pitch": "root_pitch",
          "roll": "root_roll", "bend": "spine_pitch", "lean": "spine_roll"}

ARCHETYPES = {
    "stand": _archetype(3.0, "abduct 8,flex 2,elbow 14,spread 3,turn 8,knee 3"),
    "contrapposto": _archetype(2.0, "", "abduct 9,elbow 20,spread 8,knee 14,hip 12,turn 18,ankle 4",
                               "abduct 12,elbow 25,flex 5,spread -2,knee 2", "roll 4,lean -7"),
    "walk": _archetype(3.0, "abduct 6", "hip 26,knee 8,flex -22,elbow 18,ankle -4",
                       "hip -16,knee 30,flex 24,elbow 28,ankle 10", "bend 3,spine_twist 6"),
    "walk_passing": _archetype(1.5, "abduct 7", "hip 10,knee 4,flex -6,elbow 15",
                               "hip 8,knee 48,flex 8,elbow 20,ankle 12", "bend 3"),
    "run": _archetype(1.6, "abduct 10", "hip 62,knee 72,flex -42,elbow 92,ankle 4",
                      "hip -18,knee 62,flex 42,elbow 88,ankle 22", "pitch 8,bend 6,spine_twist 10"),
    "hands_on_hips": _archetype(1.4, "abduct 46,flex -20,twist 78,elbow 92,spread 7,turn 8"),
    "hand_on_hip": _archetype(1.0, "", "abduct 46,flex -20,twist 78,elbow 92,spread 4",
                              "abduct 8,elbow 15,spread 5,knee 10,hip 8", "roll 3,lean -5"),
    "arms_up": _archetype(1.2, "abduct 142,elbow 28,spread 9"),
    "arm_up": _archetype(1.2, "spread 4", "abduct 10,elbow 16", "abduct 128,elbow 50,twist -40"),
    "wave": _archetype(1.2, "spread 4", "abduct 9,elbow 15", "abduct 78,elbow 100,twist -88"),
    "t_pose": _archetype(.8, "abduct 84,elbow 8,spread 8"),
    "a_pose": _archetype(.8, "abduct 38,elbow 12,spread 9"),
    "point": _archetype(.9, "", "abduct 8,elbow 16,spread 3,hip 8", "flex 84,abduct 18,elbow 8,spread 5"),
    "phone": _archetype(.9, "", "abduct 9,elbow 22", "flex 34,abduct 8,elbow 112,twist 22", "neck_pitch 20"),
    "folded_arms": _archetype(.8, "flex 34,abduct 8,elbow 98,twist 62"),
    "sit": _archetype(1.5, "spread 8,flex 26,elbow 48,abduct 6", "hip 88,knee 86", "hip 86,knee 84",
                      "bend 2,seat 1"),
    "sit_leaning": _archetype(.7, "", "hip 82,knee 60,spread 12,flex 10,elbow 20,abduct 14",
                              "hip 88,knee 100,spread 5,flex 30,elbow 65,abduct 6", "bend 6,seat 1"),
    "crouch": _archetype(.9, "spread 16,flex 42,elbow 50,ankle -24", "hip 100,knee 122", "hip 96,knee 120",
                         "bend 26,pitch 6"),
    "squat": _archetype(.6, "hip 72,knee 82,spread 15,turn 15,flex 76,elbow 10,abduct 6,ankle -18",
                        centre="bend 14,pitch 12"),
    "lunge": _archetype(.9, "abduct 22,elbow 40", "hip 64,knee 70,flex -10",
                        "hip -22,knee 22,flex 30,ankle 20"),
    "bend": _archetype(.5, "elbow 14,knee 14,hip 34", "flex 56", "flex 48", "bend 40,pitch 22"),
    "jump": _archetype(.6, "abduct 125,elbow 14,spread 30,knee 20", centre="lift .18"),
    "kick": _archetype(.5, "abduct 30,elbow 30", "knee 8,flex 36", "hip 68,knee 16,flex -32", "pitch -8"),
    "dance": _archetype(.9, "", "abduct 96,flex 10,elbow 66,twist -30,spread 14",
                        "abduct 40,flex 20,elbow 70,twist 50,spread 4,hip 28,knee 58", "lean 8,roll -5"),
}
_CALM = ("stand", "contrapposto", "walk", "walk_passing", "hands_on_hips", "hand_on_hip", "a_pose")


@dataclass(frozen=True, eq=False)
class BodyPose:
    """`angles`: [N,F] degrees in the order of `FIELDS`, lift in metres. `archetype`: [N] in ARCHETYPES."""

    angles: Tensor
    archetype: Tensor

    def degrees(self, name: str) -> Tensor:
        return self.angles[:, _INDEX[name]]

    def radians(self, name: str) -> Tensor:
        return self.degrees(name) * RADIANS

    def select(self, index: Tensor | slice) -> BodyPose:
        return BodyPose(self.angles[index], self.archetype[index])

    @staticmethod
    def concatenate(poses: list[BodyPose]) -> BodyPose:
        return BodyPose(torch.cat([p.angles for p in poses]), torch.cat([p.archetype for p in poses]))


def limit_of(name: str) -> tuple[float, float] | None:
    return LIMITS.get(name) or LIMITS.get(name.partition("_")[2])


def sample_pose(ids: Tensor, seed: int = 0, kind: str = "all") -> BodyPose:
    """One random pose per id.

    `kind`: "all" (24 archetypes, seen from all sides), "calm" (standing and walking, seen from the front),
    or the name of one archetype. Raises ValueError for another name.
    """
    draws = Draws(ids, seed, "pose")
    weights = _weights(kind)
    table = torch.stack([archetype.row() for archetype in ARCHETYPES.values()]).to(ids.device)
    chosen = draws.choice("archetype", weights)
    angles = _with_other_arms(table[chosen], table[draws.choice("arms", weights)], draws)
    angles = _mirrored(_with_noise(angles, draws), draws.chance("mirror", .5))
    angles = _limited(angles)
    angles[:, _INDEX["yaw"]] = draws.normal("yaw", 0, 18) if kind == "calm" else _yaw(draws)
    return BodyPose(angles, chosen)


def _weights(kind: str) -> list[float]:
    if kind not in ("all", "calm", *ARCHETYPES):
        raise ValueError(f"pose kind should be all, calm or one of {', '.join(ARCHETYPES)}; got {kind!r}.")
    names = {"all": tuple(ARCHETYPES), "calm": _CALM}.get(kind, (kind,))
    return [archetype.weight if name in names else 0.0 for name, archetype in ARCHETYPES.items()]


def _with_other_arms(angles: Tensor, other: Tensor, draws: Draws) -> Tensor:
    """In 35 % the arms of a second archetype, but not in deep crouches, where they support."""
    arms = [_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in _SIDED[:4]]
    swap = draws.chance("other arms", .35) & (angles[:, _INDEX["left_hip_flexion"]] <= 70)
    angles = angles.clone()
    angles[:, arms] = torch.where(swap[:, None], other[:, arms], angles[:, arms])
    return angles


def _with_noise(angles: Tensor, draws: Draws) -> Tensor:
    columns = []
    for k, name in enumerate(FIELDS):
        deviation = _NOISE.get(name) or _NOISE.get(name.partition("_")[2])
        columns.append(angles[:, k] + draws.normal(name, 0, deviation) if deviation else angles[:, k])
    return torch.stack(columns, 1)


def _mirrored(angles: Tensor, mirror: Tensor) -> Tensor:
    mirrored = angles.clone()
    for name in _SIDED:
        left, right = _INDEX[f"left_{name}"], _INDEX[f"right_{name}"]
        mirrored[:, left], mirrored[:, right] = angles[:, right], angles[:, left]
    for name in _MIRRORED:
        mirrored[:, _INDEX[name]] = -angles[:, _INDEX[name]]
    return torch.where(mirror[:, None], mirrored, angles)


def _limited(angles: Tensor) -> Tensor:
    columns = [angles[:, k].clamp(*limit) if (limit := limit_of(name)) else angles[:, k]
               for k, name in enumerate(FIELDS)]
    return torch.stack(columns, 1)


def _yaw(draws: Draws) -> Tensor:
    """56 % front, 27 % side, 17 % back."""
    facing = draws.choice("facing", (4.5, 2.2, 1.4))
    side = draws.normal("side yaw", 78, 20) * torch.where(draws.chance("which side", .5), 1.0, -1.0)
    yaw = torch.where(facing == 0, draws.normal("front yaw", 0, 24), side)
    return torch.where(facing == 2, draws.normal("back yaw", 180, 24), yaw)
