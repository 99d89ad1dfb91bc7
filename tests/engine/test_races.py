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

from gie_core.engine.plan import Kind, Region, Slot, Step, Storage
from gie_core.engine.races import check_plan
from gie_core.engine.schedule import assign_streams, dependencies
from gie_core.engine.storage import place
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.format import Layout
from gie_core.ops.foreign import Foreign

F16 = TensorType(DType.F16, (1,))  # the graph's types don't matter here


def op(name: str) -> Foreign:
    return Foreign(domain="test", op=name)


def region_of(storage: int, array: Array, whole: Array) -> Region:
    """Where a view of a storage's array lies."""
    offset = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return Region(storage, offset, Layout(DType.of(array.dtype), array.shape, array.strides))


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
        return region_of(where[0], where[1], self.arrays[where[0]])

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
        node = self.graph.add(op("kernel"), *reads, types=[F16])
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
        node = self.graph.add(op("view"), value, types=[F16])
        self.live[node.result] = (storage, part)

    def join(self) -> None:
        """A concatenation whose operands are written into their slices."""
        storage, array = self.storage(self.rng.choice([Kind.ARENA, Kind.OUTPUT]))
        axis = self.rng.randrange(array.ndim)
        along = array.swapaxes(0, axis)
        parts = [self.step((storage, row[None].swapaxes(0, axis))) for row in along]
        node = self.graph.add(op("join"), *parts, types=[F16])
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


BEGIN = 1_000_000
UNDEFINED = -1


def in_series(steps: Sequence[Step], storages: Sequence[Storage]) -> tuple[list[Array], Array]:
    """Who has written each byte that each step reads, and each byte at the end.

    Every storage has memory of its own here, and the steps run one after the other.
    """
    begins = np.cumsum([0, *(storage.size for storage in storages)])
    memory = np.full(begins[-1], UNDEFINED)
    for index, storage in enumerate(storages):
        if storage.kind in (Kind.INPUT, Kind.STATE, Kind.CONSTANT):
            memory[begins[index] : begins[index + 1]] = BEGIN + index
    reads: list[Array] = []
    for index, step in enumerate(steps):
        found = [memory[begins[r.storage] + bytes_of(r)] for r in regions(step.operands)]
        reads.append(np.concatenate([np.zeros(0, int), *found]))
        for result in regions(step.results):
            memory[begins[result.storage] + bytes_of(result)] = index
    return reads, memory


def regions(places: Sequence[Region | Slot | None]) -> list[Region]:
    return [place for place in places if isinstance(place, Region)]


class Arena:
    """Bytes that remember who wrote them; constants lie behind the arena."""

    def __init__(self, case: Case) -> None:
        self.case = case
        size = max(case.arena, *(s.offset + s.size for s in case.storages))
        offsets: list[int] = []
        for storage in case.storages:
            constant = storage.kind is Kind.CONSTANT
            offsets.append(size if constant else storage.offset)
            size += storage.size if constant else 0
        self.offsets = offsets
        self.memory = np.full(size, UNDEFINED)
        for index, storage in enumerate(case.storages):
            if storage.kind in (Kind.INPUT, Kind.STATE, Kind.CONSTANT):
                self.memory[offsets[index] : offsets[index] + storage.size] = BEGIN + index

    def where(self, region: Region) -> Array:
        return self.offsets[region.storage] + bytes_of(region)

    def begin(self, index: int) -> None:
        """From here on scratch memory and results may hold anything."""
        step = self.case.steps[index]
        read = [self.where(region) for region in regions(step.operands)]
        for region in regions((step.workspace, *step.results)):
            where = self.where(region)
            in_place = any(np.array_equal(where, other) for other in read)
            if not in_place or region is step.workspace:
                self.memory[where] = -2 - index

    def end(self, index: int, expected: Array) -> bool:
        """Whether the step still finds what it must, till its last moment."""
        step = self.case.steps[index]
        found = [self.memory[self.where(region)] for region in regions(step.operands)]
        scratch = [self.memory[self.where(region)] for region in regions((step.workspace,))]
        right = np.array_equal(np.concatenate([np.zeros(0, int), *found]), expected)
        for result in regions(step.results):
            self.memory[self.where(result)] = index
        return bool(right and all((own == -2 - index).all() for own in scratch))


def survives(case: Case, rng: random.Random) -> bool:
    """Whether one random order, in which steps of several streams run at once, goes well."""
    expected, final = in_series(case.steps, case.storages)
    arena = Arena(case)
    queues = {step.stream: list[int]() for step in case.steps}
    for index, step in enumerate(case.steps):
        queues[step.stream].append(index)
    running: dict[int, int] = {}
    done: set[int] = set()
    while any(queues.values()) or running:
        ready = [
            stream
            for stream, queue in queues.items()
            if stream in running or (queue and done.issuperset(case.steps[queue[0]].after))
        ]
        stream = rng.choice(ready)
        if stream in running:
            index = running.pop(stream)
            done.add(index)
            if not arena.end(index, expected[index]):
                return False
        else:
            running[stream] = queues[stream].pop(0)
            arena.begin(running[stream])
    begins = np.cumsum([0, *(storage.size for storage in case.storages)])
    for index, storage in enumerate(case.storages):
        if storage.kind in (Kind.OUTPUT, Kind.STATE) or index in case.kept:
            owned = final[begins[index] : begins[index + 1]]
            found = arena.memory[arena.offsets[index] :][: storage.size]
            if not np.array_equal(found[owned != UNDEFINED], owned[owned != UNDEFINED]):
                return False
    return True


