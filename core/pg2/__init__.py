"""PG2 (Ma et al., NIPS 2017): a coarse picture of the person in the new pose, then its detail."""
