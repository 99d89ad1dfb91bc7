"""Reduced precision: what it may cost, what each choice costs, and what the whole costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gie_core.builder.error_budget import (
    amplification,
    reference_values,
    storage_error,
    variance,
)
from gie_core.builder.expand import Expanded, materialize
from gie_core.builder.prices import TimedPrices, Timings
from gie_core.builder.ways import Kernel
from gie_core.engine.assemble import Pack
from gie_core.engine.plan import Plan
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.format import Layout
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime.context import HostContext
from gie_core.runtime.dispatch import Dispatcher
from gie_core.runtime.target import Target

__all__ = ["Accuracy", "BudgetedPrices", "ErrorModel", "calibration_inputs", "storage_types"]

PRECISIONS = {"fp32": DType.F32, "fp16": DType.F16, "bf16": DType.BF16}
MEASURED = 48
"""Values whose amplification is measured; the others take their neighbour's."""


def storage_types(precision: Collection[str]) -> frozenset[DType]:
    """The element types, besides their own, that values of type f32 may be stored in.

    Raises:
        GieError: there is no such precision.
    """
    for name in precision:
        if name not in PRECISIONS:
            raise GieError(f"there is no precision {name!r}; there are {', '.join(PRECISIONS)}")
    return frozenset(PRECISIONS[name] for name in precision) - {DType.F32}


@dataclass(frozen=True)
class Accuracy:
    """What reduced precision is allowed.

    Args:
        storage: element types that values of type f32 may be stored in besides their own.
        max_error: relative error, in the Frobenius norm, that each output may have.
        calibration: inputs by name, to measure with; ``None`` measures with made-up ones.
        memory: whether to save bytes rather than time.
    """

    storage: frozenset[DType] = frozenset()
    max_error: float = 1e-2
    calibration: Mapping[str, Any] | None = field(default=None)
    memory: bool = False


class ErrorModel:
    """What storing each value narrower would do to the outputs.

    Args:
        expanded: the graph that is planned.
        inputs: one array per input.
        providers: run the graph, in its own precision.
        target: what it runs on.
    """

    def __init__(
        self,
        expanded: Expanded,
        inputs: Sequence[Any],
        providers: Sequence[NamedProvider],
        target: Target,
    ) -> None:
        singles = [piece for piece in expanded.pieces if len(piece.covers) == 1]
        self._graph, _, self._flat = materialize(expanded, singles)
        self._compute = Dispatcher(providers, target).run
        self._inputs = inputs
        self._values = reference_values(self._graph, inputs, self._compute)
        self._measured = self._amplifications()
        self._stored: dict[tuple[Value, DType], float] = {}

    @property
    def outputs(self) -> list[Any]:
        """The right answer."""
        return [self._values[value] for value in self._graph.outputs]

    def amplification(self, value: Value) -> float:
        """How many times larger a relative error of a value shows in the outputs."""
        return self._measured.get(self._flat[value], 1.0)

    def storage_error(self, value: Value, dtype: DType) -> float:
        """The relative error of storing a value in a type; infinite if it overflows."""
        flat = self._flat[value]
        if (flat, dtype) not in self._stored:
            self._stored[flat, dtype] = storage_error(self._values[flat], dtype)
        return self._stored[flat, dtype]

    def error_of(self, plan: Plan, providers: Sequence[NamedProvider]) -> float:
        """The relative error of a plan's outputs, the largest of all."""
        answers = HostContext(plan, providers).run(self._inputs)
        pairs = zip(self._graph.outputs, answers, self.outputs, strict=True)
        return max((_difference(a, b) for value, a, b in pairs if _is_float(value)), default=0.0)

    def _amplifications(self) -> dict[Value, float]:
        results = [v for node in self._graph.nodes for v in node.results if _is_float(v)]
        values = [*(v for v in self._graph.inputs if _is_float(v)), *results]
        step = max(1, -(-len(values) // MEASURED))
        found: dict[Value, float] = {}
        for start in range(0, len(values), step):
            group = values[start : start + step]
            measured = amplification(self._graph, group[0], self._values, self._compute)
            found.update(dict.fromkeys(group, measured))
        return found


class BudgetedPrices(TimedPrices):
    """Times as measured, errors from the tuner's checks and the error model.

    Args:
        target: see ``TimedPrices``.
        timings: likewise.
        errors: what errors do to the outputs.
        pack: packs constants, to know their size.
        memory: whether bytes are the price, and time only decides between equals.
    """

    def __init__(
        self,
        target: Target,
        timings: Timings,
        errors: ErrorModel,
        pack: Pack,
        memory: bool,
    ) -> None:
        super().__init__(target, timings)
        self._errors = errors
        self._pack = pack
        self._memory = memory
        self._packed: dict[tuple[int, str, str], int] = {}

    def cost(self, nanoseconds: int, way: Kernel) -> int:
        if not self._memory:
            return nanoseconds
        held = sum(_bytes(layout) for layout in way.results)
        return _as_price(held + self._packed_bytes(way), nanoseconds)

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        time = super().copy(value, source, target)
        return _as_price(_bytes(target), time) if self._memory else time

    def kernel_error(self, way: Kernel) -> float:
        error = self.timing(way).error or 0.0
        total = 0.0
        for value, layout in zip(way.piece.results, way.results, strict=True):
            if not _is_float(value) or value.tensor.dtype.bits < 32:
                continue  # what the model itself rounds to 16 bits is no loss of ours
            if layout.dtype is not value.tensor.dtype:
                error = max(error, self._errors.storage_error(value, layout.dtype))
            total += variance(self._errors.amplification(value), error)
        return total

    def copy_error(self, value: Value, source: Layout, target: Layout) -> float:
        if not _is_float(value) or target.dtype is value.tensor.dtype:
            return 0.0
        error = self._errors.storage_error(value, target.dtype)
        return variance(self._errors.amplification(value), error)

    def _packed_bytes(self, way: Kernel) -> int:
        key = (id(way.piece.node), way.owner.name, way.candidate.name)
        if key not in self._packed:
            arrays = self._pack(way.piece.node, way.owner.name, way.candidate.name)
            self._packed[key] = sum(array.nbytes for array in arrays)
        return self._packed[key]


def _as_price(size: int, nanoseconds: int) -> int:
    """Bytes first; a microsecond counts as much as a byte, so that time decides near ties."""
    return size + nanoseconds // 1000


def _bytes(layout: Layout) -> int:
    return layout.size * layout.dtype.numpy.itemsize


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float


def _difference(answer: Array, right: Array) -> float:
    wide = right.astype(np.float64)
    norm = float(np.linalg.norm(wide))
    error = float(np.linalg.norm(answer.astype(np.float64) - wide))
    return error / norm if norm else error


def calibration_inputs(graph: Graph, given: Mapping[str, Any]) -> list[Any]:
    """One array per input of a graph, from calibration data by name.

    Raises:
        GieError: an input is missing.
    """
    missing = [value.name for value in graph.inputs if value.name not in given]
    if missing:
        raise GieError(f"the calibration data lacks the input {missing[0]!r}")
    return [np.asarray(given[value.name], value.tensor.dtype.numpy) for value in graph.inputs]
