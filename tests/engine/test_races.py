"""The checker: silent on right plans, and loud on every planted fault.

An oracle of its own runs plans in random orders that their streams allow, over an arena in which
every byte remembers who wrote it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.engine.plan import Kind, Place, Region, Slot, Step, Storage
from gie_core.engine.races import find_races
from gie_core.engine.schedule import assign_streams, dependencies
from gie_core.engine.storage import place
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.format import Layout
from gie_core.ops.foreign import Foreign

F16 = TensorType(DType.F16, (1,))  # the graph's types don't matter here


OP = Foreign(domain="test", op="op")

# ── Random plans ────────────────────────────────────────────────────────────────────


@dataclass
class Drawn:
    """A random plan in the making; steps in an order that is right in series."""

    rng: random.Random
    graph: Graph = field(default_factory=Graph)
    storages: list[Storage] = field(default_factory=list[Storage])
    steps: list[Step] = field(default_factory=list[Step])
    arrays: list[Array] = field(default_factory=list[Array])
    live: dict[Value, tuple[int, Array]] = field(default_factory=dict[Value, tuple[int, Array]])
    """Where the values lie that may be read: storage and view of its array."""

    def storage(self, kind: Kind = Kind.ARENA) -> tuple[int, Array]:
        """N × C × H × W in memory as NCHW or NHWC, perhaps with a pitch."""
        n, c, h, w = (self.rng.randint(1, 3) for _ in range(4))
        gap = self.rng.choice([0, 0, 1])
        if self.rng.random() < 0.5:
            array = np.zeros((n, c, h, w + gap), np.float16)[..., :w]
        else:
            array = np.zeros((n, h, w, c + gap), np.float16)[..., :c].transpose(0, 3, 1, 2)
        whole = array if array.base is None else array.base
        self.arrays.append(whole)
        self.storages.append(Storage(kind, whole.nbytes))
        return len(self.storages) - 1, array

    def region(self, where: tuple[int, Array]) -> Region:
        storage, array = where
        begin = self.arrays[storage].__array_interface__["data"][0]
        offset = array.__array_interface__["data"][0] - begin
        return Region(storage, offset, Layout(DType.F16, array.shape, array.strides))

    def source(self, kind: Kind) -> None:
        """An input, a state or a constant."""
        if kind is Kind.CONSTANT:
            value = self.graph.add_constant(np.zeros(1, np.float16))
        else:
            value = self.graph.add_input(kind.value, F16)
        self.live[value] = self.storage(kind)

    def pick(self) -> Value:
        return self.rng.choice(list(self.live))

    def step(self, into: tuple[int, Array], reads: Sequence[Value] = ()) -> Value:
        """A kernel that writes one more value."""
        reads = list(reads) or [self.pick() for _ in range(self.rng.randint(1, 2))]
        node = self.graph.add(OP, *reads, types=[F16])
        workspace = None
        if self.rng.random() < 0.3:
            workspace = self.region(self.storage())
        operands = tuple(self.region(self.live[value]) for value in reads)
        result = self.region(into)
        self.steps.append(Step(node, "test", "", operands, results=(result,), workspace=workspace))
        self.live[node.result] = into
        return node.result

    def in_place(self) -> None:
        """Over an operand; nothing that shares bytes with it may be read any more."""
        value = self.pick()
        storage, array = self.live[value]
        if self.storages[storage].kind in (Kind.INPUT, Kind.CONSTANT):
            return
        lost = [v for v, (_, other) in self.live.items() if np.shares_memory(array, other)]
        others = [v for v in self.live if v not in lost]
        self.step((storage, array), [value, self.rng.choice(others)])
        for other in lost:
            del self.live[other]

    def view(self) -> None:
        value = self.pick()
        storage, array = self.live[value]
        axis = self.rng.randrange(array.ndim)
        begin = self.rng.randrange(array.shape[axis])
        part = array.swapaxes(0, axis)[begin:].swapaxes(0, axis)
        node = self.graph.add(OP, value, types=[F16])
        self.live[node.result] = (storage, part)

    def join(self) -> None:
        """A concatenation whose operands are written into their slices."""
        storage, array = self.storage(self.rng.choice([Kind.ARENA, Kind.OUTPUT]))
        axis = self.rng.randrange(array.ndim)
        along = array.swapaxes(0, axis)
        parts = [self.step((storage, row[None].swapaxes(0, axis))) for row in along]
        node = self.graph.add(OP, *parts, types=[F16])
        self.live[node.result] = (storage, array)

    def copy(self) -> None:
        """The same value in another format, for a kernel that needs it."""
        value = self.pick()
        source, where = self.region(self.live[value]), self.storage()
        self.live[value] = where
        self.step(self.storage(), [value])
        user = self.steps.pop()
        copy = Step(user.node, "", "copy", (source,), (self.region(where),))
        self.steps += [copy, user]

    def fresh(self) -> None:
        self.step(self.storage(self.rng.choice([Kind.ARENA] * 4 + [Kind.OUTPUT])))


@dataclass
class Case:
    """A plan, as far as it is checked."""

    steps: list[Step]
    storages: list[Storage]
    arena: int
    kept: set[int]

    def step(self, index: int, **changes: object) -> Case:
        """With one step changed."""
        steps = list(self.steps)
        steps[index] = replace(steps[index], **changes)
        return replace(self, steps=steps)

    def storage(self, index: int, **changes: object) -> Case:
        """With one storage changed."""
        storages = list(self.storages)
        storages[index] = replace(storages[index], **changes)
        return replace(self, storages=storages)


def draw_case(rng: random.Random, streams: int) -> Case:
    drawn = Drawn(rng)
    for kind in [Kind.INPUT, *rng.sample([Kind.INPUT, Kind.STATE, Kind.CONSTANT], 2)]:
        drawn.source(kind)
    makers = [drawn.fresh, drawn.fresh, drawn.in_place, drawn.view, drawn.join, drawn.copy]
    for _ in range(rng.randint(1, 10)):
        rng.choice(makers)()
    kept = {drawn.live[drawn.pick()][0]}
    times = [rng.randint(0, 9) for _ in drawn.steps]
    steps = assign_streams(drawn.steps, times, streams)
    storages, arena = place(drawn.storages, steps, kept)
    return Case(list(steps), list(storages), arena, kept)


# ── The oracle ──────────────────────────────────────────────────────────────────────


def bytes_of(region: Region) -> Array:
    """Every byte of a region, counted from the storage's begin."""
    found = np.array([region.offset])
    for extent, stride in zip(region.layout.shape, region.layout.strides, strict=True):
        found = np.add.outer(found, np.arange(extent) * stride)
    return np.add.outer(found, np.arange(region.layout.dtype.numpy.itemsize)).ravel()


