"""Region maps: one class number per pixel, with names and colours."""
from .clothes import ATR_LABELS, atr_ids, atr_to_person
from .edit import fill_from_nearest, grow, move, paint, remove, reshape, shrink, swap
from .faces import FACE_PALETTE, FACE_REGIONS, face_ids, face_to_person
from .regions import PERSON_PALETTE, PERSON_REGIONS, RegionMap, colour, region_mask

__all__ = ["ATR_LABELS", "FACE_PALETTE", "FACE_REGIONS", "PERSON_PALETTE", "PERSON_REGIONS", "RegionMap",
           "atr_ids", "atr_to_person", "colour", "face_ids", "face_to_person", "fill_from_nearest", "grow",
           "move", "paint", "region_mask", "remove", "reshape", "shrink", "swap"]
