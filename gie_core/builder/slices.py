"""Slices: where the operands of concatenations may lie in the results.

A concatenation that is a *join* is no kernel: each of its operands is written into its slice of
the result by whoever makes it, or copied there. A join's result may be a slice of another one's.

Of several joins only the last one that reads a value can be where it lies. The others copy it
whichever that is, so that there is little to win; in a network where every layer reads all those
before it, weighing all joins takes the strategy a hundred times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gie_core.builder.expand import Piece
from gie_core.builder.strategy import AliasGroup
from gie_core.builder.ways import Kernel, Ways
from gie_core.engine.views import slices_of
from gie_core.ir.graph import Value
from gie_core.ir.specialize import extents
from gie_core.kernels.format import Format, Layout

__all__ = ["Place", "Slice", "Slices"]


@dataclass(frozen=True)
class Place:
    """A part of a storage.

    Args:
        layout: of what lies there.
        offset: bytes from the storage's begin.
    """

    layout: Layout
    offset: int = 0

    def suits(self, way: Kernel, value: Value) -> bool:
        """Whether a kernel can read and write a value that lies here."""
        values = (*way.piece.node.operands, *way.piece.results)
        formats = (*way.candidate.operands, *way.candidate.results)
        return all(
            format_ is None or format_.accepts(self.layout, self.offset)
            for each, format_ in zip(values, formats, strict=True)
            if each is value
        )


@dataclass
class Slice:
    """An operand of a join that may lie in the result.

    Args:
        group: its alias group: on if it does lie there.
        join: the join's piece.
        index: of the operand.
        format: of the join's result.
        key: number of the layout that the operand's producer must choose.
        place: in the join's result.
        nested: in the result of the join whose alias group puts that, or what that is in,
            into a slice there.
    """

    group: int
    join: Piece
    index: int
    format: Format
    key: int
    place: Place
    nested: dict[int, Place] = field(default_factory=dict[int, Place])

    @property
    def value(self) -> Value:
        """The operand."""
        value = self.join.node.operands[self.index]
        assert value is not None
        return value


class Slices:
    """All slices of a graph.

    Attributes:
        groups: the alias groups, by number.
        formats: for each join and format, the alias group that is on if it is made so.
    """

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._makers = {value for way in ways.kernels for value in way.piece.results}
        self._makers |= {value for join in ways.joins for value in join.results}
        self._hosts = {v: join for join in ways.joins for v in join.node.operands}
        self._of: dict[Value, list[Slice]] = {}
        self._at: dict[tuple[Piece, int, Format], Slice] = {}
        self.groups: list[AliasGroup] = []
        self.formats: dict[tuple[Piece, Format], int] = {}
        for piece, formats in ways.joins.items():
            for format_ in formats:
                self.formats[piece, format_] = self._group(f"%{piece.results[0].name} {format_}")
                self._find(piece, format_)
        for each in reversed(list(self._at.values())):  # a join comes before those that nest it
            self._nest(each)

    def of(self, value: Value) -> list[Slice]:
        """The slices in which a value may lie."""
        return self._of.get(value, [])

    def at(self, piece: Piece, index: int, format_: Format) -> Slice | None:
        """The slice of a join's operand, if that may lie there."""
        return self._at.get((piece, index, format_))

    def touched(self, way: Kernel) -> list[Slice]:
        """The slices in which results of a kernel may lie, or operands as the kernel reads them."""
        node, found = way.piece.node, dict[int, Slice]()
        for value, layout in zip(node.operands, way.operands, strict=True):
            if value is None or layout is None:
                continue
            for each in self.of(value):
                if each.key == self._ways.number(value, layout):
                    found[each.group] = each
        for value in way.piece.results:
            found.update((each.group, each) for each in self.of(value))
        return list(found.values())

    def is_plain(self, each: Slice) -> bool:
        """Whether a slice is as dense as a tensor of its own."""
        own = self._ways.layouts[each.value][each.key]
        return own.canonical() == each.place.layout.canonical()

    def _find(self, piece: Piece, format_: Format) -> None:
        whole = format_.layout(extents(piece.results[0]))
        for index, (offset, layout) in enumerate(slices_of(piece.node, whole)):
            operand = piece.node.operands[index]
            assert operand is not None
            if operand not in self._makers or operand in piece.node.operands[:index]:
                continue
            key = self._ways.number(operand, format_.layout(extents(operand)))
            if key is None or piece is not self._hosts[operand]:
                continue
            group = self._group(f"{index} of %{piece.results[0].name} {format_}")
            found = Slice(group, piece, index, format_, key, Place(layout, offset))
            self._of.setdefault(operand, []).append(found)
            self._at[piece, index, format_] = found

    def _nest(self, each: Slice) -> None:
        (result,) = each.join.results
        number = self._ways.number(result, each.format.layout(extents(result)))
        for outer in self.of(result):
            if outer.key == number:
                for group, whole in ((outer.group, outer.place), *outer.nested.items()):
                    offset, layout = slices_of(each.join.node, whole.layout)[each.index]
                    each.nested[group] = Place(layout, whole.offset + offset)

    def _group(self, name: str) -> int:
        self.groups.append(AliasGroup(len(self.groups), name))
        return len(self.groups) - 1
