"""Let convolutions and pools do the padding before them."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass
from gie_core.ir.conversion import integer_range
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.conv import Conv
from gie_core.ops.pool import AveragePool, MaxPool
from gie_core.ops.shape import Pad
from gie_core.ops.window import Windowed
from gie_passes_fusion.values import scalar_of


@dataclass(frozen=True)
class FoldPad(PatternPass):
    """conv(pad(x)) → conv(x) with larger pads; so too for pools.

    A convolution pads with 0, a max pool with the lowest value of its type, and an average pool
    with zeros that count. A pad of anything else stays.
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
        reason = _wrong_pads(pad.op) or _wrong_value(node, pad) or _wrong_pool(node.op)
        if reason:
            return Refusal(reason)
        spatial = rank - 2
        own = node.op.pads or (0,) * (2 * spatial)
        pads = tuple(a + b for a, b in zip(own, (*begins[2:], *ends[2:]), strict=True))
        op = node.op.replace(pads=pads)
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


def _wrong_value(node: Node, pad: Node) -> str:
    value = pad.operand("value")
    number = 0 if value is None else scalar_of(value)
    if number is None:
        return "the pad's value is not constant"
    wanted = _lowest(pad.result) if isinstance(node.op, MaxPool) else 0
    return "" if number == wanted else f"{node.op.name} pads with {wanted}, not {number}"


def _wrong_pool(op: Windowed) -> str:
    if isinstance(op, MaxPool | AveragePool) and op.ceil_mode:
        return "with ceil_mode, pads decide where the last window may start"
    if isinstance(op, AveragePool) and op.pads and not op.count_include_pad:
        return "the pool's own pads do not count, but those of the pad do"
    return ""


def _lowest(value: Value) -> float | int:
    dtype = value.tensor.dtype
    return float("-inf") if dtype.is_float else integer_range(dtype)[0]
