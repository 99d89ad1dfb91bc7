"""Fails as a plugin does whose native library is missing."""

raise ImportError("libacme.so.7: cannot open shared object file")
