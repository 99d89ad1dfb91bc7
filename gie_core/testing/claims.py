"""What a provider says of a node and of its candidates, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.text import format_graph
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format, Strides
from gie_core.kernels.provider import CandidateFinder, KernelProvider
from gie_core.runtime.target import Target
from gie_core.testing.judge import isolate
from gie_core.testing.memory import extents

__all__ = ["ask", "check_support"]


_MOST_WORKSPACE = 2**31


def check_support(support: Support) -> None:
    """Check that it is an answer, with a reason where it is no.

    Raises:
        AssertionError: it isn't.
    """
    assert isinstance(support, Support), f"supports() returns a {type(support).__name__}"
    assert support.ok or support.reason.strip(), "it rejects the node without a reason"
    assert "\n" not in support.reason, f"the reason has several lines: {support.reason!r}"


def ask(provider: KernelProvider, graph: Graph, target: Target) -> list[Candidate]:
    """The candidates for the only node of a graph, which the provider supports.

    Raises:
        AssertionError: a claim makes no sense, a second answer is another one, an equal node gets
            other candidates, or the graph was changed.
    """
    (node,) = graph.nodes
    (copy,) = isolate(node).nodes
    before = format_graph(graph)
    candidates = list(provider.candidates(node, target))
    _check_claims(node, candidates)
    assert list(provider.candidates(node, target)) == candidates, "a second call gives others"
    assert list(provider.candidates(copy, target)) == candidates, "an equal node gets others"
    assert provider.supports(node, target).ok, "it supports the node only at first"
    if isinstance(provider, CandidateFinder):
        _check_finder(provider, node, target, candidates)
    assert format_graph(graph) == before, f"it changed the graph, which was {before}"
    return candidates


def _check_finder(
    finder: CandidateFinder, node: Node, target: Target, candidates: Sequence[Candidate]
) -> None:
    for each in candidates:
        found = finder.candidate(node, each.name, target)
        assert found == each, f"candidate() gives {found} for {each.name!r}, candidates() {each}"
    known = {each.name for each in candidates}
    for name in sorted({"", "x", *(f"{n} x" for n in known), *(n[:-1] for n in known)} - known):
        found = finder.candidate(node, name, target)
        assert found is None, f"candidate() gives {found} for {name!r}, candidates() none"


def _check_claims(node: Node, candidates: Sequence[Candidate]) -> None:
    assert candidates, "it supports the node but has no candidate"
    names = [candidate.name for candidate in candidates]
    assert all(names), "a candidate has no name"
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"two candidates are named {twice[0]!r}"
    for candidate in candidates:
        problem = next(_problems(node, candidate), None)
        assert problem is None, f"candidate {candidate.name!r}: {problem}"


def _problems(node: Node, candidate: Candidate) -> Iterator[str]:
    if len(candidate.operands) != len(node.operands):
        yield f"it has {len(candidate.operands)} operands, the node {len(node.operands)}"
        return
    if len(candidate.results) != len(node.results):
        yield f"it has {len(candidate.results)} results, the node {len(node.results)}"
        return
    for n, (value, format_) in enumerate(zip(node.operands, candidate.operands, strict=True)):
        what = f"operand {n}"
        if format_ is not None and value is None:
            yield f"{what} is absent, but has a format"
        elif format_ is None and value is not None and value.data is None:
            yield f"{what} is no constant, but has no format"
        elif format_ is not None and value is not None:
            yield from _problems_of_format(what, format_, value)
    for n, (value, format_) in enumerate(zip(node.results, candidate.results, strict=True)):
        yield from _problems_of_format(f"result {n}", format_, value)
        if format_.strides is Strides.ANY:
            yield f"result {n} may have any strides; only operands may"
    if candidate.packed is not None and not candidate.packed.is_float:
        yield f"constants can't be rounded to {candidate.packed}"
    work = candidate.work
    if not 0 <= candidate.workspace <= _MOST_WORKSPACE:
        yield f"its workspace is {candidate.workspace} bytes"
    numbers = (work.products, work.steps, work.bytes, work.calls)
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        yield f"its work makes no sense: {work}"
    yield from _problems_in_place(node, candidate)


def _problems_of_format(what: str, format_: Format, value: Value) -> Iterator[str]:
    own, stored = value.tensor.dtype, format_.dtype
    if sorted(format_.order) != list(range(value.tensor.rank)):
        yield f"{what} has order {format_.order}, but rank {value.tensor.rank}"
    if format_.alignment < 1 or format_.alignment & (format_.alignment - 1):
        yield f"{what} has alignment {format_.alignment}, which is no power of two"
    if stored is not own and not (stored.is_float and own.is_float and stored.bits < own.bits):
        yield f"{what} is {own} and can't be stored as {stored}"


def _problems_in_place(node: Node, candidate: Candidate) -> Iterator[str]:
    for result, operand in candidate.in_place:
        what = f"result {result} in place of operand {operand}"
        if not (0 <= result < len(candidate.results) and 0 <= operand < len(candidate.operands)):
            yield f"{what}: there is no such pair"
            continue
        given, value = candidate.operands[operand], node.operands[operand]
        if given is None or value is None or value.data is not None:
            yield f"{what}, which is absent or constant"
            continue
        made, shape = candidate.results[result], extents(node.results[result])
        if extents(value) != shape or not made.same_place(given, shape):
            yield f"{what}, which lies otherwise in memory"
