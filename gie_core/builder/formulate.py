"""From ways to run a graph to the strategy's problem, and from its solution to decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from gie_core.builder.expand import Piece, materialize
from gie_core.builder.strategy import AliasGroup, Option, Problem, Reformat, Solution, Stored
from gie_core.builder.ways import Kernel, View, Ways
from gie_core.engine.assemble import Chosen, Decisions
from gie_core.engine.views import slice_of, view_layouts
from gie_core.ir.graph import Node, Value
from gie_core.ir.specialize import extents, is_static_type
from gie_core.kernels.format import Format, Layout, row_major
from gie_core.ops.shape import Concat

__all__ = ["Formulation", "Prices", "decisions_of", "formulate", "key_of"]


class Prices(Protocol):
    """What things cost."""

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        """Nanoseconds of a kernel on operands and results that lie so; ``None`` if it must not
        be chosen.
        """
        ...

    def cost(self, nanoseconds: int, way: Kernel) -> int:
        """What the strategy minimizes, for a kernel that takes so long."""
        ...

    def kernel_error(self, way: Kernel) -> float:
        """σ² that a kernel adds to the relative error of the outputs."""
        ...

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        """What the strategy minimizes, for a copy of a value: nanoseconds."""
        ...

    def copy_error(self, value: Value, source: Layout, target: Layout) -> float:
        """σ² that a copy adds to the relative error of the outputs."""
        ...


@dataclass(frozen=True)
class _Slice:
    """An operand of a join that may lie in the result.

    Args:
        layout: of the slice.
        key: number of the layout that the operand's producer must choose.
    """

    group: int
    value: Value
    layout: Layout
    key: int


@dataclass(frozen=True)
class _Join:
    """A concatenation in some format, made of slices."""

    piece: Piece
    format: Format


@dataclass(frozen=True)
class _Part:
    """How one operand of a join gets into its slice: by its producer, or by a copy."""

    piece: Piece
    index: int
    placed: bool


Meaning = Kernel | View | Piece | _Join | _Part
"""What an option stands for; a piece by itself is one that a function runs."""


@dataclass
class Formulation:
    """A problem, and what its options mean.

    Attributes:
        problem: for the strategy.
        ways: what it was made of.
        meaning: what each option stands for, by key.
        times: nanoseconds of each option, by key.
    """

    problem: Problem
    ways: Ways
    meaning: dict[str, Meaning] = field(default_factory=dict[str, Meaning])
    times: dict[str, int] = field(default_factory=dict[str, int])


def formulate(
    ways: Ways, prices: Prices, workspace: int | None = None, budget: float | None = None
) -> Formulation:
    """The strategy's problem.

    Args:
        ways: all ways to run the graph.
        prices: nanoseconds and errors.
        workspace: bytes that a kernel may need.
        budget: relative error that the outputs may have.
    """
    return _Formulator(ways, prices).formulation(workspace, budget)


class _Formulator:
    def __init__(self, ways: Ways, prices: Prices) -> None:
        self._ways = ways
        self._prices = prices
        self._values = {value: n for n, value in enumerate(ways.expanded.graph.values())}
        self._nodes = ways.expanded.count
        self._options: list[Option] = []
        self._groups: list[AliasGroup] = []
        self._slices: dict[Value, list[_Slice]] = {}
        self._places: dict[tuple[Piece, int, Format], _Slice] = {}
        self._found = Formulation(Problem(0, ()), ways)

    def formulation(self, workspace: int | None, budget: float | None) -> Formulation:
        graph = self._ways.expanded.graph
        for piece, formats in self._ways.joins.items():
            self._find_slices(piece, formats)
        for piece, formats in self._ways.joins.items():
            self._join(piece, formats)
        for way in self._ways.kernels:
            self._kernel(way)
        for view in self._ways.views:
            self._view(view)
        for piece in self._ways.functions:
            self._function(piece)
        given = [self._stored(v, 0) for v in graph.inputs if v in self._ways.layouts]
        given += [self._stored(v, 0) for v in graph.constants if v in self._ways.layouts]
        outputs = {*graph.outputs, *(state.output for state in graph.states)}
        wanted = [self._wanted(v) for v in outputs if is_static_type(v.type) and v.data is None]
        self._found.problem = Problem(
            nodes=self._nodes,
            options=tuple(self._options),
            reformats=tuple(self._reformats()),
            aliases=tuple(self._groups),
            given=frozenset(given),
            wanted=frozenset(w for w in wanted if w is not None),
            workspace=workspace,
            budget=budget,
            value_names={n: f"%{value.name}" for value, n in self._values.items()},
        )
        return self._found

    # ── Options ─────────────────────────────────────────────────────────────────────

    def _kernel(self, way: Kernel) -> None:
        """An option for a kernel, and one for each way in which a value of it lies in a slice."""
        node = way.piece.node
        reads = [
            self._stored(value, self._number(value, layout))
            for value, layout in zip(node.operands, way.operands, strict=True)
            if value is not None and layout is not None and value.data is None
        ]
        writes = [
            self._stored(value, self._number(value, layout))
            for value, layout in zip(way.piece.results, way.results, strict=True)
        ]
        time = self._prices.kernel(way, way.operands, way.results)
        if time is None:
            return
        excludes: set[int] = set()
        variants: list[tuple[_Slice, int]] = []
        for each in self._touching(way):
            if not self._takes(way, each):
                excludes.add(each.group)
            elif not self._is_plain(each):
                slower = self._price_in_slice(way, each)
                excludes.add(each.group)
                if slower is not None:
                    variants.append((each, slower))
        key = key_of(way)
        option = Option(
            key=key,
            covers=frozenset(way.piece.covers),
            time=self._prices.cost(time, way),
            reads=tuple(dict.fromkeys(reads)),
            writes=tuple(writes),
            workspace=way.candidate.workspace,
            error=self._prices.kernel_error(way),
            excludes=frozenset(excludes),
        )
        self._add(option, way, time)
        for each, slower in variants:
            self._add(
                replace(
                    option,
                    key=f"{key} slice {each.group}",
                    time=self._prices.cost(slower, way),
                    needs=frozenset({each.group}),
                    excludes=frozenset(excludes - {each.group}),
                ),
                way,
                slower,
            )

    def _view(self, view: View) -> None:
        operand = view.piece.node.operands[0]
        assert operand is not None
        excludes = {
            each.group
            for each in self._slices.get(operand, ())
            if not self._is_plain(each) and not _same_view(view, each.layout)
        }
        excludes |= {e.group for result in view.piece.results for e in self._slices.get(result, ())}
        writes = [
            self._stored(value, self._number(value, layout))
            for value, layout in zip(view.piece.results, view.results, strict=True)
        ]
        number = self._number(operand, view.operand)
        self._add(
            Option(
                key=f"{_place(view.piece)} view {number}",
                covers=frozenset(view.piece.covers),
                time=0,
                reads=(self._stored(operand, number),),
                writes=tuple(writes),
                excludes=frozenset(excludes),
            ),
            view,
        )

    def _function(self, piece: Piece) -> None:
        writes = [self._stored(value, 0) for value in piece.results if value in self._ways.layouts]
        option = Option(
            key=f"{_place(piece)} function",
            covers=frozenset(piece.covers),
            time=0,
            writes=tuple(writes),
        )
        self._add(option, piece)

    # ── Joins ───────────────────────────────────────────────────────────────────────

    def _find_slices(self, piece: Piece, formats: Sequence[Format]) -> None:
        (result,), op = piece.results, piece.node.op
        assert isinstance(op, Concat)
        axis, start = op.axis % result.tensor.rank, 0
        makers = {value for way in self._ways.kernels for value in way.piece.results}
        makers |= {value for join in self._ways.joins for value in join.results}
        for index, operand in enumerate(piece.node.operands):
            assert operand is not None
            extent = extents(operand)[axis]
            again = operand in piece.node.operands[:index]
            for format_ in formats if operand in makers and not again else ():
                whole = format_.layout(extents(result))
                _, layout = slice_of(whole, axis, start, extent)
                key = self._find(operand, format_.layout(extents(operand)))
                if key is None:
                    continue
                group = AliasGroup(len(self._groups), f"{index} of %{result.name} as {format_}")
                self._groups.append(group)
                found = _Slice(group.number, operand, layout, key)
                self._slices.setdefault(operand, []).append(found)
                self._places[piece, index, format_] = found
            start += extent

    def _join(self, piece: Piece, formats: Sequence[Format]) -> None:
        """One node for the join itself, and one for each operand that gets there somehow."""
        (result,) = piece.results
        for format_ in formats:
            layout = format_.layout(extents(result))
            number = self._number(result, layout)
            wrong = {
                s.group for (p, _, f), s in self._places.items() if p is piece and f != format_
            }
            wrong |= {s.group for s in self._slices.get(result, ()) if s.key != number}
            self._add(
                Option(
                    key=f"{_place(piece)} join {number}",
                    covers=frozenset(piece.covers),
                    time=0,
                    writes=(self._stored(result, number),),
                    excludes=frozenset(wrong),
                ),
                _Join(piece, format_),
            )
        for index, operand in enumerate(piece.node.operands):
            assert operand is not None
            self._part(piece, index, operand, formats)

    def _part(self, piece: Piece, index: int, operand: Value, formats: Sequence[Format]) -> None:
        node = self._nodes
        self._nodes += 1
        mine = {
            f: self._places[piece, index, f] for f in formats if (piece, index, f) in self._places
        }
        everybody = {s.group for s in self._slices.get(operand, ())}
        for format_, found in mine.items():
            self._add(
                Option(
                    key=f"{_place(piece)} part {index} placed {format_}",
                    covers=frozenset({node}),
                    time=0,
                    reads=(self._stored(operand, found.key),),
                    needs=frozenset({found.group}),
                    excludes=frozenset(everybody - {found.group}),
                ),
                _Part(piece, index, True),
            )
        target = formats[0].layout(extents(operand))
        for number, layout in enumerate(self._ways.layouts[operand]):
            self._add(
                Option(
                    key=f"{_place(piece)} part {index} copied {number}",
                    covers=frozenset({node}),
                    time=self._prices.copy(operand, layout, target),
                    reads=(self._stored(operand, number),),
                    excludes=frozenset(s.group for s in mine.values()),
                ),
                _Part(piece, index, False),
            )

    def _touching(self, way: Kernel) -> list[_Slice]:
        node = way.piece.node
        values = dict.fromkeys(v for v in (*node.operands, *way.piece.results) if v is not None)
        return [each for value in values for each in self._slices.get(value, ())]

    def _takes(self, way: Kernel, each: _Slice) -> bool:
        """Whether a kernel works if a value of it lies in a slice."""
        if each.value in way.piece.results:
            index = way.piece.results.index(each.value)
            return self._number(
                each.value, way.results[index]
            ) == each.key and way.candidate.results[index].accepts(each.layout)
        places = zip(way.piece.node.operands, way.candidate.operands, way.operands, strict=True)
        return all(
            format_ is None
            or layout is None
            or self._number(each.value, layout) != each.key
            or format_.accepts(each.layout)
            for value, format_, layout in places
            if value is each.value
        )

    def _is_plain(self, each: _Slice) -> bool:
        """Whether the slice is as dense as a tensor of its own."""
        own = self._ways.layouts[each.value][each.key]
        return own.canonical() == each.layout.canonical()

    def _price_in_slice(self, way: Kernel, each: _Slice) -> int | None:
        operands = [
            each.layout if v is each.value and layout is not None else layout
            for v, layout in zip(way.piece.node.operands, way.operands, strict=True)
        ]
        results = [
            each.layout if v is each.value else layout
            for v, layout in zip(way.piece.results, way.results, strict=True)
        ]
        return self._prices.kernel(way, operands, results)

    # ── Values and layouts ──────────────────────────────────────────────────────────

    def _reformats(self) -> list[Reformat]:
        found: list[Reformat] = []
        for value, layouts in self._ways.layouts.items():
            for source, one in enumerate(layouts):
                for target, other in enumerate(layouts):
                    if source != target:
                        found.append(
                            Reformat(
                                value=self._values[value],
                                source=source,
                                target=target,
                                time=self._prices.copy(value, one, other),
                                error=self._prices.copy_error(value, one, other),
                            )
                        )
        return found

    def _wanted(self, value: Value) -> Stored | None:
        number = self._find(value, row_major(value.tensor).layout(extents(value)))
        return None if number is None else self._stored(value, number)

    def _stored(self, value: Value, number: int) -> Stored:
        return self._values[value], number

    def _number(self, value: Value, layout: Layout) -> int:
        found = self._find(value, layout)
        if found is None:
            raise KeyError(f"%{value.name} never lies as {layout}")
        return found

    def _find(self, value: Value, layout: Layout) -> int | None:
        wanted = layout.canonical()
        for number, known in enumerate(self._ways.layouts[value]):
            if known.canonical() == wanted:
                return number
        return None

    def _add(self, option: Option, meaning: Meaning, nanoseconds: int = 0) -> None:
        self._options.append(option)
        self._found.meaning[option.key] = meaning
        self._found.times[option.key] = nanoseconds


def decisions_of(
    formulation: Formulation, solution: Solution
) -> tuple[Decisions, Mapping[Node, str]]:
    """What a solution decides.

    Returns:
        The decisions on a graph of its own, and the key of the option behind each node.
    """
    meanings = [(key, formulation.meaning[key]) for key in solution.options]
    chosen_pieces: dict[Piece, str] = {}
    for key, meaning in meanings:
        if isinstance(meaning, Piece):
            chosen_pieces[meaning] = key
        elif not isinstance(meaning, _Part):
            chosen_pieces[meaning.piece] = key
    graph, nodes, _ = materialize(formulation.ways.expanded, chosen_pieces)
    chosen: dict[Node, Chosen] = {}
    views: set[Node] = set()
    joins: dict[Node, tuple[Format, set[int]]] = {}
    times: dict[Node, int] = {}
    for key, meaning in meanings:
        if isinstance(meaning, Kernel):
            node = nodes[meaning.piece]
            chosen[node] = Chosen(meaning.owner.name, meaning.candidate)
            times[node] = formulation.times[key]
        elif isinstance(meaning, View):
            views.add(nodes[meaning.piece])
        elif isinstance(meaning, _Join):
            joins[nodes[meaning.piece]] = (meaning.format, set())
        elif isinstance(meaning, Piece):
            chosen[nodes[meaning]] = Chosen(formulation.ways.functions[meaning], None)
    for _, meaning in meanings:
        if isinstance(meaning, _Part) and meaning.placed and nodes[meaning.piece] in joins:
            joins[nodes[meaning.piece]][1].add(meaning.index)
    order = {node: index for index, node in enumerate(graph.nodes)}
    frozen = {
        node: (joins[node][0], frozenset(joins[node][1]))
        for node in sorted(joins, key=lambda node: order[node])
    }
    keys = {nodes[piece]: key for piece, key in chosen_pieces.items()}
    return Decisions(graph, chosen, frozenset(views), frozen, times), keys


def key_of(way: Kernel) -> str:
    """The key of the option for a kernel whose values lie for themselves."""
    layouts = " ".join("_" if x is None else f"{x.dtype}{x.strides}" for x in way.operands)
    return f"{_place(way.piece)} {way.owner.name} {way.candidate.name} {layouts}"


def _place(piece: Piece) -> str:
    return f"{piece.covers[0]:05d}-{piece.covers[-1]:05d}"


def _same_view(view: View, layout: Layout) -> bool:
    """Whether the view of a slice is one, and lies as the view of a dense tensor does."""
    found = view_layouts(view.piece.node, layout)
    return found is not None and all(
        new.canonical() == old.canonical()
        for (_, new), old in zip(found, view.results, strict=True)
    )
