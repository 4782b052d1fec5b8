"""The library: torch and numpy, no ComfyUI."""
