"""DragGAN: handles on a generated picture are pulled to their targets by changing its latent.

"Drag Your GAN: Interactive Point-based Manipulation on the Generative Image Manifold", Pan et al. 2023,
arXiv 2305.10973; exactly the published program where it differs from the paper. Knows no network:
`core/<system>/drag.py` makes a generator `Draggable`.
"""
from .loop import DragSettings, Session, drag
from .result import DragResult, DragStep
from .source import Box, Draggable, cut

__all__ = ["Box", "DragResult", "DragSettings", "DragStep", "Draggable", "Session", "cut", "drag"]
