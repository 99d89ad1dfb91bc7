"""Kernels: what a provider offers for a node, and how its memory lies."""
