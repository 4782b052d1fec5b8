"""The embedded detector: people, their 18 joints, their masks and regions."""
from .infer import Detection, detect_people

__all__ = ["Detection", "detect_people"]
