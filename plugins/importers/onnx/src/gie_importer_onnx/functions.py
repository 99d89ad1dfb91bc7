"""Functions: ops that are defined by other nodes, by the model or by ONNX's specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, defs

from gie_core.builder.importing import ModelError
from gie_core.ir.graph import Value
from gie_core.ir.types import TensorType
from gie_importer_onnx.call import Call
from gie_importer_onnx.ordering import subgraphs_of
from gie_importer_onnx.reading import ONNX_DOMAIN, domain_of
from gie_importer_onnx.scope import Scope
from gie_importer_onnx.tensors import type_proto_of

__all__ = [
    "FunctionKey",
    "body_of_schema",
    "check_functions",
    "functions_of",
    "local_function",
    "open_body",
    "schema_of",
]

FunctionKey = tuple[str, str, str]
"""Domain, name and overload."""

DEEPEST = 24
"""How deep the bodies of functions may lie in each other."""
MOST_NODES = 200_000
"""Nodes that a model may have once the model's own functions are expanded."""


def schema_of(call: Call) -> Any:  # an OpSchema; onnx's stub of it lacks the functions
    """The specification of the node's op in the model's opset; ``None`` if onnx lacks it."""
    domain = "" if call.domain == ONNX_DOMAIN else call.domain
    try:
        return defs.get_schema(call.node.op_type, call.version, domain)
    except defs.SchemaError:
        return None


def check_functions(model: ModelProto) -> None:
    """Check that the model's functions can be expanded, without doing it.

    Raises:
        ModelError: a function calls itself, or the expanded model would be too large.
    """
    functions = functions_of(model)
    sizes: dict[FunctionKey, int] = {}

    def size_of(nodes: Iterable[NodeProto], callers: tuple[FunctionKey, ...]) -> int:
        total = 0
        for node in nodes:
            key = (domain_of(node.domain), node.op_type, node.overload)
            total += 1 + sum(size_of(graph.node, callers) for graph in subgraphs_of(node))
            if key in functions:
                total += function_size(key, callers)
        return total

    def function_size(key: FunctionKey, callers: tuple[FunctionKey, ...]) -> int:
        if key in callers or len(callers) > DEEPEST:
            path = " → ".join(name for _, name, _ in (*callers, key)[-4:])
            raise ModelError(f"the model's functions call themselves: {path}")
        if key not in sizes:
            sizes[key] = size_of(functions[key].node, (*callers, key))
        return sizes[key]

    if functions and (total := size_of(model.graph.node, ())) > MOST_NODES:
        raise ModelError(f"the model's functions grow to {total} nodes; GIE takes {MOST_NODES}")


def functions_of(model: ModelProto) -> dict[FunctionKey, FunctionProto]:
    """The model's own functions."""
    return {(domain_of(f.domain), f.name, f.overload): f for f in model.functions}


def local_function(call: Call) -> FunctionProto | None:
    """A copy of the model's own function that the node calls."""
    found = call.scope.session.functions.get((call.domain, call.node.op_type, call.node.overload))
    if found is None:
        return None
    copy = FunctionProto()
    copy.CopyFrom(found)
    return copy


def body_of_schema(call: Call) -> FunctionProto | None:
    """The function by which ONNX defines the op, for these operands; ``None`` if there is none."""
    schema = schema_of(call)
    if schema is None or call.scope.depth >= DEEPEST:
        return None
    function = FunctionProto()
    plain = _newest(schema.function_opset_versions, call.version)
    if plain is not None:
        function.ParseFromString(schema.get_function_with_opset_version(plain))
        return function
    by_types = _newest(schema.context_dependent_function_opset_versions, call.version)
    if by_types is None or not all(
        isinstance(v.type, TensorType) for v in call.inputs if v is not None
    ):
        return None
    types = [_type_bytes(value) for value in call.inputs]
    try:
        body = schema.get_context_dependent_function_with_opset_version(
            by_types, call.node.SerializeToString(), types
        )
    except (RuntimeError, ValueError):  # how onnx says that it can't build one for these operands
        return None
    function.ParseFromString(body)
    return function if function.node else None


def _newest(versions: list[int], limit: int) -> int | None:
    return max((version for version in versions if version <= limit), default=None)


def _type_bytes(value: Value | None) -> bytes:
    return b"" if value is None else type_proto_of(value.type).SerializeToString()


def open_body(call: Call, function: FunctionProto, is_open: bool) -> Scope:
    """A scope for the body of a function, with the call's operands under the names it uses.

    The function's nodes are changed in place: attributes that refer to the call's get their
    values, so ``function`` must not be used again.
    """
    scope = call.scope
    names = {name: call.optional(index) for index, name in enumerate(function.input)}
    opsets = {domain_of(entry.domain): entry.version for entry in function.opset_import}
    _resolve_references(function, _attributes(call, function))
    return Scope(
        builder=scope.builder,
        opsets={**scope.opsets, **opsets},
        names=names,
        prefix=f"{call.result_name}.",
        source=call.source,
        depth=scope.depth + 1,
        is_open=is_open,
    )


def _attributes(call: Call, function: FunctionProto) -> dict[str, AttributeProto]:
    """The call's attributes by name, with the defaults of those it leaves out."""
    schema = schema_of(call)
    found = {a.name: a for a in function.attribute_proto}
    if schema is not None:
        found.update(
            (n, a.default_value) for n, a in schema.attributes.items() if a.default_value.name
        )
    found.update((a.name, a) for a in call.node.attribute)
    return found


def _resolve_references(
    body: FunctionProto | GraphProto, attributes: Mapping[str, AttributeProto]
) -> None:
    for node in body.node:
        _resolve_node(node, attributes)


def _resolve_node(node: NodeProto, attributes: Mapping[str, AttributeProto]) -> None:
    kept: list[AttributeProto] = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            value = attributes.get(attribute.ref_attr_name)
            if value is None:
                continue
            name = attribute.name
            attribute.CopyFrom(value)
            attribute.name = name
        for graph in (attribute.g, *attribute.graphs) if attribute.type in _GRAPHS else ():
            _resolve_references(graph, attributes)
        kept.append(attribute)
    copies = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
    del node.attribute[:]
    node.attribute.extend(copies)


_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
