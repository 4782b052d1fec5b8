"""A styler on procedural people: drawn anew (Table 1 of arXiv 1911.12861), and in each other's clothes."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..checkpoints import LoadedNet, load_as
from ..detect import detect_people
from ..features import detector_features
from ..image import bchw_to_image, image_to_bchw
from ..metrics.frechet import FeatureStatistics, frechet_distance
from ..metrics.images import compare_pictures, region_colour_error
from ..metrics.segmentation import Confusion
from ..regions import PERSON_REGIONS, RegionMap
from ..runtime import Runtime
from ..sean.codes import StyleCodes
from ..sean.infer import encode_styles, generator_of, render
from ..sean.styles import fill_missing
from ..synthetic import render_people

BATCH = 32
COUNT = len(PERSON_REGIONS)


def score_styler(net: LoadedNet, *, count: int = 256, first_id: int = 910_000,
                 runtime: Runtime) -> dict[str, float]:
    """`count` people alone in their scenes, at the styler's size. `first_id` keeps clear of training.

    `ssim`, `rmse`, `psnr`: pictures drawn anew. `miou`, `pixel_accuracy`: regions the embedded detector sees
    in them, against the map; `real_miou`: those it sees in the real pictures. `fid_detector`: see
    `detector_features`. `colour_error`: everybody in the styles of the next, how far mean colours of regions
    are from the next one's (0..1, background left out); `own_colour`: the same before restyling.
    """
    size = generator_of(net).config.size
    parser = load_as("detect-person", "detector", runtime)
    real_features, fake_features = FeatureStatistics(), FeatureStatistics()
    on_real, on_fake = Confusion(COUNT), Confusion(COUNT)
    alike, colours, own = [], [], []
    for ids in torch.arange(first_id, first_id + count).split(BATCH):
        made = render_people(ids, *size, bystanders=0.0, occluders=0.0, crops=0.0)
        image, regions = bchw_to_image(made.image), RegionMap(made.regions)
        styles = encode_styles(net, image, regions, runtime) if generator_of(net).config.encoder else None
        drawn = render(net, regions, styles, runtime=runtime)
        alike.append(compare_pictures(image_to_bchw(drawn), made.image))
        for pictures, features, confusion in ((image, real_features, on_real),
                                              (drawn, fake_features, on_fake)):
            features.add(detector_features(parser, list(image_to_bchw(pictures)), runtime))
            seen = detect_people(parser, pictures, runtime=runtime)
            confusion.add(torch.stack([one.regions for one in seen]), made.regions)
        if styles is not None:
            restyled = render(net, regions, of_the_next(styles), runtime=runtime)
            colours.append(distance_to_next(restyled, made.image, made.regions))
            own.append(distance_to_next(image, made.image, made.regions))
    scores = {name: float(torch.cat([getattr(one, name) for one in alike]).mean())
              for name in ("ssim", "rmse", "psnr")}
    scores |= on_fake.result() | {"real_miou": on_real.result()["miou"],
                                  "fid_detector": frechet_distance(real_features, fake_features)}
    return scores | {name: float(torch.cat(values).nanmean())
                     for name, values in (("colour_error", colours), ("own_colour", own)) if values}


def of_the_next(styles: StyleCodes) -> StyleCodes:
    """Everybody's regions in the style of the next person, in their own where that one has none."""
    following = replace(styles, codes=styles.codes.roll(-1, 0), present=styles.present.roll(-1, 0))
    return fill_missing(following, styles)


def distance_to_next(image: Tensor, real: Tensor, labels: Tensor) -> Tensor:
    """[B,H,W,3] against the next person's real picture [B,3,H,W]: mean colours of regions, [B,11]."""
    colours = region_colour_error(image_to_bchw(image), labels, real.roll(-1, 0), labels.roll(-1, 0), COUNT)
    return colours[:, 1:]
