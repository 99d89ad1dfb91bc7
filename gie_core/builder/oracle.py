"""Right answers for one node: seeded operands, and what the op's reference makes of them.

The reference runs in double precision and once for all candidates of a node. Nothing is sampled:
every element of every result is compared.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gie_core.builder.comparing import compare
from gie_core.builder.recast import all_ops, in_double, one_node
from gie_core.builder.signature import node_signature
from gie_core.errors import GieError
from gie_core.ir.conversion import integer_range, largest_finite
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Trait
from gie_core.ir.types import Array, DType
from gie_core.kernels.format import Layout
from gie_core.ops.run import ExecutionError, run_graph

__all__ = ["Case", "Oracle"]

LARGEST_IN_DOUBLE = 1 << 25
"""Elements of operands beyond which the reference runs in the node's own precision: twice the
memory of a large layer's weights may not be there."""

MAGNITUDES = (8, 1, 0)
"""Integers are drawn up to these; smaller ones where the larger are out of range, as indices."""


@dataclass(frozen=True)
class _Drawn:
    """How one operand's data is drawn: what the way it is stored makes of it."""

    storage: DType
    constant_axes: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """Operands as they are stored, and what is right for them.

    Args:
        operands: in the types of the values; ``None`` for what is absent.
        answers: the results: f32 for floats of up to 32 bits, f64 for wider ones.
    """

    operands: tuple[Array | None, ...]
    answers: tuple[Array, ...]


_Key = tuple[_Drawn | None, ...]


class Oracle:
    """Operands and right answers for a node.

    Args:
        node: static.
        seed: other seeds, other operands.
    """

    def __init__(self, node: Node, seed: int = 0) -> None:
        self._graph = one_node(node)
        (self._node,) = self._graph.nodes
        self._seed = (seed, zlib.crc32(node_signature(node).encode()))
        self._wide = _widened(self._graph)
        self._magnitudes: tuple[int, ...] = MAGNITUDES
        self._cases: dict[_Key, Case] = {}
        self._own_misses: dict[_Key, float] = {}

    @property
    def is_random(self) -> bool:
        """Whether two runs of the node may differ, so that there is no right answer."""
        return any(Trait.IMPURE in op.traits for op in all_ops(self._graph))

    def case(self, layouts: Sequence[Layout | None]) -> Case:
        """Operands that can be stored in these layouts, and the right results.

        Elements are rounded to the type of storage, and equal along axes whose stride is 0.
        Constants are the node's own.

        Args:
            layouts: as of a ``Job``.

        Raises:
            ExecutionError: the reference takes none of the operands that were tried.
        """
        key = self._key(layouts)
        if key not in self._cases:
            self._cases[key] = self._make_case(key)
        return self._cases[key]

    def own_miss(self, layouts: Sequence[Layout | None]) -> float:
        """The tolerance that the reference itself would need in the node's own precision.

        It is large where small changes of the operands change the answer a lot.
        """
        key = self._key(layouts)
        if key not in self._own_misses:
            case = self.case(layouts)
            own = self._run(self._graph, case.operands)
            pairs = zip(own, case.answers, strict=True)
            self._own_misses[key] = max(compare(a, b).miss for a, b in pairs)
        return self._own_misses[key]

    def _make_case(self, key: _Key) -> Case:
        """The first operands that the reference takes, in double precision if it can be."""
        failure: ExecutionError | None = None
        for graph in dict.fromkeys((self._wide, self._graph)):
            for magnitude in self._magnitudes:
                operands = self._operands(key, magnitude)
                try:
                    results = self._run(graph, operands)
                except ExecutionError as error:
                    failure = error
                    continue
                # What was too large, or can't be widened, need not be tried again.
                self._wide, self._magnitudes = graph, (magnitude,)
                return Case(operands, tuple(map(_as_answer, self._node.results, results)))
        assert failure is not None
        raise failure

    def _run(self, graph: Graph, operands: Sequence[Array | None]) -> list[Array]:
        """Run the graph, or the widened one, whose inputs are those of ours in other types."""
        known = dict(zip(self._node.operands, operands, strict=True))
        inputs: list[Array] = []
        for value, own in zip(graph.inputs, self._graph.inputs, strict=True):
            array = known[own]
            assert array is not None
            inputs.append(array.astype(value.tensor.dtype.numpy, copy=False))
        return run_graph(graph, inputs)

    def _operands(self, key: _Key, magnitude: int) -> tuple[Array | None, ...]:
        drawn: dict[Value | None, Array] = {}
        for index, (value, how) in enumerate(zip(self._node.operands, key, strict=True)):
            if value is None:
                continue
            if value.data is not None:
                drawn[value] = value.data
            elif value not in drawn:
                rng = np.random.default_rng((*self._seed, index))
                drawn[value] = _draw(value.tensor.dtype, _shape(value), rng, magnitude)
            if how is not None:
                drawn[value] = _stored(drawn[value], how)
        return tuple(drawn.get(value) for value in self._node.operands)

    def _key(self, layouts: Sequence[Layout | None]) -> _Key:
        """How each operand is stored; ``None`` for constants and what is absent or not read."""
        return tuple(
            None if value is None or value.data is not None or layout is None else _how(layout)
            for value, layout in zip(self._node.operands, layouts, strict=True)
        )


def _widened(graph: Graph) -> Graph:
    """The graph in double precision; itself where that can't be or is too large."""
    (node,) = graph.nodes
    if sum(math.prod(_shape(v)) for v in node.operands if v is not None) > LARGEST_IN_DOUBLE:
        return graph
    try:
        return in_double(graph)
    except GieError:
        return graph


def _draw(dtype: DType, shape: tuple[int, ...], rng: np.random.Generator, magnitude: int) -> Array:
    """Normal floats, booleans, or integers of both signs (if small ones will do, of one)."""
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_integer:
        low, high = integer_range(dtype)
        low = max(low, -magnitude) if magnitude == MAGNITUDES[0] else 0
        return rng.integers(low, min(high, magnitude), shape, endpoint=True).astype(dtype.numpy)
    if dtype.is_complex:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype.numpy)
    width = np.float64 if dtype is DType.F64 else np.float32
    return rng.standard_normal(shape, width).astype(dtype.numpy)


def _stored(array: Array, how: _Drawn) -> Array:
    first = tuple(
        slice(0, 1) if axis in how.constant_axes else slice(None) for axis in range(array.ndim)
    )
    rounded = array[first].astype(how.storage.numpy).astype(array.dtype)
    return np.broadcast_to(rounded, array.shape)


def _how(layout: Layout) -> _Drawn:
    pairs = zip(layout.shape, layout.strides, strict=True)
    still = (axis for axis, (n, stride) in enumerate(pairs) if n > 1 and stride == 0)
    return _Drawn(layout.dtype, tuple(still))


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(int(dim) for dim in value.tensor.dims if isinstance(dim, int))


def _as_answer(value: Value, array: Array) -> Array:
    """The reference's result as it is compared: infinite where the node's own type overflows."""
    dtype = value.tensor.dtype
    if not (dtype.is_float or dtype.is_complex):
        return array.astype(dtype.numpy)
    wide = {DType.F64: np.float64, DType.C64: np.complex128, DType.C128: np.complex128}
    with np.errstate(all="ignore"):
        answer = array.astype(wide.get(dtype, np.float32))
        if dtype.is_float and dtype.bits < 32:
            beyond = np.abs(answer) > largest_finite(dtype)
            answer = np.where(beyond & ~np.isnan(answer), np.copysign(np.inf, answer), answer)
    return answer
