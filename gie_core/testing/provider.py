"""Checking one node of a kernel provider: every candidate, in every memory it may be given.

The harness plays the engine: it asks for candidates, has constants prepacked, makes memory exactly
as the formats say, and binds. Then it looks at everything that the engine relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from gie_core.ir.graph import Node, Value
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format, Strides
from gie_core.kernels.provider import KernelProvider, Launch, Memory
from gie_core.testing.judge import Judge
from gie_core.testing.memory import ARRANGEMENTS, Buffer, extents, poisoned_memory, scratch

__all__ = ["check_candidate", "check_prepack"]

T = TypeVar("T")
_POISONS = (0xFF, 0x7F)  # NaN and a huge number; -1 and another integer


def check_prepack(provider: KernelProvider, node: Node, candidate: str) -> tuple[Array, ...]:
    """The prepacked constants, as they come back from an engine file: C order, read only.

    Raises:
        AssertionError: a second call gives others.
    """
    first = [np.asarray(array) for array in provider.prepack(node, candidate)]
    again = [np.asarray(array) for array in provider.prepack(node, candidate)]
    same = [(a.dtype, a.shape, a.tobytes()) for a in first]
    assert same == [(a.dtype, a.shape, a.tobytes()) for a in again], (
        "prepack gives other constants at the second call"
    )
    copies = tuple(np.array(array, order="C") for array in first)
    for copy in copies:
        copy.flags.writeable = False
    return copies


def check_candidate(
    provider: KernelProvider,
    node: Node,
    candidate: Candidate,
    data: Sequence[Sequence[Array | None]],
    judge: Judge,
) -> list[str]:
    """Run one candidate in every arrangement of memory that it accepts.

    Args:
        provider: whose it is.
        node: in a graph of its own, see ``isolate``.
        candidate: whose claims make sense, see ``check_claims``.
        data: two sets of operands, ``None`` for absent ones.
        judge: of the same node.

    Returns:
        What went wrong, and in which arrangements.
    """
    found = _Failures()
    constants = found.attempt("prepacking", lambda: check_prepack(provider, node, candidate.name))
    if constants is None:
        return found.texts()
    bound: list[_Bound] = []

    def check(case: _Case) -> None:
        bound.append(_Bound(provider, node, candidate, case, constants))
        _check_bound(bound[-1], data, judge)

    for case in _cases(node, candidate):
        found.attempt(case.name, lambda case=case: check(case))
    if not found.texts():
        what = "bound first and run after the others"
        found.attempt(what, lambda: _judge_run(bound[0], data[0], judge, _POISONS[0]))
    return found.texts()


class _Failures:
    """What went wrong, and where."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def attempt(self, place: str, action: Callable[[], T]) -> T | None:
        """Do something, and note what it raises."""
        try:
            return action()
        except AssertionError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a kernel raises is what is wrong with it
            problem = f"it raises {type(error).__name__}: {error}"
        self._places.setdefault(problem, []).append(place)
        return None

    def texts(self) -> list[str]:
        """A sentence for each problem."""
        return [f"{problem} ({', '.join(places)})" for problem, places in self._places.items()]


@dataclass(frozen=True)
class _Case:
    """Which memory a candidate is given.

    Args:
        name: for messages.
        operands, results: the arrangement of each.
        in_place: (result, operand) that share memory.
    """

    name: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    in_place: tuple[int, int] | None = None


class _Bound:
    """A candidate, bound to memory of its own."""

    def __init__(
        self,
        provider: KernelProvider,
        node: Node,
        candidate: Candidate,
        case: _Case,
        constants: tuple[Array, ...],
    ) -> None:
        self.node, self.candidate = node, candidate
        self.rounding = _rounding(node, candidate)
        self.results = self._results(case)
        self.operands = self._operands(case)
        self._scratch = scratch(candidate.workspace)
        for buffer in (*self.results, *self.operands):
            if buffer is not None:
                buffer.poison(_POISONS[0])
        self._launches = self._bind(provider, constants)

    def run(self, data: Sequence[Array | None], poison: int) -> list[Array]:
        """The answers for new operands in the same memory.

        Raises:
            AssertionError: memory was written that is not a result's or the workspace's.
        """
        for buffer in self.results:
            buffer.poison(poison)
        self._scratch.array[...] = poison
        for buffer, array in zip(self.operands, data, strict=True):
            if buffer is not None and array is not None:
                buffer.fill(array)
        kept = {
            n: buffer.snapshot()
            for n, buffer in enumerate(self.operands)
            if buffer is not None and buffer not in self.results
        }
        with np.errstate(all="ignore"), poisoned_memory():
            for launch in self._launches:
                launch()
        for n, before in kept.items():
            buffer = self.operands[n]
            assert buffer is None or buffer.snapshot() == before, f"operand {n} was written to"
        for n, buffer in enumerate(self.results):
            assert buffer.is_guarded, f"memory beside the elements of result {n} was written to"
        assert self._scratch.is_guarded, "memory beyond the workspace was written to"
        return [buffer.array.copy() for buffer in self.results]

    def _bind(self, provider: KernelProvider, constants: tuple[Array, ...]) -> list[Launch]:
        """What runs, bound as an engine does: before there is anything in the memory."""
        memory = Memory(
            tuple(None if buffer is None else buffer.read_only() for buffer in self.operands),
            tuple(buffer.array for buffer in self.results),
            constants,
            self._scratch.array,
        )
        with np.errstate(all="ignore"), poisoned_memory():
            return list(provider.bind(self.node, self.candidate.name, memory))

    def _results(self, case: _Case) -> list[Buffer]:
        found: list[Buffer] = []
        for n, (format_, value) in enumerate(
            zip(self.candidate.results, self.node.results, strict=True)
        ):
            alignment = format_.alignment
            if case.in_place is not None and case.in_place[0] == n:
                operand = self.candidate.operands[case.in_place[1]]
                alignment = max(alignment, 1 if operand is None else operand.alignment)
            found.append(_buffer(replace(format_, alignment=alignment), value, case.results[n]))
        return found

    def _operands(self, case: _Case) -> list[Buffer | None]:
        """A buffer for each; operands that are one value in one format share it."""
        shared: dict[tuple[Value, Format, str], Buffer] = {}
        found: list[Buffer | None] = []
        for n, (value, format_) in enumerate(
            zip(self.node.operands, self.candidate.operands, strict=True)
        ):
            if value is None or format_ is None:
                found.append(None)
            elif case.in_place is not None and case.in_place[1] == n:
                found.append(self.results[case.in_place[0]])
            else:
                key = value, format_, case.operands[n]
                if key not in shared:
                    shared[key] = _buffer(format_, value, case.operands[n])
                found.append(shared[key])
        return found


