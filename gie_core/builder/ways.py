"""Every way to run every piece of a graph: what providers offer, views, and joins.

Besides the providers' candidates there are three ways that need no kernel: a result may be a
*view* of an operand; a concatenation may be a *join*, whose operands their producers write into
its slices; and a node that is not static is a *function*, which makes its results itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product

from gie_core.builder.expand import Expanded, Piece
from gie_core.builder.report import Rejection
from gie_core.engine.plan import AT_RUN_TIME
from gie_core.engine.views import view_layouts
from gie_core.ir.graph import Node, Value
from gie_core.ir.specialize import extents, is_static, is_static_type
from gie_core.ir.types import DType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format, Layout, row_major
from gie_core.kernels.provider import (
    FunctionProvider,
    KernelError,
    NamedProvider,
)
from gie_core.ops.shape import Concat
from gie_core.plugin.blame import blame, checked
from gie_core.runtime.target import Target

__all__ = ["Kernel", "View", "Ways", "find_ways", "nobody"]

COMBINATIONS = 8
"""Combinations of operand layouts of one candidate that are considered."""


@dataclass(frozen=True)
class Kernel:
    """A provider's candidate, reading and writing certain layouts.

    Args:
        operands: as each operand lies in memory; ``None`` for prepacked and absent ones.
        results: likewise.
    """

    piece: Piece
    owner: NamedProvider
    candidate: Candidate
    operands: tuple[Layout | None, ...]
    results: tuple[Layout, ...]


@dataclass(frozen=True)
class View:
    """Results that are views of the first operand."""

    piece: Piece
    operand: Layout
    results: tuple[Layout, ...]


@dataclass
class Ways:
    """All ways to run a graph.

    Attributes:
        expanded: what the pieces belong to.
        kernels: of all pieces, in order.
        views: of all pieces.
        joins: the concatenations, and the formats that their results may have.
        functions: who runs the nodes that are not static.
        layouts: how each value may lie in memory, the layout it is given or computed in first.
        rejections: why providers do not run a piece.
    """

    expanded: Expanded
    kernels: list[Kernel] = field(default_factory=list[Kernel])
    views: list[View] = field(default_factory=list[View])
    joins: dict[Piece, list[Format]] = field(default_factory=dict[Piece, list[Format]])
    functions: dict[Piece, str] = field(default_factory=dict[Piece, str])
    layouts: dict[Value, list[Layout]] = field(default_factory=dict[Value, list[Layout]])
    rejections: dict[Piece, tuple[Rejection, ...]] = field(
        default_factory=dict[Piece, tuple[Rejection, ...]]
    )

    def frugal(self) -> Ways | None:
        """The ways without kernels that must be worth it (``min_gain``).

        ``None`` if there are no such kernels, or some node has no others.
        """
        kept = [way for way in self.kernels if not way.owner.min_gain]
        pieces = {*self.functions, *self.joins, *(way.piece for way in (*kept, *self.views))}
        covered = {number for piece in pieces for number in piece.covers}
        spared = {number for way in self.kernels for number in way.piece.covers} <= covered
        return replace(self, kernels=kept) if spared and len(kept) < len(self.kernels) else None

    def number(self, value: Value, layout: Layout) -> int | None:
        """Which of its layouts a value has if it lies so; ``None`` if it never does."""
        wanted = layout.canonical()
        known = (each.canonical() for each in self.layouts[value])
        return next((number for number, each in enumerate(known) if each == wanted), None)


def find_ways(
    expanded: Expanded,
    target: Target,
    providers: Sequence[NamedProvider],
    storage: frozenset[DType] = frozenset(),
) -> Ways:
    """Ask all providers about all pieces.

    Args:
        expanded: static where it can be.
        target: what to run on.
        providers: the reference last; it is only asked where nobody else has a candidate.
        storage: element types that values of type f32 may be stored in besides their own.

    Raises:
        KernelError: nobody runs some node; gives each provider's reason.
        GieError: a provider raised or returned something wrong; names node and plugin.
    """
    return _Finder(expanded, target, providers, storage).ways()


class _Finder:
    def __init__(
        self,
        expanded: Expanded,
        target: Target,
        providers: Sequence[NamedProvider],
        storage: frozenset[DType],
    ) -> None:
        self._target = target
        self._providers = providers
        self._storage = storage
        self._ways = Ways(expanded)
        self._offered: dict[Piece, list[tuple[NamedProvider, Candidate]]] = {}

    def ways(self) -> Ways:
        graph = self._ways.expanded.graph
        for value in graph.inputs:
            if is_static_type(value.type):
                self._may_lie(value, row_major(value.tensor).layout(extents(value)))
        # The layouts in which values are made come first, then those in which they are read.
        for piece in self._ways.expanded.pieces:
            self._ask(piece)
        for piece, offered in self._offered.items():
            for _, candidate in offered:
                self._demand(piece, candidate)
        for value in graph.outputs:  # as callers get them
            if is_static_type(value.type) and value.data is None:
                self._may_lie(value, row_major(value.tensor).layout(extents(value)))
        for piece, offered in self._offered.items():
            for owner, candidate in offered:
                self._combine(piece, owner, candidate)
        return self._ways

    # ── Asking ──────────────────────────────────────────────────────────────────────

    def _ask(self, piece: Piece) -> None:
        node = piece.node
        if not is_static(node):
            self._function(piece)
            return
        self._views(piece)
        if isinstance(node.op, Concat):
            self._join(piece)
        offered, rejections = self._candidates(piece)
        self._offered[piece] = offered
        self._ways.rejections[piece] = rejections
        for _, candidate in offered:
            for value, format_ in zip(piece.results, candidate.results, strict=True):
                self._may_lie(value, format_.layout(extents(value)))
        if not offered and len(piece.covers) == 1 and piece not in self._ways.joins:
            raise nobody(node, self._target, rejections)

    def _candidates(
        self, piece: Piece
    ) -> tuple[list[tuple[NamedProvider, Candidate]], tuple[Rejection, ...]]:
        node = piece.node
        offered: list[tuple[NamedProvider, Candidate]] = []
        rejections: list[Rejection] = []
        for owner in self._providers:
            if offered and isinstance(owner.provider, FunctionProvider):
                continue  # the references are what kernels are measured against
            support = self._supports(owner, node)
            if not support.ok:
                rejections.append(Rejection(owner.name, support.reason))
                continue
            what = f"at {node}, candidates() of the kernel provider {owner.name!r}"
            with blame(owner.plugin, what):
                found = list(owner.provider.candidates(node, self._target))
            for candidate in found:
                checked(candidate, Candidate, owner.plugin, what)
                if self._is_narrower(piece, candidate):
                    continue  # nobody asked for it
                reason = _misfit(piece.node, candidate)
                if reason:
                    rejections.append(Rejection(f"{owner.name} {candidate.name}", reason))
                else:
                    offered.append((owner, candidate))
        return offered, tuple(rejections)

    def _supports(self, owner: NamedProvider, node: Node) -> Support:
        what = f"at {node}, supports() of the kernel provider {owner.name!r}"
        with blame(owner.plugin, what):
            return checked(owner.provider.supports(node, self._target), Support, owner.plugin, what)

    def _is_narrower(self, piece: Piece, candidate: Candidate) -> bool:
        """Whether a candidate stores something in a type that is not allowed for it."""
        if candidate.packed is not None and candidate.packed not in self._storage:
            return True
        return any(
            format_.dtype is not value.tensor.dtype
            and not (value.tensor.dtype is DType.F32 and format_.dtype in self._storage)
            for value, format_ in _formats(piece.node, candidate)
        )

    def _function(self, piece: Piece) -> None:
        """A node that is not static: who runs it is settled when its operands are there."""
        node = piece.node
        rejections: list[Rejection] = []
        name = AT_RUN_TIME if node.op.subgraphs() else ""
        for owner in self._providers:
            support = self._supports(owner, node)
            if support.ok:
                name = owner.name
                break
            rejections.append(Rejection(owner.name, support.reason))
            name = AT_RUN_TIME if support.open else name
        if not name:
            raise nobody(node, self._target, tuple(rejections))
        self._ways.functions[piece] = name
        self._ways.rejections[piece] = tuple(rejections)
        for value in piece.results:
            if is_static_type(value.type):
                self._may_lie(value, row_major(value.tensor).layout(extents(value)))

    # ── Views and joins ─────────────────────────────────────────────────────────────

    def _views(self, piece: Piece) -> None:
        operand = piece.node.operands[0] if piece.node.operands else None
        if operand is None or operand.data is not None:
            return
        if view_layouts(piece.node, row_major(operand.tensor).layout(extents(operand))) is None:
            return  # it moves elements whatever their order
        self._may_lie(operand, row_major(operand.tensor).layout(extents(operand)))
        for layout in list(self._ways.layouts[operand]):
            found = view_layouts(piece.node, layout)
            if found is None:
                continue
            results = tuple(result for _, result in found)
            self._ways.views.append(View(piece, layout, results))
            for value, result in zip(piece.results, results, strict=True):
                self._may_lie(value, result)

    def _join(self, piece: Piece) -> None:
        """A concatenation in every format that some operand is made in."""
        (result,) = piece.results
        if not all(extents(result)):
            return
        formats = [_plain(row_major(result.tensor))]
        for operand in piece.node.operands:
            assert operand is not None
            for layout in self._ways.layouts.get(operand, ()):
                order = _order_of(layout)
                if order is None:
                    continue
                format_ = Format(layout.dtype, order)
                if not any(f.same_place(format_, extents(result)) for f in formats):
                    formats.append(format_)
        self._ways.joins[piece] = formats
        for format_ in formats:
            self._may_lie(result, format_.layout(extents(result)))
        for operand in piece.node.operands:
            assert operand is not None
            self._may_lie(operand, row_major(operand.tensor).layout(extents(operand)))

    # ── Layouts ─────────────────────────────────────────────────────────────────────

    def _may_lie(self, value: Value, layout: Layout) -> None:
        layouts = self._ways.layouts.setdefault(value, [])
        if layout.canonical() not in (known.canonical() for known in layouts):
            layouts.append(layout)

    def _demand(self, piece: Piece, candidate: Candidate) -> None:
        """Let operands lie as a kernel wants them, where they do not by themselves."""
        for value, formats in _wanted(piece.node, candidate).items():
            known = self._ways.layouts[value]
            if not any(all(f.accepts(layout) for f in formats) for layout in known):
                layout = _common(value, formats)
                assert layout is not None, "candidates that contradict themselves are rejected"
                self._may_lie(value, layout)

    def _combine(self, piece: Piece, owner: NamedProvider, candidate: Candidate) -> None:
        """A way for each combination of operand layouts that a kernel takes."""
        accepted: list[list[Layout | None]] = []
        chosen: dict[Value, int] = {}
        wanted = _wanted(piece.node, candidate)
        for value, format_ in zip(piece.node.operands, candidate.operands, strict=True):
            if value is None or format_ is None:
                accepted.append([None])
            elif value.data is not None:
                accepted.append([format_.layout(extents(value))])
            elif value in chosen:  # read twice: in one layout, which the first place decides
                accepted.append([None])
            else:
                chosen[value] = len(accepted)
                formats = wanted[value]
                layouts = self._ways.layouts[value]
                accepted.append([x for x in layouts if all(f.accepts(x) for f in formats)])
        results = tuple(
            next(
                known
                for known in self._ways.layouts[value]
                if known.canonical() == format_.layout(extents(value)).canonical()
            )
            for value, format_ in zip(piece.results, candidate.results, strict=True)
        )
        for operands in islice(product(*accepted), COMBINATIONS):
            filled = tuple(
                operands[chosen[value]] if value in chosen and format_ is not None else layout
                for value, format_, layout in zip(
                    piece.node.operands, candidate.operands, operands, strict=True
                )
            )
            self._ways.kernels.append(Kernel(piece, owner, candidate, filled, results))


def _formats(node: Node, candidate: Candidate) -> list[tuple[Value, Format]]:
    """The values that a candidate has a format for."""
    pairs = [*zip(node.operands, candidate.operands, strict=False)]
    pairs += [*zip(node.results, candidate.results, strict=False)]
    return [(v, f) for v, f in pairs if v is not None and f is not None]


def _misfit(node: Node, candidate: Candidate) -> str:
    """What is wrong with a candidate's formats; nothing if they fit the node."""
    counts = len(candidate.operands), len(candidate.results)
    if counts != (len(node.operands), len(node.results)):
        return "it has not a format for each operand and result"
    for value, format_ in _formats(node, candidate):
        if value.tensor.rank != len(format_.order):
            return f"its format {format_} does not fit %{value.name}"
        if value.data is not None and not _accepts_constant(format_, value):
            return f"the constant %{value.name} lies row-major, not as {format_}; prepack it"
    return _contradiction(node, candidate)


