"""The environment names what timings depend on, and nothing that changes by itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gie_core.builder.environment import host_environment, last_level_cache


def test_it_is_the_same_twice_and_says_what_it_is() -> None:
    text = str(host_environment(workspace=1 << 20, cold=True))
    assert text == str(host_environment(workspace=1 << 20, cold=True))
    facts = json.loads(text)
    assert (facts["target"], facts["workspace"], facts["cold"]) == ("host", 1 << 20, True)
    assert f"numpy {np.__version__}" in facts["libraries"]
    assert facts["device"]


@pytest.mark.parametrize(
    ("variables", "threads"),
    [({"OMP_NUM_THREADS": "3"}, 3), ({"OPENBLAS_NUM_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5)],
)
def test_threads_are_as_blas_was_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], threads: int
) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert host_environment().threads >= 1
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert host_environment().threads == threads


def test_the_cache_has_a_plausible_size() -> None:
    assert 64 << 10 <= last_level_cache() <= 4 << 30
