"""Region maps: one class number per pixel, with names and colours."""
from .regions import PERSON_PALETTE, PERSON_REGIONS, RegionMap, colour, region_mask

__all__ = ["PERSON_PALETTE", "PERSON_REGIONS", "RegionMap", "colour", "region_mask"]
