"""SAM 2: masks with exact edges from a box and the joints of a pose."""
