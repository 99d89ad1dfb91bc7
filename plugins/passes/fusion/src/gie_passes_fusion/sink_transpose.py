"""Move transposes behind the nodes that read them, until they meet and cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.norm import LogSoftmax, LpNormalize, Softmax
from gie_core.ops.reduce import Reduce
from gie_core.ops.shape import Concat, Pad, Slice, Split, Transpose
from gie_passes_fusion.values import first_reason, is_read_once, shape_of

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class SinkTranspose(PatternPass):
    """f(transpose(x)) → transpose(f′(x)), and transpose(transpose(x)) → transpose(x) or x.

    f is elementwise, or an op whose axes can be renamed: concat, split, slice, pad, softmax, a
    reduction. All its operands are transposed alike; constants are transposed back. A transpose
    that several nodes read sinks only if it can sink past each of them, so transposes move toward
    the outputs, and what they move does not grow on the way.
    """

    name = "sink-transpose"

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        transposed = _transposed_operands(node)
        if not transposed:
            return None
        outer = _permutation(node.results[0])
        if outer is not None:
            inner, x = _permutation(transposed[0]), _before(transposed[0])
            assert inner is not None
            return _transpose(x, tuple(inner[axis] for axis in outer), rewriter)
        if not isinstance(node.op, SINKABLE):
            return None
        reason = _obstacle(node) or first_reason(map(_shared_obstacle, transposed))
        if reason:
            return Refusal(reason)
        permutation = _permutation(transposed[0])
        assert permutation is not None
        permuted = _permuted_operands(node)
        operands = [
            _untransposed(v, permutation, rewriter) if v in permuted else v for v in node.operands
        ]
        op, after = _renamed(node.op, permutation)
        results = rewriter.add_node(op, *operands).results
        return [_transpose(result, after, rewriter) for result in results]


def _permuted_operands(node: Node) -> list[Value]:
    """The operands whose axes are those of the results."""
    count = 1 if isinstance(node.op, Pad) else len(node.operands)
    return [v for v in node.operands[:count] if v is not None]


def _transposed_operands(node: Node) -> list[Value]:
    return [v for v in _permuted_operands(node) if _permutation(v) is not None]


def _obstacle(node: Node) -> str:
    """Why transposes can't sink past a node."""
    transposed = _transposed_operands(node)
    others = [
        v
        for v in _permuted_operands(node)
        if v.data is None and shape_of(v) != () and v not in transposed
    ]
    if others:
        return f"%{others[0].name} is not transposed"
    if len({_permutation(v) for v in transposed}) > 1:
        return "the operands are transposed differently"
    if isinstance(node.op, Elementwise):
        if _bits(node.result) > max(map(_bits, transposed)):
            return f"%{node.result.name} takes more bytes than its operands"
        broadcast = [v for v in transposed if shape_of(v) != shape_of(node.result)]
        if broadcast:
            return f"%{broadcast[0].name} is broadcast"
    return ""


def _bits(value: Value) -> int:
    return value.tensor.dtype.bits


def _shared_obstacle(value: Value) -> str:
    """Why a transpose can't leave all its readers."""
    if is_read_once(value):
        return ""
    assert value.node is not None
    if value.node.graph.is_output(value):
        return f"%{value.name} is an output"
    for user in value.users:
        if isinstance(user.op, Transpose):
            continue
        if not isinstance(user.op, SINKABLE) or _obstacle(user):
            return f"%{value.name} is also read by {user.op.name}, which needs it as it is"
    return ""


def _permutation(value: Value) -> Permutation | None:
    op = value.node.op if value.node is not None else None
    return op.permutation if isinstance(op, Transpose) else None


def _before(value: Value) -> Value:
    """What a transposed value is the transpose of."""
    assert value.node is not None
    x = value.node.operands[0]
    assert x is not None
    return x


def _transpose(x: Value, permutation: Permutation, rewriter: Rewriter) -> Value:
    if permutation == tuple(range(len(permutation))):
        return x
    return rewriter.add(Transpose(permutation=permutation), x)


def _untransposed(value: Value | None, permutation: Permutation, rewriter: Rewriter) -> Value:
    assert value is not None
    if _permutation(value) is not None:
        return _before(value)
    if value.data is None or value.data.ndim == 0:
        return value
    missing = len(permutation) - value.data.ndim
    whole = value.data.reshape((1,) * missing + value.data.shape)
    return rewriter.constant(whole.transpose(_inverse(permutation)), value.name)


def _inverse(permutation: Permutation) -> Permutation:
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


# ── The same op on other axes: ``permutation[i]`` is where axis i was ───────────────────────────


def _renamed(op: Op, permutation: Permutation) -> tuple[Op, Permutation]:
    """The op for operands that are not transposed, and how its results must be then."""
    for kind, rule in RULES.items():
        if isinstance(op, kind):
            return rule(op, permutation)
    return op, permutation


def _one_axis(op: Op, permutation: Permutation) -> tuple[Op, Permutation]:
    assert isinstance(op, Concat | Split | Softmax | LogSoftmax | LpNormalize)
    return op.replace(axis=permutation[op.axis]), permutation


def _slice(op: Op, permutation: Permutation) -> tuple[Op, Permutation]:
    assert isinstance(op, Slice)
    return op.replace(axes=tuple(permutation[axis] for axis in op.axes)), permutation


def _pad(op: Op, permutation: Permutation) -> tuple[Op, Permutation]:
    assert isinstance(op, Pad)
    rank, where = len(permutation), _inverse(permutation)
    order = [*where, *(rank + axis for axis in where)]
    return op.replace(pads=tuple(op.pads[entry] for entry in order)), permutation


def _reduce(op: Op, permutation: Permutation) -> tuple[Op, Permutation]:
    assert isinstance(op, Reduce)
    renamed = op.replace(axes=tuple(permutation[axis] for axis in op.axes))
    if op.keep_dims:
        return renamed, permutation
    kept = [axis for i, axis in enumerate(permutation) if i not in op.axes]
    return renamed, tuple(sorted(kept).index(axis) for axis in kept)


RULES: dict[type[Op], Callable[[Op, Permutation], tuple[Op, Permutation]]] = {
    Concat: _one_axis,
    Split: _one_axis,
    Softmax: _one_axis,
    LogSoftmax: _one_axis,
    LpNormalize: _one_axis,
    Slice: _slice,
    Pad: _pad,
    Reduce: _reduce,
}
SINKABLE: tuple[type[Op], ...] = (Elementwise, *RULES)
