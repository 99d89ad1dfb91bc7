"""Names of targets."""

from __future__ import annotations

import pytest

from gie_core.errors import GieError
from gie_core.runtime.target import HOST, find_target


@pytest.mark.parametrize("name", ["host", "auto"])
def test_the_host(name: str) -> None:
    assert find_target(name) is HOST
    assert str(HOST) == "host"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:sm_90", "cuda:sm_90a"])
def test_gpus_are_known_by_name(name: str) -> None:
    with pytest.raises(GieError, match=f"no executor for '{name}'; use 'host' or 'auto'"):
        find_target(name)


@pytest.mark.parametrize("name", ["", "tpu", "cuda:", "cuda:x", "CUDA", "host:0"])
def test_others_are_not(name: str) -> None:
    with pytest.raises(GieError, match="there is no target"):
        find_target(name)
