"""Schedules: who waits for whom, against all pairs of bytes; known cases; Graham's bound."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.engine.plan import Place, Region, Slot, Step
from gie_core.engine.schedule import (
    assign_streams,
    dependencies,
    makespan,
    may_overlap,
    stream_order,
    timeline,
)
from gie_core.ir.graph import Graph
from gie_core.ir.types import DType
from gie_core.kernels.format import Layout
from gie_core.ops.foreign import Foreign

NODE = Graph().add(Foreign(domain="test", op="step"), types=())
WHOLE = 8


def place_of(text: str) -> Place:
    """``a`` is storage 0 as a whole, ``b[2:4]`` two bytes of storage 1, ``#3`` slot 3."""
    if text[0] == "#":
        return Slot(int(text[1:]))
    found = re.fullmatch(r"(\w)(?:\[(\d+):(\d+)\])?", text)
    assert found
    low, high = int(found[2] or 0), int(found[3] or WHOLE)
    return Region(ord(found[1]) - ord("a"), low, Layout(DType.U8, (high - low,), (1,)))


def step_of(text: str) -> Step:
    """``a b -> c + w``: reads a and b, writes c, with workspace w."""
    text, _, scratch = text.partition("+")
    reads, _, writes = text.partition("->")
    workspace = place_of(scratch.strip()) if scratch else None
    assert workspace is None or isinstance(workspace, Region)
    return Step(
        NODE,
        provider="test",
        candidate="",
        operands=(None, *map(place_of, reads.split())),
        results=tuple(map(place_of, writes.split())),
        workspace=workspace,
    )


def steps_of(text: str) -> list[Step]:
    return [step_of(part) for part in text.split(";")]


DEPENDENCIES = [
    ("-> a", [()]),
    ("-> a; a -> b; b -> c", [(), (0,), (1,)]),
    ("-> a; a -> b; a -> c; b c -> d", [(), (0,), (0,), (1, 2)]),
    # Reads don't wait for reads, and what another wait implies is left out.
    ("-> a; a -> b; a b -> c; a b c -> d", [(), (0,), (1,), (2,)]),
    # In place: after all who read what was there.
    ("-> a; a -> b; a -> c; a -> a; a -> d", [(), (0,), (0,), (1, 2), (3,)]),
    # Slices of one storage are independent, the whole is not.
    ("-> a[0:4]; -> a[4:8]; a -> b; a[4:8] -> c", [(), (), (0, 1), (1,)]),
    ("-> a; -> a", [(), (0,)]),
    # Scratch memory is written.
    ("-> a + w; -> b + w; -> c + x", [(), (0,), ()]),
    ("-> #0; #0 -> #1; -> #2; #1 #2 -> #0", [(), (0,), (), (1, 2)]),
    # Empty tensors touch nothing.
    ("-> a[3:3]; a[3:3] -> b; -> a", [(), (), ()]),
]


@pytest.mark.parametrize(("text", "expected"), DEPENDENCIES)
def test_dependencies(text: str, expected: list[tuple[int, ...]]) -> None:
    assert dependencies(steps_of(text)) == expected


# ── Regions ─────────────────────────────────────────────────────────────────────────


def bytes_of(region: Region) -> set[int]:
    layout = region.layout
    positions = itertools.product(*map(range, layout.shape))
    starts = (sum(i * s for i, s in zip(p, layout.strides, strict=True)) for p in positions)
    width = layout.dtype.numpy.itemsize
    return {region.offset + start + k for start in starts for k in range(width)}


def box(strides: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> Region:
    """A part of a tensor of f16 with these strides."""
    offset = sum(a * s for a, s in zip(starts, strides, strict=True))
    shape = tuple(b - a for a, b in zip(starts, ends, strict=True))
    return Region(0, offset, Layout(DType.F16, shape, tuple(strides)))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Region, Region]:
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    strides, step = [0] * len(shape), 2
    for axis in draw(st.permutations(range(len(shape)))):
        strides[axis] = step
        step *= shape[axis] + draw(st.sampled_from([0, 0, 1]))
    pairs: list[Region] = []
    for _ in range(2):
        starts = [draw(st.integers(0, n - 1)) for n in shape]
        ends = [draw(st.integers(a + 1, n)) for a, n in zip(starts, shape, strict=True)]
        pairs.append(box(strides, starts, ends))
    return pairs[0], pairs[1]


