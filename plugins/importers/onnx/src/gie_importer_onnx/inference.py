"""Types of a foreign node's results, by ONNX's own shape inference or the model's word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx import (
    IR_VERSION,
    NodeProto,
    OperatorSetIdProto,
    TypeProto,
    ValueInfoProto,
    checker,
    numpy_helper,
    shape_inference,
)

from gie_core.builder.importing import ModelError
from gie_core.ir.dims import Dim, free_symbols, parse_dim
from gie_core.ir.types import OptionalType, SequenceType, TensorType, Type
from gie_importer_onnx.call import Call
from gie_importer_onnx.functions import schema_of
from gie_importer_onnx.known import is_symbolic
from gie_importer_onnx.reading import ONNX_DOMAIN
from gie_importer_onnx.tensors import type_proto_of

__all__ = ["result_types"]

LARGEST_RANK = 64
"""NumPy's limit."""


def result_types(call: Call, reason: str) -> list[Type]:
    """The types of a node's outputs, up to the last one that the model uses.

    Dimensions that are not known become fresh symbols, which bind when the node runs.

    Args:
        call: the node.
        reason: why it is foreign, for the error.

    Raises:
        ModelError: neither ONNX nor the model says what they are.
    """
    count = max((i + 1 for i, name in enumerate(call.node.output) if name), default=0)
    node = NodeProto()
    node.CopyFrom(call.node)
    del node.output[:]
    node.output.extend(f"output {index}" for index in range(count))
    inferred = _infer(call, node)
    types: list[Type] = []
    for index in range(count):
        name = call.node.output[index]
        declared = call.scope.declared.get(name)
        type_ = _combine(call, index, inferred.get(node.output[index]), declared)
        if type_ is None:
            raise ModelError(
                f"{call.where} of the domain {call.domain!r} cannot be imported: {reason}; and "
                f"neither onnx nor the model says what type its output {name!r} has"
            )
        types.append(type_)
    return types


def _infer(call: Call, node: NodeProto) -> dict[str, TypeProto]:
    schema = schema_of(call)
    if schema is None:
        return {}
    given = {n: v for n, v in zip(call.node.input, call.inputs, strict=True) if v is not None}
    known = {name: call.builder.known_array(value) for name, value in given.items()}
    data = {
        n: numpy_helper.from_array(a)
        for n, a in known.items()
        if a is not None and not is_symbolic(a)
    }
    imports = [
        OperatorSetIdProto(domain="" if d == ONNX_DOMAIN else d, version=v)
        for d, v in call.scope.opsets.items()
    ]
    types = {name: type_proto_of(value.type) for name, value in given.items()}
    try:
        _check(node, imports, types.values())
        return shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=imports)
    except Exception:  # noqa: BLE001 - onnx raises errors of many kinds; the model's word is left
        return {}


def _check(
    node: NodeProto, imports: Sequence[OperatorSetIdProto], types: Iterable[TypeProto]
) -> None:
    """Check what onnx's inference, which is not robust, takes for granted.

    Raises:
        ValueError: an axis lies beyond all operands, where inference would read wild memory.
        ValidationError: operands or attributes are missing, or of the wrong kind.
    """
    tensors = [type_.tensor_type for type_ in types if type_.HasField("tensor_type")]
    largest = max((len(tensor.shape.dim) for tensor in tensors), default=0)
    if not all(tensor.HasField("shape") for tensor in tensors):
        largest = LARGEST_RANK
    for attribute in node.attribute:
        if attribute.name == "axis" and not -largest - 1 <= attribute.i <= largest:
            raise ValueError(f"axis {attribute.i} does not exist")
    context = checker.C.CheckerContext()
    context.ir_version = IR_VERSION
    context.opset_imports = {entry.domain: entry.version for entry in imports}
    checker.check_node(node, context)


def _combine(
    call: Call, index: int, inferred: TypeProto | None, declared: ValueInfoProto | None
) -> Type | None:
    hint = call.scope.prefix + call.node.output[index]
    found = (
        _type_of(call, inferred, hint)
        if inferred is not None and inferred.WhichOneof("value")
        else None
    )
    if found is not None and not (isinstance(found, TensorType) and found.shape is None):
        return found
    if declared is not None and declared.type.WhichOneof("value"):
        return call.scope.session.symbols.type_of(declared.type, call.where, hint)
    if found is not None:
        return found
    if not call.node.output[index] and call.inputs and call.inputs[0] is not None:
        return call.inputs[0].type  # an output that nobody reads
    return None


def _type_of(call: Call, proto: TypeProto, hint: str) -> Type | None:
    """An inferred type; its dimensions are numbers, our own expressions, or unknown."""
    symbols = call.scope.session.symbols
    match proto.WhichOneof("value"):
        case "tensor_type" if proto.tensor_type.elem_type == 0:
            return None
        case "sequence_type":
            item = _type_of(call, proto.sequence_type.elem_type, hint)
            return None if item is None else SequenceType(item)
        case "optional_type":
            item = _type_of(call, proto.optional_type.elem_type, hint)
            return None if item is None else OptionalType(item)
        case _:
            type_ = symbols.type_of(_without_parameters(proto), call.where, hint)
    if not isinstance(type_, TensorType) or type_.shape is None:
        return type_
    dims = zip(proto.tensor_type.shape.dim, type_.shape, strict=True)
    return TensorType(type_.dtype, tuple(_own(call, dim.dim_param) or fresh for dim, fresh in dims))


def _without_parameters(proto: TypeProto) -> TypeProto:
    copy = TypeProto()
    copy.CopyFrom(proto)
    for dim in copy.tensor_type.shape.dim:
        if dim.dim_param:
            dim.Clear()
    return copy


def _own(call: Call, parameter: str) -> Dim | None:
    """The dimension that an operand's type carried into inference as text."""
    if not parameter:
        return None
    try:
        dim = parse_dim(parameter)
    except ValueError:
        return None
    return dim if free_symbols(dim) <= call.scope.session.symbols.used else None
