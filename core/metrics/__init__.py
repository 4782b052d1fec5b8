"""Scores of what the systems find and make."""
