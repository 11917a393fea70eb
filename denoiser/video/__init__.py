"""Replacing the audio of video files."""

from denoiser.video.remux import has_picture, replace_sound, replacing_sound, suffix

__all__ = ["has_picture", "replace_sound", "replacing_sound", "suffix"]
