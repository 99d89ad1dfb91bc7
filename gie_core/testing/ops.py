"""Checking one op: its shape rule, its reference, and whether the two agree."""

from __future__ import annotations

import re
from typing import Any, cast

import numpy as np

from gie_core.ir.conversion import integer_range
from gie_core.ir.dims import evaluate_dim, symbol
from gie_core.ir.graph import Graph
from gie_core.ir.inference import infer_types
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType, type_of
from gie_core.ir.verify import verify
from gie_core.ops.run import run_graph

__all__ = ["check", "check_rejected", "draw", "infer_shapes", "run_op", "tensor_type", "tolerance"]


def check(
    op: Op,
    *operands: Any,
    expect: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    symbolic: bool = True,
) -> tuple[Array, ...]:
    """Run one op as a graph, compare types and values, and return its results.

    Args:
        op: the op.
        operands: arrays (anything NumPy takes); ``None`` for an absent optional operand.
        expect: the expected result, or a tuple of them; computed in any dtype.
        rtol: relative tolerance; by default a few roundings of the result's dtype.
        atol: absolute tolerance; by default ``rtol`` times the largest expected magnitude.
        symbolic: also infer with a symbol for every dimension and compare the numbers.

    Raises:
        AssertionError: a type, a shape or a value is not as inferred or expected.
    """
    arrays = [None if operand is None else np.asarray(operand) for operand in operands]
    results = run_op(op, *arrays)
    if symbolic:
        shapes = [result.shape for result in results]
        assert infer_shapes(op, *arrays) == shapes, "the symbolic shape rule gives other numbers"
    if expect is not None:
        expected = cast("tuple[Any, ...]", expect if isinstance(expect, tuple) else (expect,))
        assert len(expected) == len(results), f"{len(results)} results, {len(expected)} expected"
        for result, value in zip(results, expected, strict=True):
            _compare(result, np.asarray(value), rtol, atol)
    return results


def check_rejected(op: Op, *operands: str | None, match: str) -> None:
    """Check that the shape rule raises an ``OpError`` about operands of these types.

    Args:
        op: the op.
        operands: types such as ``"f32[n, 3]"``; ``None`` for an absent optional operand.
        match: a regular expression for the message.

    Raises:
        AssertionError: the operands are taken, or the message is another one.
    """
    graph = Graph("rejected")
    values = [
        None if text is None else graph.add_input(f"x{index}", tensor_type(text))
        for index, text in enumerate(operands)
    ]
    message = None
    try:
        infer_types(op, values)
    except OpError as error:
        message = str(error)
    assert message is not None, f"{op.name} takes {operands}"
    assert re.search(match, message), f"the message is {message!r}"


def tensor_type(text: str) -> TensorType:
    """``"f32[n, 3]"`` as a type, ``"f32[*]"`` with unknown rank; no commas inside a dimension."""
    dtype, _, dims = text.removesuffix("]").partition("[")
    return TensorType.of(dtype, None if dims == "*" else [d for d in dims.split(",") if d.strip()])


def draw(*shape: int, dtype: DType = DType.F32, seed: int = 0) -> Array:
    """Seeded values: normal for floats, of the whole range (at most ±1000) for integers."""
    random = np.random.default_rng([seed, *shape])
    if dtype is DType.BOOL:
        return random.random(shape) < 0.5
    if not dtype.is_integer:
        return random.standard_normal(shape).astype(dtype.numpy)
    low, high = integer_range(dtype)
    values = random.integers(max(low, -1000), min(high, 1000), shape, endpoint=True)
    return values.astype(dtype.numpy)


def run_op(op: Op, *arrays: Array | None) -> tuple[Array, ...]:
    """The results of one op in a verified graph; their types are exactly the inferred ones."""
    graph = Graph("check")
    values = [
        None if array is None else graph.add_input(f"x{index}", type_of(array))
        for index, array in enumerate(arrays)
    ]
    node = graph.add(op, *values)
    graph.set_outputs(node.results)
    verify(graph)
    results = tuple(run_graph(graph, [array for array in arrays if array is not None]))
    for value, result in zip(node.results, results, strict=True):
        assert value.type == type_of(result), f"inferred {value.type}, computed {type_of(result)}"
    return results


def infer_shapes(op: Op, *arrays: Array | None) -> list[tuple[int, ...]]:
    """Result shapes by the shape rule on symbols only, with the numbers put in afterwards."""
    graph = Graph("symbolic")
    sizes: dict[str, int] = {}
    values = [
        None if array is None else graph.add_input(f"x{index}", _symbolic(array, index, sizes))
        for index, array in enumerate(arrays)
    ]
    types = infer_types(op, values)
    return [
        tuple(evaluate_dim(dim, sizes) for dim in type_.dims)
        for type_ in types
        if isinstance(type_, TensorType)
    ]


def tolerance(dtype: DType) -> float:
    """A few units in the last place of a dtype; 0 for whatever is computed exactly."""
    if not (dtype.is_float or dtype.is_complex):
        return 0.0
    return {2: 0.25, 4: 0.25, 8: 0.1, 16: 1e-2 if dtype is DType.BF16 else 1e-3}.get(
        dtype.bits, 1e-5 if dtype in (DType.F32, DType.C64) else 1e-10
    )


def _symbolic(array: Array, index: int, sizes: dict[str, int]) -> TensorType:
    names = [f"x{index}_{axis}" for axis in range(array.ndim)]
    sizes.update(zip(names, array.shape, strict=True))
    return TensorType(DType.of(array.dtype), tuple(symbol(name) for name in names))


def _compare(result: Array, expected: Array, rtol: float | None, atol: float | None) -> None:
    assert result.shape == expected.shape, f"shape {result.shape}, expected {expected.shape}"
    dtype = DType.of(result.dtype)
    if not (dtype.is_float or dtype.is_complex):
        np.testing.assert_array_equal(result, expected)
        return
    wide = np.complex128 if dtype.is_complex else np.float64
    result, expected = result.astype(wide), expected.astype(wide)
    rtol = tolerance(dtype) if rtol is None else rtol
    finite = np.abs(expected[np.isfinite(expected)])
    if atol is None:
        atol = rtol * float(finite.max(initial=0.0))
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)
