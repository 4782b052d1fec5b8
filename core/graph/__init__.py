"""Workflow files without ComfyUI: read, check, run here, or send to a server. No replacement for ComfyUI."""
