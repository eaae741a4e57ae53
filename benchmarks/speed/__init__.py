"""Seconds per training step, of compiling, and of single kernels."""
