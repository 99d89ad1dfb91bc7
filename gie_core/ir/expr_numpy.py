"""The pointwise language on NumPy: the primitive functions, and an evaluator of expressions.

Values are held in the compute dtype of their element type (see ``conversion``); every result
of a primitive is rounded, or wrapped, to the type before it is used again. Each distinct node
is computed once, on the smallest broadcast shape that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.conversion import Array, compute_dtype, convert, round_float, wrap
from gie_core.ir.expr import (
    Apply,
    Cast,
    Expr,
    Literal,
    Param,
    Program,
    iteration_shape,
    operands_of,
    walk,
)
from gie_core.ir.types import DType

__all__ = ["NUMPY_FUNCTIONS", "Evaluator", "arrange", "evaluate_expr", "evaluate_program"]

Kernel = Callable[..., Any]


def evaluate_program(program: Program, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Run a program on whole arrays.

    Args:
        arrays: one an operand, in its own shape and with the parameter's ``dtype.numpy``.

    Returns:
        One new C-contiguous array a result, of the full iteration shape and the result's dtype.

    Raises:
        GieError: the number, a dtype, a rank or an extent of the operands does not fit.
    """
    shape = iteration_shape(program, [array.shape for array in arrays])
    arranged = {
        param.name: arrange(array, param.index, program.axes)
        for param, array in zip(program.params, arrays, strict=True)
    }
    results = Evaluator(program.results)(arranged)
    return tuple(np.array(np.broadcast_to(r, shape), order="C") if r.shape != shape else r for r in results)


def evaluate_expr(expr: Expr, arrays: Mapping[str, Array]) -> Array:
    """Evaluate one expression on arrays that broadcast as in NumPy.

    Raises:
        GieError: a parameter has no array, or one of another dtype.
    """
    return Evaluator((expr,))(arrays)[0]


def arrange(array: Array, index: Sequence[str | int], axes: Sequence[str]) -> Array:
    """View an operand in an iteration space: transposed to its axes, extent 1 on the others.

    The result has rank ``len(axes)``; dimensions indexed by ``1`` are dropped.
    """
    kept = [position for position, entry in enumerate(index) if entry != 1]
    squeezed = array[tuple(slice(None) if entry != 1 else 0 for entry in index)]
    order = sorted(range(len(kept)), key=lambda i: axes.index(str(index[kept[i]])))
    expand = tuple(slice(None) if axis in index else None for axis in axes)
    return squeezed.transpose(order)[expand]


@dataclass(frozen=True)
class _Step:
    """Compute one slot from others; then forget the slots that nothing needs any more."""

    slot: int
    kernel: Kernel
    operands: tuple[int, ...]
    finish: Callable[[Array], Array] | None
    reuse: int | None  # an operand whose memory may take the result
    dead: tuple[int, ...]


