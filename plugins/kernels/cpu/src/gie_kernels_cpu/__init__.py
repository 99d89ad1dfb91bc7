"""Kernels over NumPy and BLAS for the host executor."""
