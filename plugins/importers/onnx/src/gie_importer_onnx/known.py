"""Values that are known while importing: shape computations in numbers and symbols.

A model computes shapes with its own nodes: Shape, Gather, Concat, Mul … Their
results are small integer tensors, and what later nodes need of them (the target
of a Reshape) must be an attribute of an op, so it has to be known now. A *known*
value is an array: of numbers, or of dtype ``object`` with a ``Dim`` an element.

Symbols stand for integers ≥ 0. A rule that can't tell raises ``Unknown``; the
value is then left to run time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.dims import Dim, SymInt, dim_max, dim_min, product
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op, Trait
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.run import as_tuple

__all__ = ["LARGEST", "as_dims", "evaluate", "is_nonnegative", "is_symbolic"]

LARGEST = 1024
"""Elements of the largest tensor that is followed."""
LARGEST_NUMBER = 1 << 64
"""Numbers beyond it are not followed: Python's grow without end, and GIE's have 64 bits."""
MOST_TERMS = 4096
"""Terms of dimensions that one node may work on."""


class Unknown(Exception):  # noqa: N818 - not an error: control flow between a rule and its caller
    """A rule can't tell."""


Rule = Callable[[Any, Sequence[Array]], "Array | tuple[Array, ...]"]


def evaluate(node: Node, known: Mapping[Value, Array]) -> list[Array] | None:
    """The results of a node if they are known, else ``None``.

    Args:
        node: any node.
        known: values that are known so far; constants count by themselves.
    """
    sizes = [_size(result) for result in node.results]
    if not all(size is not None and size <= LARGEST for size in sizes):
        return None
    if node.op.name == "shape_of":
        return [_packed(list(node.operands[0].tensor.dims))] if node.operands[0] else None
    operands = [None if v is None else _known(v, known) for v in node.operands]
    if any(o is None and v is not None for o, v in zip(operands, node.operands, strict=True)):
        return None
    if any(o is not None and is_symbolic(o) for o in operands) or node.op.symbols():
        return _symbolic(node, [o for o in operands if o is not None])
    return _concrete(node.op, operands)


def is_symbolic(array: Array) -> bool:
    """Whether elements are ``Dim`` objects rather than numbers."""
    return array.dtype == object


def as_dims(array: Array) -> tuple[Dim, ...]:
    """The elements as dimensions, in order.

    Raises:
        ValueError: they are no integers.
    """
    dims = array.ravel().tolist()
    if not all(isinstance(d, (int, SymInt)) for d in dims):
        raise ValueError(f"{dims} are not integers")
    return tuple(dims)


def _known(value: Value, known: Mapping[Value, Array]) -> Array | None:
    if value.data is not None:
        usable = value.data.size <= LARGEST and value.data.dtype != object
        return value.data if usable else None
    return known.get(value)


def _size(value: Value) -> int | None:
    if not isinstance(value.type, TensorType) or value.type.shape is None:
        return None
    size = product(value.type.shape)
    return size if isinstance(size, int) else None


def _concrete(op: Op, operands: Sequence[Array | None]) -> list[Array] | None:
    """By the op's reference: all operands are numbers, and all are small."""
    if op.traits & {Trait.OPAQUE, Trait.IMPURE} or not op.has_reference() or op.subgraphs():
        return None
    try:
        with np.errstate(all="ignore"):
            results: Any = op.compute(*operands)
    except (GieError, ValueError, IndexError, ArithmeticError):
        return None  # a node that fails: it will say so when it runs
    return [np.asarray(result) for result in as_tuple(results)]


def _symbolic(node: Node, operands: Sequence[Array]) -> list[Array] | None:
    dtype = node.results[0].tensor.dtype
    name = "exact_div" if node.op.name == "div" and dtype.is_float else node.op.name
    if name not in _RULES:
        return None
    try:
        _check_work(operands, _size(node.results[0]) or 0)
        found = _RULES[name](node.op, [_as_objects(o) for o in operands])
        results = found if isinstance(found, tuple) else (found,)
        return [_numbers_if_possible(result, dtype) for result in results]
    except (Unknown, ValueError, IndexError, TypeError, ArithmeticError):
        return None


