"""Anyone/people: people made up, found, cut out and put back."""
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..core.image import cycle_to, fit_mask, image_to_bchw
from ..core.people import (
    CropBox,
    CropSettings,
    Person,
    PersonCrop,
    crop_person,
    paste_person,
    person_box,
    read_boxes,
    write_bounding_boxes,
    write_segs,
)
from ..core.pose import JOINTS, Pose, PoseFrame, from_coco, write_poses
from ..core.regions import RegionMap
from ..core.stylegan.align import Aligned, paste_aligned
from ..core.synthetic import ARCHETYPES, Rendering, render_people, sample_pose
from . import host
from .host import Schema, io
from .subjects import detect, find_subjects, found_note, read_masks
from .wires import (
    BOUNDING_BOX,
    BOXES,
    CROP,
    DETECTOR,
    POSE,
    REGIONS,
    SEGS,
    CropBatch,
    cycled,
    expect_option,
    send,
    send_picture,
)

MODES = ("studio", "scene")
POSES = ("all", "calm", *ARCHETYPES)
FACE = [JOINTS.index(name) for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]


class AnyoneSyntheticPeople(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSyntheticPeople",
            display_name="Synthetic People",
            category="Anyone/people",
            description="Draws people who do not exist, with their true pose, mask and regions. "
                        "No model, no photograph: something to try every other node on.",
            inputs=[
                io.Int.Input("count", default=1, min=1, max=256, optional=True,
                             tooltip="How many pictures; each shows another person."),
                io.Int.Input("width", default=320, min=16, max=4096, optional=True, tooltip="Pixels."),
                io.Int.Input("height", default=512, min=16, max=4096, optional=True, tooltip="Pixels."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                             optional=True, tooltip="Chooses the people, poses, light and surroundings."),
                io.Combo.Input("pose", options=list(POSES), default="all", optional=True,
                               tooltip="What they do; all = anything, calm = standing and walking."),
                io.Combo.Input("mode", options=list(MODES), default="scene", optional=True,
                               tooltip="studio = plain background; scene = a painted background."),
                io.Float.Input("bystanders", default=0.0, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="Chance that a scene shows other people too."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The pictures."),
                POSE.Output(display_name="pose", tooltip="Everybody's joints, the main person first."),
                io.Mask.Output(display_name="mask", tooltip="The main person."),
                REGIONS.Output(display_name="regions", tooltip="Body and clothing of the main person."),
            ],
            search_aliases=["procedural person", "test image", "mannequin", "dummy"],
        )

    @classmethod
    def execute(cls, count=1, width=320, height=512, seed=0, pose="all", mode="scene", bystanders=0.0):
        expect_option(pose, POSES, "pose")
        expect_option(mode, MODES, "mode")
        progress, made = host.runtime().progress(count, "Synthetic people"), []
        for ids in torch.arange(count).split(4):
            made.append(render_people(
                ids, height, width, seed=seed, mode=mode, pose=sample_pose(ids, seed, pose),
                bystanders=bystanders, occluders=0.0, crops=0.0))
            progress.update(len(ids), made[-1].image[-1].movedim(0, -1))
        people = Rendering.concatenate(made)
        return io.NodeOutput(send_picture(people.image), write_poses(rendered_frames(people)),
                             send(people.mask), RegionMap(people.regions))


class AnyoneDetectPeople(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneDetectPeople",
            display_name="Detect People",
            category="Anyone/people",
            description="Finds people: 18 joints each, a mask, and the regions of body and clothing.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures of any size."),
                DETECTOR.Input("detector", optional=True, tooltip="Without it: the embedded detector."),
                io.Float.Input("threshold", default=0.3, min=0.05, max=0.95, step=0.05, optional=True,
                               tooltip="How sure the detector must be; lower finds more, also wrong ones."),
                io.Int.Input("max_people", default=20, min=1, max=100, optional=True,
                             tooltip="At most so many per picture, the surest first."),
                io.Boolean.Input("flip", default=False, optional=True,
                                 tooltip="A pose estimator looks at the mirrored picture, too: steadier "
                                         "joints for twice the time."),
                BOXES.Input("boxes", optional=True, extra_dict={"forceInput": True},
                            tooltip="Boxes from any pack: people are looked for in these only, one person a "
                                    "box."),
            ],
            outputs=[
                POSE.Output(display_name="pose", tooltip="One frame per picture, as OpenPose writes them."),
                io.Mask.Output(display_name="mask", tooltip="Everybody found."),
                REGIONS.Output(display_name="regions", tooltip="Regions of body and clothing."),
                io.String.Output(display_name="note", tooltip="What was found, in words."),
                BOUNDING_BOX.Output(display_name="boxes", tooltip="A box with a score for everybody, per "
                                                                  "picture, in the order of the pose."),
                SEGS.Output(display_name="segs",
                            tooltip="A segment for everybody in the first picture, for detailers."),
            ],
            search_aliases=["openpose", "dwpose", "pose estimation", "person segmentation", "human parsing"],
        )

    @classmethod
    def execute(cls, image, detector=None, threshold=0.3, max_people=20, flip=False, boxes=None):
        pictures = image_to_bchw(image)
        given = None if boxes is None else read_boxes(boxes, len(pictures))
        found = detect(pictures, detector, threshold=threshold, max_people=max_people, flip=flip, boxes=given)
        masks = torch.stack([one.masks.any(0) for one in found])                   # [B,H,W]
        pose = write_poses([one.frame for one in found])
        note = found_note([len(one.frame.people) for one in found])
        regions = RegionMap(torch.stack([one.regions for one in found]))
        scores = [one.person_scores for one in found]
        return io.NodeOutput(pose, send(masks), regions, note,
                             write_bounding_boxes([one.boxes for one in found], scores),
                             write_segs(found[0].masks, scores[0].tolist()),
                             ui={"text": [note], "openpose_json": [json.dumps(pose)]})


class AnyoneCropPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneCropPerson",
            display_name="Crop Person",
            category="Anyone/people",
            description="Cuts one person out of each picture, at a size a network likes. "
                        "A mask says where, a pose says who; what is missing comes from the detector.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures of any size."),
                io.Mask.Input("mask", optional=True, tooltip="1 = the people. Without it: from the pose."),
                POSE.Input("pose", optional=True, tooltip="Without it: the detector is asked."),
                DETECTOR.Input("detector", optional=True, tooltip="Without it: the embedded detector."),
                io.Int.Input("index", default=0, min=0, max=99, optional=True,
                             tooltip="Which of the people found, in the order of the pose; 0 = the first."),
                io.Int.Input("width", default=160, min=16, max=4096, optional=True, tooltip="Of the crop."),
                io.Int.Input("height", default=288, min=16, max=4096, optional=True, tooltip="Of the crop."),
                io.Float.Input("margin", default=0.1, min=0.0, max=2.0, step=0.05, optional=True,
                               tooltip="Space around the person, as a share of the person's size."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The crops."),
                io.Mask.Output(display_name="mask", tooltip="What to change: the person and a thin rim."),
                POSE.Output(display_name="pose", tooltip="The person's pose in the crop."),
                CROP.Output(display_name="crop", tooltip="For Paste Person: where the crops came from."),
                io.String.Output(display_name="note", tooltip="What was found, in words."),
            ],
            search_aliases=["crop and stitch", "person crop", "inpaint crop"],
        )

    @classmethod
    def execute(cls, image, mask=None, pose=None, detector=None, index=0, width=160, height=288,
                margin=0.1):
        subjects = find_subjects(image, mask, pose, detector)
        settings = CropSettings(height=height, width=width, margin=margin, minimum_area=1)
        crops = [cut(picture, people[index:index + 1], settings)
                 for picture, people in zip(subjects.pictures, subjects.people, strict=True)]
        frames = [crop_frame(crop, height, width) for crop in crops]
        return io.NodeOutput(send_picture(torch.stack([crop.image for crop in crops])),
                             send(torch.cat([crop.mask for crop in crops])), write_poses(frames),
                             CropBatch(tuple(crops), *subjects.pictures.shape[-2:]), subjects.note(),
                             ui={"text": [subjects.note()]})


class AnyonePastePerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyonePastePerson",
            display_name="Paste Person",
            category="Anyone/people",
            description="Puts changed crops back where Crop Person or Align Person cut them. "
                        "Pixels outside the mask stay exactly as they were.",
            inputs=[
                io.Image.Input("image", tooltip="The pictures the crops were cut from."),
                io.Image.Input("result", tooltip="The changed crops, of any size."),
                CROP.Input("crop", tooltip="From Crop Person or Align Person."),
                io.Float.Input("feather", default=0.0, min=0.0, max=256.0, step=0.5, optional=True,
                               tooltip="Softens the seam by so many pixels of the picture; 0 = a hard edge."),
                io.Mask.Input("mask", optional=True,
                              tooltip="On result: 1 = what to paste besides the crop's own mask. Of people "
                                      "from Align Person: where they are now, as Detect People finds them; "
                                      "the old ones vanish."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The pictures with the changed people.")],
            search_aliases=["stitch", "uncrop", "paste back"],
        )

    @classmethod
    def execute(cls, image, result, crop, feather=0.0, mask=None):
        crops = expect_crops(crop, image)
        pictures, results = image_to_bchw(image), image_to_bchw(result, "result")
        masks = read_masks(mask, *results.shape[2:])
        count = max(len(pictures), len(results), len(crops), len(masks))
        pasted = [paste(*one, feather) for one in zip(
            cycle_to(pictures, count), cycle_to(results, count), cycled(crops, count), cycled(masks, count),
            strict=True)]
        return io.NodeOutput(send_picture(torch.stack(pasted)))


def rendered_frames(made: Rendering) -> list[PoseFrame]:
    """As a detector would see them: hidden joints have the score 0.5, and a face turned away none at all."""
    height, width = made.image.shape[-2:]
    scores = made.visibility / 2                                                   # [B,P,18]
    scores[..., FACE] *= scores[..., FACE] == 1
    return [PoseFrame(width, height, tuple(Pose(points, score, width, height)
                                           for points, score, here in zip(*people, strict=True) if here))
            for people in zip(made.keypoints, scores, made.present, strict=True)]


def cut(picture: Tensor, people: list[Person], settings: CropSettings) -> PersonCrop:
    """The first of `people`, or the whole picture with nothing to change in it when there is nobody."""
    height, width = picture.shape[-2:]
    nobody = Person(torch.zeros(height, width, dtype=torch.bool), torch.zeros(17, 3))
    whole = CropBox(0, 0, width, height)
    one = people[0] if people else nobody
    return crop_person(picture, one, person_box(one.mask, settings) or whole, settings)


def paste(picture: Tensor, changed: Tensor, crop: PersonCrop | Aligned, mask: Tensor | None,
          feather: float) -> Tensor:
    """[3,H,W]: a picture with a changed crop [3,h,w]; `mask`: [h,w] bool, what else of that to paste."""
    if isinstance(crop, Aligned):
        return paste_aligned(picture, changed, crop, mask, feather)
    if mask is not None:
        hole = torch.maximum(crop.mask, fit_mask(mask, *crop.mask.shape[1:]))      # [1,h,w]
        crop = replace(crop, mask=hole)
    return paste_person(picture, changed, crop, feather=feather)


def crop_frame(crop: PersonCrop, height: int, width: int) -> PoseFrame:
    keypoints = crop.keypoints * torch.tensor([width, height, 1.0])                # [17,3] pixels of the crop
    pose = from_coco(keypoints, width, height)
    return PoseFrame(width, height, (pose,) if pose.present.any() else ())


def expect_crops(crop: Any, image: Tensor) -> list[PersonCrop | Aligned]:
    """Checks that the crops were cut from pictures of this size."""
    if not isinstance(crop, CropBatch):
        raise ValueError(f"crop should come from Crop Person or Align Person; got {str(crop)[:60]}.")
    height, width = image.shape[1:3]
    if (height, width) != (crop.height, crop.width):
        raise ValueError(f"image is {width}x{height}, but the crops are of {crop.width}x{crop.height}; "
                         "connect the picture they were cut from.")
    return list(crop.crops)
