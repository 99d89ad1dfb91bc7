"""Groups: a kernel, and the pointwise programs around it, without arrays in between.

The program behind a kernel runs on each part of the result as soon as that is finished, in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.ops.group import Group
from gie_core.ops.run import compute_node
from gie_kernels_cpu.blocks import Region
from gie_kernels_cpu.kernel import Constants, FusingKernel, Method
from gie_kernels_cpu.pointwise import PointwiseKernel

__all__ = ["FusedGroup"]

FindMethod = Callable[[Node], tuple[Method | None, Support]]
"""The best method for a node, or why there is none."""


class FusedGroup(Method):
    """A group whose body is any number of pointwise nodes around others.

    Args:
        find: finds the method for a node of the body. What has none runs as its reference.
    """

    def __init__(self, find: FindMethod) -> None:
        self._find = find

    def supports(self, node: Node) -> Support:
        claimed = 0
        for inner in cast("Group", node.op).body.nodes:
            method, support = self._find(inner)
            if inner.op.symbols():
                return Support.no(f"%{inner.results[0].name} in the body has symbolic attributes")
            if method is None and (inner.op.subgraphs() or not inner.op.has_reference()):
                return Support.no(f"%{inner.results[0].name} in the body: {support.reason}")
            claimed += method is not None
        return Support.yes() if claimed else Support.no("no node of the body has a kernel here")

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        body = cast("Group", node.op).body
        outer = dict(zip(body.inputs, node.operands, strict=True))
        known = {inner: constants(value) for inner, value in outer.items()}

        def inner_constants(value: Value | None) -> Array | None:
            return None if value is None else known.get(value, value.data)

        kernels: list[tuple[Node, Kernel]] = []
        for inner in body.nodes:
            method, _ = self._find(inner)
            kernel = _reference(inner) if method is None else method.kernel(inner, inner_constants)
            kernels.append((inner, kernel))
        return _GroupKernel(body, kernels)


@dataclass(frozen=True)
class _Step:
    """Run a node's kernel.

    ``fused`` is the pointwise node that runs in place on its result, and that node's kernel.
    """

    node: Node
    kernel: Kernel
    fused: tuple[Node, PointwiseKernel] | None


class _GroupKernel:
    def __init__(self, body: Graph, kernels: Sequence[tuple[Node, Kernel]]) -> None:
        self._inputs = body.inputs
        self._outputs = body.outputs
        self._constants = {value: value.data for value in body.constants}
        self._steps: list[_Step] = []
        taken: set[Node] = set()
        position = {node: index for index, (node, _) in enumerate(kernels)}
        by_node = dict(kernels)
        for node, kernel in kernels:
            if node in taken:
                continue
            fused = _fusible(node, kernel, by_node, position)
            if fused is not None:
                taken.add(fused[0])
            self._steps.append(_Step(node, kernel, fused))

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        values: dict[Value, Any] = {**self._constants}
        values.update(zip(self._inputs, operands, strict=True))
        for step in self._steps:
            inner = [None if value is None else values[value] for value in step.node.operands]
            if step.fused is None:
                results = step.kernel(step.node.op, inner)
                values.update(zip(step.node.results, results, strict=True))
                continue
            node, program = step.fused
            others = [None if v is step.node.result else values[v] for v in _present(node)]
            kernel = cast("FusingKernel", step.kernel)
            values[node.result] = kernel.run(step.node.op, inner, _Epilogue(program, others))
        return tuple(values[value] for value in self._outputs)


class _Epilogue:
    """Applies a program in place to parts of the operand that is given as ``None``."""

    def __init__(self, program: PointwiseKernel, operands: Sequence[Array | None]) -> None:
        self._compiled = program.compiled
        self._arranged: list[Array | None] = program.arranged(operands)

    def __call__(self, part: Array, region: Region) -> None:
        arrays = [
            part if array is None else array[_within(region, array)] for array in self._arranged
        ]
        self._compiled(arrays, [part])


def _within(region: Region, array: Array) -> Region:
    return tuple(r if n > 1 else slice(None) for r, n in zip(region, array.shape, strict=True))


def _present(node: Node) -> list[Value]:
    return [value for value in node.operands if value is not None]


def _fusible(
    node: Node, kernel: Kernel, kernels: dict[Node, Kernel], position: dict[Node, int]
) -> tuple[Node, PointwiseKernel] | None:
    """The pointwise node that can run in place on a node's result, part by part."""
    if not isinstance(kernel, FusingKernel) or len(node.results) != 1:
        return None
    value = node.result
    if len(value.uses) != 1 or node.graph.is_output(value):
        return None
    (use,) = value.uses
    program = kernels[use.node]
    if not isinstance(program, PointwiseKernel) or len(use.node.results) != 1:
        return None
    if use.node.result.tensor.dtype is not value.tensor.dtype:
        return None
    if program.program.params[use.index].index != program.program.axes:
        return None
    # The other operands must be there when the node runs, not only when the program would.
    producers = [v.node for v in _present(use.node) if v is not value and v.node is not None]
    if any(position[producer] > position[node] for producer in producers):
        return None
    return use.node, program


def _reference(node: Node) -> Kernel:
    return lambda op, operands: compute_node(node, op, operands)
