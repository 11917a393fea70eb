"""Video files: the same pictures with another sound."""

from denoiser.video.remux import has_picture, replace_sound, suffix

__all__ = ["has_picture", "replace_sound", "suffix"]
