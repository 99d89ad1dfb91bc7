"""Symbols: what a model's ``dim_param``, and its silence about a dimension, become."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence

from onnx import TensorShapeProto, TypeProto, ValueInfoProto

from gie_core.builder.importing import ModelError
from gie_core.errors import GieError
from gie_core.ir.dims import Dim, SymInt, symbol
from gie_core.ir.types import OptionalType, SequenceType, TensorType, Type
from gie_importer_onnx.tensors import dtype_of

__all__ = ["ShapeOption", "Symbols"]

ShapeOption = Mapping[str, Sequence[int | None]]
"""Shapes of inputs by name; ``None`` leaves a dimension as it is."""


class Symbols:
    """Gives every named dimension one symbol, and every unnamed one a fresh symbol.

    Attributes:
        used: names of all symbols so far, and those that no symbol may have.
    """

    def __init__(self) -> None:
        self._named: dict[str, Dim] = {}
        # The next number to try after a name; counting from 1 each time would be quadratic.
        self._next: dict[str, int] = {}
        # Words that the text form of dimensions reads otherwise.
        self.used: set[str] = {"min", "max", "mod", *keyword.kwlist}

    def named(self, parameter: str) -> Dim:
        """The dimension of a ``dim_param``: always the same for the same name."""
        if parameter not in self._named:
            self._named[parameter] = self.fresh(parameter)
        return self._named[parameter]

    def fresh(self, hint: str) -> SymInt:
        """A symbol that is not used yet, with a name like ``hint``."""
        base = re.sub(r"\W+", "_", hint, flags=re.ASCII).strip("_") or "d"
        base = base if not base[0].isdigit() else f"d{base}"
        name, count = base, self._next.get(base, 1)
        while name in self.used:
            name, count = f"{base}_{count}", count + 1
        self._next[base] = count
        self.used.add(name)
        return symbol(name)

    def fix(self, inputs: Sequence[ValueInfoProto], shapes: ShapeOption) -> None:
        """Give numbers to the named dimensions of inputs whose shapes the caller knows.

        Raises:
            GieError: there is no such input, or the shape contradicts the model or another one.
        """
        by_name = {value.name: value for value in inputs}
        for name, shape in shapes.items():
            if name not in by_name:
                raise GieError(
                    f"shapes names {name!r}, but the model's inputs are {', '.join(by_name)}"
                )
            proto = by_name[name].type.tensor_type
            if proto.HasField("shape") and len(proto.shape.dim) != len(shape):
                raise GieError(
                    f"shapes gives {name!r} {len(shape)} dimensions, but the model "
                    f"{len(proto.shape.dim)}"
                )
            for dim, extent in zip(proto.shape.dim, shape, strict=False):
                if extent is not None:
                    self._fix(name, dim, extent)

    def _fix(self, name: str, dim: TensorShapeProto.Dimension, extent: int) -> None:
        known: Dim = extent
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            known = dim.dim_value
        elif dim.dim_param:
            known = self._named.setdefault(dim.dim_param, extent)
        if known != extent:
            raise GieError(
                f"shapes gives a dimension of {name!r} the extent {extent}, but it is {known}"
            )

    def input_type(self, value: ValueInfoProto, shapes: ShapeOption) -> Type:
        """The type of an input; ``fix`` must have seen ``shapes``.

        Raises:
            ModelError: GIE has no such type.
        """
        type_ = self.type_of(value.type, f"the input {value.name!r}", value.name)
        if value.name not in shapes or not isinstance(type_, TensorType):
            return type_
        dims = type_.shape or tuple(
            self.fresh(f"{value.name}_{i}") for i in range(len(shapes[value.name]))
        )
        fixed = (d if n is None else n for d, n in zip(dims, shapes[value.name], strict=True))
        return TensorType(type_.dtype, tuple(fixed))

    def type_of(self, proto: TypeProto, where: str, hint: str) -> Type:
        """A type of the model as GIE's.

        Args:
            proto: what the model says.
            where: whose type it is, for messages.
            hint: what fresh symbols are named after.

        Raises:
            ModelError: GIE has no such type (a map, an opaque or sparse type, a float of 6 bits).
        """
        match proto.WhichOneof("value"):
            case "tensor_type":
                tensor = proto.tensor_type
                dtype = dtype_of(tensor.elem_type, where)
                if not tensor.HasField("shape"):
                    return TensorType(dtype, None)
                dims = enumerate(tensor.shape.dim)
                return TensorType(dtype, tuple(self._dim(dim, f"{hint}_{i}") for i, dim in dims))
            case "sequence_type":
                return SequenceType(self.type_of(proto.sequence_type.elem_type, where, hint))
            case "optional_type":
                return OptionalType(self.type_of(proto.optional_type.elem_type, where, hint))
            case None:
                raise ModelError(f"{where} has no type")
            case kind:
                raise ModelError(
                    f"{where} is a {kind.removesuffix('_type')}, which GIE does not have"
                )

    def _dim(self, dim: TensorShapeProto.Dimension, hint: str) -> Dim:
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            return dim.dim_value
        # Exporters write "?" or -1 for what they don't know.
        if dim.dim_param and dim.dim_param != "?":
            return self.named(dim.dim_param)
        return self.fresh(hint)
