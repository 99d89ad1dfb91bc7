"""What candidates say of themselves, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gie_core.ir.graph import Node, Value
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format, Strides
from gie_core.testing.memory import extents

__all__ = ["check_claims"]


def check_claims(node: Node, candidates: Sequence[Candidate]) -> None:
    """Check what the candidates of a node say of themselves.

    Raises:
        AssertionError: there is none, two have one name, or a claim makes no sense.
    """
    assert candidates, "it supports the node but has no candidate"
    names = [candidate.name for candidate in candidates]
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
    work = candidate.work
    if candidate.workspace < 0:
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
