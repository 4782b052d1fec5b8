"""A network of pose transfer on pairs of pictures of procedural people it was not trained on."""
from __future__ import annotations

import torch
from torch import Tensor

from ..checkpoints import LoadedNet, load_as
from ..detectors import detect_people
from ..metrics.detection import Scores
from ..metrics.images import mean_difference, region_colours
from ..metrics.transfer import DEFORMABLE_GAN, transfer_scores
from ..people.frame import GREY
from ..regions import PERSON_REGIONS
from ..runtime import Runtime
from ..synthetic import Rendering
from ..synthetic.pool import PoolSettings
from ..transfers import SYSTEMS
from .scenes import add_found

BATCH = 32
WITHIN = 6 / 128                                          # of the height, for joints
SURE = 0.1                                                # least score of a joint


def score_transfer(net: LoadedNet, *, count: int = 256, first_id: int = 920_000,
                   runtime: Runtime) -> dict[str, float]:
    """`count` people in studio pictures, each redrawn from one pose in another, at the network's size; on
    grey where the network wants people lifted out. `first_id` keeps clear of training.

    `l1`: mean difference from the real picture, 0..1; `copied`: that of the source itself. `ssim`,
    `mask_ssim`: as Deformable GAN measures. `pck`: share of visible joints that the embedded detector finds
    within 6/128 of the height, `real_pck`: the same in the real pictures. `own_colours`: share of results
    whose mean colours of regions are nearer to those of the source than to those of the next person. Raises
    ValueError for fewer than two people and a network of another kind.
    """
    if net.system.name not in SYSTEMS or count < 2:
        raise ValueError(f"Pose transfer is scored on two people or more with a network of "
                         f"{' or '.join(SYSTEMS)}; got {count} and {net.name}, a {net.system.title}.")
    height, width = SYSTEMS[net.system.name].frame_size(net)
    people = PoolSettings(count, (height, width), "studio", first_id, views=2)
    detector = load_as("detect-person", "detector", runtime)
    tallies = Scores(height * WITHIN), Scores(height * WITHIN)
    progress, chunks = runtime.progress(count, "Redrawing people"), []
    for first in range(0, count, BATCH):
        source, target = render_pairs(people, first, min(BATCH, count - first), runtime)
        before, real = (shown(net, view) for view in (source, target))
        fake = redrawn(net, before, joints_of(source), joints_of(target), runtime)
        chunks.append(_compared(before, real, fake, source, target))
        for tally, pictures in zip(tallies, (fake, real), strict=True):
            seen = detect_people(detector, pictures.movedim(1, -1), threshold=SURE,
                                 runtime=Runtime(runtime.device))
            add_found(tally, seen, target)
        progress.update(len(fake))
    found = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    own = nearer_to_own(found.pop("fake_colours"), found.pop("source_colours"))
    pck, real_pck = (tally.result()["pck"] for tally in tallies)
    return {**{name: float(values.mean()) for name, values in found.items()},
            "pck": pck, "real_pck": real_pck, "own_colours": float(own.double().mean())}


def render_pairs(people: PoolSettings, first: int, count: int,
                 runtime: Runtime) -> tuple[Rendering, Rendering]:
    """Two views of `count` people from the `first` on: same clothes, scene and light, other poses."""
    views = people.render(2 * first, 2 * count, runtime.device)
    source, target = (Rendering(**{name: value[start::2] for name, value in vars(views).items()})
                      for start in range(2))
    return source, target


def shown(net: LoadedNet, view: Rendering) -> Tensor:
    """[n,3,H,W] 0..1, on grey where the network wants it."""
    if not SYSTEMS[net.system.name].lifted(net):
        return view.image
    return torch.where(view.mask[:, None], view.image, GREY)


def joints_of(view: Rendering) -> Tensor:
    """[n,18,2] of the main people, pixel centres at integers, NaN = outside the picture."""
    there = view.visibility[:, 0, :, None] > 0
    return torch.where(there, view.keypoints[:, 0] - 0.5, torch.nan)


def redrawn(net: LoadedNet, pictures: Tensor, source: Tensor, target: Tensor, runtime: Runtime) -> Tensor:
    """Everybody of [n,3,H,W] with joints `source` [n,18,2] in poses `target` [n,18,2]: [n,3,H,W] 0..1."""
    redraw = SYSTEMS[net.system.name].redraw
    with runtime.use(net) as (module, device):
        drawn = [redraw(module, net, device, picture, own, wanted[None])
                 for picture, own, wanted in zip(pictures, source, target, strict=True)]
    return torch.cat([one.picture if one.opacity is None else
                      GREY + (one.picture - GREY) * one.opacity[:, None] for one in drawn])


def _compared(before: Tensor, real: Tensor, fake: Tensor, source: Rendering,
              target: Rendering) -> dict[str, Tensor]:
    """Scores [n], and mean colours of regions [n,12,3]."""
    mask = DEFORMABLE_GAN.mask(joints_of(target), *real.shape[2:])
    papers = transfer_scores((real * 255).floor(), (fake * 255).floor(), DEFORMABLE_GAN, mask)
    return {"l1": mean_difference(real, fake), "copied": mean_difference(real, before),
            "ssim": papers["ssim"], "mask_ssim": papers["mask_ssim"],
            "source_colours": region_colours(before, source.regions, len(PERSON_REGIONS)),
            "fake_colours": region_colours(fake, target.regions, len(PERSON_REGIONS))}


def nearer_to_own(fake: Tensor, source: Tensor) -> Tensor:
    """Mean colours of regions [n,12,3], the background's first, NaN = not there -> [n] bool: nearer to those
    of the same person in the source than to those of the next one, over the regions that all three have."""
    own, other = ((fake - colours)[:, 1:].abs().mean(2) for colours in (source, source.roll(-1, 0)))
    return (own - other).nanmean(1) < 0
