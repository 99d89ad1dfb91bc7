"""The number of threads, which must be set before NumPy is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gie_core.cli.threads import limit_threads, usable_threads
from gie_core.errors import GieError

TWO = """\
import os
from gie_core.cli.threads import limit_threads
with limit_threads(2) as count:
    inside = os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]
print(count, *inside, os.environ["OMP_NUM_THREADS"], "OPENBLAS_NUM_THREADS" in os.environ)
"""


def test_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert usable_threads() == 3
    with limit_threads(None) as none, limit_threads(3) as same:
        assert (none, same) == (3, 3)


@pytest.mark.parametrize("named", ["", "0", "many"])
def test_otherwise_the_processors_count(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", named)
    assert 1 <= usable_threads() <= (os.cpu_count() or 1)


def test_it_is_too_late_once_numpy_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(GieError, match="set OMP_NUM_THREADS=2 before"), limit_threads(2):
        pass


def test_it_is_set_for_what_is_loaded_inside() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", TWO], capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["2", "2", "2", "1", "False"]


def test_the_commands_do_not_load_numpy_before_they_know() -> None:
    code = "import sys, gie_core.cli.bench; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
