"""Joints in metres, y up, floor at 0; the unturned person faces +z, left is +x, stands about 1.73 m tall."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .geometry import RADIANS, compose, dot, normalise, rotate, rotation_x, rotation_y, rotation_z, vector
from .identity import Identity
from .poses import BodyPose

SIDES = (("left", 1.0), ("right", -1.0))
UPPER_ARM, FOREARM, THIGH, SHIN = .275, .245, .425, .405


@dataclass(frozen=True, eq=False)
class Frame:
    """A local frame per person: `turn` [N,3,3] local -> world, `origin` [N,3]."""

    turn: Tensor
    origin: Tensor

    def at(self, x: Tensor | float, y: Tensor | float, z: Tensor | float) -> Tensor:
        """World position [N,3] of a local point."""
        return self.origin + self.along(x, y, z)

    def along(self, x: Tensor | float, y: Tensor | float, z: Tensor | float) -> Tensor:
        """World direction [N,3] of a local one."""
        return rotate(self.turn, vector(x, y, z, self.origin))

    def axis(self, k: int) -> Tensor:
        return self.turn[:, :, k]

    def moved(self, offset: Tensor) -> Frame:
        return Frame(self.turn, self.origin + offset)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """One frame per bone, at its upper joint; hands and feet at wrist and ankle. Keys: "left", "right"."""

    pelvis: Frame
    chest: Frame
    neck: Frame
    head_base: Frame
    head: Frame                     # at the centre of the skull
    upper_arm: dict[str, Frame]
    forearm: dict[str, Frame]
    hand: dict[str, Frame]
    thigh: dict[str, Frame]
    shin: dict[str, Frame]
    foot: dict[str, Frame]
    head_scale: Tensor              # [N]

    def moved(self, offset: Tensor) -> Skeleton:
        def moved(part: Any) -> Any:
            if isinstance(part, dict):
                return {side: frame.moved(offset) for side, frame in part.items()}
            return part.moved(offset) if isinstance(part, Frame) else part

        return Skeleton(**{name: moved(part) for name, part in vars(self).items()})

    def on_head(self, x: float, y: float, z: float) -> Tensor:
        """World position [N,3] of a point in units of a head of scale 1."""
        return self.head.at(x * self.head_scale, y * self.head_scale, z * self.head_scale)

    def keypoints(self) -> Tensor:
        """[N,18,3] in OpenPose order. Face points lie about 8 mm inside the surface."""
        shoulder = {side: self.upper_arm[side].origin for side, _ in SIDES}
        arms = [frame[side].origin for side in ("right", "left")
                for frame in (self.upper_arm, self.forearm, self.hand)]
        legs = [frame[side].origin for side in ("right", "left")
                for frame in (self.thigh, self.shin, self.foot)]
        face = [self.on_head(-.034, .012, .080), self.on_head(.034, .012, .080),
                self.on_head(-.074, -.002, -.004), self.on_head(.074, -.002, -.004)]
        neck = (shoulder["left"] + shoulder["right"]) * .5
        return torch.stack([self.on_head(0, -.022, .102), neck, *arms, *legs, *face], 1)

    def outline(self) -> Tensor:
        """[N,K,3] points that bound the figure: joints, top of the head, hands, soles, hips, shoulders."""
        points = [self.on_head(0, .17 / 1.15, 0), self.on_head(.105, 0, 0), self.on_head(-.105, 0, 0)]
        for side, sign in SIDES:
            foot, hip = self.foot[side], self.thigh[side].origin
            points += [foot.at(0, -.085, -.07), foot.at(0, -.085, .16), self.hand[side].at(0, -.16, 0)]
            points += [hip + self.pelvis.along(.12 * sign, 0, 0)]
            points += [self.upper_arm[side].origin + self.chest.along(.06 * sign, 0, 0)]
        return torch.cat([self.keypoints(), torch.stack(points, 1)], 1)


def skirt_frame(skeleton: Skeleton) -> Frame:
    """Where a skirt hangs: at the pelvis, y away from the knees' middle, x from right to left knee."""
    left, right = skeleton.shin["left"].origin, skeleton.shin["right"].origin
    up = normalise(skeleton.pelvis.origin - (left + right) * .5)
    span = left - right + skeleton.pelvis.axis(0) * .05          # the small part decides when the knees touch
    across = normalise(span - dot(span, up)[:, None] * up)
    return Frame(torch.stack([across, up, torch.linalg.cross(across, up)], -1), skeleton.pelvis.origin)


def build_skeleton(identity: Identity, pose: BodyPose) -> Skeleton:
    """Forward kinematics; then the lowest of soles, knees and seat goes to the floor, the trunk over 0."""
    size = identity.height
    pelvis = Frame(compose(rotation_y(pose.radians("yaw")), rotation_x(pose.radians("root_pitch")),
                           rotation_z(pose.radians("root_roll"))), size.new_zeros(len(size), 3))
    chest = Frame(compose(pelvis.turn, rotation_y(pose.radians("spine_twist")),
                          rotation_x(pose.radians("spine_pitch")), rotation_z(pose.radians("spine_roll"))),
                  pelvis.at(0, .08 * size, 0))
    neck, head_base, head = _head(identity, pose, chest)
    arms = {side: _arm(identity, pose, chest, side, sign) for side, sign in SIDES}
    legs = {side: _leg(identity, pose, pelvis, side, sign) for side, sign in SIDES}
    feet = _flat_feet({side: leg[2] for side, leg in legs.items()}, pose)
    upper_arm, forearm, hand = ({side: arm[k] for side, arm in arms.items()} for k in range(3))
    thigh, shin = ({side: leg[k] for side, leg in legs.items()} for k in range(2))
    skeleton = Skeleton(pelvis, chest, neck, head_base, head, upper_arm, forearm, hand, thigh, shin, feet,
                        identity.head)
    middle = (neck.origin + pelvis.origin) * .5
    return skeleton.moved(vector(-middle[:, 0], _floor_offset(skeleton, pose), -middle[:, 2], middle))


