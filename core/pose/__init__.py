"""Poses: 18 OpenPose joints, the POSE_KEYPOINT wire, COCO's order, drawing, and the tools to change them."""
from .coco import COCO_JOINTS, from_coco, to_coco
from .distance import SIGMAS, UNITS, Likeness, compare_people, match_people, oks, pck
from .draw import COLOURS, draw_poses
from .files import load_poses, save_pose_file, save_pose_folder
from .interpolate import EASINGS, interpolate_frames, interpolate_poses
from .maps import disc_maps, gaussian_maps, pixel_joints, polygon_mask, pose_mask
from .openpose_json import read_poses, write_poses
from .pose import JOINTS, LIMBS, Pose, PoseFrame
from .reach import reach
from .retarget import retarget_movement, retarget_pose
from .select import ORDERS, filter_joints, filter_people, merge_frames, select_person, sort_people
from .skeleton import ANCHORS, anchor_point
from .smooth import OneEuro, fill_gaps, smooth_frames
from .track import follow_people, track_people
from .transform import FITS, fit_frame, fit_pose, mirror_pose, transform_pose

__all__ = ["ANCHORS", "COCO_JOINTS", "COLOURS", "EASINGS", "FITS", "JOINTS", "LIMBS", "ORDERS", "SIGMAS",
           "UNITS", "Likeness", "OneEuro", "Pose", "PoseFrame", "anchor_point", "compare_people", "disc_maps",
           "draw_poses", "fill_gaps", "filter_joints", "filter_people", "fit_frame", "fit_pose",
           "follow_people", "from_coco", "gaussian_maps", "interpolate_frames", "interpolate_poses",
           "load_poses", "match_people", "merge_frames", "mirror_pose", "oks", "pck", "pixel_joints",
           "polygon_mask", "pose_mask", "reach", "read_poses", "retarget_movement", "retarget_pose",
           "save_pose_file", "save_pose_folder", "select_person", "smooth_frames", "sort_people", "to_coco",
           "track_people", "transform_pose", "write_poses"]
