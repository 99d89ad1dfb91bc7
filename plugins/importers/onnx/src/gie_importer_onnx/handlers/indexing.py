"""Ops that pick, place, order or find elements."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.dims import Dim, product
from gie_core.ir.graph import Value
from gie_core.ir.types import DType, TensorType
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []


@handler("Gather")
def gather(call: Call) -> Value:
    """x, indices."""
    x = call.input(0)
    axis = call.axis(call.integer("axis", 0), call.rank(x))
    return call.emit("gather", x, call.input(1), axis=axis)


@handler("GatherElements")
def gather_elements(call: Call) -> Value:
    """x, indices."""
    x = call.input(0)
    axis = call.axis(call.integer("axis", 0), call.rank(x))
    return call.emit("gather_elements", x, call.input(1), axis=axis)


@handler("GatherND")
def gather_nd(call: Call) -> Value:
    """x, indices."""
    return call.emit(
        "gather_nd", call.input(0), call.input(1), batch_dims=call.integer("batch_dims", 0)
    )


@handler("Scatter", "ScatterElements")
def scatter_elements(call: Call) -> Value:
    """x, indices, updates."""
    x = call.input(0)
    axis = call.axis(call.integer("axis", 0), call.rank(x))
    reduction = call.text("reduction", "none")
    return call.emit(
        "scatter_elements", x, call.input(1), call.input(2), axis=axis, reduction=reduction
    )


@handler("ScatterND")
def scatter_nd(call: Call) -> Value:
    """x, indices, updates."""
    operands = (call.input(0), call.input(1), call.input(2))
    return call.emit("scatter_nd", *operands, reduction=call.text("reduction", "none"))


@handler("OneHot")
def one_hot(call: Call) -> Value:
    """indices, depth, values."""
    indices = call.input(0)
    axis = call.axis(call.integer("axis", -1), call.rank(indices) + 1)
    (depth,) = call.known_dims(1)
    return call.emit("one_hot", indices, call.input(2), depth=depth, axis=axis)


@handler("TopK", since=10)
def top_k(call: Call) -> Sequence[Value]:
    """x, k."""
    (k,) = call.known_dims(1)
    return _top_k(call, k)


@handler("TopK", since=1)
def top_k_before_10(call: Call) -> Sequence[Value]:
    """x, with k as attribute."""
    return _top_k(call, call.integer("k"))


def _top_k(call: Call, k: Dim) -> Sequence[Value]:
    x = call.input(0)
    axis = call.axis(call.integer("axis", -1), call.rank(x))
    largest, ordered = call.flag("largest", True), call.flag("sorted", True)
    return call.emit_all("top_k", x, k=k, axis=axis, largest=largest, sorted=ordered)


@handler("CumSum")
def cum_sum(call: Call) -> Value:
    """x, axis."""
    x = call.input(0)
    axis = call.axis(call.known_int(1), call.rank(x))
    return call.emit(
        "cumsum", x, axis=axis, exclusive=call.flag("exclusive"), reverse=call.flag("reverse")
    )


@handler("ArgMax", "ArgMin")
def arg_extremum(call: Call) -> Value:
    """x."""
    x = call.input(0)
    return call.emit(
        {"ArgMax": "arg_max", "ArgMin": "arg_min"}[call.node.op_type],
        x,
        axis=call.axis(call.integer("axis", 0), call.rank(x)),
        keep_dims=call.flag("keepdims", True),
        last=call.flag("select_last_index"),
    )


@handler("Hardmax", since=13)
def hardmax(call: Call) -> Value:
    """1 at the first largest element along an axis, 0 elsewhere."""
    return _hardmax(call, call.input(0), call.integer("axis", -1))


@handler("Hardmax", since=1)
def hardmax_before_13(call: Call) -> Value:
    """As ``hardmax``, over all axes from ``axis`` on, seen as one."""
    x = call.input(0)
    dims = call.dims(x)
    axis = call.axis(call.integer("axis", 1), len(dims))
    matrix = call.reshape(x, (product(dims[:axis]), product(dims[axis:])))
    return call.reshape(_hardmax(call, matrix, 1), dims)


def _hardmax(call: Call, x: Value, axis: int) -> Value:
    axis = call.axis(axis, call.rank(x))
    index = call.emit("arg_max", x, axis=axis, keep_dims=False)
    values = call.constant([0, 1], call.dtype_of(x))
    return call.emit("one_hot", index, values, depth=call.dims(x)[axis], axis=axis)


@handler("NonZero")
def nonzero(call: Call) -> Value:
    """x; how many there are is only known at run time."""
    x = call.input(0)
    if call.dtype_of(x) is DType.STR:
        raise Unsupported("it looks for texts")
    count = call.scope.session.symbols.fresh(f"{call.result_name}_1")
    return call.emit_all("nonzero", x, types=[TensorType(DType.I64, (call.rank(x), count))])[0]


@handler("Compress")
def compress(call: Call) -> Value:
    """x, condition; how much remains is only known at run time."""
    x = call.input(0)
    dims = list(call.dims(x))
    count = call.scope.session.symbols.fresh(call.result_name)
    axis = None
    if call.has_attribute("axis"):
        axis = call.axis(call.integer("axis"), len(dims))
        dims[axis] = count
    shape = tuple(dims) if axis is not None else (count,)
    types = [TensorType(call.dtype_of(x), shape)]
    return call.emit_all("compress", x, call.input(1), types=types, axis=axis)[0]


@handler("ReverseSequence")
def reverse_sequence(call: Call) -> Value:
    """x, lengths."""
    batch, time = call.integer("batch_axis", 1), call.integer("time_axis", 0)
    return call.emit(
        "reverse_sequence", call.input(0), call.input(1), batch_axis=batch, time_axis=time
    )
