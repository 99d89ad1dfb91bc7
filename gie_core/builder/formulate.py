"""From ways to run a graph to the strategy's problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from gie_core.builder.expand import Piece
from gie_core.builder.slices import Slice, Slices
from gie_core.builder.strategy import Option, Problem, Reformat, Stored
from gie_core.builder.ways import Kernel, View, Ways
from gie_core.engine.views import slices_of, view_layouts
from gie_core.ir.graph import Value
from gie_core.ir.specialize import extents, is_static_type
from gie_core.kernels.format import Format, Layout, row_major

__all__ = ["Formulation", "Join", "Meaning", "Part", "Prices", "formulate", "key_of"]


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
class Join:
    """A concatenation in some format, made of slices."""

    piece: Piece
    format: Format


@dataclass(frozen=True)
class Part:
    """How one operand of a join gets into its slice.

    Args:
        copied: how what is copied there lies; ``None`` if its producer writes it there.
    """

    piece: Piece
    index: int
    copied: Layout | None


Meaning = Kernel | View | Piece | Join | Part
"""What an option stands for; a piece by itself is one that a function runs."""


@dataclass
class Formulation:
    """A problem, and what its options mean.

    Attributes:
        problem: for the strategy.
        ways: what it was made of.
        values: the numbers that they have in it.
        meaning: what each option stands for, by key.
        times: nanoseconds of each option, by key.
    """

    problem: Problem
    ways: Ways
    values: dict[Value, int]
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
        # Besides the join itself, each operand that has to get into its slice is a node.
        self._parts: dict[int, range] = {}
        for piece in ways.joins:
            self._parts[piece.covers[0]] = range(
                self._nodes, self._nodes + len(piece.node.operands)
            )
            self._nodes += len(piece.node.operands)
        self._options: list[Option] = []
        self._slices = Slices(ways)
        self._found = Formulation(Problem(0, ()), ways, self._values)

    def formulation(self, workspace: int | None, budget: float | None) -> Formulation:
        graph = self._ways.expanded.graph
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
            aliases=tuple(self._slices.groups),
            given=frozenset(given),
            wanted=frozenset(wanted),
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
        variants: list[tuple[Slice, int, set[int]]] = []
        for each in self._slices.touched(way):
            wrong = {group for group, p in each.nested.items() if not p.suits(way, each.value)}
            suits, is_plain = self._suits(way, each), self._slices.is_plain(each)
            if suits and is_plain and not wrong:
                continue  # it may lie there or not
            excludes.add(each.group)
            if suits:
                slower = time if is_plain else self._price_in_slice(way, each)
                if slower is not None:
                    variants.append((each, slower, wrong))
        key = key_of(way)
        option = Option(
            key=key,
            covers=self._covers(way.piece),
            time=self._prices.cost(time, way),
            reads=tuple(dict.fromkeys(reads)),
            writes=tuple(writes),
            workspace=way.candidate.workspace,
            error=self._prices.kernel_error(way),
            excludes=frozenset(excludes),
        )
        self._add(option, way, time)
        for each, slower, wrong in variants:
            self._add(
                replace(
                    option,
                    key=f"{key} slice {each.group}",
                    time=self._prices.cost(slower, way),
                    needs=frozenset({each.group}),
                    excludes=frozenset(excludes - {each.group} | wrong),
                ),
                way,
                slower,
            )

    def _view(self, view: View) -> None:
        operand = view.piece.node.operands[0]
        assert operand is not None
        excludes = {
            each.group
            for each in self._slices.of(operand)
            if not all(_same_view(view, p.layout) for p in (each.place, *each.nested.values()))
        }
        excludes |= {each.group for value in view.piece.results for each in self._slices.of(value)}
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

    def _join(self, piece: Piece, formats: Sequence[Format]) -> None:
        """One node for the join itself, and one for each operand that gets there somehow."""
        (result,) = piece.results
        groups = {format_: self._slices.formats[piece, format_] for format_ in formats}
        for format_, group in groups.items():
            number = self._number(result, format_.layout(extents(result)))
            wrong = {other for other in groups.values() if other != group}
            wrong |= {each.group for each in self._slices.of(result) if each.key != number}
            self._add(
                Option(
                    key=f"{_place(piece)} join {number}",
                    covers=frozenset(piece.covers),
                    time=0,
                    writes=(self._stored(result, number),),
                    needs=frozenset({group}),
                    excludes=frozenset(wrong),
                ),
                Join(piece, format_),
            )
        for index in range(len(piece.node.operands)):
            for format_ in formats:
                self._part(piece, index, format_)

    def _part(self, piece: Piece, index: int, format_: Format) -> None:
        """How an operand gets into its slice of a join in some format."""
        operand = piece.node.operands[index]
        assert operand is not None
        join, own = self._slices.formats[piece, format_], self._slices.at(piece, index, format_)
        key, covers = (
            f"{_place(piece)} part {index}",
            frozenset({self._parts[piece.covers[0]][index]}),
        )
        if own is not None:
            others = {each.group for each in self._slices.of(operand)} - {own.group}
            self._add(
                Option(
                    key=f"{key} placed {format_}",
                    covers=covers,
                    time=0,
                    reads=(self._stored(operand, own.key),),
                    needs=frozenset({own.group, join}),
                    excludes=frozenset(others),
                ),
                Part(piece, index, None),
            )
        whole = format_.layout(extents(piece.results[0]))
        _, target = slices_of(piece.node, whole)[index]
        for number, layout in enumerate(self._ways.layouts[operand]):
            self._add(
                Option(
                    key=f"{key} copied {number} {format_}",
                    covers=covers,
                    time=self._prices.copy(operand, layout, target),
                    reads=(self._stored(operand, number),),
                    error=self._prices.copy_error(operand, layout, target),
                    needs=frozenset({join}),
                    excludes=frozenset() if own is None else frozenset({own.group}),
                ),
                Part(piece, index, layout),
            )

    def _covers(self, piece: Piece) -> frozenset[int]:
        """What a kernel spares, the parts of joins included."""
        parts = (part for number in piece.covers for part in self._parts.get(number, ()))
        return frozenset((*piece.covers, *parts))

    def _suits(self, way: Kernel, each: Slice) -> bool:
        """Whether a kernel works if a value of it lies in a slice."""
        for value, layout in zip(way.piece.results, way.results, strict=True):
            if value is each.value and self._number(value, layout) != each.key:
                return False
        return each.place.suits(way, each.value)

    def _price_in_slice(self, way: Kernel, each: Slice) -> int | None:
        operands = [
            each.place.layout if v is each.value and layout is not None else layout
            for v, layout in zip(way.piece.node.operands, way.operands, strict=True)
        ]
        results = [
            each.place.layout if v is each.value else layout
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

    def _wanted(self, value: Value) -> Stored:
        return self._stored(
            value, self._number(value, row_major(value.tensor).layout(extents(value)))
        )

    def _stored(self, value: Value, number: int) -> Stored:
        return self._values[value], number

    def _number(self, value: Value, layout: Layout) -> int:
        found = self._ways.number(value, layout)
        if found is None:
            raise KeyError(f"%{value.name} never lies as {layout}")
        return found

    def _add(self, option: Option, meaning: Meaning, nanoseconds: int = 0) -> None:
        self._options.append(option)
        self._found.meaning[option.key] = meaning
        self._found.times[option.key] = nanoseconds


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