def _check_work(operands: Sequence[Array], size: int) -> None:
    """Raise ``Unknown`` where long dimensions, broadcast to ``size`` elements, would take long."""
    work = 0
    for operand in operands:
        terms = sum(len(e.terms) for e in operand.ravel() if isinstance(e, SymInt))
        work += terms * max(1, size // max(1, operand.size))
    if work > MOST_TERMS:
        raise Unknown


def _numbers_if_possible(array: Array, dtype: DType) -> Array:
    return array if any(isinstance(e, SymInt) for e in array.ravel()) else array.astype(dtype.numpy)


def _as_objects(array: Array) -> Array:
    """Numbers as Python objects; floats only if they are whole."""
    if array.dtype == object:
        return array
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)) or np.any(array != np.trunc(array)):
            raise Unknown
        array = array.astype(np.int64)
    return array.astype(object)


def _packed(dims: list[Dim]) -> Array:
    if all(isinstance(d, int) for d in dims):
        return np.array(dims, np.int64)
    packed = np.empty(len(dims), object)
    packed[:] = dims
    return packed


# ── Rules: one per op that occurs in shape computations ─────────────────────────────


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, without numbers beyond ``LARGEST_NUMBER``; a ``SymInt`` bounds its own."""

    def compute(*args: Any) -> Any:
        result = function(*args)
        if isinstance(result, int) and abs(result) > LARGEST_NUMBER:
            raise Unknown
        return result

    return compute


def _elementwise(function: Callable[..., Any], operands: int = 2) -> Rule:
    ufunc: Any = np.frompyfunc(_bounded(function), operands, 1)

    def rule(op: Any, args: Sequence[Array]) -> Array:
        return np.asarray(ufunc(*args), object)

    return rule


def _add(a: Dim, b: Dim) -> Dim:
    return a + b


def _multiply(a: Dim, b: Dim) -> Dim:
    return a * b


def is_nonnegative(dim: Dim) -> bool:
    """Surely ≥ 0: symbols are, so coefficients decide."""
    if isinstance(dim, int):
        return dim >= 0
    # A quotient comes from a shape rule, (n + pads - kernel) // stride, or from _divide: it is
    # negative only where a window does not fit, and then the model can't run at all.
    return all(
        coefficient >= 0
        and all(
            atom.function in ("", "//", "mod") or all(map(is_nonnegative, atom.operands))
            for atom in monomial
        )
        for monomial, coefficient in dim.terms
    )


def _divide(a: Dim, b: Dim) -> Dim:
    # ONNX rounds toward zero, GIE toward −∞: equal where nothing is negative.
    if not (is_nonnegative(a) and is_nonnegative(b)) or b == 0:
        raise Unknown
    return a // b


def _remainder(a: Dim, b: Dim) -> Dim:
    if not (is_nonnegative(a) and is_nonnegative(b)) or b == 0:
        raise Unknown
    return a % b


def _equal(a: Dim, b: Dim) -> bool:
    difference = a - b
    if isinstance(difference, int):
        return difference == 0
    if is_nonnegative(difference - 1) or is_nonnegative(-1 - difference):
        return False
    raise Unknown


def _less(a: Dim, b: Dim) -> bool:
    if is_nonnegative(b - a - 1):
        return True
    if is_nonnegative(a - b):
        return False
    raise Unknown


def _greater(a: Dim, b: Dim) -> bool:
    return _less(b, a)


def _less_equal(a: Dim, b: Dim) -> bool:
    return not _less(b, a)


def _greater_equal(a: Dim, b: Dim) -> bool:
    return not _less(a, b)


def _choose(condition: Any, a: Any, b: Any) -> Any:
    if not isinstance(condition, bool):
        raise Unknown
    return a if condition else b


def _not(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unknown
    return not value


def _slice(op: Any, args: Sequence[Array]) -> Array:
    index: list[slice] = [slice(None)] * args[0].ndim
    for axis, start, end, step in zip(op.axes, op.starts, op.ends, op.steps, strict=True):
        if not isinstance(start, int) or not isinstance(end, int):
            raise Unknown
        index[axis] = slice(start, None if step < 0 and end < 0 else end, step)
    return args[0][tuple(index)]


def _cast(op: Any, args: Sequence[Array]) -> Array:
    if op.to.value == "bool" or op.to.bits < 16:
        raise Unknown
    return args[0]


def _divide_exactly(a: Dim, b: Dim) -> Dim:
    if _remainder(a, b) != 0:
        raise Unknown
    return a // b


def _split(op: Any, args: Sequence[Array]) -> tuple[Array, ...]:
    bounds = np.cumsum(_ints(op.sizes))[:-1]
    return tuple(np.split(args[0], bounds.tolist(), op.axis))


def _reduce(function: Callable[[Dim, Dim], Dim]) -> Rule:
    ufunc: Any = np.frompyfunc(_bounded(function), 2, 1)

    def rule(op: Any, args: Sequence[Array]) -> Array:
        result = args[0]
        for axis in sorted(op.axes, reverse=True):
            if result.shape[axis] == 0:
                raise Unknown
            result = np.asarray(ufunc.reduce(result, axis=axis), object)
            if op.keep_dims:
                result = np.expand_dims(result, axis)
        return result

    return rule


def _ints(dims: Sequence[Dim]) -> tuple[int, ...]:
    if not all(isinstance(d, int) for d in dims):
        raise Unknown
    return tuple(d for d in dims if isinstance(d, int))


def _first(op: Any, args: Sequence[Array]) -> Array:
    """Whole numbers stay what they are."""
    return args[0]


def _reshape(op: Any, args: Sequence[Array]) -> Array:
    return args[0].reshape(_ints(op.shape))


def _expand(op: Any, args: Sequence[Array]) -> Array:
    return np.broadcast_to(args[0], _ints(op.shape))


def _tile(op: Any, args: Sequence[Array]) -> Array:
    return np.tile(args[0], _ints(op.repeats))


def _transpose(op: Any, args: Sequence[Array]) -> Array:
    return args[0].transpose(op.permutation)


def _concat(op: Any, args: Sequence[Array]) -> Array:
    return np.concatenate(args, op.axis)


def _gather(op: Any, args: Sequence[Array]) -> Array:
    return np.asarray(np.take(args[0], args[1].astype(np.int64), op.axis), object)


_RULES: dict[str, Rule] = {
    "identity": _first,
    "cast": _cast,
    "floor": _first,
    "ceil": _first,
    "round": _first,
    "reshape": _reshape,
    "expand": _expand,
    "tile": _tile,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "split": _split,
    "gather": _gather,
    "add": _elementwise(_add),
    "sub": _elementwise(operator.sub),
    "mul": _elementwise(_multiply),
    "div": _elementwise(_divide),
    "exact_div": _elementwise(_divide_exactly),
    "mod": _elementwise(_remainder),
    "neg": _elementwise(operator.neg, 1),
    "min": _elementwise(dim_min),
    "max": _elementwise(dim_max),
    "equal": _elementwise(_equal),
    "less": _elementwise(_less),
    "greater": _elementwise(_greater),
    "less_equal": _elementwise(_less_equal),
    "greater_equal": _elementwise(_greater_equal),
    "not": _elementwise(_not, 1),
    "where": _elementwise(_choose, 3),
    "reduce_prod": _reduce(_multiply),
    "reduce_sum": _reduce(_add),
    "reduce_max": _reduce(dim_max),
    "reduce_min": _reduce(dim_min),
}
