"""How many threads the libraries below NumPy use: they read it once, when they are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from gie_core.errors import GieError

__all__ = ["limit_threads", "usable_threads"]

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def usable_threads() -> int:
    """What ``OMP_NUM_THREADS`` says, else the number of processors this process may use."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdecimal() and int(named):
        return int(named)
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def limit_threads(count: int | None) -> Generator[int, None, None]:
    """Set the number of threads of whatever is loaded in here.

    Args:
        count: ``None`` leaves it as it is.

    Yields:
        The number of threads.

    Raises:
        GieError: NumPy is loaded already, with another number.
    """
    if count is None or count == usable_threads():
        yield usable_threads()
        return
    if "numpy" in sys.modules:
        raise GieError(
            f"NumPy runs with {usable_threads()} threads already; "
            f"set OMP_NUM_THREADS={count} before the program starts"
        )
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(dict.fromkeys(VARIABLES, str(count)))
    try:
        yield count
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
