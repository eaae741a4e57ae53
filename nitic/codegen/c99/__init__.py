"""Kernels as C99 that any compiler takes: no libc, no extension, and nothing that the standard leaves undefined."""
