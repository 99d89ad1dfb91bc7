"""Importing graphs: a model's main graph, and the bodies of If and Loop."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from onnx import GraphProto, ValueInfoProto

from gie_core.builder.importing import ModelError
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import Type
from gie_importer_onnx.nodes import import_nodes
from gie_importer_onnx.ordering import outer_names
from gie_importer_onnx.scope import Builder, Scope, Session
from gie_importer_onnx.symbols import ShapeOption
from gie_importer_onnx.tensors import dense_array_of

__all__ = ["import_body", "import_inline", "import_main", "over_again"]

MOST_REPEATED = 20_000
"""Nodes that may be imported over again to find the types of loops."""


def import_main(
    proto: GraphProto,
    session: Session,
    opsets: Mapping[str, int],
    shapes: ShapeOption,
    keep_initializer_inputs: bool,
) -> Graph:
    """The main graph of a model.

    Raises:
        ModelError: something in it can't be represented; says where.
        GieError: ``shapes`` does not fit the model.
    """
    builder = Builder(Graph(proto.name or "main"), session)
    scope = Scope(builder, opsets, declared=_declared(proto))
    initialized = {t.name for t in proto.initializer} | {
        s.values.name for s in proto.sparse_initializer
    }
    inputs = [i for i in proto.input if keep_initializer_inputs or i.name not in initialized]
    session.symbols.fix(inputs, shapes)
    for value in inputs:
        type_ = session.symbols.input_type(value, shapes)
        scope.define(
            value.name, builder.graph.add_input(value.name, type_), "the model's list of inputs"
        )
    _add_initializers(proto, scope, kept={i.name for i in inputs})
    for name in outer_names(proto):
        raise ModelError(f"the model uses {name!r}, which nothing in it defines")
    import_nodes(proto.node, scope)
    _set_outputs(proto, scope)
    return builder.graph


def import_body(
    proto: GraphProto, outer: Scope, captured: Mapping[str, Value], inputs: Sequence[Type]
) -> Builder:
    """The body of an If or Loop as a graph of its own.

    Args:
        proto: the body.
        outer: the scope around the node.
        captured: outer values that become the last inputs, by name; constants of the
            outer scope are copied instead and need not be among them.
        inputs: types of the body's own inputs.

    Raises:
        ModelError: something in it can't be represented; says where.
    """
    _count_repeated(proto, outer.session)
    builder = Builder(Graph(proto.name or "body"), outer.session)
    scope = Scope(
        builder, outer.opsets, declared=_declared(proto), depth=outer.depth, is_open=outer.is_open
    )
    for formal, type_ in zip(proto.input, inputs, strict=True):
        scope.define(
            formal.name, builder.graph.add_input(formal.name, type_), f"graph {proto.name!r}"
        )
    for name, value in captured.items():
        inner = builder.graph.add_input(name, value.type)
        scope.names[name] = inner
        if value in outer.builder.known:
            builder.known[inner] = outer.builder.known[value]
    for name in outer_names(proto):
        if name not in scope.names:
            scope.names[name] = _copied(outer.value(name, f"graph {proto.name!r}"), name, builder)
    _add_initializers(proto, scope, kept=set())
    import_nodes(proto.node, scope)
    _set_outputs(proto, scope)
    return builder


@contextmanager
def over_again(session: Session) -> Generator[None]:
    """Around a further import of a body, for other types of its inputs or with more of them."""
    session.repeating += 1
    try:
        yield
    finally:
        session.repeating -= 1


def _count_repeated(proto: GraphProto, session: Session) -> None:
    """Refuse what multiplies from level to level: each body again in each import of the outer."""
    session.repeated += 1 + len(proto.node) if session.repeating else 0
    if session.repeated > MOST_REPEATED:
        raise ModelError(
            f"loops are nested too deeply to find the types in graph {proto.name!r}; "
            "carry tensors of fixed shapes, or nest fewer loops"
        )


def import_inline(proto: GraphProto, outer: Scope, prefix: str, source: str) -> list[Value]:
    """Import the nodes of a graph without inputs into the graph around it; return its outputs."""
    scope = Scope(
        outer.builder,
        outer.opsets,
        names=dict(outer.names),
        declared=_declared(proto),
        prefix=prefix,
        source=source,
        depth=outer.depth,
        is_open=outer.is_open,
    )
    _add_initializers(proto, scope, kept=set())
    import_nodes(proto.node, scope)
    return [_output(scope, output.name) for output in proto.output]


def _add_initializers(proto: GraphProto, scope: Scope, kept: set[str]) -> None:
    session = scope.session
    for tensor in proto.initializer:
        if tensor.name not in kept:
            where = f"the initializer {tensor.name!r}"
            value = scope.builder.constant(session.array(tensor, where), scope.prefix + tensor.name)
            scope.define(tensor.name, value, where)
    for sparse in proto.sparse_initializer:
        if sparse.values.name not in kept:
            where = f"the initializer {sparse.values.name!r}"
            value = scope.builder.constant(
                dense_array_of(sparse, where), scope.prefix + sparse.values.name
            )
            scope.define(sparse.values.name, value, where)


def _set_outputs(proto: GraphProto, scope: Scope) -> None:
    scope.builder.graph.set_outputs(
        (output.name, _output(scope, output.name)) for output in proto.output
    )


def _output(scope: Scope, name: str) -> Value:
    value = scope.value(name, "the list of outputs")
    if value is None:
        raise ModelError(f"the output {name!r} has no value")
    return value


def _copied(value: Value | None, name: str, builder: Builder) -> Value | None:
    if value is None or value.data is None:
        return None
    return builder.constant(value.data, name)


def _declared(proto: GraphProto) -> dict[str, ValueInfoProto]:
    return {value.name: value for value in (*proto.value_info, *proto.output)}