def _check_bound(bound: _Bound, data: Sequence[Sequence[Array | None]], judge: Judge) -> None:
    """Twice with one set of operands, then with another in the same memory."""
    first = _judge_run(bound, data[0], judge, _POISONS[0])
    again = _judge_run(bound, data[0], judge, _POISONS[1])
    if bound.candidate.deterministic:
        same = all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
        assert same, "two runs with the same operands give other bits, but it says deterministic"
    try:
        _judge_run(bound, data[1], judge, _POISONS[0])
    except AssertionError as error:
        raise AssertionError(f"with other operands in the same memory, {error}") from None


def _judge_run(
    bound: _Bound, data: Sequence[Array | None], judge: Judge, poison: int
) -> list[Array]:
    """Run, and compare with the answers for the operands as they are stored."""
    stored = _as_stored(bound, data)
    answers = bound.run(data, poison)
    judge.judge(stored, answers, bound.rounding)
    return answers


def _as_stored(bound: _Bound, data: Sequence[Array | None]) -> list[Array | None]:
    """What lies in memory: rounded to the storage's type, equal where positions are one."""
    found: list[Array | None] = []
    for buffer, array in zip(bound.operands, data, strict=True):
        if buffer is None or array is None:
            found.append(array)
        else:
            buffer.fill(array)
            found.append(buffer.array.copy())
    return found


def _cases(node: Node, candidate: Candidate) -> Iterator[_Case]:
    operands = [
        None if v is None else f for f, v in zip(candidate.operands, node.operands, strict=True)
    ]
    results = list(candidate.results)
    dense = ("dense",) * len(operands), ("dense",) * len(results)
    yield _Case("dense memory", *dense)
    pitched = _where(operands, "pitched"), _where(results, "pitched")
    if "pitched" in pitched[0]:
        yield _Case("pitched operands", pitched[0], dense[1])
    if "pitched" in pitched[1]:
        yield _Case("pitched results", dense[0], pitched[1])
    if "pitched" in pitched[0] and "pitched" in pitched[1]:
        yield _Case("pitched memory", *pitched)
    for name in list(ARRANGEMENTS)[2:]:
        arranged = _where(operands, name)
        if name in arranged:
            yield _Case(f"{name} operands", arranged, dense[1])
    free = [n for n, f in enumerate(operands) if f is not None and f.strides is Strides.ANY]
    if len(free) > 1:
        mixed = list(pitched[0])
        for position, n in enumerate(free):
            mixed[n] = list(ARRANGEMENTS)[position % len(ARRANGEMENTS)]
        yield _Case("operands of mixed layouts", tuple(mixed), dense[1])
    yield from _in_place_cases(node, candidate, dense)


def _in_place_cases(
    node: Node, candidate: Candidate, dense: tuple[tuple[str, ...], tuple[str, ...]]
) -> Iterator[_Case]:
    for result, operand in candidate.in_place:
        if node.operands.count(node.operands[operand]) > 1:
            continue  # the other operand would be overwritten too: no engine does that
        what = f"result {result} in place of operand {operand}"
        yield _Case(what, *dense, in_place=(result, operand))
        formats = candidate.results[result], candidate.operands[operand]
        if all(f is not None and f.strides is not Strides.DENSE for f in formats):
            arranged = list(dense[1])
            arranged[result] = "pitched"
            yield _Case(f"{what}, pitched", dense[0], tuple(arranged), (result, operand))


def _where(formats: Sequence[Format | None], name: str) -> tuple[str, ...]:
    """That arrangement for those that accept it, dense ones for the others."""
    needed = Strides.PITCHED if name == "pitched" else Strides.ANY
    return tuple(name if f is not None and f.strides.includes(needed) else "dense" for f in formats)


def _rounding(node: Node, candidate: Candidate) -> list[DType]:
    """The types of the results, and those that operands and constants are narrowed to."""
    found = [format_.dtype for format_ in candidate.results]
    for value, format_ in zip(node.operands, candidate.operands, strict=True):
        if value is not None and format_ is not None and format_.dtype is not value.tensor.dtype:
            found.append(format_.dtype)
    return found if candidate.packed is None else [*found, candidate.packed]


def _buffer(format_: Format, value: Value, arrangement: str) -> Buffer:
    layout = ARRANGEMENTS[arrangement](format_, extents(value))
    assert format_.accepts(layout), f"{format_} doesn't accept its {arrangement} layout {layout}"
    return Buffer(layout, format_.alignment)