def _head(identity: Identity, pose: BodyPose, chest: Frame) -> tuple[Frame, Frame, Frame]:
    """The head undoes part of a forward bend of the spine: people look ahead."""
    pitch, yaw, roll = (pose.radians(f"neck_{name}") for name in ("pitch", "yaw", "roll"))
    size, scale = identity.height, identity.head
    neck = Frame(compose(chest.turn, rotation_y(yaw * .4), rotation_x(pitch * .5 + 8 * RADIANS),
                         rotation_z(roll * .5)), chest.at(0, .395 * size, -.012))
    look = compose(chest.turn, rotation_y(yaw),
                   rotation_x(pitch - .6 * pose.radians("spine_pitch").clamp(min=0)), rotation_z(roll))
    base = Frame(look, neck.at(0, .085 * size, .008))
    return neck, base, Frame(look, base.at(0, .098 * scale, .016 * scale))


def _arm(identity: Identity, pose: BodyPose, chest: Frame, side: str, sign: float) -> tuple[Frame, Frame,
                                                                                            Frame]:
    """A raised arm (above 60 degrees) lifts the shoulder by up to 6 cm and moves it inwards."""
    flexion, abduction = pose.radians(f"{side}_shoulder_flexion"), pose.radians(f"{side}_shoulder_abduction")
    size = identity.height
    raised = ((torch.maximum(flexion, abduction).clamp(min=0) / (180 * RADIANS) - .33).clamp(min=0)) * 1.5
    turn = compose(chest.turn, rotation_z(sign * abduction), rotation_x(-flexion),
                   rotation_y(-sign * pose.radians(f"{side}_shoulder_twist")))
    upper = Frame(turn, chest.at(sign * (.168 * identity.shoulders - .035 * raised), (.352 + .060 * raised)
                                 * size, -.006))
    fore = Frame(compose(turn, rotation_x(-pose.radians(f"{side}_elbow"))), upper.at(0, -UPPER_ARM * size, 0))
    wrist = pose.radians(f"{side}_wrist")
    hand = compose(fore.turn, rotation_z(wrist * .5),
                   rotation_y(sign * 30 * RADIANS * torch.ones_like(wrist)))
    return upper, fore, Frame(hand, fore.at(0, -FOREARM * size, 0))


def _leg(identity: Identity, pose: BodyPose, pelvis: Frame, side: str, sign: float) -> tuple[Frame, Frame,
                                                                                             Frame]:
    length = identity.legs * identity.height
    turn = compose(pelvis.turn, rotation_z(sign * pose.radians(f"{side}_hip_abduction")),
                   rotation_x(-pose.radians(f"{side}_hip_flexion")),
                   rotation_y(sign * pose.radians(f"{side}_hip_twist")))
    thigh = Frame(turn, pelvis.at(sign * .088 * identity.hips, -.035 * identity.height, 0))
    shin = Frame(compose(turn, rotation_x(pose.radians(f"{side}_knee"))), thigh.at(0, -THIGH * length, 0))
    foot = compose(shin.turn, rotation_x(pose.radians(f"{side}_ankle")))
    return thigh, shin, Frame(foot, shin.at(0, -SHIN * length, 0))


def _flat_feet(feet: dict[str, Frame], pose: BodyPose) -> dict[str, Frame]:
    """The lower foot stands flat; blends out over 16 cm of lift, and in a jump."""
    lowest = torch.minimum(feet["left"].origin[:, 1], feet["right"].origin[:, 1])
    grounded = (pose.degrees("lift") < .01).float()
    flat = {}
    for side, foot in feet.items():
        near = (((.16 - (foot.origin[:, 1] - lowest)) / .16).clamp(0, 1) * grounded)[:, None]
        forward = foot.axis(2)
        level = normalise(forward * forward.new_tensor([1.0, 0.0, 1.0]))
        forward = normalise(forward * (1 - near) + level * near)
        across = normalise(torch.linalg.cross(foot.axis(1), forward))
        flat[side] = Frame(torch.stack([across, torch.linalg.cross(forward, across), forward], -1),
                           foot.origin)
    return flat


def _floor_offset(skeleton: Skeleton, pose: BodyPose) -> Tensor:
    heights = [skeleton.pelvis.origin[:, 1] - .135]
    for side, _ in SIDES:
        heights += [skeleton.foot[side].at(0, -.082, z)[:, 1] for z in (-.055, .15)]
        heights += [skeleton.shin[side].origin[:, 1] - .06]
    return pose.degrees("lift") - torch.stack(heights).amin(0)
