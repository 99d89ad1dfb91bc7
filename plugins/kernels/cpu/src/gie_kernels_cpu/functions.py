"""The primitive functions of the pointwise language as calls that write into given memory.

Most are the interpreter's own. Those here give the same bits with less traffic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gie_core.ir.conversion import compute_dtype, convert, round_float, wrap
from gie_core.ir.expr import Apply, Cast, Literal
from gie_core.ir.numpy_functions import NUMPY_FUNCTIONS
from gie_core.ir.types import Array, DType
from gie_kernels_cpu.launches import Call

__all__ = ["calls_for"]


def calls_for(node: Apply | Cast, operands: list[Array], out: Array) -> list[Call]:
    """What computes a node.

    Args:
        node: what to compute.
        operands: in the compute dtypes of the node's operands; they broadcast to ``out``.
        out: in the node's compute dtype. May be one of the operands itself, but not overlap one
            otherwise.
    """
    if isinstance(node, Cast):
        return [_cast(node, operands[0], out)]
    if node.function in ("max", "min") and node.args[0].dtype.is_float:
        bounded = _bounded(node, operands, out)
        if bounded is not None:
            return bounded
    function = _FUNCTIONS.get(node.function, NUMPY_FUNCTIONS[node.function])
    if node.function == "//" and node.dtype.is_float:
        function = _floor_divide
    if isinstance(function, np.ufunc):
        calls: list[Call] = [partial(function, *operands, out=out)]
    else:
        calls = [partial(_into, out, function, *operands)]
    native = compute_dtype(node.dtype) == node.dtype.numpy
    if not native and node.function not in ("min", "max", "select"):
        finish = round_float if node.dtype.is_float else wrap
        calls.append(partial(_finish, out, finish, node.dtype))
    return calls


def _cast(node: Cast, source: Array, out: Array) -> Call:
    kind = node.arg.dtype
    options = {"rounding": node.rounding, "saturate": node.saturate}
    exact = kind.is_float and node.dtype.is_float and node.dtype.bits >= 32
    if exact and node.rounding == "rne" and not node.saturate:
        return partial(np.copyto, out, source, casting="unsafe")
    return partial(_assign, out, partial(convert, source, kind, node.dtype, **options))


# ── max(x, c) and min(x, c) ─────────────────────────────────────────────────────────


def _bounded(node: Apply, operands: list[Array], out: Array) -> list[Call] | None:
    """max(x, c) or min(x, c), if the order of two zeros is settled.

    NumPy's maximum of two contiguous arrays is several times faster than that of an array and
    a scalar, so the constant is repeated, once for all.
    """
    found = next((n for n, arg in enumerate(node.args) if isinstance(arg, Literal)), None)
    if found is None:
        return None
    literal, x = node.args[found], operands[1 - found]
    assert isinstance(literal, Literal)
    bound = float(literal.value)
    if x.shape != out.shape or (bound == 0 and not _is_relu(node.function, bound)):
        return None
    constant = _repeated(bound, compute_dtype(literal.dtype), _capacity(out.size))
    constant = constant[: out.size].reshape(out.shape)
    function = np.maximum if node.function == "max" else np.minimum
    calls: list[Call] = [partial(function, x, constant, out=out)]
    if bound == 0 and not _prefers_second_zero(out.dtype):
        # NumPy may have taken either zero; the sum with +0.0 is +0.0 for both.
        calls.append(partial(np.add, out, out.dtype.type(0), out=out))
    return calls


def _is_relu(name: str, bound: float) -> bool:
    return name == "max" and math.copysign(1, bound) > 0


def _capacity(size: int) -> int:
    """A size that many arrays share."""
    return 1 << max(6, (size - 1).bit_length())


@lru_cache(maxsize=64)
def _repeated(value: float, dtype: np.dtype[Any], size: int) -> Array:
    """A block of one value, read-only and shared."""
    array = np.full(size, value, dtype)
    array.flags.writeable = False
    return array


@lru_cache(maxsize=8)
def _prefers_second_zero(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy's maximum(−0.0, +0.0) is +0.0 here, in every loop that it may take."""
    for step in (1, 2):
        for size in (1, 3, 64, 127):
            out = np.full(size * step, -0.0, dtype)[::step]
            np.maximum(out, np.zeros(size, dtype), out=out)
            if np.signbit(out).any():
                return False
    return True


# ── Others that write into given memory ─────────────────────────────────────────────


def _select(condition: Array, a: Array, b: Array, out: Array) -> Array:
    if condition is out:
        return np.where(condition, a, b)
    if a is out:
        np.copyto(out, b, where=np.logical_not(condition))
        return out
    if b is not out:
        np.copyto(out, b)
    np.copyto(out, a, where=condition)
    return out


def _floor_divide(a: Array, b: Array, out: Array) -> Array:
    return np.floor(np.divide(a, b, out=out), out=out)


_FUNCTIONS: dict[str, Callable[..., Any]] = {"select": _select}


def _into(out: Array, function: Callable[..., Any], *operands: Array) -> None:
    """Let the result be in ``out``, whether or not the function uses that."""
    result = function(*operands, out=out)
    if result is not out:
        np.copyto(out, result)


def _assign(out: Array, compute: Callable[[], Array]) -> None:
    np.copyto(out, compute())


def _finish(out: Array, finish: Callable[..., Array], dtype: DType) -> None:
    """Round or wrap what stands in ``out`` to a type that NumPy does not compute in."""
    np.copyto(out, finish(out, dtype=dtype))
