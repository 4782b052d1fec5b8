"""Procedural people with exact annotation: training data, the tests' ground truth, and pictures for users."""
from .camera import Camera
from .identity import Identity, identity_vector, sample_identity
from .palette import REGION_NAMES, REGION_PALETTE
from .poses import ARCHETYPES, BodyPose, sample_pose
from .render import Rendering, render_people

__all__ = ["ARCHETYPES", "REGION_NAMES", "REGION_PALETTE", "BodyPose", "Camera", "Identity", "Rendering",
           "identity_vector", "render_people", "sample_identity", "sample_pose"]