def regions(places: Sequence[Place | None]) -> list[Region]:
    return [place for place in places if isinstance(place, Region)]


UNDEFINED = -1
BEGIN = 1_000_000


class Memory:
    """Storages at these offsets, in bytes that remember who wrote them."""

    def __init__(self, storages: Sequence[Storage], offsets: Sequence[int]) -> None:
        pairs = list(zip(storages, offsets, strict=True))
        self.offsets = offsets
        self.bytes = np.full(max(offset + storage.size for storage, offset in pairs), UNDEFINED)
        for index, (storage, offset) in enumerate(pairs):
            if storage.kind in (Kind.INPUT, Kind.STATE, Kind.CONSTANT):
                self.bytes[offset : offset + storage.size] = BEGIN + index

    def where(self, region: Region) -> Array:
        return self.offsets[region.storage] + bytes_of(region)

    def read(self, places: Sequence[Place | None]) -> list[int]:
        return [who for r in regions(places) for who in self.bytes[self.where(r)].tolist()]

    def write(self, places: Sequence[Place | None], who: int) -> None:
        for region in regions(places):
            self.bytes[self.where(region)] = who

    def last(self, case: Case) -> dict[int, list[int]]:
        """What the storages hold that are looked at when all is over."""
        return {
            index: self.bytes[self.offsets[index] :][: storage.size].tolist()
            for index, storage in enumerate(case.storages)
            if storage.kind in (Kind.OUTPUT, Kind.STATE) or index in case.kept
        }


