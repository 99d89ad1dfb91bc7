"""Where in the arena each storage lies.

Two storages may share bytes if every use of one has ended before any use of the other begins,
whatever the timing of the streams. Finding the smallest arena is NP-hard (dynamic storage
allocation, Garey and Johnson SR2); placing the storages greedily in a few well-chosen orders
comes close to the lower bound on networks (Pisarchyk and Lee 2020, "Efficient Memory
Management for Deep Neural Net Inference").
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gie_core.engine.plan import ALIGNMENT, Kind, Region, Step, Storage
from gie_core.engine.schedule import accesses

__all__ = ["Lifetime", "lower_bound", "memory_map", "place"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PLACEMENTS = 10_000
"""How many storages are placed in search of a better order, over all trials."""


@dataclass(frozen=True)
class Lifetime:
    """When and where a storage's bytes are in use: one line of a memory map.

    Args:
        storage: index into the plan's storages.
        offset: bytes from the arena's begin.
        size: bytes.
        first: the first step that uses it; -1: in use before the first step.
        last: the last step that uses it; the number of steps: still in use after the last one.
    """

    storage: int
    offset: int
    size: int
    first: int
    last: int


def place(
    storages: Sequence[Storage], steps: Sequence[Step], kept: Collection[int] = ()
) -> tuple[tuple[Storage, ...], int]:
    """Give every storage but the constants its offset in the arena.

    Inputs are in use from before the first step, outputs until after the last, states always.

    Args:
        storages: their offsets are ignored.
        steps: with streams and waits.
        kept: storages that are in use until after the last step for other reasons.

    Returns:
        The storages with their offsets, multiples of ``ALIGNMENT``; constants as they were.
        The bytes of the arena, a multiple of ``ALIGNMENT`` too.
    """
    problem = _Problem(storages, steps, kept)
    offsets = _search(problem)
    placed = list(storages)
    for index, storage in enumerate(storages):
        if storage.kind is not Kind.CONSTANT:
            placed[index] = replace(storage, offset=0)  # if nothing uses it, anywhere
    for index, offset in zip(problem.indices, offsets.tolist(), strict=True):
        placed[index] = replace(storages[index], offset=offset)
    ends = [s.offset + _rounded(s.size) for s in placed if s.kind is not Kind.CONSTANT]
    return tuple(placed), max(ends, default=0)


def lower_bound(
    storages: Sequence[Storage], steps: Sequence[Step], kept: Collection[int] = ()
) -> int:
    """Bytes that no arena for these steps can do without: the largest sum of sizes, rounded up
    to ``ALIGNMENT``, of storages that all must not share bytes.
    """
    return _Problem(storages, steps, kept).bound()


def memory_map(
    storages: Sequence[Storage], steps: Sequence[Step], kept: Collection[int] = ()
) -> tuple[Lifetime, ...]:
    """When and where each storage in the arena is in use, in the order of the storages.

    Storages that nothing uses are left out.
    """
    return tuple(
        Lifetime(index, storages[index].offset, storages[index].size, uses[0] - 1, uses[-1] - 1)
        for index, uses in _uses(storages, steps, kept).items()
    )


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _uses(
    storages: Sequence[Storage], steps: Sequence[Step], kept: Collection[int]
) -> dict[int, list[int]]:
    """The moments at which each storage in the arena is used, in increasing order: 0 is before
    the first step, then come the steps, then the end.
    """
    found: dict[int, list[int]] = {}
    for index, storage in enumerate(storages):
        if storage.kind is not Kind.CONSTANT:
            found[index] = [0] if storage.kind in (Kind.INPUT, Kind.STATE) else []
    for moment, step in enumerate(steps, start=1):
        for access in accesses(step):
            if isinstance(access.place, Region) and access.place.storage in found:
                found[access.place.storage].append(moment)
    for index in found:
        if storages[index].kind in (Kind.OUTPUT, Kind.STATE) or index in kept:
            found[index].append(len(steps) + 1)
    return {index: list(dict.fromkeys(moments)) for index, moments in found.items() if moments}


def _before(steps: Sequence[Step]) -> Bools:
    """[i, j]: whether moment j has ended whenever moment i begins."""
    count = len(steps) + 2
    before = np.zeros((count, count), np.bool_)
    latest: dict[int, int] = {}
    for moment, step in enumerate(steps, start=1):
        earlier = {0, latest.get(step.stream, 0), *(other + 1 for other in step.after)}
        before[moment] = before[list(earlier)].any(axis=0)
        before[moment, list(earlier)] = True
        latest[step.stream] = moment
    before[-1, :-1] = True
    return before


class _Problem:
    """The used storages in the arena, numbered from 0, and which of them must not share bytes."""

    def __init__(
        self, storages: Sequence[Storage], steps: Sequence[Step], kept: Collection[int]
    ) -> None:
        uses = _uses(storages, steps, kept)
        self.indices = list(uses)
        self.sizes: Ints = np.array([_rounded(storages[i].size) for i in uses], np.int64)
        self.first: Ints = np.array([moments[0] for moments in uses.values()], np.int64)
        self.last: Ints = np.array([moments[-1] for moments in uses.values()], np.int64)
        self.moments = len(steps) + 2
        self.in_series = len({step.stream for step in steps}) < 2
        self.clash = _clashes(list(uses.values()), _before(steps))
        self.neighbours: list[Ints] = [np.flatnonzero(row) for row in self.clash]

    def live(self) -> Ints:
        """[moment]: bytes in use if the steps run one after the other."""
        change = np.zeros(self.moments + 1, np.int64)
        np.add.at(change, self.first, self.sizes)
        np.subtract.at(change, self.last + 1, self.sizes)
        return np.cumsum(change)[:-1]

    def height(self, offsets: Ints) -> int:
        """Bytes of the arena."""
        return int((offsets + self.sizes).max())

    def bound(self) -> int:
        """See ``lower_bound``. In series the storages in use at one moment are the largest
        sets without sharing; for streams such sets are extended greedily.
        """
        if not len(self.sizes):
            return 0
        if self.in_series:
            return int(self.live().max())
        return max(self._extended(moment) for moment in range(self.moments))

    def _extended(self, moment: int) -> int:
        chosen = (self.first <= moment) & (moment <= self.last)
        total = int(self.sizes[chosen].sum())
        others = self.clash[chosen].all(axis=0) & ~chosen
        while others.any():
            largest = int(np.argmax(np.where(others, self.sizes, -1)))
            total += int(self.sizes[largest])
            others &= self.clash[largest]
        return total


def _clashes(uses: Sequence[list[int]], before: Bools) -> Bools:
    """[a, b]: whether two storages must not share bytes."""
    count = len(uses)
    ended = np.zeros((len(before), count), np.bool_)  # [i, b]: i has ended when b's uses begin
    for index, moments in enumerate(uses):
        ended[:, index] = before[moments].all(axis=0)
    precedes = np.zeros((count, count), np.bool_)
    for index, moments in enumerate(uses):
        precedes[index] = ended[moments].all(axis=0)
    clash = ~(precedes | precedes.T)
    np.fill_diagonal(clash, val=False)
    return clash


def _search(problem: _Problem) -> Ints:
    """The offsets of the best of several orders, and of changes to it."""
    best: Ints = np.zeros(len(problem.sizes), np.int64)
    if not len(best):
        return best
    bound, height, order = problem.bound(), -1, best
    for candidate in _orders(problem):
        for tight in (True, False):
            offsets = _fit(problem, candidate, tight)
            top = problem.height(offsets)
            if height < 0 or top < height:
                best, height, order = offsets, top, candidate
            if height == bound:
                return best
    return _improve(problem, order, best, bound)


def _orders(problem: _Problem) -> Iterator[Ints]:
    """Orders in which to place: what is hard to place comes first."""
    sizes, length = problem.sizes, problem.last - problem.first + 1
    yield np.lexsort((problem.first, -length, -sizes))
    # Moments with most bytes in use first, and of each the largest storages.
    live = problem.live()
    fullest = np.array(
        [live[a : b + 1].max() for a, b in zip(problem.first, problem.last, strict=True)]
    )
    yield np.lexsort((problem.first, -sizes, -fullest))
    yield np.lexsort((problem.first, -sizes * length))
    yield np.lexsort((problem.first, -sizes, -length))
    yield np.lexsort((-sizes, problem.first))


def _fit(problem: _Problem, order: Ints, tight: bool) -> Ints:
    """Offsets of storages placed one by one: each into the smallest gap that it fits
    (``tight``) or the lowest one.
    """
    sizes = problem.sizes
    offsets: Ints = np.full(len(sizes), -1, np.int64)
    indices: list[int] = order.tolist()
    for index in indices:
        around = problem.neighbours[index]
        around = around[offsets[around] >= 0]
        offsets[index] = _gap(offsets[around], sizes[around], int(sizes[index]), tight)
    return offsets


def _gap(offsets: Ints, sizes: Ints, size: int, tight: bool) -> int:
    if not len(offsets):
        return 0
    rank = np.argsort(offsets)
    begins: Ints = np.append(offsets[rank], np.iinfo(np.int64).max)
    ends: Ints = np.maximum.accumulate(np.append(0, (offsets + sizes)[rank]))
    room: Any = begins - ends
    fits = room >= size
    chosen = np.argmin(np.where(fits, room, np.iinfo(np.int64).max)) if tight else np.argmax(fits)
    return int(ends[chosen])


def _improve(problem: _Problem, order: Ints, best: Ints, bound: int) -> Ints:
    """Hill climbing: the storage at the top of the arena, or one that it must not share bytes
    with, is placed earlier. Seeded, and bounded by ``PLACEMENTS``.
    """
    rng = random.Random(0)
    height = problem.height(best)
    for _ in range(PLACEMENTS // len(order)):
        if height == bound:
            break
        top = int(np.argmax(best + problem.sizes))
        mover = rng.choice([top, rng.choice([top, *problem.neighbours[top].tolist()])])
        position = int(np.flatnonzero(order == mover)[0])
        trial = np.insert(np.delete(order, position), rng.randrange(position + 1), mover)
        offsets = _fit(problem, trial, tight=rng.random() < 0.5)
        if problem.height(offsets) <= height:
            best, order, height = offsets, trial, problem.height(offsets)
    return best
