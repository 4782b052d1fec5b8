"""ProGAN: pictures from a network that grows with them."""