def _contradiction(node: Node, candidate: Candidate) -> str:
    """Which operand is read twice, in formats that no layout fits; nothing if none is.

    A kernel reads a value in one layout, however often.
    """
    for value, formats in _wanted(node, candidate).items():
        if _common(value, formats) is None:
            return f"it reads %{value.name} as {' and as '.join(map(str, formats))} at once"
    return ""


def _wanted(node: Node, candidate: Candidate) -> dict[Value, list[Format]]:
    """The formats in which a kernel reads each of its operands; constants lie as they do."""
    wanted: dict[Value, list[Format]] = {}
    for value, format_ in zip(node.operands, candidate.operands, strict=True):
        if value is not None and format_ is not None and value.data is None:
            wanted.setdefault(value, []).append(format_)
    return wanted


def _common(value: Value, formats: Sequence[Format]) -> Layout | None:
    """A layout that all formats accept."""
    layouts = (format_.layout(extents(value)) for format_ in formats)
    return next((x for x in layouts if all(f.accepts(x) for f in formats)), None)


def _accepts_constant(format_: Format, value: Value) -> bool:
    """Whether a kernel that does not have a constant packed can read it, at whatever address."""
    own = value.tensor.dtype.numpy.itemsize
    natural = row_major(value.tensor).layout(extents(value))
    return format_.alignment <= own and format_.accepts(natural)


def _order_of(layout: Layout) -> tuple[int, ...] | None:
    """The order of the axes of a layout without gaps; ``None`` if it has any, or repeats."""
    axes = range(len(layout.shape))
    order = tuple(sorted(axes, key=lambda axis: (-layout.strides[axis], axis)))
    dense = Format(layout.dtype, order).layout(layout.shape)
    return order if dense.canonical() == layout.canonical() else None


def _plain(format_: Format) -> Format:
    return Format(format_.dtype, format_.order)


def nobody(node: Node, target: Target, rejections: Sequence[Rejection]) -> KernelError:
    """The error that no provider runs a node, with the reason of each."""
    reasons = "; ".join(f"{r.provider}: {r.reason}" for r in rejections)
    sources = f" (from {', '.join(node.sources)})" if node.sources else ""
    name = f" %{node.results[0].name}" if node.results else ""
    return KernelError(f"nothing runs {node.op.name}{name}{sources} on {target}: {reasons}")
