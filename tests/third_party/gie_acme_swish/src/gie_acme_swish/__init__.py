"""Acme's swish activation for GIE."""
