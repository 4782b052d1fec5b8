"""Poses: 18 OpenPose joints, the POSE_KEYPOINT wire, COCO's order, drawing."""
from .coco import COCO_JOINTS, from_coco, to_coco
from .draw import draw_poses
from .openpose_json import read_poses, write_poses
from .pose import JOINTS, LIMBS, Pose, PoseFrame

__all__ = ["COCO_JOINTS", "JOINTS", "LIMBS", "Pose", "PoseFrame", "draw_poses", "from_coco", "read_poses",
           "to_coco", "write_poses"]
