"""A second thread that takes half of a kernel's work.

The hand-over is two locks and takes about 5 µs. There is one such thread in a process, started
when it is first needed; while it works for one launch, others run alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial

from gie_core.kernels.provider import Launch
from gie_kernels_numba.compiled import Part

__all__ = ["Helper", "split", "usable_threads"]

WORTHWHILE = 100_000
"""Nanoseconds of work from which on two threads share it."""


class Helper:
    """A daemon thread that runs one function beside the caller's, one pair at a time."""

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):  # not everywhere
            os.register_at_fork(after_in_child=self._reset)  # threads don't survive a fork

    def run_both(self, theirs: Callable[[], object], mine: Callable[[], object]) -> None:
        """Run the first function on the helper and the second on this thread.

        If the helper is busy, both run on this thread. The functions raise nothing.
        """
        if not self._idle.acquire(blocking=False):
            theirs()
            mine()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="gie-numba", daemon=True)
            self._thread.start()
        # A lock of its own: who is interrupted while waiting leaves no signal for the next.
        done = threading.Lock()
        done.acquire()
        self._job = theirs, done
        self._ready.release()
        mine()
        done.acquire()

    def _reset(self) -> None:
        self._idle = threading.Lock()  # held while there is a job
        self._ready = threading.Lock()  # released for each job
        self._ready.acquire()
        self._job: tuple[Callable[[], object], threading.Lock] | None = None
        self._thread: threading.Thread | None = None

    def _serve(self) -> None:
        while True:
            self._ready.acquire()
            job, self._job = self._job, None
            if job is None:
                continue
            function, done = job
            try:
                function()
            finally:
                # The arrays are let go before the next job, not when it comes.
                del job, function
                self._idle.release()
                done.release()


_HELPER = Helper()


def usable_threads() -> int:
    """What ``OMP_NUM_THREADS`` says, but no more than processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    named = os.environ.get("OMP_NUM_THREADS", "")
    return min(processors, int(named)) if named.isdecimal() and int(named) else processors


def split(part: Part, count: int, nanoseconds: float) -> Launch:
    """A launch of a kernel over ``range(count)``, on two threads if that is worth while.

    Args:
        part: whose launches release the GIL. Results don't depend on how the range is cut.
        count: of independent pieces of work.
        nanoseconds: that they take altogether on one thread, about.
    """
    if count < 2 or nanoseconds < WORTHWHILE or usable_threads() < 2:
        return part(0, count)
    return partial(_HELPER.run_both, part(0, count // 2), part(count // 2, count))
