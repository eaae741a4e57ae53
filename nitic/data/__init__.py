"""Data sets: what the runtime does with them, in NumPy (arrays.py), and `nitic data pack` (image_folder.py)."""

from nitic.data.arrays import Augment, Box, Image, augment, centre_box, draw_box, pad_value, resample, shuffle

__all__ = ["Augment", "Box", "Image", "augment", "centre_box", "draw_box", "pad_value", "resample", "shuffle"]
