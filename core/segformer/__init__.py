"""SegFormer: faces or clothes, pixel by pixel."""
