"""ViTPose: 17 joints from the box of one person."""
