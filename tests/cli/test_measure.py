"""Timing in turns, with a clock that tests set."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gie_core.cli.measure import PAUSE, Timing, race


class Clock:
    """Time that passes only when something runs; and a diary."""

    def __init__(self) -> None:
        self.now = 0.0
        self.diary = ""

    def runs(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds
            self.diary += name

        return run

    def sleep(self, seconds: float) -> None:
        assert seconds == PAUSE
        self.diary += " "


def raced(
    *seconds: float, rounds: int, count: int | None = None, time: float = 1.0
) -> tuple[str, list[Timing]]:
    clock = Clock()
    runs = [clock.runs(name, each) for name, each in zip("abc", seconds, strict=False)]
    timings = race(
        runs, rounds=rounds, count=count, seconds=time, clock=lambda: clock.now, sleep=clock.sleep
    )
    return clock.diary, timings


@pytest.mark.parametrize(
    ("seconds", "rounds", "count", "time", "diary"),
    [
        ((1,), 2, 4, 0, " aaa aaa"),  # the first of a turn is not timed
        ((1, 1), 2, 2, 0, " aa bb aa bb"),
        ((1, 1), 2, 3, 0, " aa bb aaa bbb"),
        ((1,), 5, 2, 0, " aa aa"),  # no turn without a timed run
        ((1, 2), 2, None, 4, " aaa bb aaa bb"),
        ((9,), 2, None, 4, " aa aa"),  # at least one a turn
    ],
)
def test_turns(
    seconds: tuple[float, ...], rounds: int, count: int | None, time: float, diary: str
) -> None:
    assert raced(*seconds, rounds=rounds, count=count, time=time)[0] == diary


def test_times_are_the_runs_own() -> None:
    _, timings = raced(1, 2, rounds=2, count=2)
    assert [each.seconds for each in timings] == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("seconds", "median", "quartiles", "p99", "rate"),
    [
        ([2.0], 2, (2, 2), 2, 0.5),
        ([3, 1, 2], 2, (1, 3), 3, 0.5),
        ([4, 1, 3, 2], 2.5, (1, 3), 4, 0.4),
        (range(1, 101), 50.5, (25, 75), 99, 1 / 50.5),
    ],
)
def test_statistics(
    seconds: list[float], median: float, quartiles: tuple[float, float], p99: float, rate: float
) -> None:
    timing = Timing(tuple(seconds))
    assert timing.median == median
    assert timing.quartiles == quartiles
    assert timing.p99 == p99
    assert timing.rate == pytest.approx(rate)
