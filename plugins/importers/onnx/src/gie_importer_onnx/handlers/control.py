"""Control flow: If and Loop, whose bodies become graphs of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from onnx import GraphProto

from gie_core.ir.dims import Dim, free_symbols, symbol
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import DType, TensorType, Type, may_equal
from gie_importer_onnx.call import Call
from gie_importer_onnx.graphs import import_body, import_inline, over_again
from gie_importer_onnx.ordering import outer_names
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []

MOST_ROUNDS = 4
"""How often the types of carried values are made less precise before the loop is given up."""


@handler("If")
def if_(call: Call) -> Sequence[Value]:
    """condition; a branch that is known to be taken is imported in place of the node."""
    protos = call.graph("then_branch"), call.graph("else_branch")
    call.tensor_type(call.input(0))
    condition = call.builder.known_array(call.input(0))
    if condition is not None and condition.size == 1:
        taken = protos[0] if condition.item() else protos[1]
        return import_inline(taken, call.scope, f"{call.result_name}.", call.source)

    def make(captured: Mapping[str, Value]) -> list[Graph]:
        return [import_body(proto, call.scope, captured, ()).graph for proto in protos]

    (then_branch, else_branch), captured = _closed(call, protos, make)
    operands = (call.input(0), *captured.values())
    results = call.emit_all("if", *operands, then_branch=then_branch, else_branch=else_branch)
    for result, a, b in zip(results, then_branch.outputs, else_branch.outputs, strict=True):
        _refine(call, result, a.type, b.type)
    return results


@handler("Loop")
def loop(call: Call) -> Sequence[Value]:
    """trip_count?, condition?, carried …; the body's types must hold for every iteration."""
    proto = call.graph("body")
    for limit in (call.optional(0), call.optional(1)):
        if limit is not None:
            call.tensor_type(limit)
    initial = [call.input(index) for index in range(2, len(call.inputs))]
    if len(proto.input) != 2 + len(initial):
        raise Unsupported(
            f"its body has {len(proto.input)} inputs for {len(initial)} carried values"
        )
    control = [_control_type(proto, 0, DType.I64), _control_type(proto, 1, DType.BOOL)]
    types: list[Type] = [value.type for value in initial]
    carried = Carried(call, types)
    for round_ in range(MOST_ROUNDS):

        def make(captured: Mapping[str, Value]) -> list[Graph]:
            return [import_body(proto, call.scope, captured, [*control, *carried.types]).graph]

        with over_again(call.scope.session) if round_ else nullcontext():
            (body,), captured = _closed(call, (proto,), make)
        if carried.settles([value.type for value in body.outputs[1 : 1 + len(initial)]]):
            operands = (call.optional(0), call.optional(1), *initial, *captured.values())
            results = call.emit_all("loop", *operands, body=body, carried=len(initial))
            for result, first, last in zip(results, types, carried.types, strict=False):
                _refine(call, result, first, last)
            for result, item in zip(
                results[len(initial) :], body.outputs[1 + len(initial) :], strict=True
            ):
                _refine_scan(call, result, item.type)
            return results
    raise Unsupported("the types of what it carries do not settle")


class Carried:
    """Types of carried values, made less precise until they hold before every iteration."""

    def __init__(self, call: Call, types: Sequence[Type]) -> None:
        self._call = call
        self._varying: set[Dim] = set()
        self.types = list(types)

    def settles(self, after: Sequence[Type]) -> bool:
        """Whether the types after an iteration fit those before; if not, widen them."""
        joined = [self._join(a, b) for a, b in zip(self.types, after, strict=True)]
        settled = joined == self.types
        self.types = joined
        return settled

    def _join(self, before: Type, after: Type) -> Type:
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
        pairs = zip(before.shape, after.shape, strict=True)
        return TensorType(before.dtype, tuple(self._join_dims(a, b) for a, b in pairs))

    def _join_dims(self, before: Dim, after: Dim) -> Dim:
        """A symbol that binds anew in each iteration, where the extent is not always the same."""
        if before == after or before in self._varying:
            return before
        fresh = self._call.scope.session.symbols.fresh("carried")
        self._varying.add(fresh)
        return fresh


def _closed(
    call: Call, protos: Sequence[GraphProto], make: Callable[[Mapping[str, Value]], list[Graph]]
) -> tuple[list[Graph], dict[str, Value]]:
    """Bodies and what they capture; made again if shapes in them need further captures."""
    names = dict.fromkeys(name for proto in protos for name in outer_names(proto))
    values = {name: call.scope.value(name, call.where) for name in names}
    captured = {n: v for n, v in values.items() if v is not None and v.data is None}
    report = call.builder.mark()
    bodies = make(captured)
    missing = _tellers(call, {s for body in bodies for s in _unbound(body)})
    if missing:
        call.builder.rollback(report)
        captured |= missing
        with over_again(call.scope.session):
            bodies = make(captured)
    return bodies, captured


def _tellers(call: Call, symbols: set[str]) -> dict[str, Value]:
    """Values around the node whose shapes tell symbols."""
    found: dict[str, Value] = {}
    for value in call.builder.graph.values():
        told = _lone_symbols(value.type) & symbols
        if told and value.data is None:
            found[f"gie.shape.{value.name}"] = value
            symbols = symbols - told
    return found


def _refine(call: Call, result: Value, a: Type, b: Type) -> None:
    """Give a result that is of one type or the other their rank, if they have the same one."""
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return
    if result.tensor.shape is not None or a.shape is None or b.shape is None:
        return
    if len(a.shape) == len(b.shape):
        dims = zip(a.shape, b.shape, strict=True)
        result.type = _ranked(call, result, [x if x == y else None for x, y in dims])


def _refine_scan(call: Call, result: Value, item: Type) -> None:
    """A stack of items: the number of iterations is data."""
    if isinstance(item, TensorType) and item.shape is not None:
        result.type = _ranked(call, result, [None, *item.shape])


def _ranked(call: Call, result: Value, dims: Sequence[Dim | None]) -> TensorType:
    """Numbers stay; symbols of a body mean nothing outside, so fresh ones take their place."""
    fresh = call.scope.session.symbols.fresh
    shape = tuple(
        d if isinstance(d, int) else fresh(f"{call.result_name}_{i}") for i, d in enumerate(dims)
    )
    return TensorType(result.tensor.dtype, shape)


def _control_type(proto: GraphProto, index: int, dtype: DType) -> TensorType:
    """The iteration or the condition: a scalar, or what the body says."""
    rank = len(proto.input[index].type.tensor_type.shape.dim)
    return TensorType(dtype, (1,) * rank)


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
