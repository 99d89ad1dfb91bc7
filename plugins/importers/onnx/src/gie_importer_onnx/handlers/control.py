"""Control flow: If and Loop, whose bodies become graphs of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx import GraphProto

from gie_core.ir.dims import free_symbols, symbol
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import DType, TensorType, Type, may_equal
from gie_importer_onnx.call import Call
from gie_importer_onnx.graphs import import_body, import_inline
from gie_importer_onnx.ordering import outer_names
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []

MOST_ROUNDS = 4
"""How often the types of carried values are made less precise before the loop is given up."""


@handler("If")
def if_(call: Call) -> Sequence[Value]:
    """condition; a branch that is known to be taken is imported in place of the node."""
    then_branch, else_branch = call.graph("then_branch"), call.graph("else_branch")
    condition = call.builder.known_array(call.input(0))
    if condition is not None and condition.size == 1:
        taken = then_branch if condition.item() else else_branch
        return import_inline(taken, call.scope, f"{call.result_name}.", call.source)
    captured = _captured(call, (then_branch, else_branch))
    branches = [import_body(proto, call.scope, captured, ()).graph for proto in (then_branch, else_branch)]
    captured = _with_symbols(call, captured, branches)
    if len(captured) > len(branches[0].inputs):
        branches = [import_body(proto, call.scope, captured, ()).graph for proto in (then_branch, else_branch)]
    attributes = dict(zip(("then_branch", "else_branch"), branches, strict=True))
    return call.emit_all("if", call.input(0), *captured.values(), **attributes)


@handler("Loop")
def loop(call: Call) -> Sequence[Value]:
    """trip_count?, condition?, carried …; the body's types must hold for every iteration."""
    proto = call.graph("body")
    initial = [call.input(index) for index in range(2, len(call.inputs))]
    if len(proto.input) != 2 + len(initial):
        raise Unsupported(f"its body has {len(proto.input)} inputs for {len(initial)} carried values")
    captured = _captured(call, (proto,))
    types = [value.type for value in initial]
    control = [_control_type(proto, 0, DType.I64), _control_type(proto, 1, DType.BOOL)]
    for _ in range(MOST_ROUNDS):
        body = import_body(proto, call.scope, captured, [*control, *types]).graph
        wider = _with_symbols(call, captured, [body])
        if len(wider) > len(captured):
            captured = wider
            continue
        joined = [_join(call, a, b.type) for a, b in zip(types, body.outputs[1:], strict=False)]
        if joined == types:
            operands = (call.optional(0), call.optional(1), *initial, *captured.values())
            return call.emit_all("loop", *operands, body=body, carried=len(initial))
        types = joined
    raise Unsupported("the types of what it carries do not settle")


def _control_type(proto: GraphProto, index: int, dtype: DType) -> TensorType:
    """The iteration or the condition: a scalar, or what the body says."""
    rank = len(proto.input[index].type.tensor_type.shape.dim)
    return TensorType(dtype, (1,) * rank)


def _captured(call: Call, bodies: Iterable[GraphProto]) -> dict[str, Value]:
    """Values around the node that its bodies read; constants are copied into them instead."""
    names = dict.fromkeys(name for body in bodies for name in outer_names(body))
    values = {name: call.scope.value(name, call.where) for name in names}
    return {n: v for n, v in values.items() if v is not None and v.data is None}


def _with_symbols(call: Call, captured: dict[str, Value], bodies: Sequence[Graph]) -> dict[str, Value]:
    """Captures, and values whose shapes tell the symbols that bodies use and captures don't tell."""
    needed = {s for body in bodies for s in _unbound(body)}
    found = dict(captured)
    for value in call.builder.graph.values():
        told = _lone_symbols(value.type) & needed
        if told and value.data is None:
            found[f"gie.shape.{value.name}"] = value
            needed -= told
    return found


def _unbound(body: Graph) -> set[str]:
    """Symbols that a body uses and that neither its inputs nor its nodes' results bind."""
    bound = {s for value in body.inputs for s in _lone_symbols(value.type)}
    used: set[str] = set()
    for node in body.nodes:
        used |= node.op.symbols() - bound
        for result in node.results:
            if isinstance(result.type, TensorType):
                bound |= _lone_symbols(result.type)
    return used


def _lone_symbols(type_: Type) -> set[str]:
    """Symbols that are a dimension of their own, so that a shape tells them."""
    dims = (type_.shape or ()) if isinstance(type_, TensorType) else ()
    return {name for dim in dims for name in free_symbols(dim) if dim == symbol(name)}


def _join(call: Call, before: Type, after: Type) -> Type:
    """A type for a value that is of the one type at first and of the other later."""
    if before == after:
        return before
    if not isinstance(before, TensorType) or not isinstance(after, TensorType):
        if may_equal(before, after):
            return before
        raise Unsupported(f"it carries a {before} that becomes a {after}")
    if before.dtype is not after.dtype:
        raise Unsupported(f"it carries {before.dtype} that becomes {after.dtype}")
    if before.shape is None or after.shape is None or len(before.shape) != len(after.shape):
        return TensorType(before.dtype, None)
    fresh = call.scope.session.symbols.fresh
    dims = zip(before.shape, after.shape, strict=True)
    return TensorType(before.dtype, tuple(a if a == b else fresh("carried") for a, b in dims))
