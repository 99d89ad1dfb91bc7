"""Reductions: axes moved from attribute to operand, ReduceSum's in opset 13, the others' in 18."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.graph import Value
from gie_core.ir.types import DType
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import handler

__all__: list[str] = []

OPS = {
    "ReduceL1": "reduce_l1",
    "ReduceL2": "reduce_l2",
    "ReduceLogSum": "reduce_log_sum",
    "ReduceLogSumExp": "reduce_log_sum_exp",
    "ReduceMax": "reduce_max",
    "ReduceMean": "reduce_mean",
    "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_prod",
    "ReduceSum": "reduce_sum",
    "ReduceSumSquare": "reduce_sum_square",
}
_WITHOUT_SUM = tuple(op for op in OPS if op != "ReduceSum")


@handler("ReduceSum", since=13)
@handler(*_WITHOUT_SUM, since=18)
def reduce(call: Call) -> Value:
    """x, axes?"""
    return _reduce(call, call.known_ints(1) if call.has(1) else ())


@handler(*OPS, since=1)
def reduce_by_attribute(call: Call) -> Value:
    """x, with the axes as attribute."""
    return _reduce(call, call.integers("axes", ()))


def _reduce(call: Call, axes: Sequence[int]) -> Value:
    """No axes mean all axes, unless the node says that they mean none."""
    x, op = call.input(0), OPS[call.node.op_type]
    if not axes and not call.flag("noop_with_empty_axes"):
        axes = range(call.rank(x))
    chosen, keep = call.axes(axes, call.rank(x)), call.flag("keepdims", True)
    if call.dtype_of(x) is not DType.BOOL:
        return call.emit(op, x, axes=chosen, keep_dims=keep)
    # "Any" and "all" are the maximum and the minimum of 0 and 1.
    bits = call.emit(op, call.cast(x, DType.U8), axes=chosen, keep_dims=keep)
    return call.cast(bits, DType.BOOL)
