"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every run, and no clock: a slow machine is not a failure.
settings.register_profile("gie", derandomize=True, deadline=None)
settings.load_profile("gie")
