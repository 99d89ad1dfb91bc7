"""Activation functions."""

from __future__ import annotations

from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import handler

__all__: list[str] = []

PLAIN = {
    "HardSwish": "hard_swish",
    "Mish": "mish",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
# The defaults are ONNX's.
WITH_ATTRIBUTES: dict[str, tuple[str, dict[str, float]]] = {
    "Celu": ("celu", {"alpha": 1.0}),
    "Elu": ("elu", {"alpha": 1.0}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Selu": ("selu", {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    "Shrink": ("shrink", {"bias": 0.0, "lambd": 0.5}),
    "Swish": ("silu", {"alpha": 1.0}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 1.0}),
}


@handler(*PLAIN)
def plain(call: Call) -> Value:
    """f(x)."""
    return call.emit(PLAIN[call.node.op_type], call.input(0))


@handler(*WITH_ATTRIBUTES)
def with_attributes(call: Call) -> Value:
    """f(x) with constants."""
    op, defaults = WITH_ATTRIBUTES[call.node.op_type]
    attributes = {name: call.real(name, default) for name, default in defaults.items()}
    return call.emit(op, call.input(0), **attributes)


@handler("Gelu")
def gelu(call: Call) -> Value:
    """Exact, or by tanh."""
    return call.emit("gelu", call.input(0), approximate=call.text("approximate", "none"))


@handler("PRelu", since=7)
def prelu(call: Call) -> Value:
    """x, slope."""
    return call.emit("prelu", call.input(0), call.input(1))


@handler("PRelu", since=1)
def prelu_before_7(call: Call) -> Value:
    """x, slope: one for all, or one per channel."""
    x, slope = call.input(0), call.input(1)
    if call.dims(slope) not in ((), (1,)):
        slope = call.reshape(slope, (*call.dims(slope), *(1,) * (call.rank(x) - 2)))
    return call.emit("prelu", x, slope)
