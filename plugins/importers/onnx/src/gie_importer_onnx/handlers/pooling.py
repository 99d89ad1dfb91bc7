"""Pools. Those over all of space are reductions."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.handlers.windows import window
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []


@handler("MaxPool")
def max_pool(call: Call) -> Sequence[Value]:
    """x; the second output, if used, holds where each maximum stands."""
    x, kernel = call.input(0), call.integers("kernel_shape")
    geometry = window(call, call.dims(x)[2:], kernel)
    ceil_mode = call.flag("ceil_mode")
    if not call.has_output(1):
        return (call.emit("max_pool", x, kernel=kernel, ceil_mode=ceil_mode, **geometry),)
    order = call.integer("storage_order", 0)
    return call.emit_all(
        "max_pool_with_indices",
        x,
        kernel=kernel,
        ceil_mode=ceil_mode,
        storage_order=order,
        **geometry,
    )


@handler("AveragePool")
def average_pool(call: Call) -> Value:
    """x."""
    x, kernel = call.input(0), call.integers("kernel_shape")
    return call.emit(
        "average_pool",
        x,
        kernel=kernel,
        ceil_mode=call.flag("ceil_mode"),
        count_include_pad=call.flag("count_include_pad"),
        **window(call, call.dims(x)[2:], kernel),
    )


@handler("LpPool", since=2)
def lp_pool(call: Call) -> Value:
    """x."""
    x, kernel = call.input(0), call.integers("kernel_shape")
    return call.emit(
        "lp_pool",
        x,
        kernel=kernel,
        ceil_mode=call.flag("ceil_mode"),
        p=call.integer("p", 2),
        **window(call, call.dims(x)[2:], kernel),
    )


@handler("GlobalAveragePool")
def global_average_pool(call: Call) -> Value:
    """x [N, C, *S] to [N, C, 1, …]."""
    return _over_space(call, "reduce_mean")


@handler("GlobalMaxPool")
def global_max_pool(call: Call) -> Value:
    """x [N, C, *S] to [N, C, 1, …]."""
    return _over_space(call, "reduce_max")


@handler("GlobalLpPool", since=2)
def global_lp_pool(call: Call) -> Value:
    """x [N, C, *S] to [N, C, 1, …]."""
    order = call.integer("p", 2)
    if order not in (1, 2):
        raise Unsupported(f"its norm has the order {order}")
    return _over_space(call, f"reduce_l{order}")


def _over_space(call: Call, op: str) -> Value:
    x = call.input(0)
    return call.emit(op, x, axes=tuple(range(2, call.rank(x))))