class Run:
    """One random order, in which steps of several streams run at once."""

    def __init__(self, case: Case) -> None:
        self.case = case
        # In series, every storage with bytes of its own: so it should be.
        apart = np.cumsum([0, *(storage.size for storage in case.storages)]).tolist()[:-1]
        right = Memory(case.storages, apart)
        self.expected: list[list[int]] = []
        for index, step in enumerate(case.steps):
            self.expected.append(right.read(step.operands))
            right.write(step.results, index)
        self.last = right.last(case)
        # As it is; constants lie behind the arena.
        high = max(case.arena, *(s.offset + s.size for s in case.storages))
        there = [
            high + begin if storage.kind is Kind.CONSTANT else storage.offset
            for storage, begin in zip(case.storages, apart, strict=True)
        ]
        self.memory = Memory(case.storages, there)

    def begin(self, index: int) -> None:
        """From here on scratch memory, and results but those in place, may hold anything."""
        step = self.case.steps[index]
        operands = [self.memory.where(region).tolist() for region in regions(step.operands)]
        fresh = [r for r in regions(step.results) if self.memory.where(r).tolist() not in operands]
        self.memory.write((step.workspace, *fresh), -2 - index)

    def end(self, index: int) -> bool:
        """Whether the step has found what it must till its last moment."""
        step = self.case.steps[index]
        right = self.memory.read(step.operands) == self.expected[index]
        scratch = set(self.memory.read((step.workspace,))) <= {-2 - index}
        self.memory.write(step.results, index)
        return right and scratch

    def goes_well(self, rng: random.Random) -> bool:
        queues = {step.stream: list[int]() for step in self.case.steps}
        for index, step in enumerate(self.case.steps):
            queues[step.stream].append(index)
        running: dict[int, int] = {}
        done: set[int] = set()
        while any(queues.values()) or running:
            free = [s for s, queue in queues.items() if queue and s not in running]
            ready = [s for s in free if done.issuperset(self.case.steps[queues[s][0]].after)]
            stream = rng.choice([*running, *ready])
            if stream in running:
                index = running.pop(stream)
                done.add(index)
                if not self.end(index):
                    return False
            else:
                running[stream] = queues[stream].pop(0)
                self.begin(running[stream])
        found = self.memory.last(self.case)
        return all(
            who in (UNDEFINED, found[index][byte])  # whatever lies where nothing was written
            for index, owners in self.last.items()
            for byte, who in enumerate(owners)
        )


def goes_well(case: Case, rng: random.Random, trials: int = 8) -> bool:
    return all(Run(case).goes_well(rng) for _ in range(trials))


def check(case: Case) -> list[str]:
    races = find_races(case.steps, case.storages, arena=case.arena, kept=case.kept)
    return [str(race).replace(" = foreign", "") for race in races]


randoms = st.randoms(use_true_random=False)
streams_of_all = st.integers(1, 4)


