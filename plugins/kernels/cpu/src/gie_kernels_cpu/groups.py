"""Groups: a kernel, and the pointwise programs behind it, without an array in between.

The programs run on each part of the result as soon as that is finished, in place. A group of
another form is refused: what a builder makes of its parts costs no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format, Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.group import Group
from gie_core.ops.pointwise import Pointwise
from gie_kernels_cpu.blocks import Region
from gie_kernels_cpu.cost import elementwise, total
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    Piece,
    carve,
    workspace_size,
)
from gie_kernels_cpu.pointwise import PointwiseProgram

__all__ = ["FusedGroup"]

MethodsOf = Callable[[Op], Mapping[str, Method]]
"""The methods for an op, by what their candidates' names begin with."""


@dataclass(frozen=True)
class _Fused:
    """A body that runs as one.

    Args:
        node: what the kernel computes.
        programs: the nodes behind it, each with the position at which it reads what is before.
    """

    node: Node
    programs: tuple[tuple[Node, int], ...]

    def others(self) -> list[Value]:
        """What the programs read besides, each once."""
        found = [
            value
            for program, position in self.programs
            for number, value in enumerate(program.operands)
            if number != position and value is not None
        ]
        return list(dict.fromkeys(found))


class FusedGroup(Method):
    """A body of one node whose kernel fuses, and pointwise nodes one after the other behind it.

    Args:
        methods: those for the first node.
    """

    def __init__(self, methods: MethodsOf) -> None:
        self._methods = methods
        self._pointwise = PointwiseProgram()

    def supports(self, node: Node) -> Support:
        found = self._fused(node)
        if isinstance(found, str):
            return Support.no(found)
        if not self._supporting(found.node):
            return Support.no(f"no kernel of {found.node.op.name} runs programs on its result")
        return Support.yes()

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        fused = self._checked(node)
        known, scratch = _through(node, constants), self._scratch(fused)
        return [
            _candidate(fused, node, replace(inner, name=f"{prefix}{inner.name}"), known, scratch)
            for prefix, method in self._supporting(fused.node).items()
            for inner in method.candidates(fused.node, known)
        ]

    def candidate(self, node: Node, name: str, constants: Constants) -> Candidate | None:
        fused, known = self._checked(node), _through(node, constants)
        fusing = {p: m for p, m in self._methods(fused.node.op).items() if m.fuses}
        inner = find_candidate(fusing, fused.node, name, known)
        return inner and _candidate(fused, node, inner, known, self._scratch(fused))

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        fused = self._checked(node)
        method, name = find_method(self._methods(fused.node.op), candidate)
        known = _through(node, constants)
        own = (known(value) for value in fused.others())
        packed = method.prepack(fused.node, name, known)
        return [*(array for array in own if array is not None), *packed]

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        fused = self._checked(node)
        method, name = find_method(self._methods(fused.node.op), candidate)
        arrays = dict(zip(_body_inputs(node), memory.operands, strict=True))
        scratch = self._scratch(fused)
        kernel = len(memory.workspace) - workspace_size(scratch)
        programs = carve(memory.workspace[kernel:], scratch)[0]
        constants = iter(memory.constants)
        for value in fused.others():
            if arrays[value] is None:
                arrays[value] = next(constants)
        inner = Memory(
            tuple(None if value is None else arrays[value] for value in fused.node.operands),
            memory.results,
            tuple(constants),
            memory.workspace[:kernel],
        )
        epilogues = [
            self._pointwise.epilogue(
                program,
                position,
                Memory(tuple(arrays.get(v) for v in program.operands if v), (), (), programs),
            )
            for program, position in fused.programs
        ]
        return method.bind(fused.node, name, inner, _one_after_the_other(epilogues))

    def _scratch(self, fused: _Fused) -> Piece:
        """What the programs need; one after the other uses it."""
        sizes = (self._pointwise.epilogue_workspace(node, _nothing) for node, _ in fused.programs)
        return (max(sizes),), _BYTE

    def _supporting(self, node: Node) -> dict[str, Method]:
        """The methods that support the first node and take an epilogue."""
        found = self._methods(node.op).items()
        return {prefix: m for prefix, m in found if m.fuses and m.supports(node).ok}

    def _checked(self, node: Node) -> _Fused:
        fused = self._fused(node)
        if isinstance(fused, str):
            raise TypeError(f"{node}: {fused}")
        return fused

    def _fused(self, node: Node) -> _Fused | str:
        """The parts of the body, or why it does not run as one."""
        body = cast("Group", node.op).body
        first, *others = body.nodes
        if not others or body.constants:
            return "its body is no kernel with programs behind it"
        if not any(method.fuses for method in self._methods(first.op).values()):
            return f"no kernel of {first.op.name} runs programs on its result"
        value = first.result
        programs: list[tuple[Node, int]] = []
        for other in others:
            if not isinstance(other.op, Pointwise) or other.operands.count(value) != 1:
                return f"%{other.results[0].name} is no program that reads the result before it"
            if len(value.uses) != 1 or body.is_output(value):
                return f"%{value.name} is read elsewhere too"
            position = other.operands.index(value)
            if not self._pointwise.can_follow(other, position):
                return f"%{other.results[0].name} can't be computed in place of %{value.name}"
            programs.append((other, position))
            value = other.result
        if body.outputs != (value,):
            return "the last program's result is not the group's only one"
        fused = _Fused(first, tuple(programs))
        if set(fused.others()) & set(first.operands[1:]):
            return "a weight is read by a program too"
        return fused


