"""RT-DETR and RF-DETR: boxes of people, and RF-DETR-Seg their masks, in one pass."""
