"""Let convolutions and pools do the padding before them."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass
from gie_core.ir.conversion import integer_range
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.activation import Relu, Sigmoid
from gie_core.ops.arithmetic import Abs, Exp
from gie_core.ops.conv import Conv
from gie_core.ops.norm import Softmax
from gie_core.ops.pool import AveragePool, MaxPool
from gie_core.ops.shape import Pad
from gie_core.ops.window import Windowed
from gie_passes_fusion.values import scalar_of

NEVER_NEGATIVE = (Abs, Exp, Relu, Sigmoid, Softmax)
"""Nor −0.0, which is less than 0.0 to a maximum."""


@dataclass(frozen=True)
class FoldPad(PatternPass):
    """conv(pad(x)) → conv(x) with larger pads; so too for pools.

    A convolution pads with 0, a max pool with the lowest value of its type, and an average pool
    with zeros that count. A max pool of what is never negative may have been padded with 0 as
    well. A pad of anything else stays.
    """

    name = "fold-pad"
    roots = (Conv, AveragePool, MaxPool)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        padded = node.operands[0]
        pad = padded.node if padded is not None else None
        if pad is None or not isinstance(pad.op, Pad) or padded is None:
            return None
        assert isinstance(node.op, Windowed)
        x, rank = pad.operands[0], padded.tensor.rank
        begins, ends = pad.op.pads[:rank], pad.op.pads[rank:]
        reason = _wrong_pads(pad.op) or _wrong_pool(node.op)
        if reason:
            return Refusal(reason)
        own = node.op.pads or (0,) * (2 * rank - 4)
        pads = tuple(a + b for a, b in zip(own, (*begins[2:], *ends[2:]), strict=True))
        op = node.op.replace(pads=pads)
        reason = _wrong_value(op, pad)
        if reason:
            return Refusal(reason)
        if isinstance(op, AveragePool):
            op = op.replace(count_include_pad=True)
        return rewriter.add(op, x, *node.operands[1:])


def _wrong_pads(op: Pad) -> str:
    rank = len(op.pads) // 2
    if op.mode != "constant":
        return f"the pad repeats elements ({op.mode})"
    if any(pad != 0 for pad in (*op.pads[:2], *op.pads[rank : rank + 2])):
        return "the pad is not only along spatial axes"
    if not all(isinstance(pad, int) and pad >= 0 for pad in op.pads):
        return "the pad may cut off elements"
    return ""


def _wrong_value(op: Windowed, pad: Node) -> str:
    value = pad.operand("value")
    number = 0 if value is None else scalar_of(value)
    if number is None:
        return "the pad's value is not constant"
    wanted = _lowest(pad.result) if isinstance(op, MaxPool) else 0
    if number == wanted or (isinstance(op, MaxPool) and number == 0 and _zero_loses(op, pad)):
        return ""
    return f"{op.name} pads with {wanted}, not {number}"


def _zero_loses(op: MaxPool, pad: Node) -> bool:
    """A 0 never beats the elements of a window: none is negative, and each window has one."""
    x = pad.operands[0]
    if x is None or x.node is None or not isinstance(x.node.op, NEVER_NEGATIVE) or op.dilations:
        return False
    pairs = zip(op.pads, op.kernel * 2, strict=True)
    return all(isinstance(extent, int) and extent < kernel for extent, kernel in pairs)


def _wrong_pool(op: Windowed) -> str:
    if isinstance(op, MaxPool | AveragePool) and op.ceil_mode:
        return "with ceil_mode, pads decide where the last window may start"
    if isinstance(op, AveragePool) and op.pads and not op.count_include_pad:
        return "the pool's own pads do not count, but those of the pad do"
    return ""


def _lowest(value: Value) -> float | int:
    dtype = value.tensor.dtype
    return float("-inf") if dtype.is_float else integer_range(dtype)[0]
