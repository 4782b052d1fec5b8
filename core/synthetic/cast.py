"""Who is in a picture, and where: the main person at the origin, bystanders beside, behind or in front."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .identity import Identity, sample_identity
from .poses import BodyPose, sample_pose
from .rng import Draws
from .skeleton import Skeleton, build_skeleton

#: Main person and at most two bystanders.
PEOPLE = 3


@dataclass(frozen=True, eq=False)
class Cast:
    """Everybody in a batch of pictures: main people first, then bystanders."""

    identity: Identity
    pose: BodyPose
    skeleton: Skeleton
    picture: Tensor         # [N]
    person: Tensor          # [N] number within the picture, 0 = main


def gather_cast(ids: Tensor, identity: Identity, pose: BodyPose, seed: int, bystanders: float) -> Cast:
    """`identity`, `pose`: [B] of the main people. `bystanders`: share of pictures with one; some get two."""
    pictures = torch.arange(len(ids), device=ids.device)
    draws = Draws(ids, seed, "bystanders")
    first = draws.chance("first", bystanders)
    second = first & draws.chance("second", .3)
    identities, poses, picture, person = [identity], [pose], [pictures], [torch.zeros_like(pictures)]
    offsets = [identity.height.new_zeros(len(ids), 3)]
    for number, there in ((1, first), (2, second)):
        index = there.nonzero()[:, 0]
        if len(index):
            place = Draws(ids[index], seed, f"bystander {number}")
            others = place.ids("person")
            identities.append(sample_identity(others, seed))
            poses.append(sample_pose(others, seed))
            picture.append(index)
            person.append(torch.full_like(index, number))
            side = torch.where(draws.chance("side", .5)[index], 1.0, -1.0) * (1 if number == 1 else -1)
            offsets.append(_bystander_place(place, side))
    identity, pose = Identity.concatenate(identities), BodyPose.concatenate(poses)
    skeleton = build_skeleton(identity, pose).moved(torch.cat(offsets))
    return Cast(identity, pose, skeleton, torch.cat(picture), torch.cat(person))


def _bystander_place(draws: Draws, side: Tensor) -> Tensor:
    """[K,3] metres: a quarter stands in front of the main person."""
    front = draws.chance("in front", .25)
    x = torch.where(front, draws.uniform("near x", .25, .60), draws.uniform("far x", .35, 1.1)) * side
    z = torch.where(front, draws.uniform("near z", .3, .6), -draws.uniform("far z", .4, 2.2))
    return torch.stack([x, torch.zeros_like(x), z], -1)
