"""Importing one node: natively, else by the body of its function, else as a foreign node."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import FunctionProto, NodeProto

from gie_core.builder.importing import ModelError
from gie_core.errors import GieError
from gie_core.ir.graph import Value
from gie_core.ir.op import OpError
from gie_importer_onnx.call import Call
from gie_importer_onnx.foreign import import_foreign
from gie_importer_onnx.functions import body_of_schema, local_function, open_body
from gie_importer_onnx.ordering import describe, in_order
from gie_importer_onnx.reading import ONNX_DOMAIN
from gie_importer_onnx.registry import Unsupported, find_handler
from gie_importer_onnx.scope import Mark, Scope

__all__ = ["import_nodes"]


def import_nodes(nodes: Sequence[NodeProto], scope: Scope) -> None:
    """Import nodes into a scope, in topological order whatever theirs is.

    Raises:
        ModelError: the nodes are in a cycle, or one can't be represented; names it.
    """
    for index, node in enumerate(in_order(nodes, scope.names)):
        try:
            _import_node(Call(node, scope, _source(node, index, scope)))
        except GieError:
            raise
        except Unsupported:
            raise
        except Exception as error:  # a damaged node can break any assumption; say which it is
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            raise ModelError(f"{describe(node)} cannot be imported: {problem}") from error


def _source(node: NodeProto, index: int, scope: Scope) -> str:
    """What the node is called in reports: its name, or its type and place."""
    if scope.source and not scope.is_open:
        return scope.source
    name = node.name or f"{node.op_type}_{index}"
    return f"{scope.source}/{name}" if scope.source else name


def _import_node(call: Call) -> None:
    function = local_function(call)
    if function is not None:
        _inline(call, function, is_open=call.scope.is_open)
        return
    reason = _try_handler(call)
    if reason is not None:
        reason = _try_body(call, reason)
    if reason is None:
        if call.scope.is_open:
            call.scope.session.report.native[_title(call)] += 1
    elif call.scope.is_open:
        mark = call.builder.mark()
        _bind(call, import_foreign(call, _title(call), reason), mark)
    else:
        raise Unsupported(f"{call.node.op_type}: {reason}")


def _try_handler(call: Call) -> str | None:
    """Import the node by its handler; return the reason if that is not possible."""
    handle = find_handler(call.domain, call.node.op_type, call.version)
    if handle is None:
        return "GIE has no such op"
    mark = call.builder.mark()
    try:
        results = handle(call)
        _bind(call, (results,) if isinstance(results, Value) else tuple(results), mark)
    except (Unsupported, OpError) as error:
        reason = str(error)
    except (ValueError, IndexError, ArithmeticError) as error:  # attributes that make no sense
        reason = f"its attributes or operands do not fit: {error}"
    else:
        return None
    call.builder.rollback(mark)
    return reason


def _try_body(call: Call, reason: str) -> str | None:
    """Import the nodes of the function that defines the op, if all of them are native."""
    function = body_of_schema(call)
    if function is None:
        return reason
    mark = call.builder.mark()
    try:
        _inline(call, function, is_open=False)
    except (Unsupported, ModelError, OpError) as error:
        call.builder.rollback(mark)
        return f"{reason} (nor can its definition be used: {error})"
    return None


def _inline(call: Call, function: FunctionProto, is_open: bool) -> None:
    """Import a function's nodes in place of a call of it."""
    mark = call.builder.mark()
    inner = open_body(call, function, is_open)
    import_nodes(function.node, inner)
    # A function may leave out what computes an output that the call does not use.
    outputs = zip(call.node.output, function.output, strict=False)
    where = f"the function {call.node.op_type}"
    _bind(
        call, [inner.value(formal, where) if actual else None for actual, formal in outputs], mark
    )


def _bind(call: Call, results: Sequence[Value | None], mark: Mark) -> None:
    """Give the node's outputs their values, under the names they have in the model.

    Raises:
        Unsupported: the model uses an output that has no value; nothing was bound then.
    """
    bound: dict[str, Value] = {}
    for index, name in enumerate(call.node.output):
        value = results[index] if index < len(results) else None
        if name and value is None:
            raise Unsupported(f"its output {index} is used")
        if name and value is not None:
            is_free = call.builder.is_new(value, mark) and value not in bound.values()
            bound[name] = value if is_free else call.emit("identity", value)
    for name, value in bound.items():
        call.builder.graph.rename(value, call.scope.prefix + name)
        call.scope.define(name, value, call.where)


def _title(call: Call) -> str:
    """The op as reports show it; ONNX's own domain goes without saying."""
    op = call.node.op_type
    return op if call.domain == ONNX_DOMAIN else f"{call.domain}::{op}"
