"""Running foreign ONNX nodes, one at a time, through ``onnx.reference``.

It is slow and complete: whatever ONNX defines and GIE lacks runs here. Sequences
are Python lists, absent optionals ``None``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    NodeProto,
    OperatorSetIdProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from onnx.reference import ReferenceEvaluator

from gie_core.ir.attribute import FrozenArray
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType, Type
from gie_core.kernels.candidate import Support
from gie_core.kernels.provider import Function
from gie_core.ops.foreign import Foreign
from gie_core.ops.run import ExecutionError
from gie_importer_onnx.foreign import CAPTURES, FUNCTIONS, OPSETS
from gie_importer_onnx.reading import ONNX_DOMAIN

__all__ = ["function", "support"]


def support(node: Node, op: Foreign) -> Support:
    """Whether ``onnx.reference`` has the op of a foreign node."""
    try:
        _evaluator(node)
    except Exception as error:  # noqa: BLE001 - onnx raises errors of many kinds: it can't run the node
        return Support.no(f"onnx.reference cannot run {op.domain}::{op.op}: {_first_line(error)}")
    return Support.yes()


def function(node: Node) -> Function:
    """A function that evaluates the node; the evaluator is made once."""
    evaluator: Any = _evaluator(node)
    types = [result.type for result in node.results]
    names = _operand_names(node)

    def run(op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        padded = [*operands, *[None] * (len(names) - len(operands))]
        feeds = {name: value for name, value in zip(names, padded, strict=True) if name}
        try:
            with np.errstate(all="ignore"):
                results: list[Any] = evaluator.run(None, feeds)
        except Exception as error:  # whatever it raises becomes one error that names the node
            where = ", ".join(node.sources) or node.results[0].name
            raise ExecutionError(
                f"onnx.reference fails at {where}: {_first_line(error)}"
            ) from error
        if isinstance(op, Foreign) and op.op == "Optional":
            results = results[0]  # the reference wraps what the optional holds in a list
        return tuple(_from_onnx(value, type_) for value, type_ in zip(results, types, strict=True))

    return run


def _evaluator(node: Node) -> ReferenceEvaluator:
    """An evaluator of a model with this node alone."""
    assert isinstance(node.op, Foreign)
    op, names = node.op, _operand_names(node)
    captures: tuple[str, ...] = op.attributes.get(CAPTURES, ())
    formal = names[: len(names) - len(captures)]
    outputs = [f"output {index}" for index in range(len(node.results))]
    domain = "" if op.domain == ONNX_DOMAIN else op.domain
    proto = NodeProto(op_type=op.op, domain=domain, input=formal, output=outputs)
    proto.attribute.extend(
        _attribute(name, value)
        for name, value in op.attributes.items()
        if not name.startswith("gie.")
    )
    graph = helper.make_graph(
        [proto],
        "foreign",
        [ValueInfoProto(name=name) for name in names if name],
        [ValueInfoProto(name=name) for name in outputs],
    )
    functions = [FunctionProto.FromString(data) for data in op.attributes.get(FUNCTIONS, ())]
    imports = [OperatorSetIdProto(domain=d, version=v) for d, v in _opsets(op).items()]
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=imports, functions=functions))


def _operand_names(node: Node) -> list[str]:
    """A name for each operand, "" for an absent one; captured values have those of the model."""
    assert isinstance(node.op, Foreign)
    captures: tuple[str, ...] = node.op.attributes.get(CAPTURES, ())
    formal = node.operands[: len(node.operands) - len(captures)]
    return [
        *("" if value is None else f"input {index}" for index, value in enumerate(formal)),
        *captures,
    ]


def _opsets(op: Foreign) -> dict[str, int]:
    entries = (entry.rsplit(":", 1) for entry in op.attributes.get(OPSETS, ()))
    found = {domain: int(version) for domain, version in entries}
    found[op.domain] = op.version
    return {"" if domain == ONNX_DOMAIN else domain: version for domain, version in found.items()}


def _attribute(name: str, value: Any) -> AttributeProto:
    if isinstance(value, bytes):
        return AttributeProto.FromString(value)
    if isinstance(value, FrozenArray):
        return helper.make_attribute(name, numpy_helper.from_array(value.data))
    return helper.make_attribute(name, value)


def _from_onnx(value: Any, type_: Type) -> Any:
    """A result in the form its type says; the reference is sometimes generous with precision."""
    if value is None or isinstance(value, (list, tuple)) or not isinstance(type_, TensorType):
        return _as_list(value)
    array = np.asarray(value)
    if type_.dtype is DType.STR:
        return array.astype(object)
    return array.astype(type_.dtype.numpy, copy=False)


def _as_list(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_as_list(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, np.ndarray):
        array = cast("Array", value)
        return array.astype(object) if DType.of(array.dtype) is DType.STR else array
    return value


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
