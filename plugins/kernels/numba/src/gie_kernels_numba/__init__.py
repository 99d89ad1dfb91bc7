"""Kernels for the host that Numba compiles."""
