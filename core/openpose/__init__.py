"""OpenPose: the body pose estimator the published pose-transfer systems were trained with."""
from .infer import detect_people

__all__ = ["detect_people"]
