"""Golden runner of ViTPose's crop and decoding."""
from __future__ import annotations

from typing import Any

import torch
from anyone.core.vitpose import crop, decode
from torch import Tensor


def run(case: Any) -> dict[str, Tensor]:
    heat, boxes = case.inputs["in.heatmaps"], case.inputs["in.boxes"]
    grown = crop.grow(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
    places, scores = decode.find_maxima(heat)
    refined = decode.refine(heat, places)
    picture = case.inputs["in.image_u8"].movedim(-1, 0).float() / 255
    return {"out.argmax": places, "out.scores": scores, "out.refined": refined,
            "out.keypoints": crop.to_picture(refined, grown, *heat.shape[2:]),
            "out.pixels": crop.crop(picture, grown)[..., ::8, ::8]}


RUNNERS = {"vitpose-decode": run}