def goes_well(case: Case, rng: random.Random, trials: int = 8) -> bool:
    return all(survives(case, rng) for _ in range(trials))


def check(case: Case) -> list[str]:
    return [str(r) for r in check_plan(case.steps, case.storages, arena=case.arena, kept=case.kept)]


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
            bad = replace_step(case, index, replace(step, after=left))
            assert check(bad), f"step {index} without its wait for {other}"


@given(randoms, streams_of_all)
def test_every_moved_offset_that_does_harm_is_found(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    movable = [i for i, s in enumerate(case.storages) if s.kind is not Kind.CONSTANT]
    index = rng.choice(movable)
    for offset in {case.storages[other].offset for other in movable}:
        moved = replace(case.storages[index], offset=offset)
        bad = replace_storage(case, index, moved)
        assert check(bad) or goes_well(bad, rng, 4)
        assert check(replace_storage(case, index, replace(moved, offset=offset + 1)))


@given(randoms, streams_of_all)
def test_every_shrunk_storage_is_found(rng: random.Random, streams: int) -> None:
    case = draw_case(rng, streams)
    used = [r for s in case.steps for r in regions((*s.operands, *s.results, s.workspace))]
    for index in {region.storage for region in used}:
        need = max(region.span[1] for region in used if region.storage == index)
        bad = replace_storage(case, index, replace(case.storages[index], size=need - 1))
        assert check(bad)


@given(randoms)
def test_every_swap_of_dependent_steps_is_found(rng: random.Random) -> None:
    case = draw_case(rng, 1)
    for later, needed in enumerate(dependencies(case.steps)):
        if later - 1 in needed:
            steps = list(case.steps)
            steps[later - 1], steps[later] = steps[later], steps[later - 1]
            assert check(replace(case, steps=steps))


@given(randoms, streams_of_all)
def test_every_wrong_stream_or_order_that_does_harm_is_found(
    rng: random.Random, streams: int
) -> None:
    case = draw_case(rng, streams)
    for index, step in enumerate(case.steps):
        bad = replace_step(case, index, replace(step, stream=(step.stream + 1) % 4))
        assert check(bad) or goes_well(bad, rng, 4)


def replace_step(case: Case, index: int, step: Step) -> Case:
    return replace(case, steps=[*case.steps[:index], step, *case.steps[index + 1 :]])


def replace_storage(case: Case, index: int, storage: Storage) -> Case:
    storages = [*case.storages[:index], storage, *case.storages[index + 1 :]]
    return replace(case, storages=storages)


def test_the_oracle_and_the_checker_find_faults() -> None:
    """The properties above aren't empty: most of these faults do harm."""
    rng = random.Random(0)
    found: list[tuple[bool, bool]] = []
    for _ in range(60):
        case = draw_case(rng, 3)
        waiting = [index for index, step in enumerate(case.steps) if step.after]
        if waiting:
            bad = replace_step(case, waiting[0], replace(case.steps[waiting[0]], after=()))
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
        node = graph.add(op("op"), *operands, names=[writes], types=[F16])
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


def with_step(index: int, **changes: object) -> Case:
    case = example()
    return replace_step(case, index, replace(case.steps[index], **changes))


def with_storage(index: int, **changes: object) -> Case:
    case = example()
    return replace_storage(case, index, replace(case.storages[index], **changes))


def reordered(*order: int) -> Case:
    case = example()
    return replace(case, steps=[replace(case.steps[i], stream=0, after=()) for i in order])


def region(storage: int, offset: int = 0, bytes_: int = 64) -> Region:
    return Region(storage, offset, Layout(DType.F16, (bytes_ // 2,), (2,)))


FAULTS = [
    # Waits and streams.
    (with_step(2, after=()), "step 2 (%c = foreign) reads bytes 0:64 of storage 1, but doesn't "
     "wait for step 0 (%a = foreign), which writes there"),
    (with_step(3, after=()), "step 3 (%d = foreign) reads bytes 0:64 of storage 3, but doesn't "
     "wait for step 2 (%c = foreign), which writes there"),
    (with_step(3, stream=2), "step 3 (%d = foreign) reads bytes 0:64 of storage 2, but doesn't "
     "wait for step 1 (%b = foreign), which writes there"),
    (with_step(2, after=(3,)), "step 2 (%c = foreign) waits for step 3, which is not an earlier"),
    (with_step(2, after=(-1,)), "step 2 (%c = foreign) waits for step -1, which is not an earlier"),
    # Order.
    (reordered(1, 0, 2, 3, 4), "step 0 (%b = foreign) reads bytes 0:64 of storage 1, which no "
     "step before has written"),
    (reordered(1, 0, 2, 3, 4), "step 0 (%b = foreign) reads %a, but only then comes step 1 "
     "(%a = foreign)"),
    (reordered(0, 1, 2, 4, 3), "step 3 (%y = foreign) reads %d, but only then comes step 4 "
     "(%d = foreign)"),
    # Regions and storages.
    (with_storage(A, size=62), "step 0 (%a = foreign) uses bytes 0:64 of storage 1, which has 62"),
    (with_step(1, operands=(region(A, -2),)), "step 1 (%b = foreign) uses bytes -2:62 of storage "
     "1, which has 64"),
    (with_step(1, operands=(region(9),)), "step 1 (%b = foreign) uses storage 9, which is not"),
    (with_storage(A, offset=66), "storage 1 lies at 66, not at a multiple of 64"),
    (with_storage(A, offset=-1), "storage 1 lies at -1, not at a multiple of 64"),
    (with_storage(Y, offset=320), "storage 4 ends at 384, but the arena has 320 bytes"),
    # Bytes shared in the arena.
    (with_storage(B, offset=192), "storages 2 and 3 share bytes 192:256 of the arena: neither of "
     "step 1 (%b = foreign) and step 2 (%c = foreign) waits for the other"),
    (with_storage(W, offset=0), "storages 0 and 5 share bytes 0:64 of the arena: step 0 "
     "(%a = foreign) uses both"),
    (with_storage(A, offset=0), "storages 0 and 1 share bytes 0:64 of the arena: step 0 "),
    (with_storage(C, offset=0, kind=Kind.STATE), "storages 0 and 3 share bytes 0:64 of the arena: "
     "storage 0 is in use from before the first step to step 0 (%a = foreign), storage 3 is in "
     "use from before the first step to after the last step"),
    # Values.
    (with_step(0, results=(region(X),)), "step 0 (%a = foreign) writes bytes 0:64 of storage 0, "
     "which are read only"),
    (with_step(4, results=(region(C),)), "no step writes storage 4, an output's"),
    (with_step(4, operands=(region(W),)), "step 4 (%y = foreign) reads bytes 0:64 of storage 5, "
     "which step 0 (%a = foreign) has used as scratch memory"),
    (with_step(3, results=(region(B, 0, 62),)), "step 3 (%d = foreign) writes bytes 0:62 of "
     "storage 2, which it also reads"),
    (with_step(0, results=(region(A), region(A, 32, 32))), "step 0 (%a = foreign) writes bytes "
     "32:64 of storage 1, which it also writes"),
    (with_step(3, workspace=region(C)), "step 3 (%d = foreign) writes bytes 0:64 of storage 3, "
     "which it also reads"),
    (with_step(3, after=(), operands=(region(B),), results=(region(A),)), "step 3 (%d = foreign) "
     "writes bytes 0:64 of storage 1, but doesn't wait for step 2 (%c = foreign), which reads"),
    (with_step(2, results=(region(B),)), "step 2 (%c = foreign) writes bytes 0:64 of storage 2, "
     "but doesn't wait for step 1 (%b = foreign), which writes there"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "message"), FAULTS)
def test_faults_are_named(case: Case, message: str) -> None:
    assert any(found.startswith(message) for found in check(case)), check(case)


def test_a_value_that_was_overwritten_in_its_place_is_missed() -> None:
    """d is computed over b, and then somebody looks for b."""
    case = example()
    late = case.steps[4].node
    wrong = late.graph.add(op("op"), case.steps[1].node.result, names=["z"], types=[F16])
    [race] = check(replace_step(case, 4, replace(case.steps[4], node=wrong)))
    assert race == (
        "step 4 (%z = foreign) reads bytes 0:64 of storage 2, looking for %b, but step 3 "
        "(%d = foreign) has put %d in its place"
    )


def test_kept_storages_are_in_use_until_the_end() -> None:
    assert check(example()) == []
    assert "after the last step" in check(replace(example(), kept={W}))[0]


def slot_step(node: Node, reads: Sequence[int], writes: Sequence[int], stream: int = 0) -> Step:
    return Step(node, "test", "", (*map(Slot, reads),), (*map(Slot, writes),), stream=stream)


def test_slots() -> None:
    graph = Graph()
    x = graph.add_input("x", F16)
    first = graph.add(op("op"), x, names=["a"], types=[F16])
    second = graph.add(op("op"), first.result, names=["b"], types=[F16])
    right = [slot_step(first, [0], [1]), slot_step(second, [1], [2])]
    assert check_plan(right, []) == []
    [race] = check_plan([right[0], replace(right[1], stream=1)], [])
    assert str(race) == (
        "step 1 (%b = foreign) reads slot 1, but doesn't wait for step 0 (%a = foreign), "
        "which writes there"
    )
    assert race.steps == (0, 1)
