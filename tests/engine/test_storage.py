"""The arena: exact cases, brute force on small ones, the lower bound on intervals of real nets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.engine.plan import ALIGNMENT, Kind, Region, Step, Storage
from gie_core.engine.schedule import assign_streams
from gie_core.engine.storage import Lifetime, lower_bound, memory_map, place
from gie_core.ir.graph import Graph
from gie_core.ir.types import DType
from gie_core.kernels.format import Layout
from gie_core.ops.foreign import Foreign

NODE = Graph().add(Foreign(domain="test", op="step"), types=())
KINDS = {"i": Kind.INPUT, "o": Kind.OUTPUT, "s": Kind.STATE, "c": Kind.CONSTANT}


def step_of(reads: Sequence[int], writes: Sequence[int], stream: int = 0, *after: int) -> Step:
    """Of each storage one byte is touched: how many does not matter here."""
    operands, results = (
        tuple(Region(s, 0, Layout(DType.U8, (1,), (1,))) for s in those)
        for those in (reads, writes)
    )
    return Step(NODE, "test", "", operands, results, stream=stream, after=after)


Plan = tuple[list[str], list[Step], list[Storage]]


def plan_of(text: str, sizes: dict[str, int]) -> Plan:
    """``i > a; @1<0 a > b``: a step on stream 1 that waits for step 0, reads a and writes b.

    A name's first letter says its kind; sizes are in units of ``ALIGNMENT``.
    """
    steps: list[Step] = []
    names = list(sizes)
    for part in text.split(";"):
        words = part.split()
        where = words.pop(0) if words[0][0] == "@" else "@0"
        stream, _, waits = where[1:].partition("<")
        middle = words.index(">")
        reads, writes = words[:middle], words[middle + 1 :]
        after = (int(w) for w in waits.split(",") if w)
        steps.append(
            step_of([*map(names.index, reads)], [*map(names.index, writes)], int(stream), *after)
        )
    storages = [Storage(KINDS.get(n[0], Kind.ARENA), s * ALIGNMENT) for n, s in sizes.items()]
    return names, steps, storages


EXACT = [
    # steps, sizes, bytes of the arena
    ("i > a; a > b; b > o", {"i": 1, "a": 1, "b": 1, "o": 1}, 2),
    ("i > a; a > b; b > o", {"i": 1, "a": 5, "b": 1, "o": 1}, 6),
    # A residual keeps its operand; a result in place takes nothing more.
    ("i > a; a > b; a b > b; b > o", {"i": 1, "a": 2, "b": 2, "o": 1}, 4),
    # An input is in use before the first step, an output after the last one, a state always.
    ("> a; a i > b; b > o", {"i": 4, "a": 1, "b": 1, "o": 1}, 6),
    ("i > o; i > a; a > p", {"i": 1, "o": 4, "a": 2, "p": 1}, 7),
    ("i > a; s > a; a > o", {"i": 1, "a": 1, "s": 8, "o": 1}, 10),
    # Inputs and outputs that no step touches.
    ("> a", {"a": 2, "i": 1, "o": 3}, 3),
    # Constants take no room, nor do storages that nothing uses, beside others.
    ("c > a; a > o", {"c": 9, "a": 1, "o": 1}, 2),
    ("i > a; a > o", {"i": 1, "a": 1, "o": 1, "x": 2}, 2),
    # The storage in the middle must not split the room that the large one needs.
    (
        "i > a b; a > x; b > y; x y > z; z > o",
        {"i": 1, "a": 2, "b": 2, "x": 1, "y": 1, "z": 4, "o": 1},
        6,
    ),
    # Two streams: in series a and b may share; side by side they may not.
    ("@0 > a; @0 a > o; @0 > b; @0 b > p", {"a": 2, "o": 1, "b": 2, "p": 1}, 4),
    ("@0 > a; @0 a > o; @1 > b; @1 b > p", {"a": 2, "o": 1, "b": 2, "p": 1}, 6),
    ("@0 > a; @0 a > o; @1<1 > b; @1 b > p", {"a": 2, "o": 1, "b": 2, "p": 1}, 4),
    ("@0 > a; @0 a > o; @1<0 > b; @1 b > p", {"a": 2, "o": 1, "b": 2, "p": 1}, 6),
    # The wait is known along a chain.
    ("@0 > a; @0 a > o; @1<1 > x; @2<2 x > b", {"a": 2, "o": 1, "x": 1, "b": 2}, 4),
]


@pytest.mark.parametrize(("text", "sizes", "arena"), EXACT)
def test_arena(text: str, sizes: dict[str, int], arena: int) -> None:
    _, steps, storages = plan_of(text, sizes)
    placed, found = place(storages, steps)
    assert found == arena * ALIGNMENT
    assert lower_bound(storages, steps) == arena * ALIGNMENT
    check(placed, steps, found)


def test_kept_storages_stay_in_use() -> None:
    _, steps, storages = plan_of("> a; a > b; b > x", {"a": 1, "b": 1, "x": 1})
    assert place(storages, steps)[1] == 2 * ALIGNMENT
    assert place(storages, steps, kept={0})[1] == 3 * ALIGNMENT
    assert lower_bound(storages, steps, kept={0}) == 3 * ALIGNMENT


def test_offsets_are_aligned_and_sizes_stay() -> None:
    steps = [step_of((), (0, 1, 2))]
    storages = [Storage(Kind.ARENA, size) for size in (1, ALIGNMENT + 1, 0)]
    placed, arena = place(storages, steps)
    assert [s.size for s in placed] == [1, ALIGNMENT + 1, 0]
    assert sorted(s.offset for s in placed[:2]) == [0, 2 * ALIGNMENT]
    assert arena == 3 * ALIGNMENT


def test_constants_keep_their_offset() -> None:
    constant = Storage(Kind.CONSTANT, 100, 7)
    assert place([constant], [step_of((0,), ())]) == ((constant,), 0)


def test_memory_map() -> None:
    names, steps, storages = plan_of(
        "i > a; a > b; b > o", {"i": 2, "a": 1, "b": 1, "c": 1, "o": 1, "x": 1, "s": 1}
    )
    placed, _ = place(storages, steps)
    rows = memory_map(placed, steps)
    lives = {"i": (-1, 0), "a": (0, 1), "b": (1, 2), "o": (2, 3), "s": (-1, 3)}
    assert {names[row.storage]: (row.first, row.last) for row in rows} == lives
    assert rows[0] == Lifetime(0, placed[0].offset, 2 * ALIGNMENT, -1, 0)
    assert memory_map(placed, steps, kept={1})[1].last == 3


# ── Against brute force ─────────────────────────────────────────────────────────────


def moments(storages: Sequence[Storage], steps: Sequence[Step]) -> list[list[int]]:
    """When each storage is used: step numbers, -1 before, ``len(steps)`` after."""
    found: list[list[int]] = [[] for _ in storages]
    for index, storage in enumerate(storages):
        found[index] += [-1] * (storage.kind in (Kind.INPUT, Kind.STATE))
        found[index] += [len(steps)] * (storage.kind in (Kind.OUTPUT, Kind.STATE))
    for index, step in enumerate(steps):
        for region in (*step.operands, *step.results):
            assert isinstance(region, Region)
            found[region.storage].append(index)
    return found


def ended_before(steps: Sequence[Step]) -> list[set[int]]:
    """For each step those that have ended when it begins; at last, for the end."""
    found: list[set[int]] = []
    for index, step in enumerate(steps):
        same = [j for j in range(index) if steps[j].stream == step.stream]
        direct = {*same[-1:], *step.after}
        found.append({-1, *direct}.union(*(found[other] for other in direct)))
    return [*found, set(range(-1, len(steps)))]


def clashes(storages: Sequence[Storage], steps: Sequence[Step]) -> set[tuple[int, int]]:
    """Pairs of storages of which neither is out of use before the other comes into use."""
    ended = [*ended_before(steps), set[int]()]  # at -1 it is nothing
    uses = [
        [] if storage.kind is Kind.CONSTANT else moments_of
        for storage, moments_of in zip(storages, moments(storages, steps), strict=True)
    ]
    precedes = [[all(i in ended[j] for j in b for i in a) for b in uses] for a in uses]
    pairs = itertools.permutations(range(len(uses)), 2)
    return {(a, b) for a, b in pairs if not precedes[a][b] and not precedes[b][a]}


def check(placed: Sequence[Storage], steps: Sequence[Step], arena: int) -> None:
    """No two storages in use at once share a byte, and all lie in the arena."""
    for storage in placed:
        if storage.kind is not Kind.CONSTANT:
            assert storage.offset % ALIGNMENT == 0
            assert 0 <= storage.offset <= storage.offset + storage.size <= arena
    for a, b in clashes(placed, steps):
        low, high = sorted((placed[a], placed[b]), key=lambda storage: storage.offset)
        assert low.offset + low.size <= high.offset or not low.size, (a, b)


def random_plan(rng: random.Random, storages: int, steps: int) -> tuple[list[Storage], list[Step]]:
    kinds = [Kind.ARENA] * 6 + [Kind.INPUT, Kind.OUTPUT, Kind.STATE, Kind.CONSTANT]
    pool = [Storage(rng.choice(kinds), rng.randint(1, 12) * 40) for _ in range(storages)]
    home = {index: rng.randrange(steps) for index in range(storages)}  # used around one step
    sequence: list[Step] = []
    for step in range(steps):
        near = [index for index in home if home[index] <= step <= home[index] + 3]
        chosen = [index for index in near if rng.random() < 0.6]
        sequence.append(step_of(chosen[1:], chosen[:1]))
    return pool, sequence


randoms = st.randoms(use_true_random=False)


@given(randoms, st.integers(1, 4))
def test_random_plans(rng: random.Random, streams: int) -> None:
    storages, steps = random_plan(rng, rng.randint(0, 12), rng.randint(1, 12))
    steps = assign_streams(steps, [rng.randint(0, 9) for _ in steps], streams)
    placed, arena = place(storages, steps)
    check(placed, steps, arena)
    assert lower_bound(storages, steps) <= arena
    assert place(storages, steps) == (placed, arena), "not the same each time"


def optimum(storages: Sequence[Storage], steps: Sequence[Step]) -> int:
    """Some order of placing each storage at the lowest free offset is optimal: try them all."""
    uses = moments(storages, steps)
    sizes = [-(-storage.size // ALIGNMENT) * ALIGNMENT for storage in storages]
    there = [i for i, storage in enumerate(storages) if storage.kind is not Kind.CONSTANT]
    unused = max((sizes[i] for i in there if not uses[i]), default=0)
    there = [i for i in there if uses[i]]
    clash = clashes(storages, steps)
    best = sum(sizes)
    for order in itertools.permutations(there):
        ends: dict[int, int] = {}
        for index in order:
            offset = 0
            for begin, end, other in sorted((ends[o] - sizes[o], ends[o], o) for o in ends):
                if (other, index) in clash and begin < offset + sizes[index]:
                    offset = max(offset, end)
            ends[index] = offset + sizes[index]
        best = min(best, max(ends.values(), default=0))
    return max(best, unused)


@given(randoms, st.integers(1, 3))
def test_small_arenas_are_optimal(rng: random.Random, streams: int) -> None:
    storages, steps = random_plan(rng, 5, rng.randint(3, 6))
    steps = assign_streams(steps, [1] * len(steps), streams)
    best = optimum(storages, steps)
    assert lower_bound(storages, steps) <= best == place(storages, steps)[1]


# ── Intervals as in real networks ───────────────────────────────────────────────────


class Net:
    """Float storages with their writer and readers; batch 1."""

    def __init__(self) -> None:
        self.storages: list[Storage] = []
        self.steps: list[Step] = []

    def storage(self, elements: int, kind: Kind = Kind.ARENA) -> int:
        self.storages.append(Storage(kind, 4 * elements))
        return len(self.storages) - 1

    def step(self, reads: Sequence[int], into: int, scratch: int = 0) -> int:
        workspace = [self.storage(scratch)] if scratch else []
        self.steps.append(step_of(reads, [into, *workspace]))
        return into

    def conv(self, x: int, channels: int, size: int, window: int = 3, scratch: bool = True) -> int:
        """A convolution, with a row of im2col as its workspace if the window isn't 1×1."""
        rows = window * window * channels * size if scratch and window > 1 else 0
        return self.step([x], self.storage(channels * size * size), rows)

    def end(self, x: int, classes: int = 1000) -> None:
        self.step([x], self.storage(classes, Kind.OUTPUT))


