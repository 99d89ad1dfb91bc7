"""From decisions to a plan: where every value lies, and the steps in order.

What was decided is how each node runs. Here follows what that means for memory: results that
are views, concatenations whose operands are written into their slices, results computed in
place, copies for kernels that need another format, and which constants to pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gie_core.engine.plan import Kind, Place, Plan, Region, Slot, Step, Storage
from gie_core.engine.schedule import assign_streams
from gie_core.engine.storage import place
from gie_core.engine.views import slices_of, view_layouts
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.specialize import extents, is_static_type
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format, Layout, row_major
from gie_core.ops.identity import Identity
from gie_core.ops.run import ExecutionError

__all__ = ["Chosen", "Decisions", "assemble"]


@dataclass(frozen=True)
class Chosen:
    """Who runs a node, and how; ``candidate`` is ``None`` where the results lie in slots."""

    provider: str
    candidate: Candidate | None


@dataclass(frozen=True)
class Decisions:
    """How each node of a graph runs.

    Args:
        graph: as it will run: groups that run in part or apart are taken apart. Its constants
            are row-major arrays.
        chosen: the nodes that a kernel runs.
        views: the nodes whose results are views of their first operand.
        joins: the concatenations that are made of slices: the format of the result, and the
            operands that their producers write into it. The others are copied there.
        copies: for the operands of a node, how the copies lie that it reads; ``None`` where it
            reads the value itself, wherever that is.
        nanoseconds: what each node is expected to take, for the schedule.
        streams: on how many streams to run.
    """

    graph: Graph
    chosen: Mapping[Node, Chosen]
    views: frozenset[Node] = frozenset()
    joins: Mapping[Node, tuple[Format, frozenset[int]]] = field(
        default_factory=dict[Node, tuple[Format, frozenset[int]]]
    )
    copies: Mapping[Node, tuple[Layout | None, ...]] = field(
        default_factory=dict[Node, tuple[Layout | None, ...]]
    )
    nanoseconds: Mapping[Node, int] = field(default_factory=dict[Node, int])
    streams: int = 1


LARGEST = 1 << 40
"""Bytes of a storage."""

COPY_CALL, COPY_RATE = 1000, 4
"""What a copy takes, for the schedule: nanoseconds for the call, and bytes a nanosecond."""

_BYTE = DType.U8

Pack = Callable[[Node, str, str], Sequence[Array]]
"""The prepacked constants of a node for a provider's candidate."""


def assemble(decisions: Decisions, pack: Pack) -> Plan:
    """The plan that carries out the decisions.

    Args:
        decisions: complete: every node is chosen, a view or a join.
        pack: called once for every node that a kernel runs.
    """
    return _Assembler(decisions, pack).plan()


