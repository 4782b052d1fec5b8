"""Golden runners of OpenPose: the body network with its input, and decoding."""
from __future__ import annotations

from typing import Any

import torch
from anyone.core.openpose import decode, infer, weights
from torch import Tensor


def run_body(case: Any) -> dict[str, Tensor]:
    net = weights.build(case.state(kept=torch.zeros), {}).eval()
    found = {}
    for name, picture in case.inputs.items():
        number = name.split(".")[1]
        chw = picture.movedim(-1, 0).float()
        if number.startswith("p"):
            scale, = (entry["scale_search"] for entry in case.json["preprocessing"] if entry["id"] == number)
            found[f"out.{number}.padded_u8"] = infer.pad(infer.shrink(chw, scale)).movedim(0, -1)
            continue
        features = net.trunk((infer.pad(chw) / 256 - 0.5)[None])
        first = net.stage(1, features)
        last = net((infer.pad(chw) / 256 - 0.5)[None])
        answers = dict(zip(("stage1_paf", "stage1_heat", "paf", "heat"), (*first, *last), strict=True))
        found |= {f"out.{number}.{key}": maps[0] for key, maps in answers.items()}
        found[f"out.{number}.feature"] = features[0, ::8]
    return found


def run_decode(case: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for entry in case.json["cases"]:
        number = entry["id"]
        maps = direct_maps(case, number) if entry.get("direct") else enlarged_maps(case, entry)
        bodies = decode.decode([maps])
        found |= {f"out.{number}.peaks": bodies.peaks, f"out.{number}.connections": bodies.connections,
                  f"out.{number}.people": bodies.people}
        if not entry.get("direct"):
            rows, columns = maps.rows[::16], maps.columns[::16]
            found |= {f"out.{number}.up_{kind}": (rows @ plane @ columns.T).movedim(0, -1)
                      for kind, plane in (("heat", maps.heats), ("paf", maps.fields))}
    return found


def direct_maps(case: Any, number: str) -> decode.ScaleMaps:
    """Maps that have the picture's size already."""
    heats = case.inputs[f"in.{number}.heat_u8"].float() / 255
    fields = (case.inputs[f"in.{number}.paf_u8"].float() - 128) / 127
    return decode.ScaleMaps(fields, heats, torch.eye(heats.shape[1]), torch.eye(heats.shape[2]))


def enlarged_maps(case: Any, entry: dict[str, Any]) -> decode.ScaleMaps:
    heats, fields = (case.inputs[f"in.{entry['id']}.{kind}"] for kind in ("heat", "paf"))
    rows, columns = (infer.enlargement(entry[f"image_{side}"], entry[f"resized_{side}"], 8 * cells).float()
                     for side, cells in (("height", heats.shape[1]), ("width", heats.shape[2])))
    return decode.ScaleMaps(fields, heats, rows, columns)


RUNNERS = {"openpose-body": run_body, "openpose-decode": run_decode}