@given(boxes())
def test_overlap_of_boxes_of_one_tensor_is_exact(pair: tuple[Region, Region]) -> None:
    first, second = pair
    assert may_overlap(first, second) is not bytes_of(first).isdisjoint(bytes_of(second))


@st.composite
def any_regions(draw: st.DrawFn) -> Region:
    axes = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(-12, 12)), max_size=3))
    layout = Layout(DType.F16, tuple(n for n, _ in axes), tuple(s for _, s in axes))
    return Region(0, draw(st.integers(0, 60)), layout)


@given(any_regions(), any_regions())
def test_overlap_of_any_regions_is_never_missed(first: Region, second: Region) -> None:
    assert may_overlap(first, second) or bytes_of(first).isdisjoint(bytes_of(second))
    assert may_overlap(first, second) is may_overlap(second, first)


def test_regions_of_two_storages_never_overlap() -> None:
    region = box((2,), (0,), (4,))
    assert may_overlap(region, region)
    assert not may_overlap(region, replace(region, storage=1))


# ── Random plans ────────────────────────────────────────────────────────────────────


def random_steps(rng: random.Random) -> list[Step]:
    """Reads and writes of random parts of a few storages."""

    def part() -> str:
        low, high = sorted(rng.sample(range(WHOLE + 1), 2))
        return f"{rng.choice('abcde')}[{low}:{high}]"

    def parts(most: int) -> str:
        return " ".join(part() for _ in range(rng.randint(0, most)))

    return [step_of(f"{parts(2)} -> {parts(1)}") for _ in range(rng.randint(1, 14))]


def touched(places: Sequence[Place | None]) -> set[tuple[int, int]]:
    regions = [place for place in places if isinstance(place, Region)]
    return {(region.storage, byte) for region in regions for byte in bytes_of(region)}


def clashes(first: Step, second: Step) -> bool:
    writes, others = touched(first.results), touched(second.results)
    return bool(writes & (others | touched(second.operands)) or others & touched(first.operands))


def closure(edges: Sequence[Sequence[int]]) -> list[set[int]]:
    found: list[set[int]] = []
    for direct in edges:
        found.append(set(direct).union(*(found[other] for other in direct)))
    return found


def must_precede(steps: Sequence[Step]) -> list[set[int]]:
    """Byte by byte, for all pairs."""
    return closure(
        [[j for j in range(i) if clashes(steps[j], step)] for i, step in enumerate(steps)]
    )


def with_stream_order(steps: Sequence[Step]) -> list[list[int]]:
    """For each step what it directly follows: waits, and the one before on its stream."""
    latest: dict[int, int] = {}
    found: list[list[int]] = []
    for index, step in enumerate(steps):
        found.append([*step.after, *([latest[step.stream]] if step.stream in latest else [])])
        latest[step.stream] = index
    return found


randoms = st.randoms(use_true_random=False)


@given(randoms)
def test_dependencies_are_all_that_is_needed_and_no_more(rng: random.Random) -> None:
    steps = random_steps(rng)
    found = dependencies(steps)
    assert closure(found) == must_precede(steps)
    for index, needed in enumerate(found):
        assert list(needed) == sorted(needed)
        implied = set[int]().union(*(closure(found)[other] for other in needed))
        assert implied.isdisjoint(needed), f"step {index} waits twice"