class Evaluator:
    """Expressions made ready to be evaluated many times, for example block by block.

    Calling it with arrays by parameter name, which broadcast against each other, returns one
    new array an expression, in the broadcast shape of the parameters it uses.

    Raises (when called):
        GieError: a parameter has no array, or one of another dtype.
    """

    def __init__(self, exprs: Sequence[Expr]) -> None:
        nodes = list(walk(exprs))
        slots = {node: slot for slot, node in enumerate(nodes)}
        self._params = [(slots[node], node) for node in nodes if isinstance(node, Param)]
        self._literals = [(slots[n], _literal_array(n)) for n in nodes if isinstance(n, Literal)]
        self._results = [(slots[expr], expr.dtype.numpy) for expr in exprs]
        self._size = len(nodes)
        self._steps = _plan(nodes, slots, frozenset(exprs))

    def __call__(self, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        values: list[Any] = [None] * self._size
        for slot, literal in self._literals:
            values[slot] = literal
        with np.errstate(all="ignore"):
            for slot, param in self._params:
                values[slot] = _load(param, arrays)
            for step in self._steps:
                _run(step, values)
            return tuple(self._store(values[slot], dtype, arrays) for slot, dtype in self._results)

    def _store(self, value: Any, dtype: np.dtype[Any], arrays: Mapping[str, Array]) -> Array:
        stored = np.asarray(value).astype(dtype, order="C", copy=False)
        # A bare parameter or literal must not leak the caller's memory, or our own.
        borrowed = any(stored is literal for _, literal in self._literals) or any(
            np.may_share_memory(stored, array) for array in arrays.values()
        )
        return stored.copy() if borrowed else stored


def _plan(nodes: Sequence[Expr], slots: Mapping[Expr, int], results: frozenset[Expr]) -> list[_Step]:
    last_use: dict[Expr, Expr] = {}
    exposed = set(results)  # nodes whose memory may be seen under another name
    for node in nodes:
        for operand in operands_of(node):
            last_use[operand] = node
            if isinstance(node, Cast):
                exposed.add(operand)
    steps: list[_Step] = []
    for node in nodes:
        if isinstance(node, Param | Literal):
            continue
        kernel, finish = _kernel(node)
        operands = tuple(dict.fromkeys(operands_of(node)))
        dead = [o for o in operands if last_use[o] is node and o not in results]
        spare = [o for o in dead if _may_take(node, kernel, o) and o not in exposed]
        steps.append(
            _Step(
                slots[node],
                kernel,
                tuple(slots[operand] for operand in operands_of(node)),
                finish,
                slots[spare[0]] if spare else None,
                tuple(slots[operand] for operand in dead),
            )
        )
    return steps


def _may_take(node: Expr, kernel: Kernel, operand: Expr) -> bool:
    alike = compute_dtype(operand.dtype) == compute_dtype(node.dtype)
    return isinstance(kernel, np.ufunc) and isinstance(operand, Apply) and alike


def _run(step: _Step, values: list[Any]) -> None:
    operands = [values[slot] for slot in step.operands]
    spare = None if step.reuse is None else values[step.reuse]
    if isinstance(spare, np.ndarray) and all(o.shape in ((), spare.shape) for o in operands):
        result = step.kernel(*operands, out=spare)
    else:
        result = step.kernel(*operands)
    values[step.slot] = result if step.finish is None else step.finish(result)
    for slot in step.dead:
        values[slot] = None


def _kernel(node: Expr) -> tuple[Kernel, Callable[[Array], Array] | None]:
    match node:
        case Apply(function):
            return NUMPY_FUNCTIONS[function], _finish(function, node.dtype)
        case Cast(arg, dtype, rounding, saturate):
            return lambda values: convert(values, arg.dtype, dtype, rounding, saturate), None
        case _:
            raise TypeError(f"{type(node).__name__} is not computed")


def _finish(function: str, dtype: DType) -> Callable[[Array], Array] | None:
    """Round or wrap a primitive's result to its type, unless it is right already."""
    if compute_dtype(dtype) == dtype.numpy or function in ("min", "max", "select"):
        return None
    return lambda values: (round_float if dtype.is_float else wrap)(values, dtype)


def _load(param: Param, arrays: Mapping[str, Array]) -> Array:
    if param.name not in arrays:
        raise GieError(f"parameter {param.name!r} has no array")
    array = arrays[param.name]
    if array.dtype != param.dtype.numpy:
        raise GieError(f"parameter {param.name!r} is {param.dtype}, but its array is {array.dtype}")
    return array.astype(compute_dtype(param.dtype), copy=False)


def _literal_array(literal: Literal) -> Array:
    return np.asarray(literal.value, compute_dtype(literal.dtype))


# ── Primitive functions, on arrays of the compute dtype ─────────────────────────────


def _is_float(array: Any) -> bool:
    return array.dtype.kind == "f"


def _divide(a: Any, b: Any) -> Any:
    if _is_float(a):
        return np.divide(a, b)
    return np.floor_divide(a - np.fmod(a, b), b)  # toward zero


def _floor_divide(a: Any, b: Any) -> Any:
    return np.floor(np.divide(a, b)) if _is_float(a) else np.floor_divide(a, b)


def _maximum(a: Any, b: Any) -> Any:
    result = np.maximum(a, b)
    if not _is_float(result) or result.all():
        return result
    # NumPy leaves open which of two zeros is the larger; +0.0 is.
    return np.where(np.equal(a, 0) & np.equal(b, 0), a + b, result)


def _minimum(a: Any, b: Any) -> Any:
    result = np.minimum(a, b)
    if not _is_float(result) or result.all():
        return result
    return np.where(np.equal(a, 0) & np.equal(b, 0), -(-a - b), result)


def _power(a: Any, b: Any) -> Any:
    if _is_float(a) or a.dtype.kind == "u":
        return np.power(a, b)
    power = np.power(a, np.maximum(b, 0))
    # A negative exponent: 1/aⁿ truncated, which is 0 unless a is 1 or −1.
    inverse = np.where(a == -1, 1 - 2 * (b & 1), a == 1).astype(a.dtype)
    return np.where(b < 0, inverse, power)


def _rsqrt(a: Any) -> Any:
    return np.divide(a.dtype.type(1), np.sqrt(a))


def _erf(a: Any) -> Any:
    from scipy import special  # large, and seldom needed

    return special.erf(a)


NUMPY_FUNCTIONS: dict[str, Kernel] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
    "//": _floor_divide,
    "%": np.remainder,
    "fmod": np.fmod,
    "min": _minimum,
    "max": _maximum,
    "neg": np.negative,
    "abs": np.absolute,
    "sign": np.sign,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "not": np.logical_not,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
    "~": np.invert,
    "<<": np.left_shift,
    ">>": np.right_shift,
    "select": np.where,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "sqrt": np.sqrt,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "pow": _power,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log1p": np.log1p,
    "rsqrt": _rsqrt,
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
