"""Matrix products."""

from __future__ import annotations

from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import handler

__all__: list[str] = []


@handler("MatMul")
def matmul(call: Call) -> Value:
    """a @ b."""
    return call.emit("matmul", call.input(0), call.input(1))


@handler("MatMulInteger")
def matmul_integer(call: Call) -> Value:
    """a, b, a_zero_point?, b_zero_point?"""
    return call.emit(
        "matmul_integer", call.input(0), call.input(1), call.optional(2), call.optional(3)
    )


@handler("Gemm")
def gemm(call: Call) -> Value:
    """alpha · a @ b + beta · c. Before opset 7, ``broadcast`` said what shapes say since."""
    return call.emit(
        "gemm",
        call.input(0),
        call.input(1),
        call.optional(2),
        alpha=call.real("alpha", 1.0),
        beta=call.real("beta", 1.0),
        transpose_a=call.flag("transA"),
        transpose_b=call.flag("transB"),
    )


@handler("Einsum")
def einsum(call: Call) -> Value:
    """Any number of operands."""
    return call.emit("einsum", *call.all_inputs(), equation=call.text("equation"))
