"""Compiled kernels are kept in a folder of the test run; small nodes are supported too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gie_kernels_numba import provider


@pytest.fixture(autouse=True, scope="session")
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from, or left in, the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(provider, "SMALLEST", 0)
        yield