def input_of(net: Net) -> int:
    return net.storage(3 * 224 * 224, Kind.INPUT)


def vgg(net: Net) -> None:
    x = input_of(net)
    for channels, size, count in [(64, 224, 2), (128, 112, 2), (256, 56, 4), (512, 28, 4)]:
        for _ in range(count):
            x = net.conv(x, channels, size)
        x = net.conv(x, channels, size // 2, window=1)  # the pool
    for units in (4096, 4096):
        x = net.step([x], net.storage(units))
    net.end(x)


def resnet(net: Net) -> None:
    x = net.conv(net.conv(input_of(net), 64, 112, 7), 64, 56, 1)
    for channels, size, blocks in [(64, 56, 3), (128, 28, 4), (256, 14, 6), (512, 7, 3)]:
        for block in range(blocks):
            y = net.conv(net.conv(x, channels, size, 1), channels, size)
            short = net.conv(x, 4 * channels, size, 1) if not block else x
            x = net.step([y, short], net.storage(4 * channels * size * size))
    net.end(x)


def mobilenet(net: Net) -> None:
    x, size = net.conv(input_of(net), 32, 112), 112
    for factor, channels, count, stride in [
        *[(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)],
        *[(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)],
    ]:
        for index in range(count):
            wide = net.conv(x, factor * channels, size, 1)
            size //= stride if index == 0 else 1
            deep = net.conv(wide, factor * channels, size, scratch=False)
            reads = [deep, x] if index else [deep]
            x = net.step(reads, net.storage(channels * size * size))
    net.end(x)


def googlenet(net: Net) -> None:
    """Branches write slices of the module's one storage."""
    x = net.conv(net.conv(net.conv(input_of(net), 64, 112, 7), 64, 56, 1), 192, 56)
    for size, modules in [
        (28, [(96, 16, 256), (128, 32, 480)]),
        (14, [(96, 16, 512), (112, 24, 512), (128, 24, 512), (144, 32, 528), (160, 32, 832)]),
        (7, [(160, 32, 832), (192, 48, 1024)]),
    ]:
        x = net.conv(x, modules[0][0], size, 1)
        for reduce3, reduce5, channels in modules:
            whole = net.storage(channels * size * size)
            net.step([x], whole)
            for reduced in (reduce3, reduce5):
                net.step([net.conv(x, reduced, size, 1)], whole, scratch=9 * reduced * size)
            net.step([net.conv(x, channels // 4, size, 1)], whole)
            x = whole
    net.end(x)


def squeezenet(net: Net) -> None:
    x = net.conv(input_of(net), 64, 111)
    for squeeze, size in [(16, 55)] * 2 + [(32, 27)] * 2 + [(48, 13)] * 2 + [(64, 13)] * 2:
        s = net.conv(x, squeeze, size, 1)
        whole = net.storage(8 * squeeze * size * size)
        net.step([s], whole)
        x = net.step([s], whole, scratch=9 * squeeze * size)
    net.end(x)


def unet(net: Net) -> None:
    x, skips = input_of(net), list[tuple[int, int, int]]()
    for channels, size in [(32, 224), (64, 112), (128, 56), (256, 28)]:
        x = net.conv(net.conv(x, channels, size), channels, size)
        skips.append((x, channels, size))
        x = net.conv(x, channels, size // 2, 1)
    for skip, channels, size in reversed(skips):
        up = net.conv(x, channels, size, 1)
        both = net.step([skip, up], net.storage(2 * channels * size * size))
        x = net.conv(net.conv(both, channels, size), channels, size)
    net.end(x, 2 * 224 * 224)


def densenet(net: Net) -> None:
    """Every layer reads what all before it have written."""
    x, size = net.conv(input_of(net), 64, 56, 7), 56
    for layers in (6, 12, 24, 16):
        parts = [x]
        for _ in range(layers):
            y = net.step(parts, net.storage(128 * size * size))
            parts.append(net.conv(y, 32, size))
        size //= 2
        x = net.step(parts, net.storage((64 + 16 * layers) * size * size))
    net.end(x)


NETS = [vgg, resnet, mobilenet, googlenet, squeezenet, unet, densenet]


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("build", NETS, ids=lambda build: build.__name__)
def test_networks_come_close_to_the_lower_bound(build: Callable[[Net], None], streams: int) -> None:
    net = Net()
    build(net)
    steps = assign_streams(net.steps, [1] * len(net.steps), streams)
    placed, arena = place(net.storages, steps)
    check(placed, steps, arena)
    bound = lower_bound(net.storages, steps)
    assert bound <= arena <= 1.10 * bound
    assert arena < 0.6 * sum(storage.size for storage in net.storages)


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_storages(seed: int) -> None:
    rng = random.Random(seed)
    net = Net()
    for index in range(1000):
        reads = sorted({max(0, index - 1 - int(rng.expovariate(0.3))) for _ in range(2)})
        net.step(reads if index else [], net.storage(int(2 ** rng.uniform(6, 20))))
    _, arena = place(net.storages, net.steps)
    assert arena <= 1.02 * lower_bound(net.storages, net.steps)
