"""The pointwise language on NumPy: an evaluator of expressions and programs.

Values are held in the compute dtype of their element type (see ``conversion``); every result
of a primitive is rounded, or wrapped, to the type before it is used again. Each distinct node
is computed once, on the smallest broadcast shape that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.conversion import compute_dtype, convert, round_float, wrap
from gie_core.ir.expr import (
    Apply,
    Cast,
    Expr,
    Literal,
    Param,
    Program,
    operands_of,
    walk,
)
from gie_core.ir.numpy_functions import NUMPY_FUNCTIONS
from gie_core.ir.types import Array, DType

__all__ = ["Evaluator", "arrange", "evaluate_expr", "evaluate_program"]

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
    _check(program, arrays)
    arranged = {
        param.name: arrange(array, param.index, program.axes)
        for param, array in zip(program.params, arrays, strict=True)
    }
    shape = np.broadcast_shapes(*(array.shape for array in arranged.values()))
    results = _evaluator(program.results)(arranged)
    return tuple(_expand(result, shape) for result in results)


def evaluate_expr(expr: Expr, arrays: Mapping[str, Array]) -> Array:
    """Evaluate one expression on arrays that broadcast as in NumPy.

    Returns:
        A new array of the broadcast shape of all ``arrays``, used or not.

    Raises:
        GieError: a parameter has no array, or one of another dtype.
    """
    shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    return _expand(_evaluator((expr,))(arrays)[0], shape)


def _expand(array: Array, shape: tuple[int, ...]) -> Array:
    return array if array.shape == shape else np.array(np.broadcast_to(array, shape), order="C")


def arrange(array: Array, index: Sequence[str | int], axes: Sequence[str]) -> Array:
    """View an operand in an iteration space: transposed to its axes, extent 1 on the others.

    The result has rank ``len(axes)``; dimensions indexed by ``1`` are dropped.
    """
    kept = [position for position, entry in enumerate(index) if entry != 1]
    squeezed = array[tuple(slice(None) if entry != 1 else 0 for entry in index)]
    order = sorted(range(len(kept)), key=lambda i: axes.index(str(index[kept[i]])))
    expand = tuple(slice(None) if axis in index else None for axis in axes)
    return squeezed.transpose(order)[expand]


@lru_cache(maxsize=1024)
def _evaluator(exprs: tuple[Expr, ...]) -> Evaluator:
    return Evaluator(exprs)


def _check(program: Program, arrays: Sequence[Array]) -> None:
    if len(arrays) != len(program.params):
        raise GieError(f"the program takes {len(program.params)} operands, not {len(arrays)}")
    extents: dict[str, tuple[int, str]] = {}
    for param, array in zip(program.params, arrays, strict=True):
        if array.ndim != len(param.index):
            raise GieError(f"operand {param} has rank {array.ndim}, not {len(param.index)}")
        for axis, extent in zip(param.index, array.shape, strict=True):
            if axis == 1 and extent != 1:
                raise GieError(f"operand {param} has extent {extent} where its index has 1")
            known, first = extents.setdefault(str(axis), (extent, param.name))
            if known != extent:
                found = f"{known} in operand {first!r} but {extent} in operand {param.name!r}"
                raise GieError(f"axis {axis!r} has extent {found}")


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
            # A result that is a bare parameter, a literal or an earlier result is copied.
            owned = [*arrays.values(), *(literal for _, literal in self._literals)]
            results: list[Array] = []
            for slot, dtype in self._results:
                stored = np.asarray(values[slot]).astype(dtype, order="C", copy=False)
                shared = any(np.may_share_memory(stored, array) for array in owned + results)
                results.append(stored.copy() if shared else stored)
            return tuple(results)


def _plan(
    nodes: Sequence[Expr], slots: Mapping[Expr, int], results: frozenset[Expr]
) -> list[_Step]:
    last_use: dict[Expr, Expr] = {}
    exposed: set[Expr] = set()  # nodes whose memory a cast may show under another type
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
        spare = [o for o in dead if _may_take(node, o) and o not in exposed]
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


def _may_take(node: Expr, operand: Expr) -> bool:
    """Whether a result may go where an operand was: both are computed, in the same dtype."""
    alike = compute_dtype(operand.dtype) == compute_dtype(node.dtype)
    return isinstance(node, Apply) and isinstance(operand, Apply) and alike


def _run(step: _Step, values: list[Any]) -> None:
    operands: list[Array] = [values[slot] for slot in step.operands]
    spare: Array | None = None if step.reuse is None else values[step.reuse]
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
            options = {"rounding": rounding, "saturate": saturate}
            return partial(convert, source=arg.dtype, target=dtype, **options), None
        case _:
            raise TypeError(f"{type(node).__name__} is not computed")


def _finish(function: str, dtype: DType) -> Callable[[Array], Array] | None:
    """Round or wrap a primitive's result to its type, unless it is right already."""
    if compute_dtype(dtype) == dtype.numpy or function in ("min", "max", "select"):
        return None
    return partial(round_float if dtype.is_float else wrap, dtype=dtype)


def _load(param: Param, arrays: Mapping[str, Array]) -> Array:
    if param.name not in arrays:
        raise GieError(f"parameter {param.name!r} has no array")
    array = arrays[param.name]
    if array.dtype != param.dtype.numpy:
        raise GieError(f"parameter {param.name!r} is {param.dtype}, but its array is {array.dtype}")
    return array.astype(compute_dtype(param.dtype), copy=False)


def _literal_array(literal: Literal) -> Array:
    return np.asarray(literal.value, compute_dtype(literal.dtype))
