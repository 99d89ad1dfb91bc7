"""Which step waits for which, and on which stream each of them runs.

A plan's steps come in an order that is right if they run one after the other. Here they are
spread over streams: steps of one stream run in order, and a step waits (``Step.after``) for
those on other streams whose memory it must not touch before they have ended.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from gie_core.engine.plan import Place, Region, Slot, Step

__all__ = [
    "Access",
    "accesses",
    "assign_streams",
    "dependencies",
    "makespan",
    "may_overlap",
    "stream_order",
    "timeline",
]


class Access(NamedTuple):
    """A place that a step reads or writes."""

    place: Place
    writes: bool


def accesses(step: Step) -> Iterator[Access]:
    """What a step reads, its scratch memory, what it writes; without tensors that are empty."""
    workspace = () if step.workspace is None else (step.workspace,)
    reads = (Access(place, writes=False) for place in step.operands if place is not None)
    writes = (Access(place, writes=True) for place in (*workspace, *step.results))
    for access in (*reads, *writes):
        if isinstance(access.place, Slot) or access.place.layout.size:
            yield access


def may_overlap(first: Region, second: Region) -> bool:
    """Whether two regions that aren't empty may share a byte.

    Exact for boxes cut out of one tensor, such as the slices of a concatenation along any
    axis, if each of its strides is a multiple of the next smaller one. Otherwise the answer may
    be yes although their bytes only interleave.
    """
    return first.storage == second.storage and not _Bytes.of(first).apart(_Bytes.of(second))


def dependencies(steps: Sequence[Step]) -> list[tuple[int, ...]]:
    """For each step the earlier steps that it must wait for.

    It waits for those that write what it reads, read what it overwrites, or write what it
    overwrites. Steps that another one of them waits for already are left out.

    Args:
        steps: in an order that is right if all run one after the other.

    Returns:
        For each step indices into ``steps``, in increasing order.
    """
    history: dict[int | Slot, list[_Past]] = defaultdict(list)
    ancestors: list[int] = []  # as bits
    found: list[tuple[int, ...]] = []
    for index, step in enumerate(steps):
        mine = [_Past.of(index, access) for access in accesses(step)]
        pairs = [(past, now) for now in mine for past in history[now.key]]
        needed: list[int] = []
        known = 0
        # From the latest on: what it waits for itself needs no look.
        for past, now in sorted(pairs, key=lambda pair: -pair[0].step):
            if not known >> past.step & 1 and past.clashes(now):
                needed.append(past.step)
                known |= 1 << past.step | ancestors[past.step]
        for now in mine:
            history[now.key].append(now)
        ancestors.append(known)
        found.append(tuple(reversed(needed)))
    return found


def stream_order(
    steps: Sequence[Step], nanoseconds: Sequence[int], streams: int
) -> list[tuple[int, int]]:
    """Spread steps over streams by list scheduling: whenever a stream is free, it takes, of the
    steps that wait for nothing any more, the one with the longest path to the end (Graham 1969,
    with critical-path priorities).

    Args:
        steps: in an order that is right if all run one after the other.
        nanoseconds: how long each takes.
        streams: how many streams there are at most.

    Returns:
        Pairs (index into ``steps``, stream), in order of their start. With one stream the order
        is the given one.

    Raises:
        ValueError: there is no stream, or not one time for each step.
    """
    if streams < 1 or len(steps) != len(nanoseconds):
        raise ValueError(
            f"{len(steps)} steps with {len(nanoseconds)} times can't run on {streams} streams"
        )
    if streams == 1:
        return [(index, 0) for index in range(len(steps))]
    return _ListScheduler(dependencies(steps), nanoseconds, streams).run()


def assign_streams(
    steps: Sequence[Step], nanoseconds: Sequence[int], streams: int
) -> tuple[Step, ...]:
    """Steps with their streams and the waits between streams, as ``stream_order`` has them.

    A wait is listed only if neither the order within streams nor earlier waits imply it.

    Returns:
        The steps in the order of ``stream_order``, which is right for one stream too.

    Raises:
        ValueError: there is no stream, or not one time for each step.
    """
    order = stream_order(steps, nanoseconds, streams)
    placed = [replace(steps[index], stream=stream, after=()) for index, stream in order]
    if streams == 1:
        return tuple(placed)
    done: list[int] = []  # for each step those that have ended when it starts, as bits
    latest: dict[int, int] = {}
    for index, (step, needed) in enumerate(zip(placed, dependencies(placed), strict=True)):
        previous = latest.get(step.stream)
        known = 0 if previous is None else 1 << previous | done[previous]
        waits: list[int] = []
        for other in reversed(needed):
            if not known >> other & 1:
                waits.append(other)
                known |= 1 << other | done[other]
        placed[index] = replace(step, after=tuple(reversed(waits)))
        done.append(known)
        latest[step.stream] = index
    return tuple(placed)


def timeline(steps: Sequence[Step], nanoseconds: Sequence[int]) -> list[tuple[int, int]]:
    """Predicted begin and end of each step, in nanoseconds.

    A step starts when the one before it on its stream and those it waits for have ended;
    streams don't slow each other down.

    Args:
        steps: with streams and waits; ``stream_order`` says where each one stood before.
        nanoseconds: how long each takes, in the order of ``steps``.
    """
    free: dict[int, int] = defaultdict(int)
    spans: list[tuple[int, int]] = []
    for step, duration in zip(steps, nanoseconds, strict=True):
        begin = max([free[step.stream], *(spans[other][1] for other in step.after)])
        free[step.stream] = begin + duration
        spans.append((begin, begin + duration))
    return spans


def makespan(steps: Sequence[Step], nanoseconds: Sequence[int]) -> int:
    """Predicted nanoseconds from the first step's begin to the last one's end."""
    return max((end for _, end in timeline(steps, nanoseconds)), default=0)


class _Bytes(NamedTuple):
    """Where the bytes of a region are: ``low`` plus a multiple below the extent of each stride,
    plus less than ``width``; all below ``high``.
    """

    low: int
    high: int
    width: int
    axes: tuple[tuple[int, int], ...]
    """Stride and distance from the first to the last position, where there are several."""

    @staticmethod
    def of(region: Region) -> _Bytes:
        layout = region.layout
        pairs = zip(layout.shape, map(abs, layout.strides), strict=True)
        axes = tuple((stride, (n - 1) * stride) for n, stride in pairs if n > 1 and stride)
        return _Bytes(*region.span, layout.dtype.numpy.itemsize, axes)

    def apart(self, other: _Bytes) -> bool:
        """Whether they certainly share no byte: on the line, or on the circle of a stride."""
        if self.high <= other.low or other.high <= self.low:
            return True
        moduli = {stride for stride, _ in (*self.axes, *other.axes)}
        return any(
            (other.low - self.low) % modulus >= self.reach(modulus)
            and (self.low - other.low) % modulus >= other.reach(modulus)
            for modulus in moduli
        )

    def reach(self, modulus: int) -> int:
        """Bytes from the first to the last, seen modulo ``modulus``."""
        return self.width + sum(reach for stride, reach in self.axes if stride % modulus)


class _Past(NamedTuple):
    """An access, by its step."""

    step: int
    key: int | Slot
    bytes: _Bytes | None
    writes: bool

    @staticmethod
    def of(step: int, access: Access) -> _Past:
        place = access.place
        if isinstance(place, Slot):
            return _Past(step, place, None, access.writes)
        return _Past(step, place.storage, _Bytes.of(place), access.writes)

    def clashes(self, other: _Past) -> bool:
        """Whether the order of these two, of one storage or slot, matters."""
        if not (self.writes or other.writes):
            return False
        return self.bytes is None or other.bytes is None or not self.bytes.apart(other.bytes)


class _ListScheduler:
    """Runs the steps in imagined time."""

    def __init__(
        self, needs: Sequence[tuple[int, ...]], nanoseconds: Sequence[int], streams: int
    ) -> None:
        self.needs = needs
        self.nanoseconds = nanoseconds
        self.users: list[list[int]] = [[] for _ in needs]
        for index, needed in enumerate(needs):
            for other in needed:
                self.users[other].append(index)
        self.paths = self._paths()
        self.idle = set(range(streams))
        self.missing = [len(needed) for needed in needs]
        self.ready: list[tuple[int, int]] = []
        self.stream_of: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.running: list[tuple[int, int]] = []

    def _paths(self) -> list[int]:
        """The longest time from each step's begin to the end."""
        paths = list(self.nanoseconds)
        for index in reversed(range(len(paths))):
            paths[index] += max((paths[user] for user in self.users[index]), default=0)
        return paths

    def run(self) -> list[tuple[int, int]]:
        """Pairs (step, stream) in order of their start."""
        for index, count in enumerate(self.missing):
            if not count:
                self._release(index)
        now = 0
        while self.ready or self.running:
            while self.ready and self.idle:
                self._start(heapq.heappop(self.ready)[1], now)
            now = self.running[0][0]
            while self.running and self.running[0][0] == now:
                self._end(heapq.heappop(self.running)[1])
        return list(self.stream_of.items())

    def _release(self, step: int) -> None:
        heapq.heappush(self.ready, (-self.paths[step], step))

    def _start(self, step: int, now: int) -> None:
        # Behind the step that it waited for last, so that it needs no wait between streams.
        near = sorted(self.needs[step], key=lambda other: -self.ends[other])
        streams = (self.stream_of[other] for other in near)
        stream = next((s for s in streams if s in self.idle), min(self.idle))
        self.idle.remove(stream)
        self.stream_of[step] = stream
        self.ends[step] = now + self.nanoseconds[step]
        heapq.heappush(self.running, (self.ends[step], step))

    def _end(self, step: int) -> None:
        self.idle.add(self.stream_of[step])
        for user in self.users[step]:
            self.missing[user] -= 1
            if not self.missing[user]:
                self._release(user)