class _Assembler:
    def __init__(self, decisions: Decisions, pack: Pack) -> None:
        self._decisions = decisions
        self._graph = decisions.graph
        self._pack = pack
        self._storages: list[Storage] = []
        self._steps: list[Step] = []
        self._times: list[int] = []
        self._constants = {value: index for index, value in enumerate(self._graph.constants)}
        self._weights: list[Array] = []
        self._weight_numbers: dict[int, int] = {}
        self._slots = 0
        self._fixed: list[tuple[int, int]] = []
        self._homes: dict[Value, Place] = {}
        self._residents: dict[int, list[Value]] = {}
        self._reserved: dict[Value, Region] = {}
        self._copies: dict[tuple[Value, Layout], Region] = {}
        self._order = {node: index for index, node in enumerate(self._graph.nodes)}
        self._outputs = {*self._graph.outputs, *(s.output for s in self._graph.states)}
        self._states = {state.input: state.output for state in self._graph.states}
        self._last_uses: dict[Value, float] = {}

    def plan(self) -> Plan:
        inputs = tuple(self._input(value) for value in self._graph.inputs)
        self._reserve_slices()
        for node in self._graph.nodes:
            self._node(node)
        outputs = self._carry_states([self._home(value) for value in self._graph.outputs])
        kept = {p.storage for p in outputs if isinstance(p, Region)}
        steps = assign_streams(self._steps, self._times, self._decisions.streams)
        storages, arena = place(self._storages, steps, kept)
        return Plan(
            graph=self._graph,
            steps=steps,
            storages=storages,
            arena=arena,
            inputs=inputs,
            outputs=tuple(outputs),
            weights=tuple(self._weights),
            slots=self._slots,
            fixed=tuple(self._fixed),
        )

    # ── Nodes ───────────────────────────────────────────────────────────────────────

    def _node(self, node: Node) -> None:
        if node in self._decisions.views and self._view(node):
            return
        if node in self._decisions.joins:
            self._join(node)
            return
        chosen = self._decisions.chosen.get(node)
        if chosen is None:
            raise GieError(f"nothing was chosen to run {node}")
        if chosen.candidate is None:
            self._function(node, chosen.provider)
        else:
            self._kernel(node, chosen.provider, chosen.candidate)

    def _kernel(self, node: Node, provider: str, candidate: Candidate) -> None:
        operands = tuple(
            None if format_ is None else self._read(node, index, format_)
            for index, format_ in enumerate(candidate.operands)
        )
        results: list[Region] = []
        for index in range(len(node.results)):
            results.append(self._written(node, index, candidate, operands, results))
        for value, region in zip(node.results, results, strict=True):
            self._settle(value, region)
        constants = self._pack(node, provider, candidate.name)
        workspace = None
        if candidate.workspace:
            workspace = self._region(Layout(_BYTE, (candidate.workspace,), (1,)), Kind.ARENA)
        self._add(
            Step(
                node=node,
                provider=provider,
                candidate=candidate.name,
                operands=operands,
                results=tuple(results),
                constants=tuple(self._weight(array) for array in constants),
                workspace=workspace,
            ),
            self._decisions.nanoseconds.get(node, 1),
        )

    def _function(self, node: Node, provider: str) -> None:
        operands = tuple(None if value is None else self._home(value) for value in node.operands)
        results = tuple(self._slot() for _ in node.results)
        for value, slot in zip(node.results, results, strict=True):
            self._settle(value, slot)
        self._add(Step(node, provider, "", operands, results), 1)

    def _view(self, node: Node) -> bool:
        value = node.operands[0]
        if value is None:
            return False
        home = self._source(node, 0)
        layouts = view_layouts(node, home.layout) if isinstance(home, Region) else None
        if layouts is None:  # what is no view as it lies is one of a copy in the operand's order
            home = self._read(node, 0, row_major(value.tensor))
            layouts = view_layouts(node, home.layout)
        if layouts is None:
            return False
        assert isinstance(home, Region)
        for result, (offset, layout) in zip(node.results, layouts, strict=True):
            self._settle(result, Region(home.storage, home.offset + offset, layout))
        return True

    # ── Concatenations made of slices ───────────────────────────────────────────────

    def _reserve_slices(self) -> None:
        """Give every joined result its storage and its operands their slices, outermost first."""
        for node in reversed(list(self._decisions.joins)):
            format_, placed = self._decisions.joins[node]
            result = node.result
            region = self._reserved.get(result)
            if region is None:
                region = self._region(format_.layout(extents(result)), self._kind(result))
                self._reserved[result] = region
            for index, part in enumerate(_slices(node, region)):
                operand = node.operands[index]
                if index in placed and operand is not None and self._may_lie(operand, part):
                    self._reserved[operand] = part

    def _may_lie(self, value: Value, region: Region) -> bool:
        """Whether the producer of a value can write it to a slice that nobody else wants."""
        if value in self._reserved or value.node is None or value.node in self._decisions.views:
            return False
        if value.node in self._decisions.joins:
            format_, _ = self._decisions.joins[value.node]
            return format_.layout(region.layout.shape).dtype is region.layout.dtype
        chosen = self._decisions.chosen.get(value.node)
        if chosen is None or chosen.candidate is None:
            return False
        index = value.node.results.index(value)
        return chosen.candidate.results[index].accepts(region.layout, region.offset)

    def _join(self, node: Node) -> None:
        region = self._reserved[node.result]
        self._settle(node.result, region)
        for index, part in enumerate(_slices(node, region)):
            operand = node.operands[index]
            if operand is not None and self._reserved.get(operand) != part:
                self._copy(node, self._source(node, index), part)

    # ── Values ──────────────────────────────────────────────────────────────────────

    def _input(self, value: Value) -> Place:
        place: Place = self._slot()
        if is_static_type(value.type):
            kind = Kind.STATE if value in self._states else Kind.INPUT
            place = self._region(row_major(value.tensor).layout(extents(value)), kind)
        self._settle(value, place)
        return place

    def _settle(self, value: Value, place: Place) -> None:
        self._homes[value] = place
        if isinstance(place, Region):
            self._residents.setdefault(place.storage, []).append(value)

    def _home(self, value: Value) -> Place:
        if value not in self._homes:  # a constant that some node reads as it is
            self._settle(value, self._constant(value))
        return self._homes[value]

    def _constant(self, value: Value) -> Place:
        number = self._constants[value]
        if not is_static_type(value.type):
            slot = self._slot()
            self._fixed.append((slot.index, number))
            return slot
        layout = row_major(value.tensor).layout(extents(value))
        self._storages.append(Storage(Kind.CONSTANT, layout.span[1], number))
        return Region(len(self._storages) - 1, 0, layout)

    def _source(self, node: Node, index: int) -> Place:
        """Where a node reads an operand: where it lies, or in the copy that was decided on."""
        value = node.operands[index]
        assert value is not None
        copies = self._decisions.copies.get(node)
        layout = None if copies is None else copies[index]
        return self._home(value) if layout is None else self._copied(node, value, layout)

    def _read(self, node: Node, index: int, format_: Format) -> Region:
        """Where a kernel finds an operand in its format.

        Nobody decided on copies at sizes that were not planned for, for views at addresses that
        are not aligned as a kernel wants, and for what lies in slots.
        """
        value, source = node.operands[index], self._source(node, index)
        assert value is not None
        if isinstance(source, Region) and format_.accepts(source.layout, source.offset):
            return source
        plain = row_major(value.tensor).layout(extents(value))
        is_boxed = isinstance(source, Slot) and format_.accepts(plain)
        return self._copied(node, value, plain if is_boxed else format_.layout(extents(value)))

    def _copied(self, node: Node, value: Value, layout: Layout) -> Region:
        """A copy of a value that lies so; made once for all that need it."""
        key = (value, layout.canonical())
        if key not in self._copies:
            copy = self._copies[key] = self._region(layout, Kind.ARENA)
            self._residents[copy.storage] = [value]  # others may read it after a view's readers
            self._copy(node, self._home(value), copy)
        return self._copies[key]

    def _written(
        self,
        node: Node,
        index: int,
        candidate: Candidate,
        operands: Sequence[Place | None],
        earlier: Sequence[Region],
    ) -> Region:
        """Where a result goes; ``earlier`` ones have taken their places."""
        value, format_ = node.results[index], candidate.results[index]
        if value in self._reserved:
            return self._reserved[value]
        layout = format_.layout(extents(value))
        for result, operand in candidate.in_place:
            if result == index and self._is_free(node, operand, operands, layout, value):
                region = operands[operand]
                assert isinstance(region, Region)
                if region not in earlier:
                    return region
        return self._region(layout, self._kind(value))

    def _is_free(
        self,
        node: Node,
        index: int,
        operands: Sequence[Place | None],
        layout: Layout,
        result: Value,
    ) -> bool:
        """Whether the memory of an operand may be overwritten by a result."""
        value, region = node.operands[index], operands[index]
        if value is None or not isinstance(region, Region) or region != self._homes.get(value):
            return False
        others = [place for n, place in enumerate(operands) if n != index]
        if any(isinstance(o, Region) and o.storage == region.storage for o in others):
            return False  # a view of the same memory, which is read at another pace
        if region.layout.canonical() != layout.canonical():
            return False
        storage = self._storages[region.storage]
        if storage.kind is Kind.STATE:
            return self._states.get(value) is result and self._is_last(node, value)
        whole = region.span == (0, storage.size)
        return storage.kind is Kind.ARENA and whole and self._is_last(node, value)

    def _is_last(self, node: Node, value: Value) -> bool:
        """Whether nobody reads a value, or what it is a view of, after a node."""
        home = self._homes[value]
        assert isinstance(home, Region)
        residents = self._residents[home.storage]
        return all(self._last_use(v) <= self._order[node] for v in residents)

    def _last_use(self, value: Value) -> float:
        """The last node that reads a value or a view of it; infinite for outputs."""
        if value not in self._last_uses:
            last = float("inf") if value in self._outputs else -1.0
            for user in value.users:
                last = max(last, self._order[user])
                if user in self._decisions.views and user.operands[0] is value:
                    last = max([last, *(self._last_use(result) for result in user.results)])
            self._last_uses[value] = last
        return self._last_uses[value]

    def _carry_states(self, outputs: Sequence[Place]) -> list[Place]:
        """Let every state's new content end up where the next run reads it.

        Returns:
            Where the outputs are afterwards: what a state is about to lose is saved first.
        """
        pairs = [(self._home(s.output), self._home(s.input)) for s in self._graph.states]
        moves = [(new, old) for new, old in pairs if new != old and isinstance(old, Region)]
        if not moves:
            return list(outputs)
        lost = {old.storage for _, old in moves}
        # Copies stand for a node; a graph may have none.
        nodes = list(self._graph.nodes) or [self._graph.add(Identity(), self._graph.inputs[0])]
        saved: dict[Place, Region] = {}

        def safe(place: Place, kind: Kind) -> Place:
            if not isinstance(place, Region) or place.storage not in lost:
                return place
            if place not in saved:
                saved[place] = self._region(row_major_layout(place.layout), kind)
                self._copy(nodes[-1], place, saved[place])
            return saved[place]

        places = [safe(place, Kind.OUTPUT) for place in outputs]
        ready = [(safe(new, Kind.ARENA), old) for new, old in moves]
        for new, old in ready:
            self._copy(nodes[-1], new, old)
        return places

    # ── Pieces of the plan ──────────────────────────────────────────────────────────

    def _kind(self, value: Value) -> Kind:
        return Kind.OUTPUT if value in self._graph.outputs else Kind.ARENA

    def _region(self, layout: Layout, kind: Kind) -> Region:
        low, high = layout.span
        if high - low > LARGEST:
            raise ExecutionError(
                f"a tensor of {layout.dtype}[{', '.join(map(str, layout.shape))}] takes "
                f"{high - low} bytes, more than any memory has"
            )
        self._storages.append(Storage(kind, high - low))
        return Region(len(self._storages) - 1, -low, layout)

    def _slot(self) -> Slot:
        self._slots += 1
        return Slot(self._slots - 1)

    def _copy(self, node: Node, source: Place, target: Region) -> None:
        low, high = target.layout.span
        self._add(
            Step(node, "", "copy", (source,), (target,)), COPY_CALL + (high - low) // COPY_RATE
        )

    def _add(self, step: Step, nanoseconds: int) -> None:
        self._steps.append(step)
        self._times.append(nanoseconds)

    def _weight(self, array: Array) -> int:
        """The number of a packed constant; arrays that are the same object are kept once."""
        if id(array) not in self._weight_numbers:
            self._weight_numbers[id(array)] = len(self._weights)
            self._weights.append(array)
        return self._weight_numbers[id(array)]


def _slices(node: Node, region: Region) -> list[Region]:
    """The part of a concatenation's result that each operand fills."""
    return [
        Region(region.storage, region.offset + offset, layout)
        for offset, layout in slices_of(node, region.layout)
    ]


def row_major_layout(layout: Layout) -> Layout:
    """The dense layout of the same shape with the last axis fastest."""
    return Format(layout.dtype, tuple(range(len(layout.shape)))).layout(layout.shape)
