"""BiSeNet: 19 face regions from the square around a head."""
