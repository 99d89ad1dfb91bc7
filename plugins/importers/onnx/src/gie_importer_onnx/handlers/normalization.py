"""Normalizations and softmax."""

from __future__ import annotations

from gie_core.ir.dims import product
from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []

SOFTMAX = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


@handler("BatchNormalization", since=7)
def batch_norm(call: Call) -> Value:
    """x, scale, bias, mean, variance; at inference."""
    if call.flag("training_mode"):
        raise Unsupported("it is in training mode")
    return _batch_norm(call)


@handler("BatchNormalization", since=1)
def batch_norm_before_7(call: Call) -> Value:
    """As ``batch_norm``, where ``is_test`` says that it is inference."""
    if not call.flag("is_test"):
        raise Unsupported("it is in training mode")
    return _batch_norm(call)


def _batch_norm(call: Call) -> Value:
    if not call.flag("spatial", True):
        raise Unsupported("it has statistics for every position, not every channel")
    call.only_first_output()
    operands = [call.input(index) for index in range(5)]
    return call.emit("batch_norm", *operands, epsilon=call.real("epsilon", 1e-5))


@handler("InstanceNormalization")
def instance_norm(call: Call) -> Value:
    """x, scale, bias."""
    operands = [call.input(index) for index in range(3)]
    return call.emit("instance_norm", *operands, epsilon=call.real("epsilon", 1e-5))


@handler("LayerNormalization")
def layer_norm(call: Call) -> Value:
    """x, scale, bias?; the statistics as further outputs are left to the op's definition."""
    call.only_first_output()
    x = call.input(0)
    axis = call.axis(call.integer("axis", -1), call.rank(x))
    epsilon = call.real("epsilon", 1e-5)
    return call.emit("layer_norm", x, call.input(1), call.optional(2), axis=axis, epsilon=epsilon)


@handler("RMSNormalization")
def rms_norm(call: Call) -> Value:
    """x, scale."""
    x = call.input(0)
    axis = call.axis(call.integer("axis", -1), call.rank(x))
    return call.emit("rms_norm", x, call.input(1), axis=axis, epsilon=call.real("epsilon", 1e-5))


@handler("GroupNormalization", since=21)
def group_norm(call: Call) -> Value:
    """x, scale, bias, the latter per channel."""
    return _group_norm(call, call.input(1), call.input(2))


@handler("GroupNormalization", since=18)
def group_norm_before_21(call: Call) -> Value:
    """x, scale, bias, the latter per group: repeated for each of its channels."""
    groups, channels = call.integer("num_groups"), call.dims(call.input(0))[1]
    return _group_norm(
        call,
        *(
            call.reshape(
                call.emit(
                    "expand",
                    call.reshape(call.input(index), (groups, 1)),
                    shape=(groups, channels // groups),
                ),
                (channels,),
            )
            for index in (1, 2)
        ),
    )


def _group_norm(call: Call, scale: Value, bias: Value) -> Value:
    groups, epsilon = call.integer("num_groups"), call.real("epsilon", 1e-5)
    return call.emit("group_norm", call.input(0), scale, bias, groups=groups, epsilon=epsilon)


@handler("LRN")
def lrn(call: Call) -> Value:
    """x."""
    return call.emit(
        "lrn",
        call.input(0),
        size=call.integer("size"),
        alpha=call.real("alpha", 1e-4),
        beta=call.real("beta", 0.75),
        bias=call.real("bias", 1.0),
    )


@handler("LpNormalization")
def lp_normalize(call: Call) -> Value:
    """x."""
    x = call.input(0)
    axis = call.axis(call.integer("axis", -1), call.rank(x))
    return call.emit("lp_normalize", x, axis=axis, p=call.integer("p", 2))


@handler(*SOFTMAX, since=13)
def softmax(call: Call) -> Value:
    """x, along one axis."""
    x = call.input(0)
    axis = call.axis(call.integer("axis", -1), call.rank(x))
    return call.emit(SOFTMAX[call.node.op_type], x, axis=axis)


@handler(*SOFTMAX, since=1)
def softmax_before_13(call: Call) -> Value:
    """x, over all axes from ``axis`` on, seen as one."""
    x, op = call.input(0), SOFTMAX[call.node.op_type]
    dims = call.dims(x)
    axis = call.axis(call.integer("axis", 1), len(dims))
    if all(extent == 1 for extent in dims[axis + 1 :]):
        return call.emit(op, x, axis=axis)
    matrix = call.reshape(x, (product(dims[:axis]), product(dims[axis:])))
    return call.reshape(call.emit(op, matrix, axis=1), dims)
