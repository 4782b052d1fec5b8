"""TriA-GAN: paints a person into a hole, given their 17 keypoints (arXiv 2304.03164)."""
