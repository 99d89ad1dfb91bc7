"""The second thread: whoever computes it, the answer is the same."""

from __future__ import annotations

import os
import threading
from functools import partial

import numpy as np
import pytest

from gie_core.testing.kernels import check_node
from gie_kernels_numba import threads
from gie_kernels_numba.provider import NumbaProvider
from gie_kernels_numba.threads import Helper, split, usable_threads


def test_both_functions_run_on_two_threads_again_and_again() -> None:
    helper, names = Helper(), set[str]()

    def note() -> None:
        names.add(threading.current_thread().name)

    for _ in range(100):
        names.clear()
        helper.run_both(note, note)
        assert names == {"gie-numba", threading.current_thread().name}


def test_who_finds_the_helper_busy_works_alone() -> None:
    helper, order = Helper(), list[str]()

    def inner() -> None:
        helper.run_both(lambda: order.append("theirs"), lambda: order.append("mine"))

    barrier = threading.Barrier(2)

    def theirs() -> None:
        barrier.wait(10)
        barrier.wait(10)  # busy until the inner pair is done

    def mine() -> None:
        barrier.wait(10)
        inner()
        barrier.wait(10)

    helper.run_both(theirs, mine)
    assert order == ["theirs", "mine"]


def test_launches_from_many_threads_do_not_mix() -> None:
    def add(out: np.ndarray, number: int) -> None:
        out += number

    outs = [np.zeros(10, np.int64) for _ in range(4)]

    def work(number: int) -> None:
        out = outs[number]
        launch = split(lambda begin, end: partial(add, out[begin:end], number), 10, 1e9)
        for _ in range(300):
            launch()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [set(out.tolist()) for out in outs] == [{300 * number} for number in range(4)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_starts_its_own() -> None:
    helper = Helper()
    helper.run_both(lambda: None, lambda: None)
    pid = os.fork()
    if not pid:
        seen = list[int]()
        helper.run_both(lambda: seen.append(1), lambda: seen.append(2))
        os._exit(0 if sorted(seen) == [1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    ("named", "expected"), [("1", 1), ("2", 2), ("64", 2), ("", 2), ("many", 2), ("0", 2)]
)
def test_threads_are_limited(named: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] # the stub of a system call
    monkeypatch.setenv("OMP_NUM_THREADS", named)
    assert usable_threads() == expected


@pytest.mark.parametrize(
    ("call", "constants"),
    [("conv(%x, %w) {groups = 8}", {"w": "f32[8, 1, 3, 3]"}), ("relu(%x)", {})],
)
def test_kernels_in_two_halves(
    call: str, constants: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "WORTHWHILE", 0)
    monkeypatch.setattr(threads, "usable_threads", lambda: 2)
    check_node(NumbaProvider(), call, {"x": "f32[1, 8, 9, 7]"}, constants)
