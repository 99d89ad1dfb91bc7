"""The text form of graphs: one line a node, and ``parser.parse_graph`` reads it back.

::

    graph main {
      input %x: f32[n, 3, 32, 32]
      const %w: f32[8, 3, 3, 3] = blob "5f0c…"
      const %half: f32[] = [0.5]
      %y: f32[n, 8, 32, 32] = conv(%x, %w) {pads = [1, 1, 1, 1]} from "Conv_0"
      return %y as "features"
    }

Attributes at their defaults are left out. Constants of up to 16 elements stand
in the text; larger ones are named by a key, by default a digest of their
content, under which ``blobs`` collects them. So two graphs with equal text are
equal.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from gie_core.ir.attribute import FrozenArray, Kind
from gie_core.ir.dims import format_dim
from gie_core.ir.expr_text import format_program
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.quantization import Quantization
from gie_core.ir.types import Array, DType, type_of

__all__ = ["blobs", "content_key", "format_graph", "format_node", "identity_key"]

INLINE_ELEMENTS = 16
BlobKey = Callable[[Array], str]


def content_key(array: Array) -> str:
    """A digest of type, shape and bytes."""
    digest = hashlib.blake2b(f"{type_of(array)}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def identity_key(array: Array) -> str:
    """Names the array object itself: enough to see whether a graph changed, and free."""
    return f"@{id(array):x}"


def format_graph(graph: Graph, blob_key: BlobKey = content_key) -> str:
    """The text of a graph.

    Args:
        graph: any graph, right or wrong: printing never fails, so that errors can show it.
        blob_key: names the constants that are too large to stand in the text.
    """
    return "\n".join(_graph_lines(graph, blob_key, ""))


def format_node(node: Node) -> str:
    """One node on one line; graphs inside are abbreviated to ``{…}``."""
    return " ".join(line.strip() for line in _node_lines(node, identity_key, "", nested=False))


def blobs(graph: Graph, blob_key: BlobKey = content_key) -> dict[str, Array]:
    """The constants that the text names but does not contain, subgraphs' included, by key."""
    found: dict[str, Array] = {}
    for constant in graph.constants:
        if constant.data is not None and not _is_inline(constant.data):
            found[blob_key(constant.data)] = constant.data
    for node in graph.nodes:
        for body in node.op.subgraphs().values():
            found.update(blobs(body, blob_key))
    return found


def _graph_lines(graph: Graph, key: BlobKey, indent: str) -> Iterator[str]:
    inner = indent + "  "
    yield f"{indent}graph {format_name(graph.name)} {{"
    if graph.metadata:
        yield f"{inner}metadata {_mapping(graph.metadata)}"
    for value in graph.inputs:
        yield f"{inner}input {_typed(value)}"
    for value in graph.constants:
        yield f"{inner}const {_typed(value)} = {_constant(value.data, key)}"
    for node in graph.nodes:
        yield from _node_lines(node, key, inner)
    for state in graph.states:
        yield f"{inner}state {_ref(state.input)} -> {_ref(state.output)}"
    outputs = zip(graph.output_names, graph.outputs, strict=True)
    yield f"{inner}return {', '.join(_output(name, value) for name, value in outputs)}".rstrip()
    yield f"{indent}}}"


def _node_lines(node: Node, key: BlobKey, indent: str, nested: bool = True) -> Iterator[str]:
    results = ", ".join(map(_typed, node.results))
    head = f"{indent}{results} = {node.op.name}({', '.join(map(_ref, node.operands))})"
    attributes = node.op.changed_attributes()
    bodies = node.op.subgraphs()
    plain = [f"{n} = {_attribute(node.op, n, v)}" for n, v in attributes.items() if n not in bodies]
    tail = ""
    if node.sources:
        tail += " from " + ", ".join(map(json.dumps, node.sources))
    if node.metadata:
        tail += f" metadata {_mapping(node.metadata)}"
    if not bodies:
        yield head + (f" {{{', '.join(plain)}}}" if plain else "") + tail
        return
    if not nested:
        yield f"{head} {{{', '.join([*plain, *(f'{n} = {{…}}' for n in bodies)])}}}{tail}"
        return
    line = f"{head} {{{''.join(f'{p}, ' for p in plain)}"
    for position, (name, body) in enumerate(bodies.items()):
        first, *inner, last = _graph_lines(body, key, indent)
        yield f"{line}{', ' * (position > 0)}{name} = {first.strip()}"
        yield from inner
        line = last
    yield f"{line}}}{tail}"


