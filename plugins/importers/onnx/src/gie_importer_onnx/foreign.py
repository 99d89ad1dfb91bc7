"""Foreign nodes: ops that GIE lacks, kept so that ``reference`` can run them.

Attributes stay what they are where a Python value can say it: numbers, texts,
lists of them, arrays. Everything else (graphs, types, sparse tensors, texts that
are not UTF-8, empty lists) is the serialized ``AttributeProto``, as bytes.

A graph inside reads values around it. Those become operands behind the node's
own; ``gie.captures`` lists their names, ``gie.opsets`` the opsets and
``gie.functions`` the model's functions that the graph's nodes need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import AttributeProto

from gie_core.builder.report import ForeignNode
from gie_core.ir.graph import Value
from gie_core.ops.foreign import Foreign
from gie_importer_onnx.call import Call
from gie_importer_onnx.inference import result_types
from gie_importer_onnx.ordering import outer_names, subgraphs_of
from gie_importer_onnx.tensors import DTYPES

__all__ = ["CAPTURES", "FUNCTIONS", "OPSETS", "import_foreign"]

CAPTURES = "gie.captures"
OPSETS = "gie.opsets"
FUNCTIONS = "gie.functions"


def import_foreign(call: Call, title: str, reason: str) -> tuple[Value, ...]:
    """Add a node as a foreign one and report it.

    Args:
        call: the node.
        title: its op, for the report.
        reason: why it is not native.

    Raises:
        ModelError: the types of its results are not known.
    """
    attributes = {a.name: _attribute(call, a) for a in call.node.attribute}
    captured = _captured(call)
    if any(subgraphs_of(call.node)):
        attributes.update(_surroundings(call, captured))
    op = Foreign(
        domain=call.domain, op=call.node.op_type, version=call.version, attributes=attributes
    )
    node = call.builder.add(
        op,
        *call.inputs,
        *captured.values(),
        sources=(call.source,),
        name=call.result_name,
        types=result_types(call, reason),
    )
    call.scope.session.report.foreign.append(ForeignNode(call.source, title, reason))
    return node.results


def _captured(call: Call) -> dict[str, Value]:
    names = dict.fromkeys(name for graph in subgraphs_of(call.node) for name in outer_names(graph))
    values = {name: call.scope.value(name, call.where) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _surroundings(call: Call, captured: Mapping[str, Value]) -> dict[str, Any]:
    functions = call.scope.session.functions.values()
    found: dict[str, Any] = {
        CAPTURES: tuple(captured),
        OPSETS: tuple(f"{domain}:{version}" for domain, version in call.scope.opsets.items()),
    }
    if functions:
        found[FUNCTIONS] = tuple(function.SerializeToString() for function in functions)
    return found


def _attribute(call: Call, attribute: AttributeProto) -> Any:
    match attribute.type:
        case AttributeProto.INT:
            return attribute.i
        case AttributeProto.FLOAT:
            return _short(attribute.f)
        case AttributeProto.STRING if _is_text(attribute.s):
            return attribute.s.decode()
        case AttributeProto.TENSOR if attribute.t.data_type in DTYPES:
            return call.scope.session.array(
                attribute.t, f"the attribute {attribute.name!r} of {call.where}"
            )
        case AttributeProto.INTS if attribute.ints:
            return tuple(attribute.ints)
        case AttributeProto.FLOATS if attribute.floats:
            return tuple(_short(value) for value in attribute.floats)
        case AttributeProto.STRINGS if attribute.strings and all(map(_is_text, attribute.strings)):
            return tuple(text.decode() for text in attribute.strings)
        case _:
            return attribute.SerializeToString()


def _short(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
