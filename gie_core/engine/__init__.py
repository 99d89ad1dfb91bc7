"""Engines: networks that are ready to run."""
