"""What a plan's record tells: its steps and memory, what was chosen, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gie_core.builder.expand import Piece
from gie_core.builder.formulate import Formulation, key_of
from gie_core.builder.prices import ModelPrices, TimedPrices
from gie_core.builder.report import (
    Alternative,
    KernelChoice,
    PlanRecord,
    StepRecord,
    StorageRecord,
)
from gie_core.builder.rivals import Rival, step_times
from gie_core.builder.ways import Kernel, View, Ways
from gie_core.engine.assemble import Decisions
from gie_core.engine.plan import Kind, Plan, Region
from gie_core.engine.schedule import timeline
from gie_core.engine.storage import lower_bound, memory_map
from gie_core.ir.graph import Node
from gie_core.ops.group import Group

__all__ = ["choices_of", "plan_record"]


def plan_record(plan: Plan, decisions: Decisions) -> PlanRecord:
    """A plan's steps over time and its memory; nothing is measured yet."""
    spans = timeline(plan.steps, step_times(plan, decisions))
    steps = tuple(
        StepRecord(
            node=step.node.results[0].name if step.node.results else step.node.op.name,
            what=f"{step.provider} {step.candidate}".strip(),
            stream=step.stream,
            start=start,
            end=end,
        )
        for step, (start, end) in zip(plan.steps, spans, strict=True)
    )
    kept = {place.storage for place in plan.outputs if isinstance(place, Region)}
    return PlanRecord(
        sizes=dict(plan.sizes),
        predicted=max((end for _, end in spans), default=0),
        measured=None,
        rivals=(),
        arena=plan.arena,
        lower_bound=lower_bound(plan.storages, plan.steps, kept),
        weights=plan.weight_bytes,
        copies=sum(not step.provider for step in plan.steps),
        steps=steps,
        storages=tuple(_storages(plan, kept)),
    )


def _storages(plan: Plan, kept: set[int]) -> list[StorageRecord]:
    residents: dict[int, dict[str, None]] = {}
    for place, value in zip(plan.inputs, plan.graph.inputs, strict=True):
        if isinstance(place, Region):
            residents.setdefault(place.storage, {})[value.name] = None
    for step in plan.steps:
        for place, value in zip(step.results, step.node.results, strict=False):
            if isinstance(place, Region):
                residents.setdefault(place.storage, {})[value.name] = None
    return [
        StorageRecord(
            kind=plan.storages[each.storage].kind.value,
            offset=each.offset,
            size=each.size,
            first=each.first,
            last=each.last,
            values=tuple(residents.get(each.storage, ())),
        )
        for each in memory_map(plan.storages, plan.steps, kept)
        if plan.storages[each.storage].kind is not Kind.CONSTANT
    ]


# ── What was chosen, and what was not ───────────────────────────────────────────────────


def choices_of(rival: Rival, ways: Ways, prices: ModelPrices) -> tuple[KernelChoice, ...]:
    """What runs each node of a plan, and what else could have.

    Args:
        ways: all that there were.
        prices: by which the alternatives are judged.
    """
    others: dict[int, list[Alternative]] = {}
    taken = {key.partition(" slice ")[0] for key in rival.solution.options}
    singles = [p for p in ways.expanded.pieces if len(p.covers) == 1 and p.results]
    names = {piece.covers[0]: piece.results[0].name for piece in singles}
    for way in ways.kernels:
        if key_of(way) not in taken:
            found = _alternative(way, prices, names)
            for number in way.piece.covers:
                others.setdefault(number, []).append(found)
    pieces = {piece.covers: piece for piece in ways.expanded.pieces}
    return tuple(
        _choice(node, rival.keys[node], rival.formulation, others, pieces)
        for node in rival.decisions.graph.nodes
        if node in rival.keys  # all but one that only stands for copies of states
    )


def _choice(
    node: Node,
    key: str,
    formulation: Formulation,
    others: Mapping[int, Sequence[Alternative]],
    pieces: Mapping[tuple[int, ...], Piece],
) -> KernelChoice:
    meaning = formulation.meaning[key]
    provider, candidate, formats, covers = "join", "", "", tuple[int, ...]()
    if isinstance(meaning, Kernel):
        provider, candidate = meaning.owner.name, meaning.candidate.name
        formats, covers = _formats(meaning), meaning.piece.covers
    elif isinstance(meaning, View):
        provider, covers = "view", meaning.piece.covers
    elif isinstance(meaning, Piece):
        provider, covers = formulation.ways.functions[meaning], meaning.covers
    piece = pieces.get(covers)
    rejected = dict.fromkeys(each for number in covers for each in others.get(number, ()))
    return KernelChoice(
        node=node.results[0].name if node.results else node.op.name,
        op=f"group:{node.op.kind}" if isinstance(node.op, Group) else node.op.name,
        provider=provider,
        sources=node.sources,
        rejections=() if piece is None else formulation.ways.rejections.get(piece, ()),
        candidate=candidate,
        formats=formats,
        nanoseconds=formulation.times[key],
        alternatives=tuple(sorted(rejected, key=_speed)),
    )


def _speed(each: Alternative) -> tuple[bool, int, str, str]:
    """The fastest first, and those that had to go last."""
    time = each.predicted if each.measured is None else each.measured
    return bool(each.reason), time, each.provider, each.candidate


def _formats(way: Kernel) -> str:
    """How a kernel reads and writes: "f32 NHWC, f32 → f32 NHWC"."""
    operands = ", ".join(str(f) for f in way.candidate.operands if f is not None)
    return f"{operands} → {', '.join(map(str, way.candidate.results))}"


def _alternative(way: Kernel, prices: ModelPrices, names: Mapping[int, str]) -> Alternative:
    predicted = ModelPrices.kernel(prices, way, way.operands, way.results) or 0
    measured, error, verdict, reason = None, None, "slower", ""
    if isinstance(prices, TimedPrices):
        timing = prices.timing(way)
        error = timing.error
        if timing.ok:
            measured = timing.nanoseconds
        else:
            verdict, reason = timing.verdict.value, timing.reason
    return Alternative(
        provider=way.owner.name,
        candidate=way.candidate.name,
        formats=_formats(way),
        covers=tuple(names[number] for number in way.piece.covers if number in names),
        predicted=predicted,
        measured=measured,
        error=error,
        verdict=verdict,
        reason=reason,
    )
