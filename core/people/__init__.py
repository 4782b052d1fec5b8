"""People in pictures: masks, boxes, cutting out and pasting back."""
from .boxes import disjoint_groups, person_box, processing_order, tight_box
from .clothes import fill_regions, person_regions
from .crop import crop_onto, crop_person, crop_picture
from .detection import Detection
from .divide import divide_masks
from .grabcut import grabcut_people
from .heads import cut_square, head_square, lay_labels
from .interchange import (
    parse_points,
    read_boxes,
    read_points,
    read_segs,
    write_bounding_boxes,
    write_boxes,
    write_points,
    write_segs,
)
from .masks import mask_from_pose, moved_masks, split_mask
from .paste import paste_person
from .person import CropBox, CropSettings, Person, PersonCrop

__all__ = ["CropBox", "CropSettings", "Detection", "Person", "PersonCrop", "crop_onto", "crop_person",
           "crop_picture", "cut_square", "disjoint_groups", "divide_masks", "fill_regions", "grabcut_people",
           "head_square", "lay_labels", "mask_from_pose", "moved_masks", "parse_points", "paste_person",
           "person_box", "person_regions", "processing_order", "read_boxes", "read_points", "read_segs",
           "split_mask", "tight_box", "write_bounding_boxes", "write_boxes", "write_points", "write_segs"]
