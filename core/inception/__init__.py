"""Inception v3 of 2015, whose features and classes published scores of pictures are made of."""
