"""Whether plans that come from a file hand kernels what these have asked for.

``check_plan`` has seen to it that no region leaves its memory. But a kernel relies on more: that
its operands have the formats of one of its candidates, that its scratch memory is large enough,
that results lie apart from operands. A file may say anything, so its plans are compared with what
the providers say that are installed here. What constants hold is left to the kernels, which are
given arrays of true shapes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain, combinations
from typing import NoReturn

import numpy as np

from gie_core.engine.plan import Kind, Place, Plan, Region, Step
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.specialize import is_static
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format
from gie_core.kernels.provider import CandidateFinder, NamedProvider
from gie_core.plugin.blame import blame
from gie_core.runtime.target import Target

__all__ = ["AdmissionError", "admit"]

SHORT = 64
"""Elements of constants by whose content candidates may differ: exponents, axes."""
HARD = 10_000
"""Steps to find out whether two regions share a byte, before it is taken for granted."""


class AdmissionError(GieError):
    """A plan does not give a kernel what it needs."""


def admit(plans: Sequence[Plan], providers: Sequence[NamedProvider], target: Target) -> None:
    """Check that every kernel of some plans gets what its candidate asks for.

    Args:
        plans: as ``check_plan`` lets them pass.
        providers: those that the plans may name.
        target: what the plans run on.

    Raises:
        AdmissionError: "plan 0, step 12 (%y = conv(…)): …".
    """
    gate = _Gate(providers, target)
    for number, plan in enumerate(plans):
        for index, step in enumerate(plan.steps):
            if step.provider and step.candidate:
                gate.check(f"plan {number}, step {index} ({step.node})", plan, step)


class _Gate:
    """Knows the candidates; nodes that differ in names and weights only are asked for once."""

    def __init__(self, providers: Sequence[NamedProvider], target: Target) -> None:
        self._providers = {each.name: each for each in providers}
        self._target = target
        self._known: dict[Hashable, Candidate | None] = {}

    def check(self, where: str, plan: Plan, step: Step) -> None:
        candidate = self._candidate(where, step)
        operands = [*zip(step.operands, candidate.operands, strict=False)]
        results = [*zip(step.results, candidate.results, strict=False)]
        if (len(operands), len(results)) != (len(candidate.operands), len(candidate.results)):
            _fail(where, f"{candidate.name!r} has another number of operands and results")
        for index, (place, format_) in enumerate(operands):
            _check_format(f"{where}, operand {index}", place, format_)
        for index, (place, format_) in enumerate(results):
            _check_format(f"{where}, result {index}", place, format_)
        room = 0 if step.workspace is None else step.workspace.layout.size
        if room < candidate.workspace:
            _fail(where, f"{room} bytes of workspace are less than {candidate.workspace}")
        _check_apart(where, plan, step, candidate)

    def _candidate(self, where: str, step: Step) -> Candidate:
        owner = self._providers.get(step.provider)
        if owner is None:
            _fail(where, f"there is no kernel provider {step.provider!r}")
        key = owner.name, _signature(step.node), step.candidate
        if key not in self._known:
            with blame(owner.plugin, f"at {where}, candidates() of the provider {owner.name!r}"):
                self._known[key] = self._offered(owner, step.node, step.candidate)
        found = self._known[key]
        if found is None:
            _fail(where, f"{owner.name!r} has no candidate {step.candidate!r} for it")
        return found

    def _offered(self, owner: NamedProvider, node: Node, name: str) -> Candidate | None:
        provider = owner.provider
        if not is_static(node) or not provider.supports(node, self._target).ok:
            return None
        if isinstance(provider, CandidateFinder):
            return provider.candidate(node, name, self._target)
        offered = provider.candidates(node, self._target)
        return next((each for each in offered if each.name == name), None)


# ── Memory ──────────────────────────────────────────────────────────────────────────────


def _check_format(where: str, place: Place | None, format_: Format | None) -> None:
    if place is None and format_ is None:
        return
    if format_ is None or not isinstance(place, Region):
        _fail(where, "its candidate expects nothing there" if place else "it lies nowhere")
    if not format_.accepts(place.layout) or place.offset % format_.alignment:
        _fail(where, f"{place.layout} at byte {place.offset} is not {format_}, as it must be")


def _check_apart(where: str, plan: Plan, step: Step, candidate: Candidate) -> None:
    """Whatever is written shares no byte with anything else, unless it may."""
    pairs: list[tuple[Place | None, Place | None]] = [
        (result, operand)
        for i, result in enumerate(step.results)
        for k, operand in enumerate(step.operands)
        if not ((i, k) in candidate.in_place and result == operand)
    ]
    pairs += combinations(step.results, 2)
    pairs += [(step.workspace, each) for each in (*step.operands, *step.results)]
    for one, other in pairs:
        if isinstance(one, Region) and isinstance(other, Region) and _share(plan, one, other):
            _fail(where, f"{one.layout} shares memory with {other.layout}")


def _share(plan: Plan, first: Region, second: Region) -> bool:
    """Whether two regions have a byte in common, each in the arena or a constant."""
    storages = plan.storages[first.storage], plan.storages[second.storage]
    if any(storage.kind is Kind.CONSTANT for storage in storages):
        return False  # which nobody writes
    (low, high), (begin, end) = (
        (storage.offset + region.span[0], storage.offset + region.span[1])
        for storage, region in zip(storages, (first, second), strict=True)
    )
    if high <= begin or end <= low:
        return False
    arrays = [
        _Somewhere(region, storage.offset)
        for region, storage in zip((first, second), storages, strict=True)
    ]
    try:
        return np.shares_memory(*map(np.asarray, arrays), max_work=HARD)
    except (np.exceptions.TooHardError, ValueError):  # ValueError: larger than any memory
        return True


class _Somewhere:
    """An array at an address that nobody ever looks at: NumPy only compares it with another."""

    def __init__(self, region: Region, begin: int) -> None:
        layout = region.layout
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{layout.dtype.numpy.itemsize}",
            "shape": layout.shape,
            "strides": layout.strides,
            "data": (1 + begin + region.offset, True),  # 0 would be no address
        }


# ── Equal nodes ─────────────────────────────────────────────────────────────────────────


def _signature(node: Node) -> Hashable:
    """Equal for nodes that have the same candidates, whatever they and their weights are called."""
    return (
        _op_signature(node),
        tuple(None if v is None else (v.type, _content(v.data)) for v in node.operands),
        tuple(v.type for v in node.results),
    )


def _op_signature(node: Node) -> Hashable:
    bodies = node.op.subgraphs()
    if not bodies:
        return node.op
    values = {k: v for k, v in node.op.attribute_values().items() if k not in bodies}
    return type(node.op), tuple(values.items()), tuple(map(_body_signature, bodies.values()))


def _body_signature(body: Graph) -> Hashable:
    numbers: dict[Value, int] = {}
    for value in chain(body.inputs, body.constants, *(node.results for node in body.nodes)):
        numbers[value] = len(numbers)
    nodes = tuple(
        (_signature(node), *(None if v is None else numbers[v] for v in node.operands))
        for node in body.nodes
    )
    return nodes, tuple(v.type for v in body.inputs), tuple(numbers[v] for v in body.outputs)


def _content(data: Array | None) -> Hashable:
    """What candidates may depend on: the elements of short constants that aren't floats."""
    if data is None or data.size > SHORT or data.dtype == object or data.dtype.kind not in "biu":
        return data is not None
    return data.tobytes()


def _fail(where: str, problem: str) -> NoReturn:
    raise AdmissionError(f"{where}: {problem}")