@given(randoms, streams_of_all)
def test_right_plans_pass_and_run(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    assert check(case) == []
    assert goes_well(case, rng)


# ── Faults in random plans ──────────────────────────────────────────────────────────


@given(randoms, st.integers(2, 4))
def test_every_dropped_wait_is_found(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    for index, step in enumerate(case.steps):
        for other in step.after:
            left = tuple(wait for wait in step.after if wait != other)
            bad = case.step(index, after=left)
            assert check(bad), f"step {index} without its wait for {other}"


@given(randoms, streams_of_all)
def test_every_moved_offset_that_does_harm_is_found(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    movable = [i for i, s in enumerate(case.storages) if s.kind is not Kind.CONSTANT]
    index = rng.choice(movable)
    for offset in {case.storages[other].offset for other in movable}:
        bad = case.storage(index, offset=offset)
        assert check(bad) or goes_well(bad, rng, 4)
        assert check(case.storage(index, offset=offset + 1))


@given(randoms, streams_of_all)
def test_every_shrunk_storage_is_found(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    used = [r for s in case.steps for r in regions((*s.operands, *s.results, s.workspace))]
    for index in {region.storage for region in used}:
        need = max(region.span[1] for region in used if region.storage == index)
        assert check(case.storage(index, size=need - 1))


@given(randoms)
def test_every_swap_of_dependent_steps_is_found(rng: random.Random) -> None:
    case = draw_case(rng, 1)
    for later, needed in enumerate(dependencies(case.steps)):
        if later - 1 in needed:
            steps = list(case.steps)
            steps[later - 1], steps[later] = steps[later], steps[later - 1]
            assert check(replace(case, steps=steps))


@given(randoms, streams_of_all)
def test_every_wrong_stream_that_does_harm_is_found(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    for index, step in enumerate(case.steps):
        bad = case.step(index, stream=(step.stream + 1) % 4)
        assert check(bad) or goes_well(bad, rng, 4)


def test_the_oracle_and_the_checker_find_faults() -> None:
    """The properties above aren't empty: most of these faults do harm."""
    rng = random.Random(0)
    found: list[tuple[bool, bool]] = []
    for _ in range(60):
        case = draw_case(rng, 3)
        waiting = [index for index, step in enumerate(case.steps) if step.after]
        if waiting:
            bad = case.step(waiting[0], after=())
            found.append((not goes_well(bad, rng, 40), bool(check(bad))))
    assert len(found) > 20
    assert all(checker for _, checker in found)
    assert sum(oracle for oracle, _ in found) > 0.8 * len(found)


# ── Faults one by one ───────────────────────────────────────────────────────────────


def example() -> Case:
    """x → a → (b on stream 0 | c on stream 1) → d over b → y; w is a's scratch memory."""
    graph = Graph()
    values = {"x": graph.add_input("x", F16)}
    storages = {name: index for index, name in enumerate("xabcyw")}
    home = {**storages, "d": storages["b"]}

    def step(reads: str, writes: str, stream: int = 0, *after: int, workspace: str = "") -> Step:
        operands = [values[name] for name in reads]
        node = graph.add(OP, *operands, names=[writes], types=[F16])
        values[writes] = node.result
        where = [Region(home[n], 0, Layout(DType.F16, (32,), (2,))) for n in reads + writes]
        scratch = Region(home["w"], 0, Layout(DType.U8, (64,), (1,))) if workspace else None
        return Step(
            *(node, "test", "op", tuple(where[:-1]), tuple(where[-1:])),
            workspace=scratch,
            stream=stream,
            after=after,
        )

    steps = [
        step("x", "a", workspace="w"),
        step("a", "b"),
        step("a", "c", 1, 0),
        step("bc", "d", 0, 2),
        step("d", "y"),
    ]
    kinds = {"x": Kind.INPUT, "y": Kind.OUTPUT}
    offsets = {"x": 0, "a": 64, "b": 128, "c": 192, "y": 256, "w": 256}
    placed = [Storage(kinds.get(n, Kind.ARENA), 64, offsets[n]) for n in storages]
    return Case(steps, placed, 320, set())


X, A, B, C, Y, W = range(6)
RIGHT = example()


def reordered(*order: int) -> Case:
    steps = [replace(RIGHT.steps[index], stream=0, after=()) for index in order]
    return replace(RIGHT, steps=steps)


def region(storage: int, offset: int = 0, bytes_: int = 64) -> Region:
    return Region(storage, offset, Layout(DType.F16, (bytes_ // 2,), (2,)))


FAULTS = [
    # Waits and streams.
    (RIGHT.step(2, after=()), "step 2 (%c) reads bytes 0:64 of storage 1, but doesn't wait for "
     "step 0 (%a), which writes there"),
    (RIGHT.step(3, after=()), "step 3 (%d) reads bytes 0:64 of storage 3, but doesn't wait for "
     "step 2 (%c), which writes there"),
    (RIGHT.step(3, stream=2), "step 3 (%d) reads bytes 0:64 of storage 2, but doesn't wait for "
     "step 1 (%b), which writes there"),
    (RIGHT.step(2, after=(3,)), "step 2 (%c) waits for step 3, which is not an earlier"),
    (RIGHT.step(2, after=(-1,)), "step 2 (%c) waits for step -1, which is not an earlier"),
    # Order.
    (reordered(1, 0, 2, 3, 4), "step 0 (%b) reads bytes 0:64 of storage 1, which no step before "
     "has written"),
    (reordered(1, 0, 2, 3, 4), "step 0 (%b) reads %a, but only then comes step 1 (%a)"),
    (reordered(0, 1, 2, 4, 3), "step 3 (%y) reads %d, but only then comes step 4 (%d)"),
    # Regions and storages.
    (RIGHT.storage(A, size=62), "step 0 (%a) uses bytes 0:64 of storage 1, which has 62"),
    (RIGHT.step(1, operands=(region(A, -2),)), "step 1 (%b) uses bytes -2:62 of storage 1, which "
     "has 64"),
    (RIGHT.step(1, operands=(region(9),)), "step 1 (%b) uses storage 9, which is not"),
    (RIGHT.storage(A, offset=66), "storage 1 lies at 66, not at a multiple of 64"),
    (RIGHT.storage(A, offset=-1), "storage 1 lies at -1, not at a multiple of 64"),
    (RIGHT.storage(Y, offset=320), "storage 4 ends at 384, but the arena has 320 bytes"),
    # Bytes shared in the arena.
    (RIGHT.storage(B, offset=192), "storages 2 and 3 share bytes 192:256 of the arena: neither of "
     "step 1 (%b) and step 2 (%c) waits for the other"),
    (RIGHT.storage(W, offset=0), "storages 0 and 5 share bytes 0:64 of the arena: step 0 (%a) uses "
     "both"),
    (RIGHT.storage(A, offset=0), "storages 0 and 1 share bytes 0:64 of the arena: step 0 "),
    (RIGHT.storage(C, offset=0, kind=Kind.STATE), "storages 0 and 3 share bytes 0:64 of the arena: "
     "storage 0 is in use from before the first step to step 0 (%a), storage 3 is in use from "
     "before the first step to after the last step"),
    # Values.
    (RIGHT.step(0, results=(region(X),)), "step 0 (%a) writes bytes 0:64 of storage 0, which are "
     "read only"),
    (RIGHT.step(4, results=(region(C),)), "no step writes storage 4, an output's"),
    (RIGHT.step(4, operands=(region(W),)), "step 4 (%y) reads bytes 0:64 of storage 5, which step "
     "0 (%a) has used as scratch memory"),
    (RIGHT.step(3, results=(region(B, 0, 62),)), "step 3 (%d) writes bytes 0:62 of storage 2, "
     "which it also reads"),
    (RIGHT.step(0, results=(region(A), region(A, 32, 32))), "step 0 (%a) writes bytes 32:64 of "
     "storage 1, which it also writes"),
    (RIGHT.step(3, workspace=region(C)), "step 3 (%d) writes bytes 0:64 of storage 3, which it "
     "also reads"),
    (RIGHT.step(3, after=(), operands=(region(B),), results=(region(A),)), "step 3 (%d) writes "
     "bytes 0:64 of storage 1, but doesn't wait for step 2 (%c), which reads"),
    (RIGHT.step(2, results=(region(B),)), "step 2 (%c) writes bytes 0:64 of storage 2, but doesn't "
     "wait for step 1 (%b), which writes there"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "message"), FAULTS)
def test_faults_are_named(case: Case, message: str) -> None:
    assert any(found.startswith(message) for found in check(case)), check(case)


def test_a_value_that_was_overwritten_in_its_place_is_missed() -> None:
    """d is computed over b, and then somebody looks for b."""
    b = RIGHT.steps[1].node
    wrong = b.graph.add(OP, b.result, names=["z"], types=[F16])
    [race] = check(RIGHT.step(4, node=wrong))
    assert race == (
        "step 4 (%z) reads bytes 0:64 of storage 2, looking for %b, but step 3 "
        "(%d) has put %d in its place"
    )


def test_a_copy_that_was_overwritten_is_missed() -> None:
    """d is computed over a copy for a view, and then somebody looks for what was copied."""
    a = RIGHT.steps[0].node
    view = a.graph.add(OP, a.result, names=["v"], types=[F16])
    late = a.graph.add(OP, a.result, names=["late"], types=[F16])
    copy = replace(RIGHT.steps[1], node=view, provider="")
    case = replace(RIGHT, steps=[RIGHT.steps[0], copy, *RIGHT.steps[2:4]])
    wrong = replace(RIGHT.steps[4], node=late)
    [race] = check(replace(case, steps=[*case.steps, wrong]))
    assert race == (
        "step 4 (%late) reads bytes 0:64 of storage 2, looking for %a, but step 3 "
        "(%d) has put %d in its place"
    )


def test_kept_storages_are_in_use_until_the_end() -> None:
    assert check(RIGHT) == []
    assert "after the last step" in check(replace(RIGHT, kept={W}))[0]


def test_slots() -> None:
    graph = Graph()
    first = graph.add(OP, graph.add_input("x", F16), names=["a"], types=[F16])
    second = graph.add(OP, first.result, names=["b"], types=[F16])
    steps = [
        Step(node, "test", "", (Slot(index),), (Slot(index + 1),))
        for index, node in enumerate((first, second))
    ]
    case = Case(steps, [], 0, set())
    assert check(case) == []
    message = "step 1 (%b) reads slot 1, but doesn't wait for step 0 (%a), which writes there"
    assert check(case.step(1, stream=1)) == [message]
