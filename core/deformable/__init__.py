"""Deformable GAN: redraws a person in another pose, moving features part by part (arXiv 1801.00055)."""
