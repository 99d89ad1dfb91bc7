"""Running nodes whose operands' sizes nobody knew at build time.

Bodies of control flow, and whatever follows an op whose result's size is data, run one node
after the other. Once a node's operands are there it is like any other: the providers are asked
about it with the shapes as they are, and the answer is kept for the next time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard, cast

import numpy as np

from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.inference import infer_types
from gie_core.ir.op import Op, OpError
from gie_core.ir.specialize import extents, is_static
from gie_core.ir.types import Array, type_of
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format, row_major
from gie_core.kernels.provider import (
    Function,
    FunctionProvider,
    KernelError,
    NamedProvider,
)
from gie_core.ops.run import as_tuple, run_graph
from gie_core.runtime.bound import BoundKernel
from gie_core.runtime.target import Target

__all__ = ["Dispatcher", "keeps_types"]

REMEMBERED = 512
"""Bound nodes that are kept; a loop over growing tensors would otherwise fill the memory."""


class Dispatcher:
    """Runs single nodes on arrays.

    Args:
        providers: in the order in which they are asked.
        target: what runs.
    """

    def __init__(self, providers: Sequence[NamedProvider], target: Target) -> None:
        self._providers = providers
        self._target = target
        self._ready: OrderedDict[tuple[Any, ...], BoundKernel | Function] = OrderedDict()

    def run(self, node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The results of one node.

        Args:
            node: of any graph.
            op: the node's, with numbers for symbols.
            operands: arrays, lists for sequences, ``None`` for what is absent.

        Raises:
            KernelError: nobody runs it.
            ExecutionError: it failed.
        """
        key = (node, op, *map(_shape_of, operands))
        if key in self._ready:
            self._ready.move_to_end(key)
        else:
            self._ready[key] = self._prepare(node, op, operands)
            if len(self._ready) > REMEMBERED:
                self._ready.popitem(last=False)
        ready = self._ready[key]
        return ready(operands) if isinstance(ready, BoundKernel) else ready(op, operands)

    def run_graph(self, graph: Graph, inputs: Sequence[Any]) -> list[Any]:
        """Run a graph, one node after the other."""
        return run_graph(graph, inputs, self.run)

    def _prepare(self, node: Node, op: Op, operands: Sequence[Any]) -> BoundKernel | Function:
        sized = _sized(node, op, operands)
        reasons: list[str] = []
        for owner in self._providers:
            support = owner.provider.supports(sized or node, self._target)
            if not support.ok:
                reasons.append(f"{owner.name}: {support.reason}")
            elif isinstance(owner.provider, FunctionProvider):
                return owner.provider.function(node, self._target)
            elif sized is not None and (ready := self._bindable(owner, sized)) is not None:
                return ready
        if op.subgraphs():
            return self._node_by_node
        raise KernelError(f"nothing runs {node} on {self._target}: {'; '.join(reasons)}")

    def _bindable(self, owner: NamedProvider, node: Node) -> BoundKernel | None:
        """The first candidate for arrays in row-major order."""
        for candidate in owner.provider.candidates(node, self._target):
            if keeps_types(node, candidate) and _takes_row_major(node, candidate):
                return BoundKernel(node, owner, candidate)
        return None

    def _node_by_node(self, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        return as_tuple(op.compute(*operands, run=self.run_graph))


def keeps_types(node: Node, candidate: Candidate) -> bool:
    """Whether a candidate stores every value in the value's own type."""
    own = all(f.dtype is value.tensor.dtype for value, f in _formats(node, candidate))
    return own and candidate.packed is None


def _takes_row_major(node: Node, candidate: Candidate) -> bool:
    return all(
        f.accepts(row_major(value.tensor).layout(extents(value)))
        for value, f in _formats(node, candidate)
    )


def _formats(node: Node, candidate: Candidate) -> Iterator[tuple[Value, Format]]:
    """The values that are read or written in memory, each with its format."""
    values = (*node.operands, *node.results)
    for value, format_ in zip(values, (*candidate.operands, *candidate.results), strict=True):
        if value is not None and format_ is not None:
            yield value, format_


def _shape_of(operand: Any) -> Any:
    if isinstance(operand, np.ndarray):
        array = cast("Array", operand)
        return array.dtype, array.shape
    return type(cast("object", operand))


def _is_array(operand: object) -> TypeGuard[Array]:
    """An array of elements that all take the same room: no list, no strings."""
    return isinstance(operand, np.ndarray) and cast("Array", operand).dtype != object


def _sized(node: Node, op: Op, operands: Sequence[Any]) -> Node | None:
    """The node in a graph of its own, with the shapes that its operands have."""
    graph = Graph("one node")
    values: list[Any] = []
    for value, operand in zip(node.operands, operands, strict=True):
        if value is None or operand is None:
            values.append(None)
        elif not _is_array(operand):
            return None
        elif value.data is not None:
            values.append(graph.add_constant(value.data, value.name))
        else:
            values.append(graph.add_input(value.name, type_of(operand)))
    try:
        names = [r.name for r in node.results]
        made = graph.add(op, *values, names=names, types=infer_types(op, values))
    except OpError:
        return None
    made.sources = node.sources
    return made if is_static(made) else None