def _attribute(op: Op, name: str, value: Any) -> str:
    return format_attribute(value, op.attribute_kinds()[name])


def format_attribute(value: Any, kind: Kind) -> str:
    """The text of an attribute of a kind (see the table in ``attribute``)."""
    if value is None:
        return "none"
    if kind.item is not None:
        return f"[{', '.join(format_attribute(v, kind.item) for v in value)}]"
    match kind.name:
        case "dim":
            return format_dim(value)
        case "program":
            return f"`{format_program(value)}`"
        case "mapping":
            return _mapping(value)
        case _:
            return format_untyped(value)


def format_untyped(value: Any) -> str:
    """The text of a value whose kind its text alone tells."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case str():
            return json.dumps(value)
        case bytes():
            return f'b"{base64.b64encode(value).decode()}"'
        case DType():
            return str(value)
        case FrozenArray():
            return f"{type_of(value.data)} {_elements(value.data)}"
        case tuple():
            return f"[{', '.join(map(format_untyped, cast('tuple[Any, ...]', value)))}]"
        case Mapping():
            return _mapping(cast("Mapping[str, Any]", value))
        case _:
            return f"<{type(value).__name__}>"


def _mapping(mapping: Mapping[str, Any]) -> str:
    return (
        "{" + ", ".join(f"{format_name(k)} = {format_untyped(v)}" for k, v in mapping.items()) + "}"
    )


def format_name(name: str) -> str:
    """A name as it stands where the grammar wants one: bare if it can, else quoted."""
    # "inf.x" would read as the number and a rest.
    bare = re.fullmatch(r"(?!(?:inf|nan)\b)[A-Za-z_][\w.]*", name, re.ASCII)
    return name if bare else json.dumps(name)


def _ref(value: Value | None) -> str:
    return "_" if value is None else f"%{_value_name(value.name)}"


def _value_name(name: str) -> str:
    return name if re.fullmatch(r"[\w./]+", name, re.ASCII) else json.dumps(name)


def _typed(value: Value) -> str:
    suffix = f" {_quantization(value.quantization)}" if value.quantization else ""
    return f"{_ref(value)}: {value.type}{suffix}"


def _quantization(q: Quantization) -> str:
    parts = [
        str(q.dtype),
        f"scale = {format_untyped(q.scale)}",
        f"zero_point = {format_untyped(q.zero_point)}",
    ]
    parts += [f"axis = {q.axis}"] * (q.axis is not None) + ["binding"] * q.binding
    return f"quant({', '.join(parts)})"


def _output(name: str, value: Value) -> str:
    return _ref(value) if name == value.name else f"{_ref(value)} as {json.dumps(name)}"


def _constant(data: Array | None, key: BlobKey) -> str:
    if data is None:
        return "<no data>"
    return _elements(data) if _is_inline(data) else f'blob "{key(data)}"'


def _is_inline(data: Array) -> bool:
    if data.dtype == object:
        return True
    return data.size <= INLINE_ELEMENTS and _survives(data)


def _survives(data: Array) -> bool:
    """Whether the printed elements read back to the same bits (NaN payloads do not)."""
    if data.dtype.kind in "biu" or not data.size:
        return True
    again = np.array(
        [
            complex(_element(v)) if data.dtype.kind == "c" else float(_element(v))
            for v in data.ravel()
        ]
    )
    return again.astype(data.dtype).tobytes() == data.tobytes()


def _elements(data: Array) -> str:
    return f"[{', '.join(_element(v) for v in data.ravel())}]"


def _element(value: Any) -> str:
    """One element of an array, in digits that read back to the same number."""
    if isinstance(value, str):
        return json.dumps(value)
    number: Any = value.item() if hasattr(value, "item") else value
    match number:
        case bool():
            return "true" if number else "false"
        case complex():
            return str(number)
        case int():
            return str(number)
        case _:
            return _float(float(number), value)


def _float(number: float, value: Any) -> str:
    """Float32 has shorter digits than the double it widens to."""
    if getattr(value, "dtype", None) == np.float32:
        short = repr(float(str(value)))
        return short if np.float32(short) == np.float32(number) else repr(number)
    return repr(number)