@given(randoms, st.integers(1, 4))
def test_streams_keep_all_dependencies(rng: random.Random, streams: int) -> None:
    steps = random_steps(rng)
    times = [rng.choice([0, 1, 5, 20]) for _ in steps]
    order = stream_order(steps, times, streams)
    scheduled = assign_streams(steps, times, streams)
    assert [replace(s, stream=0, after=()) for s in scheduled] == [steps[i] for i, _ in order]
    assert sorted(index for index, _ in order) == list(range(len(steps)))
    assert {step.stream for step in scheduled} <= set(range(streams))

    position = {index: new for new, (index, _) in enumerate(order)}
    follows = closure(with_stream_order(scheduled))
    for later, needed in enumerate(must_precede(steps)):
        for earlier in needed:
            assert position[earlier] in follows[position[later]]
    for index, step in enumerate(scheduled):
        for other in step.after:
            dropped = tuple(w for w in step.after if w != other)
            less = [*scheduled[:index], replace(step, after=dropped), *scheduled[index + 1 :]]
            assert other not in closure(with_stream_order(less))[index], "a wait too many"


@given(randoms, st.integers(2, 4))
def test_makespan_is_within_grahams_bound(rng: random.Random, streams: int) -> None:
    steps = random_steps(rng)
    times = [rng.choice([0, 1, 5, 20]) for _ in steps]
    scheduled = assign_streams(steps, times, streams)
    durations = [times[index] for index, _ in stream_order(steps, times, streams)]
    path: list[int] = []
    for step, needed in enumerate(dependencies(steps)):
        path.append(times[step] + max((path[other] for other in needed), default=0))
    found = makespan(scheduled, durations)
    assert max(path) <= found <= sum(times) / streams + (1 - 1 / streams) * max(path)
    spans = timeline(scheduled, durations)
    assert [end - begin for begin, end in spans] == durations
    for (begin, _), follows in zip(spans, with_stream_order(scheduled), strict=True):
        assert begin == max((spans[other][1] for other in follows), default=0)


# ── Known cases ─────────────────────────────────────────────────────────────────────

FORK = "-> a; a -> b; a -> c; a -> d; b c d -> e"

CASES = [
    # steps, times, streams, expected (index, stream), waits, makespan
    (FORK, [1, 2, 3, 4, 1], 1, "00 10 20 30 40", "- - - - -", 11),
    (FORK, [1, 2, 3, 4, 1], 2, "00 30 21 11 41", "- - 0 - 1", 7),
    (FORK, [1, 2, 3, 4, 1], 3, "00 30 21 12 40", "- - 0 0 23", 6),
    ("-> a; a -> b; b -> c", [1, 1, 1], 4, "00 10 20", "- - -", 3),
    ("-> a; -> b; -> c", [1, 5, 1], 2, "10 01 21", "- - -", 5),
    # The long path first, although it stands last.
    ("-> a; -> b; b -> c", [3, 2, 2], 1, "00 10 20", "- - -", 7),
    ("-> a; -> b; b -> c", [3, 2, 2], 2, "10 01 20", "- - -", 4),
    # Nothing takes any time: still in order.
    ("-> a; a -> b; a -> c", [0, 0, 0], 2, "00 10 21", "- - 0", 0),
]


@pytest.mark.parametrize(("text", "times", "streams", "order", "waits", "span"), CASES)
def test_streams(
    text: str, times: list[int], streams: int, order: str, waits: str, span: int
) -> None:
    steps = steps_of(text)
    found = stream_order(steps, times, streams)
    scheduled = assign_streams(steps, times, streams)
    assert " ".join(f"{index}{stream}" for index, stream in found) == order
    assert " ".join("".join(map(str, step.after)) or "-" for step in scheduled) == waits
    assert makespan(scheduled, [times[index] for index, _ in found]) == span


def test_a_schedule_is_the_same_each_time() -> None:
    rng = random.Random(1)
    for _ in range(20):
        steps = random_steps(rng)
        times = [rng.randint(0, 3) for _ in steps]
        assert assign_streams(steps, times, 3) == assign_streams(list(steps), list(times), 3)


def test_no_steps() -> None:
    assert assign_streams([], [], 2) == ()
    assert makespan([], []) == 0


@pytest.mark.parametrize(("times", "streams"), [([1], 0), ([], 1), ([1, 1], 2)])
def test_wrong_arguments(times: list[int], streams: int) -> None:
    with pytest.raises(ValueError, match=r"1 steps with . times can't run on . streams"):
        stream_order([step_of("-> a")], times, streams)
