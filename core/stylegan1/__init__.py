"""StyleGAN, the first: pictures whose layers take their styles from a latent."""
