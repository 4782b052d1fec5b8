"""Scores of whole systems, on procedural people or on folders of pictures: `run.py eval`."""
