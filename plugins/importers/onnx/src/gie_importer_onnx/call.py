"""What a handler sees: one node of the model, with everything around it already imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, SparseTensorProto

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Value
from gie_core.ir.types import Array, DType, Shape, TensorType, Type
from gie_core.ops import core_ops
from gie_importer_onnx.known import as_dims
from gie_importer_onnx.ordering import describe
from gie_importer_onnx.reading import domain_of
from gie_importer_onnx.registry import Unsupported
from gie_importer_onnx.scope import Builder, Scope
from gie_importer_onnx.tensors import DTYPES

__all__ = ["Call"]

_Kind = AttributeProto
# GIE's ops that take sequences and optionals too.
_ANY_TYPE = ("identity", "if", "loop")


class Call:
    """One node on its way into the graph.

    Attributes:
        node: as it stands in the model.
        scope: the names around it.
        domain: of its op, "ai.onnx" for ONNX's own.
        version: the opset version of that domain.
        inputs: its operands; ``None`` where one is left out.
    """

    def __init__(self, node: NodeProto, scope: Scope, source: str) -> None:
        self.node = node
        self.scope = scope
        self.source = source
        self.domain = domain_of(node.domain)
        self.version = scope.opsets.get(self.domain, 1)
        self.inputs = tuple(scope.value(name, self.where) for name in node.input)
        self._attributes = {attribute.name: attribute for attribute in node.attribute}

    @property
    def where(self) -> str:
        """The node, for messages."""
        return describe(self.node)

    @property
    def builder(self) -> Builder:
        """The graph under construction."""
        return self.scope.builder

    @property
    def result_name(self) -> str:
        """What values of this node are named after: its first output."""
        output = next((name for name in self.node.output if name), self.node.op_type)
        return self.scope.prefix + output

    # ── Operands ────────────────────────────────────────────────────────────────────

    def has(self, index: int) -> bool:
        """Whether an operand is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int) -> Value:
        """A required operand.

        Raises:
            Unsupported: it is left out.
        """
        value = self.optional(index)
        if value is None:
            raise Unsupported(f"input {index} is missing")
        return value

    def optional(self, index: int) -> Value | None:
        """An operand, or ``None``."""
        return self.inputs[index] if index < len(self.inputs) else None

    def all_inputs(self) -> list[Value]:
        """All operands of an op that takes one or more, none of them left out.

        Raises:
            Unsupported: there is none, or one is left out.
        """
        if not self.inputs:
            raise Unsupported("it has no inputs")
        return [self.input(index) for index in range(len(self.inputs))]

    def has_output(self, index: int) -> bool:
        """Whether the model uses an output."""
        return index < len(self.node.output) and bool(self.node.output[index])

    def only_first_output(self) -> None:
        """Refuse a node of which more than the first output is used.

        Raises:
            Unsupported: the model uses another one.
        """
        for index in range(1, len(self.node.output)):
            if self.has_output(index):
                raise Unsupported(f"its output {index} is used")

    def known(self, index: int) -> Array:
        """The content of an operand that must be known now: numbers or ``Dim`` objects.

        Raises:
            Unsupported: the network computes it.
        """
        found = self.builder.known_array(self.input(index))
        if found is None:
            raise Unsupported(f"input {index} is computed by the network")
        return found

    def known_dims(self, index: int) -> tuple[Dim, ...]:
        """The elements of a known integer operand."""
        return as_dims(self.known(index))

    def known_ints(self, index: int) -> tuple[int, ...]:
        """The elements of a known integer operand, which must be numbers.

        Raises:
            Unsupported: one depends on the size of an input.
        """
        dims = self.known_dims(index)
        if not all(isinstance(d, int) for d in dims):
            raise Unsupported(f"input {index} depends on the size of an input")
        return tuple(d for d in dims if isinstance(d, int))

    def known_int(self, index: int) -> int:
        """The only element of a known integer operand."""
        (value,) = self.known_ints(index)
        return value

    # ── Attributes ──────────────────────────────────────────────────────────────────

    def has_attribute(self, name: str) -> bool:
        """Whether the node states an attribute."""
        return name in self._attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute; required where no default is given."""
        return self._read(name, _Kind.INT, "i", default)

    def flag(self, name: str, default: bool = False) -> bool:
        """An integer attribute that means yes or no."""
        return self.integer(name, int(default)) != 0

    def real(self, name: str, default: float | None = None) -> float:
        """A floating-point attribute, as the shortest decimal that is the same float32."""
        value = self._read(name, _Kind.FLOAT, "f", default)
        return float(str(np.float32(value)))

    def text(self, name: str, default: str | None = None) -> str:
        """A text attribute."""
        value = self._read(name, _Kind.STRING, "s", default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        return tuple(self._read(name, _Kind.INTS, "ints", default))

    def reals(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """A list of floating-point numbers."""
        return tuple(float(v) for v in self._read(name, _Kind.FLOATS, "floats", default))

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        return [
            text.decode("utf-8", "replace")
            for text in self._read(name, _Kind.STRINGS, "strings", None)
        ]

    def dtype(self, name: str, default: DType | None = None) -> DType:
        """An element type, given by ONNX's number."""
        number = self.integer(name, -1 if default is not None else None)
        if number == -1 and default is not None:
            return default
        if number not in DTYPES:
            raise Unsupported(
                f"its attribute {name!r} is {number}, which is no element type of GIE"
            )
        return DTYPES[number]

    def tensor(self, name: str) -> Array:
        """A tensor attribute."""
        tensor = self._read(name, _Kind.TENSOR, "t", None)
        return self.scope.session.array(tensor, f"the attribute {name!r} of {self.where}")

    def sparse_tensor(self, name: str) -> SparseTensorProto:
        """A sparse tensor attribute."""
        return self._read(name, _Kind.SPARSE_TENSOR, "sparse_tensor", None)

    def graph(self, name: str) -> GraphProto:
        """A graph attribute."""
        return self._read(name, _Kind.GRAPH, "g", None)

    def _read(self, name: str, kind: int, field: str, default: Any) -> Any:
        attribute = self._attributes.get(name)
        if attribute is None:
            if default is None:
                raise Unsupported(f"its attribute {name!r} is missing")
            return default
        if attribute.type != kind:
            found = AttributeProto.AttributeType.Name(attribute.type)
            raise Unsupported(f"its attribute {name!r} is of the kind {found}")
        return getattr(attribute, field)

    # ── Types ───────────────────────────────────────────────────────────────────────

    def tensor_type(self, value: Value) -> TensorType:
        """The type of a tensor.

        Raises:
            Unsupported: it is a sequence or an optional.
        """
        if not isinstance(value.type, TensorType):
            raise Unsupported(f"%{value.name} is a {value.type}")
        return value.type

    def dims(self, value: Value) -> Shape:
        """The shape of a value.

        Raises:
            Unsupported: not even its rank is known.
        """
        shape = self.tensor_type(value).shape
        if shape is None:
            raise Unsupported(f"the rank of {value.name!r} is not known")
        return shape

    def rank(self, value: Value) -> int:
        """The number of dimensions of a value."""
        return len(self.dims(value))

    def dtype_of(self, value: Value) -> DType:
        """The element type of a value."""
        return self.tensor_type(value).dtype

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            Unsupported: there is no such axis.
        """
        if not -rank <= axis < rank:
            raise Unsupported(f"axis {axis} does not exist in {rank} dimensions")
        return axis % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Axes counted from the front, each once."""
        found = tuple(self.axis(axis, rank) for axis in axes)
        if len(set(found)) < len(found):
            raise Unsupported(f"an axis occurs twice among {list(axes)}")
        return found

    # ── Results ─────────────────────────────────────────────────────────────────────

    def emit(self, op: str, *operands: Value | None, **attributes: Any) -> Value:
        """Add a node of one of GIE's ops and return its result."""
        return self.emit_all(op, *operands, **attributes)[0]

    def emit_all(
        self,
        op: str,
        *operands: Value | None,
        types: Sequence[Type] | None = None,
        **attributes: Any,
    ) -> tuple[Value, ...]:
        """Add a node and return all its results; ``types`` for ops that can't infer them."""
        if op not in _ANY_TYPE:
            for operand in operands:
                if operand is not None:
                    self.tensor_type(operand)
        made = core_ops()[op](**attributes)
        if types is not None:  # the op can't infer them, but knows what operands it takes
            made.infer(*(None if operand is None else operand.type for operand in operands))
        name = f"{self.result_name}.{op}"
        node = self.builder.add(made, *operands, sources=(self.source,), name=name, types=types)
        return node.results

    def constant(self, data: Any, dtype: DType | None = None) -> Value:
        """Add a constant."""
        array = np.asarray(data, None if dtype is None else dtype.numpy)
        return self.builder.constant(array, f"{self.result_name}.constant")

    def reshape(self, value: Value, shape: Sequence[Dim]) -> Value:
        """The value in another shape; itself if it has it already."""
        return (
            value
            if self.dims(value) == tuple(shape)
            else self.emit("reshape", value, shape=tuple(shape))
        )

    def cast(self, value: Value, to: DType) -> Value:
        """The value in another element type; itself if it has it already."""
        return value if self.dtype_of(value) is to else self.emit("cast", value, to=to)
