"""StyleGAN2: pictures of people or anything else from a latent."""