_BYTE = np.dtype(np.uint8)


def _candidate(
    fused: _Fused, node: Node, inner: Candidate, known: Constants, scratch: Piece
) -> Candidate:
    """A candidate of the first node as one of the whole group, whose programs need scratch."""
    (result,) = inner.results
    formats: dict[Value, Format | None] = {}
    for value in fused.others():
        type_ = value.tensor
        if known(value) is None:
            formats[value] = row_major(type_, Strides.ANY)
            if type_ == node.result.tensor:
                formats[value] = Format(result.dtype, result.order, Strides.PITCHED)
    for value, format_ in zip(fused.node.operands, inner.operands, strict=True):
        if value is not None:
            formats[value] = format_
    size = math.prod(as_ints(node.result.tensor.dims))
    return replace(
        inner,
        operands=tuple(formats.get(value) for value in _body_inputs(node)),
        workspace=workspace_size(((inner.workspace,), _BYTE), scratch),
        work=total(inner.work, elementwise(size * len(fused.programs))),
    )


def find_method(methods: Mapping[str, Method], candidate: str) -> tuple[Method, str]:
    """The method whose candidate it is, and what the method calls it."""
    prefix = next(prefix for prefix in methods if candidate.startswith(prefix))
    return methods[prefix], candidate.removeprefix(prefix)


def find_candidate(
    methods: Mapping[str, Method], node: Node, name: str, constants: Constants
) -> Candidate | None:
    """The candidate of a name, which may be anything; ``None`` if no method has it."""
    for prefix, method in methods.items():
        if name.startswith(prefix) and method.supports(node).ok:
            found = method.candidate(node, name.removeprefix(prefix), constants)
            if found is not None:
                return replace(found, name=name)
    return None


def _one_after_the_other(epilogues: Sequence[Epilogue]) -> Epilogue:
    if len(epilogues) == 1:
        return epilogues[0]

    def bind(part: Array, region: Region) -> Launch:
        launches = [epilogue(part, region) for epilogue in epilogues]

        def launch() -> None:
            for each in launches:
                each()

        return launch

    return bind


def _body_inputs(node: Node) -> tuple[Value, ...]:
    return cast("Group", node.op).body.inputs


def _through(node: Node, constants: Constants) -> Constants:
    """The constants of a group as seen in its body."""
    outer = dict(zip(_body_inputs(node), node.operands, strict=True))
    return lambda value: None if value is None else constants(outer.get(value))


def _nothing(value: Value | None) -> None:
    """No constant is known."""
