"""How much error of the outputs comes from each value: σ = amplification × local error.

The *amplification* of a value is how many times larger, relatively, a small random error of it
shows in the outputs; the *local error* is what storing it in a narrower type adds. Errors of
different values are independent, so their squares add: Σσ² is the square of the error to expect.
(N. Higham, T. Mary, "A new approach to probabilistic rounding error analysis", 2019, says when.)

Everything is relative to Frobenius norms: ‖a - b‖ / ‖b‖.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from gie_core.ir.conversion import compute_dtype, convert, largest_finite
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.run import bind_symbols, compute_node, resolve

__all__ = [
    "Compute",
    "amplification",
    "amplifications",
    "reference_values",
    "storage_error",
    "variance",
]

Compute = Callable[[Node, Op, Sequence[Any]], tuple[Any, ...]]
"""Runs one node, as ``run_graph`` asks for it."""

_NOISE, _NARROW_NOISE = 2.0**-10, 2.0**-5
"""The error that amplifications are measured with: well above the rounding of the values, and
well below what bends a network's functions."""


def reference_values(
    graph: Graph, inputs: Sequence[Any], compute: Compute = compute_node
) -> dict[Value, Any]:
    """All values of one run: inputs, constants and results.

    Args:
        graph: any whose nodes ``compute`` runs.
        inputs: one array per graph input: calibration data.
        compute: runs one node; by default its reference.

    Raises:
        ExecutionError: an input does not fit, or a node fails.
    """
    values: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    values.update((constant, constant.data) for constant in graph.constants)
    sizes = _sizes(values)
    for node in graph.nodes:
        results = _run(node, values, sizes, compute)
        values.update(zip(node.results, results, strict=True))
    return values


def amplifications(
    graph: Graph,
    values: Mapping[Value, Any],
    compute: Compute = compute_node,
    *,
    wanted: Iterable[Value] | None = None,
    seed: int = 0,
) -> dict[Value, float]:
    """The amplification of each value that is a tensor of floats.

    Args:
        graph: what ``values`` belong to.
        values: all of one run, as ``reference_values`` gives them.
        compute: runs one node, the same way as for ``values``.
        wanted: values to measure; by default inputs and results, no constants.
        seed: of the noise.
    """
    if wanted is None:
        wanted = [*graph.inputs, *(value for node in graph.nodes for value in node.results)]
    floats = [value for value in wanted if _is_float(value)]
    return {value: amplification(graph, value, values, compute, seed=seed) for value in floats}


def amplification(
    graph: Graph,
    value: Value,
    values: Mapping[Value, Any],
    compute: Compute = compute_node,
    *,
    seed: int = 0,
) -> float:
    """‖Δy‖ / ‖y‖ over ‖Δx‖ / ‖x‖, where x is the value with noise: what depends on it runs again.

    Args:
        graph: what ``values`` belong to.
        value: a tensor of floats.
        values: all of one run, as ``reference_values`` gives them.
        compute: runs one node, the same way as for ``values``.
        seed: of the noise: normal, relative to each element, as rounding is.

    Returns:
        The largest of any output y or new state that is a tensor of floats; 0 if none depends on
        the value, infinite if one becomes infinite or NaN.
    """
    noisy = _with_noise(values[value], value.tensor.dtype, seed)
    size = _relative_error(noisy, values[value])
    if not size:
        return 0.0
    changed = _rerun(graph, {value: noisy}, values, compute)
    outputs = dict.fromkeys((*graph.outputs, *(state.output for state in graph.states)))
    errors = [
        _relative_error(changed[output], values[output])
        for output in outputs
        if output in changed and _is_float(output)
    ]
    return max(errors, default=0.0) / size


def storage_error(array: Array, dtype: DType) -> float:
    """The relative error of storing an array in a type of floats.

    Args:
        array: floats, as a calibration run gives them.
        dtype: of floats; it may be wider.

    Returns:
        ‖rounded - array‖ / ‖array‖; infinite where an element lies beyond the type's range, or is
        an infinity or NaN that the type doesn't have.
    """
    source = DType.of(array.dtype)
    wide = array.astype(compute_dtype(source), copy=False)
    with np.errstate(all="ignore"):
        largest = np.max(np.abs(wide), initial=0, where=np.isfinite(wide))
        if largest > largest_finite(dtype):
            return math.inf
        return _relative_error(convert(wide, source, dtype), wide)


def variance(amplification: float, error: float) -> float:
    """σ², what a local error adds to the squared error of the outputs.

    An infinite error stays infinite, even of a value that no output depends on.
    """
    return math.inf if math.isinf(error) else (amplification * error) ** 2


def _with_noise(array: Array, dtype: DType, seed: int) -> Array:
    """Within the type's range. Numbers of their own, or data drawn with the seed would be alike."""
    noise = _NOISE if dtype.bits >= 32 else _NARROW_NOISE
    factors = np.random.default_rng([seed, *b"noise"]).normal(1, noise, array.shape)
    with np.errstate(all="ignore"):
        largest = largest_finite(dtype)
        noisy = np.clip(array.astype(np.float64) * factors, -largest, largest)
        return np.where(np.isfinite(array), noisy, array).astype(array.dtype)


def _rerun(
    graph: Graph, changed: dict[Value, Any], values: Mapping[Value, Any], compute: Compute
) -> dict[Value, Any]:
    """All values that differ from those of the first run if some do."""
    now, sizes = dict(values) | changed, _sizes(values)
    for node in graph.nodes:
        if any(operand in changed for operand in node.operands if operand is not None):
            for value, result in zip(node.results, _run(node, now, sizes, compute), strict=True):
                if not _is_same(result, values[value]):
                    changed[value] = now[value] = result
    return changed


def _run(
    node: Node, values: Mapping[Value, Any], sizes: dict[str, int], compute: Compute
) -> tuple[Any, ...]:
    operands = [None if value is None else values[value] for value in node.operands]
    results = compute(node, resolve(node, sizes), operands)
    for value, array in zip(node.results, results, strict=True):
        bind_symbols(value, array, sizes)
    return results


def _sizes(values: Mapping[Value, Any]) -> dict[str, int]:
    """The numbers for all symbols. Twice: an extent such as 2*n may come before n."""
    sizes: dict[str, int] = {}
    for value, array in (*values.items(),) * 2:
        bind_symbols(value, array, sizes)
    return sizes


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float


def _is_same(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return False
    x, y = cast("Array", a), cast("Array", b)
    return x.shape == y.shape and x.tobytes() == y.tobytes()


def _relative_error(actual: Array, right: Array) -> float:
    """‖actual - right‖ / ‖right‖ over the finite elements of ``right``.

    Infinite where other elements differ, an element is none any more, or ``right`` is 0 and
    ``actual`` is not.
    """
    if actual.shape != right.shape:
        return math.inf
    a, b = actual.astype(np.float64), right.astype(np.float64)
    with np.errstate(all="ignore"):
        unit = np.max(np.abs(b), initial=0, where=np.isfinite(b)) or 1.0
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, a / unit - b / unit)
        distance, size = np.linalg.norm(difference), np.linalg.norm(b[np.isfinite(b)] / unit)
    if not distance:
        return 0.0
    return float(distance / size) if np.isfinite(distance) and size else math.inf
