"""SEAN: draws a picture from a region map, every region in a style of its own (arXiv 1911.12861)."""
