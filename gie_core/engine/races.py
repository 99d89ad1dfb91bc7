"""Proves a plan right, or says what is wrong with it.

This is the judge of what ``schedule`` and ``storage`` decide, so it shares no code with them.
It follows three rules:

- *Order.* One step has ended before another one begins if both are on one stream, in this order,
  or a chain of streams and waits says so. Nothing else is known about time.
- *Storages.* If two of them share bytes of the arena, all steps that use one have ended before
  any step begins that uses the other. Inputs are in use before the first step, outputs after
  the last, states always.
- *Values.* Within a storage, steps that touch the same bytes, one of them writing, are in
  order; each step reads bytes that were written before, and finds in them the value it names,
  not another one that was computed in the same place.

Bytes are compared exactly: regions that interleave without sharing one don't touch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gie_core.engine.plan import ALIGNMENT, Kind, Place, Region, Slot, Step, Storage
from gie_core.ir.graph import Node, Value

__all__ = ["Race", "find_races"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Race:
    """One thing that is wrong with a plan.

    Args:
        message: one sentence that names the steps, values and bytes.
        steps: indices of the steps.
        storages: indices of the storages.
    """

    message: str
    steps: tuple[int, ...] = ()
    storages: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.message


def find_races(
    steps: Sequence[Step],
    storages: Sequence[Storage],
    *,
    arena: int | None = None,
    kept: Collection[int] = (),
) -> list[Race]:
    """All that is wrong with a plan; nothing if every order that the streams allow computes
    what the steps compute one after the other.

    Args:
        steps: in an order that is right if all run one after the other.
        storages: with their offsets.
        arena: bytes; if given, storages must end before.
        kept: storages that are in use until after the last step, besides outputs and states.
    """
    plan = _Plan(steps, storages, arena, kept)
    # Where a region or a wait points nowhere, the other rules have nothing to look at.
    malformed = [*_wrong_waits(plan), *_wrong_regions(plan)]
    if malformed:
        return malformed
    return [
        *_wrong_offsets(plan),
        *_shared_bytes(plan),
        *_too_early(plan),
        *_wrong_values(plan),
    ]


# ── What steps touch, and their order ───────────────────────────────────────────────


@dataclass(frozen=True)
class _Use:
    """One place that a step reads or writes.

    Args:
        step: index.
        place: where.
        writes: whether it writes.
        scratch: whether it is the step's workspace.
        value: what lies there; ``None`` if that can't be told from the step.
    """

    step: int
    place: Place
    writes: bool
    scratch: bool = False
    value: Value | None = None


@dataclass(frozen=True)
class _Plan:
    steps: Sequence[Step]
    storages: Sequence[Storage]
    arena: int | None
    kept: Collection[int]

    @cached_property
    def uses(self) -> list[_Use]:
        """All of them, in the order of the steps; of one step reads come first."""
        return [use for index in range(len(self.steps)) for use in self._uses(index)]

    def _uses(self, index: int) -> Iterator[_Use]:
        step = self.steps[index]
        operands, results = step.node.operands, step.node.results
        if not step.provider:
            operands = results = self._copied(index)
        for k, place in enumerate(step.operands):
            if place is not None and not _is_empty(place):
                value = operands[k] if k < len(operands) else None
                yield _Use(index, place, writes=False, value=value)
        if step.workspace is not None and not _is_empty(step.workspace):
            yield _Use(index, step.workspace, writes=True, scratch=True)
        for k, place in enumerate(step.results):
            if not _is_empty(place):
                value = results[k] if k < len(results) else None
                yield _Use(index, place, writes=True, value=value)

    def _copied(self, index: int) -> tuple[Value, ...]:
        """The value that a copy is of: what its node reads there, if a later step runs it."""
        copy = self.steps[index]
        user = self.runs.get(copy.node, -1)
        places = self.steps[user].operands if user > index else ()
        pairs = zip(copy.node.operands, places, strict=False)
        return tuple(v for v, place in pairs if v is not None and place == copy.results[0])[:1]

    @cached_property
    def before(self) -> list[int]:
        """For each step those that have ended when it begins, as bits."""
        before: list[int] = []
        latest: dict[int, int] = {}
        for index, step in enumerate(self.steps):
            waits = [*step.after, *([latest[step.stream]] if step.stream in latest else [])]
            known = 0
            for other in waits:
                known |= before[other] | 1 << other
            before.append(known)
            latest[step.stream] = index
        return before

    @cached_property
    def runs(self) -> dict[Node, int]:
        """The nodes that a step runs, and which."""
        return {step.node: index for index, step in enumerate(self.steps) if step.provider}

    def ordered(self, earlier: int, later: int) -> bool:
        return bool(self.before[later] >> earlier & 1)

    def name(self, index: int) -> str:
        step = self.steps[index]
        return f"step {index} ({step.node if step.provider else f'a copy for {step.node}'})"


def _is_empty(place: Place) -> bool:
    return isinstance(place, Region) and not place.layout.size


# ── Waits, regions, offsets ─────────────────────────────────────────────────────────


def _wrong_waits(plan: _Plan) -> Iterator[Race]:
    for index, step in enumerate(plan.steps):
        for other in step.after:
            if not 0 <= other < index:
                text = f"{plan.name(index)} waits for step {other}, which is not an earlier one"
                yield Race(text, (index,))


def _wrong_regions(plan: _Plan) -> Iterator[Race]:
    for use in plan.uses:
        if not isinstance(use.place, Region):
            continue
        index, (low, high) = use.place.storage, use.place.span
        if not 0 <= index < len(plan.storages):
            text = f"{plan.name(use.step)} uses storage {index}, which is not there"
            yield Race(text, (use.step,))
        elif low < 0 or high > plan.storages[index].size:
            text = f"{plan.name(use.step)} uses bytes {low}:{high} of storage {index}"
            text += f", which has {plan.storages[index].size}"
            yield Race(text, (use.step,), (index,))


def _wrong_offsets(plan: _Plan) -> Iterator[Race]:
    for index, storage in enumerate(plan.storages):
        if storage.kind is Kind.CONSTANT:
            continue
        begin, end = storage.offset, storage.offset + storage.size
        if begin < 0 or begin % ALIGNMENT:
            text = f"storage {index} lies at {begin}, not at a multiple of {ALIGNMENT}"
            yield Race(text, (), (index,))
        if plan.arena is not None and end > plan.arena:
            text = f"storage {index} ends at {end}, but the arena has {plan.arena} bytes"
            yield Race(text, (), (index,))


# ── Storages that share bytes of the arena ──────────────────────────────────────────


@dataclass
class _Span:
    """When a storage in the arena is in use: at its steps (also as bits), before, after."""

    storage: int
    from_begin: bool
    to_end: bool
    steps: list[int] = field(default_factory=list[int])
    bits: int = 0
    ended: int = -1
    """Steps that have ended when the first of its steps begins, as bits."""

    def precedes(self, other: _Span) -> bool:
        """Whether it is out of use before the other comes into use."""
        return not (self.to_end or other.from_begin or self.bits & ~other.ended)


def _spans(plan: _Plan) -> list[_Span]:
    """One for each storage in the arena that has bytes and is used, by offset."""
    spans: dict[int, _Span] = {}
    for index, storage in enumerate(plan.storages):
        if storage.kind is not Kind.CONSTANT and storage.size:
            to_end = storage.kind in (Kind.OUTPUT, Kind.STATE) or index in plan.kept
            from_begin = storage.kind in (Kind.INPUT, Kind.STATE)
            spans[index] = _Span(index, from_begin, to_end)
    for use in plan.uses:
        span = spans.get(use.place.storage) if isinstance(use.place, Region) else None
        if span is not None:
            span.steps.append(use.step)
            span.bits |= 1 << use.step
            span.ended &= plan.before[use.step]
    used = [s for s in spans.values() if s.steps or s.from_begin or s.to_end]
    return sorted(used, key=lambda span: plan.storages[span.storage].offset)


def _shared_bytes(plan: _Plan) -> Iterator[Race]:
    spans = _spans(plan)
    for position, first in enumerate(spans):
        end = plan.storages[first.storage].offset + plan.storages[first.storage].size
        for second in spans[position + 1 :]:
            other = plan.storages[second.storage]
            if other.offset >= end:
                break
            if not first.precedes(second) and not second.precedes(first):
                shared = f"bytes {other.offset}:{min(end, other.offset + other.size)} of the arena"
                steps, why = _conflict(plan, first, second)
                text = f"storages {first.storage} and {second.storage} share {shared}: {why}"
                yield Race(text, steps, (first.storage, second.storage))


def _conflict(plan: _Plan, first: _Span, second: _Span) -> tuple[tuple[int, ...], str]:
    """Two steps in no order that use one storage each; else from when to when both are used."""
    for a in first.steps:
        for b in second.steps:
            if a == b:
                return (a,), f"{plan.name(a)} uses both"
            if not plan.ordered(min(a, b), max(a, b)):
                return (a, b), f"neither of {plan.name(a)} and {plan.name(b)} waits for the other"
    return (), f"{_life(plan, first)}, {_life(plan, second)}"


def _life(plan: _Plan, span: _Span) -> str:
    first = plan.name(min(span.steps)) if span.steps else "the last step"
    last = plan.name(max(span.steps)) if span.steps else "the first step"
    first = "before the first step" if span.from_begin else first
    last = "after the last step" if span.to_end else last
    return f"storage {span.storage} is in use from {first} to {last}"


# ── Values within a storage ─────────────────────────────────────────────────────────


@dataclass
class _Piece:
    """Some bytes of a storage, and what happens to them while the steps run one after another."""

    text: str
    kind: Kind | None
    writer: _Use | None = None
    readers: list[_Use] = field(default_factory=list[_Use])
    """Since it was written."""


def _too_early(plan: _Plan) -> Iterator[Race]:
    for use in plan.uses:
        if use.value is not None and not use.writes:
            for origin in _origins(use.value, plan.runs):
                index = -1 if origin.node is None else plan.runs.get(origin.node, -1)
                if index >= use.step:
                    text = f"{plan.name(use.step)} reads %{use.value.name}, but only then comes "
                    yield Race(text + plan.name(index), (use.step, index))


def _wrong_values(plan: _Plan) -> Iterator[Race]:
    written = {u.place.storage for u in plan.uses if u.writes and isinstance(u.place, Region)}
    for index, storage in enumerate(plan.storages):
        if storage.kind is Kind.OUTPUT and storage.size and index not in written:
            yield Race(f"no step writes storage {index}, an output's", (), (index,))
    pieces = _all_pieces(plan)
    seen: set[tuple[int, ...]] = set()
    for use in plan.uses:
        for piece in pieces[use.place]:
            fault = _write(plan, use, piece) if use.writes else _read(plan, use, piece)
            if fault is None:
                continue
            other, text = fault
            steps = (use.step,) if other is None else (other.step, use.step)
            if steps not in seen:  # once, not for every piece of the bytes
                what = "writes" if use.writes else "reads"
                storages = (use.place.storage,) if isinstance(use.place, Region) else ()
                yield Race(f"{plan.name(use.step)} {what} {piece.text}, {text}", steps, storages)
            seen.add(steps)


def _read(plan: _Plan, use: _Use, piece: _Piece) -> tuple[_Use | None, str] | None:
    piece.readers.append(use)
    writer = piece.writer
    if writer is None:
        unwritten = piece.kind in (Kind.ARENA, Kind.OUTPUT)
        return (None, "which no step before has written") if unwritten else None
    by = plan.name(writer.step)
    if not plan.ordered(writer.step, use.step):
        return writer, f"but doesn't wait for {by}, which writes there"
    if writer.scratch:
        return writer, f"which {by} has used as scratch memory"
    if _is_lost(plan, use, piece):
        wanted, found = (f"%{v.name}" if v else "" for v in (use.value, writer.value))
        return writer, f"looking for {wanted}, but {by} has put {found} in its place"
    return None


def _write(plan: _Plan, use: _Use, piece: _Piece) -> tuple[_Use | None, str] | None:
    earlier = [*piece.readers, *([] if piece.writer is None else [piece.writer])]
    piece.writer, piece.readers = use, []
    if piece.kind in (Kind.INPUT, Kind.CONSTANT):
        return None, "which are read only"
    for other in earlier:
        does = "writes" if other.writes else "reads"
        if other.step == use.step:
            in_place = not other.writes and not use.scratch
            if not in_place or not _same_elements(use.place, other.place):
                return None, f"which it also {does}"
        elif not plan.ordered(other.step, use.step):
            return other, f"but doesn't wait for {plan.name(other.step)}, which {does} there"
    return None


def _is_lost(plan: _Plan, use: _Use, piece: _Piece) -> bool:
    """Whether the value that a step names was here, and another one is now."""
    now = piece.writer.value if piece.writer is not None else None
    if use.value is None or now is None or now is use.value:
        return False
    origins = _origins(use.value, plan.runs)
    return now not in origins


def _origins(value: Value, computed: Collection[Node]) -> dict[Value, None]:
    """The values that a value may consist of: those of its operands, and so on, where no step
    runs its node: it is a view, or was elided like a concatenation.
    """
    found: dict[Value, None] = {}
    pending = [value]
    while pending:
        current = pending.pop()
        if current not in found:
            found[current] = None
            if current.node is not None and current.node not in computed:
                pending.extend(v for v in current.node.operands if v is not None)
    return found


def _same_elements(first: Place, second: Place) -> bool:
    """Whether two regions are one, element by element."""
    if isinstance(first, Slot) or isinstance(second, Slot):
        return False
    return _elements(first) == _elements(second)


def _elements(region: Region) -> tuple[int, int, list[tuple[int, int]]]:
    layout = region.layout
    axes = [(n, stride) for n, stride in zip(layout.shape, layout.strides, strict=True) if n > 1]
    return region.offset, layout.dtype.numpy.itemsize, axes


# ── Bytes ───────────────────────────────────────────────────────────────────────────


def _all_pieces(plan: _Plan) -> dict[Place, list[_Piece]]:
    """For each place the pieces that it consists of; places that share bytes share pieces."""
    pieces: dict[Place, list[_Piece]] = {}
    regions: dict[int, dict[Region, None]] = defaultdict(dict)
    for use in plan.uses:
        if isinstance(use.place, Slot):
            # A slot that no step writes holds an input or a constant.
            pieces.setdefault(use.place, [_Piece(f"slot {use.place.index}", None)])
        else:
            regions[use.place.storage][use.place] = None
    for index, those in regions.items():
        pieces.update(_pieces(list(those), index, plan.storages[index].kind))
    return pieces


def _pieces(regions: list[Region], storage: int, kind: Kind) -> dict[Place, list[_Piece]]:
    """Cuts a storage into as few pieces as possible, so that each region is made of whole ones."""
    intervals = [_intervals(region) for region in regions]
    cuts = np.unique(np.concatenate([part.ravel() for part in intervals]))
    inside = np.zeros((len(cuts), len(regions)), np.bool_)  # [from this cut to the next, region]
    for column, part in enumerate(intervals):
        change = np.zeros(len(cuts), np.int64)
        np.add.at(change, np.searchsorted(cuts, part[:, 0]), 1)
        np.subtract.at(change, np.searchsorted(cuts, part[:, 1]), 1)
        inside[:, column] = np.cumsum(change) > 0
    # Bytes that belong to the same regions are one piece, named by its first stretch.
    kinds, first = np.unique(inside, axis=0, return_index=True)
    ends = np.append(cuts[1:], cuts[-1:])
    pieces = [
        _Piece(f"bytes {cuts[i]}:{ends[i]} of storage {storage}", kind) for i in first.tolist()
    ]
    return {
        region: [pieces[i] for i in np.flatnonzero(kinds[:, column]).tolist()]
        for column, region in enumerate(regions)
    }


def _intervals(region: Region) -> Ints:
    """[n, 2]: begins and ends of the stretches of bytes that a region consists of."""
    layout = region.layout
    begins: Ints = np.array([region.span[0]], np.int64)
    width = layout.dtype.numpy.itemsize
    for stride, extent in sorted(zip(map(abs, layout.strides), layout.shape, strict=True)):
        if stride <= width and len(begins) == 1:
            width += (extent - 1) * stride
        else:
            begins = np.add.outer(begins, np.arange(extent) * stride).ravel()
    return np.stack([begins, begins + width], axis=1)
