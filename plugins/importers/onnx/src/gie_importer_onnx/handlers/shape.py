"""Shapes: what changes a shape, tells it, or makes a tensor of one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gie_core.ir.dims import Dim, SymInt, ceil_div, dim_max, product
from gie_core.ir.graph import Value
from gie_core.ir.types import DType, Shape, TensorType
from gie_core.ops import core_ops
from gie_core.ops.elementwise import broadcast_shapes
from gie_importer_onnx.call import Call
from gie_importer_onnx.known import LARGEST, is_symbolic
from gie_importer_onnx.registry import Unsupported, handler
from gie_importer_onnx.tensors import dense_array_of

__all__: list[str] = []

LARGEST_EYE = 1 << 20


@handler("Reshape", since=5)
def reshape(call: Call) -> Value:
    """x, shape."""
    x = call.input(0)
    allow_zero = call.version >= 14 and call.flag("allowzero")
    return _reshape(call, x, call.known_dims(1), allow_zero)


@handler("Reshape", since=1)
def reshape_before_5(call: Call) -> Value:
    """x, with the shape as attribute."""
    return _reshape(call, call.input(0), call.integers("shape"), allow_zero=False)


def _reshape(call: Call, x: Value, target: Sequence[Dim], allow_zero: bool) -> Value:
    dims = call.dims(x)
    shape = list(target)
    for position, extent in enumerate(shape):
        if extent == 0 and not allow_zero:
            if position >= len(dims):
                raise Unsupported(
                    f"its shape {_text(target)} copies a dimension that x does not have"
                )
            shape[position] = dims[position]
    if -1 in shape:
        place = shape.index(-1)
        others = product(d for i, d in enumerate(shape) if i != place)
        shape[place] = product(dims) // others if others != 0 else 0
    return call.emit("reshape", x, shape=tuple(shape))


def _text(dims: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, dims))}]"


@handler("Flatten")
def flatten(call: Call) -> Value:
    """x as a matrix: the axes before ``axis`` are its rows."""
    x, axis = call.input(0), call.integer("axis", 1)
    dims = call.dims(x)
    axis = axis + len(dims) if axis < 0 else axis
    if not 0 <= axis <= len(dims):
        raise Unsupported(f"axis {axis} does not exist in {len(dims)} dimensions")
    return call.emit("reshape", x, shape=(product(dims[:axis]), product(dims[axis:])))


@handler("Squeeze", since=13)
def squeeze(call: Call) -> Value:
    """x, axes?"""
    return _squeeze(call, call.known_ints(1) if call.has(1) else None)


@handler("Squeeze", since=1)
def squeeze_before_13(call: Call) -> Value:
    """x, with the axes as attribute."""
    return _squeeze(call, call.integers("axes") if call.has_attribute("axes") else None)


def _squeeze(call: Call, axes: Sequence[int] | None) -> Value:
    x = call.input(0)
    dims = call.dims(x)
    if axes is None:
        if any(isinstance(d, SymInt) for d in dims):
            raise Unsupported("which dimensions it drops depends on the size of an input")
        axes = [axis for axis, extent in enumerate(dims) if extent == 1]
    dropped = call.axes(axes, len(dims))
    return call.emit("reshape", x, shape=tuple(d for a, d in enumerate(dims) if a not in dropped))


@handler("Unsqueeze", since=13)
def unsqueeze(call: Call) -> Value:
    """x, axes."""
    return _unsqueeze(call, call.known_ints(1))


@handler("Unsqueeze", since=1)
def unsqueeze_before_13(call: Call) -> Value:
    """x, with the axes as attribute."""
    return _unsqueeze(call, call.integers("axes"))


def _unsqueeze(call: Call, axes: Sequence[int]) -> Value:
    x = call.input(0)
    rank = call.rank(x) + len(axes)
    added, rest = call.axes(axes, rank), iter(call.dims(x))
    shape = tuple(1 if axis in added else next(rest) for axis in range(rank))
    return call.emit("reshape", x, shape=shape)


@handler("Expand")
def expand(call: Call) -> Value:
    """x, shape: both broadcast, so the shape may also have fewer or smaller dimensions."""
    x = call.input(0)
    return call.emit("expand", x, shape=broadcast_shapes(call.dims(x), call.known_dims(1)))


@handler("Shape")
def shape(call: Call) -> Value:
    """The extents of x; since opset 15 a part of them."""
    x = call.input(0)
    rank = call.rank(x)
    extents = call.emit("shape_of", x)
    if call.version < 15:
        return extents
    start, end = call.integer("start", 0), call.integer("end", rank)
    first, last, _ = slice(start, end).indices(rank)
    if (first, last) == (0, rank):
        return extents
    return call.emit(
        "slice", extents, axes=(0,), starts=(first,), ends=(max(first, last),), steps=(1,)
    )


@handler("Size")
def size(call: Call) -> Value:
    """The number of elements of x."""
    extents = call.emit("shape_of", call.input(0))
    return call.emit("reduce_prod", extents, axes=(0,), keep_dims=False)


@handler("Constant")
def constant(call: Call) -> Value:
    """The attribute, whichever form it has."""
    form = next((attribute.name for attribute in call.node.attribute), "")
    match form:
        case "value":
            return call.constant(call.tensor(form))
        case "value_int":
            return call.constant(call.integer(form), DType.I64)
        case "value_ints":
            return call.constant(call.integers(form), DType.I64)
        case "value_float":
            return call.constant(call.real(form), DType.F32)
        case "value_floats":
            return call.constant(call.reals(form), DType.F32)
        case "value_string":
            return call.constant(call.text(form), DType.STR)
        case "value_strings":
            return call.constant(call.texts(form), DType.STR)
        case "sparse_value":
            return call.constant(dense_array_of(call.sparse_tensor(form), call.where))
        case _:
            raise Unsupported("it has no value")


@handler("ConstantOfShape")
def constant_of_shape(call: Call) -> Value:
    """One number everywhere in a tensor of the given shape."""
    fill = call.tensor("value") if call.has_attribute("value") else np.zeros(1, np.float32)
    return call.emit("expand", call.constant(fill.reshape(())), shape=call.known_dims(0))


@handler("Range")
def range_(call: Call) -> Value:
    """start, limit, delta; the extent is known if they are."""
    operands = [call.input(index) for index in range(3)]
    extent = _range_extent(call, operands)
    if isinstance(extent, int) and extent <= LARGEST:
        known = [call.builder.known_array(value) for value in operands]
        if all(array is not None and not is_symbolic(array) for array in known):
            return call.constant(core_ops()["range"]().compute(*known))
    if extent is None:
        extent = call.scope.session.symbols.fresh(f"{call.result_name}_0")
    types = [TensorType(call.dtype_of(operands[0]), (extent,))]
    return call.emit_all("range", *operands, types=types)[0]


def _range_extent(call: Call, operands: Sequence[Value]) -> Dim | None:
    """⌈(limit - start) / delta⌉ or 0; ``None`` where the network computes an operand."""
    known = [call.builder.known_array(value) for value in operands]
    if any(array is None or array.size != 1 for array in known):
        return None
    start, limit, delta = (array.item() for array in known if array is not None)
    if not isinstance(delta, (int, float)) or delta == 0:
        return None
    if isinstance(start, float) or isinstance(limit, float):
        return max(0, math.ceil((limit - start) / delta))
    distance = limit - start if delta > 0 else start - limit
    return dim_max(ceil_div(distance, abs(int(delta))), 0)


@handler("EyeLike")
def eye_like(call: Call) -> Value:
    """Ones on the k-th diagonal of a matrix with x's shape."""
    x = call.input(0)
    dims = call.dims(x)
    size = product(dims)
    if len(dims) != 2 or not isinstance(size, int) or size > LARGEST_EYE:
        raise Unsupported("its shape is not known, or is large")
    dtype = call.dtype("dtype", call.dtype_of(x))
    rows, columns = _numbers(dims)
    return call.constant(np.eye(rows, columns, call.integer("k", 0)), dtype)


def _numbers(dims: Shape) -> list[int]:
    return [d for d in dims if isinstance(d, int)]
