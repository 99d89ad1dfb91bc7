"""Reads the text form of graphs (see ``text``) back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.attribute import FrozenArray, Kind
from gie_core.ir.dims import Dim, parse_dim
from gie_core.ir.expr_text import parse_program
from gie_core.ir.graph import Graph, Value
from gie_core.ir.lexer import Lexer, TextError
from gie_core.ir.op import Op, OpRegistry
from gie_core.ir.quantization import Quantization
from gie_core.ir.types import Array, DType, OptionalType, SequenceType, TensorType, Type

__all__ = ["parse_graph"]

MAX_NESTING = 100
_STATIC_SHAPE = re.compile(r"\[([0-9]{1,18}(?:, ?[0-9]{1,18})*)\]")
_T = TypeVar("_T")


def parse_graph(text: str, ops: OpRegistry, blobs: Mapping[str, Array] | None = None) -> Graph:
    """Read a graph.

    Args:
        text: as ``format_graph`` prints it. Types of results may be left out where the
            op infers them.
        ops: the ops that may occur.
        blobs: the large constants, by the keys that the text names.

    Raises:
        TextError: the text is not a graph; the message says where and what was expected.
    """
    parser = _Parser(Lexer(text), ops, blobs or {})
    try:
        graph = parser.graph()
    except RecursionError:
        raise parser.lexer.error("nested too deep") from None
    if parser.lexer.token.kind != "end":
        raise parser.lexer.error("expected the end after the graph")
    return graph


class _Parser:
    def __init__(self, lexer: Lexer, ops: OpRegistry, blobs: Mapping[str, Array]) -> None:
        self.lexer = lexer
        self.ops = ops
        self.blobs = blobs
        self.depth = 0

    # ── Graphs ──────────────────────────────────────────────────────────────────────

    def graph(self) -> Graph:
        self._descend()
        self.lexer.expect("graph")
        graph = Graph(self.name())
        self.lexer.expect("{")
        if self.lexer.accept("metadata"):
            graph.metadata.update(self._text_mapping())
        while not self.lexer.accept("}"):
            self._statement(graph)
        self.depth -= 1
        return graph

    def _statement(self, graph: Graph) -> None:
        if self.lexer.accept("input"):
            name, (type_, quantization) = self._new_name(graph), self._annotation()
            graph.add_input(name, type_).quantization = quantization
        elif self.lexer.accept("const"):
            self._constant(graph)
        elif self.lexer.accept("state"):
            source = self._operand(graph)
            self.lexer.expect("->")
            self._guard(
                lambda: graph.add_state(self._present(source), self._present(self._operand(graph)))
            )
        elif self.lexer.accept("return"):
            self._return(graph)
        else:
            self._node(graph)

    def _constant(self, graph: Graph) -> None:
        name, (type_, quantization) = self._new_name(graph), self._annotation()
        if not isinstance(type_, TensorType) or not type_.is_static:
            raise self.lexer.error(f"a constant has a tensor type with a known shape, not {type_}")
        self.lexer.expect("=")
        data = self._blob(type_) if self.lexer.accept("blob") else self._elements(type_)
        graph.add_constant(data, name).quantization = quantization

    def _blob(self, type_: TensorType) -> Array:
        position = self.lexer.token.position
        key = self._string()
        data = self.blobs.get(key)
        if data is None:
            raise self.lexer.error(f"no blob {key!r} was given for this constant", position)
        if DType.of(data.dtype) is not type_.dtype or data.shape != type_.shape:
            raise self.lexer.error(
                f"blob {key!r} is {data.dtype}{list(data.shape)}, not {type_}", position
            )
        return data

    def _return(self, graph: Graph) -> None:
        outputs: list[tuple[str, Value]] = []
        while self.lexer.token.kind == "value":
            value = self._present(self._operand(graph))
            name = self._string() if self.lexer.accept("as") else value.name
            outputs.append((name, value))
            if not self.lexer.accept(","):
                break
        self._guard(lambda: graph.set_outputs(outputs))

    def _node(self, graph: Graph) -> None:
        names: list[str] = []
        annotations: list[tuple[Type, Quantization | None]] = []
        position = self.lexer.token.position
        while self.lexer.token.kind == "value":
            names.append(self._new_name(graph, taken=names))
            if self.lexer.at(":"):
                annotations.append(self._annotation())
            if not self.lexer.accept(","):
                break
        if annotations and len(annotations) != len(names):
            raise self.lexer.error("give the types of all results of a node or of none", position)
        if names:
            self.lexer.expect("=")
        op_class = self._op_class()
        operands = self._operands(graph)
        op = self._construct(op_class, self._attributes(op_class))
        sources = self._sources()
        node = self._guard(
            lambda: graph.add(
                op,
                *operands,
                names=names,
                types=[t for t, _ in annotations] if annotations or not names else None,
                sources=sources,
            ),
            position,
        )
        if len(node.results) != len(names):
            raise self.lexer.error(
                f"{op.name} has {len(node.results)} results, not {len(names)}", position
            )
        for value, (_, quantization) in zip(node.results, annotations, strict=False):
            value.quantization = quantization
        if self.lexer.accept("metadata"):
            node.metadata.update(self._text_mapping())

    def _op_class(self) -> type[Op]:
        token = self.lexer.take("name")
        if token.text not in self.ops:
            import difflib  # it takes a while, and is for mistakes only

            close = difflib.get_close_matches(token.text, self.ops, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise self.lexer.error(f"there is no op {token.text!r}{hint}", token.position)
        return self.ops[token.text]

    def _construct(self, op_class: type[Op], attributes: dict[str, Any]) -> Op:
        required = {f.name for f in fields(op_class) if f.default is f.default_factory}  # pyright: ignore[reportArgumentType] - op classes are dataclasses; both are MISSING for a required field
        missing = required - attributes.keys()
        if missing:
            raise self.lexer.error(f"{op_class.name} needs the attribute {min(missing)!r}")
        return self._guard(lambda: op_class(**attributes))

    def _sources(self) -> list[str]:
        sources: list[str] = []
        if self.lexer.accept("from"):
            sources.append(self._string())
            while self.lexer.accept(","):
                sources.append(self._string())
        return sources

    # ── Values ──────────────────────────────────────────────────────────────────────

    def _value_name(self) -> str:
        token = self.lexer.take("value")
        text = token.text[1:]
        return self._unquoted(text, token.position) if text.startswith('"') else text

    def _string(self) -> str:
        token = self.lexer.take("string")
        return self._unquoted(token.text, token.position)

    def _unquoted(self, text: str, position: int) -> str:
        return self._guard(lambda: json.loads(text), position)

    def _new_name(self, graph: Graph, taken: list[str] | None = None) -> str:
        position = self.lexer.token.position
        name = self._value_name()
        if graph.unique_name(name) != name or name in (taken or ()):
            raise self.lexer.error(f"%{name} is defined twice", position)
        return name

    def _operands(self, graph: Graph) -> list[Value | None]:
        operands: list[Value | None] = []
        self.lexer.expect("(")
        while not self.lexer.accept(")"):
            operands.append(self._operand(graph))
            if not self.lexer.at(")"):
                self.lexer.expect(",")
        return operands

    def _operand(self, graph: Graph) -> Value | None:
        if self.lexer.accept("_"):
            return None
        position = self.lexer.token.position
        name = self._value_name()
        try:
            return graph.value(name)
        except KeyError:
            raise self.lexer.error(f"%{name} is not defined before this line", position) from None

    def _present(self, value: Value | None) -> Value:
        if value is None:
            raise self.lexer.error("a value is needed here, not _")
        return value

    # ── Types ───────────────────────────────────────────────────────────────────────

    def _annotation(self) -> tuple[Type, Quantization | None]:
        self.lexer.expect(":")
        type_ = self.type()
        return type_, self._quantization() if self.lexer.accept("quant") else None

    def type(self) -> Type:
        self._descend()
        if self.lexer.at("seq") or self.lexer.at("opt"):
            wrapper = SequenceType if self.lexer.next().text == "seq" else OptionalType
            self.lexer.expect("<")
            result: Type = wrapper(self.type())
            self.lexer.expect(">")
        else:
            result = self._tensor_type(self._dtype())
        self.depth -= 1
        return result

    def _dtype(self) -> DType:
        token = self.lexer.take("name")
        try:
            return DType(token.text)
        except ValueError:
            known = ", ".join(d.value for d in DType)
            raise self.lexer.error(
                f"{token.text!r} is not an element type ({known})", token.position
            ) from None

    def _tensor_type(self, dtype: DType) -> TensorType:
        position, shape = self.lexer.token.position, self._shape()
        return self._guard(lambda: TensorType(dtype, shape), position)

    def _shape(self) -> tuple[Dim, ...] | None:
        if static := self.lexer.whole(_STATIC_SHAPE):
            return tuple(map(int, static[1].split(",")))
        self.lexer.expect("[")
        if self.lexer.accept("*"):
            self.lexer.expect("]")
            return None
        dims: list[Dim] = []
        while not self.lexer.accept("]"):
            dims.append(self._dim())
            if not self.lexer.at("]"):
                self.lexer.expect(",")
        return tuple(dims)

    def _dim(self) -> Dim:
        """All tokens up to the comma or bracket that ends the dimension."""
        position, depth, parts = self.lexer.token.position, 0, list[str]()
        while depth or not any(map(self.lexer.at, ",]}")):
            if self.lexer.token.kind == "end":
                raise self.lexer.error("expected ']'")
            depth += self.lexer.at("(") - self.lexer.at(")")
            parts.append(self.lexer.next().text)
        try:
            return parse_dim(" ".join(parts))
        except ValueError as error:
            raise self.lexer.error(str(error), position) from None

    def _quantization(self) -> Quantization:
        self.lexer.expect("(")
        arguments: dict[str, Any] = {"dtype": self._dtype()}
        while self.lexer.accept(","):
            name = self.lexer.take("name").text
            arguments[name] = self._untyped() if self.lexer.accept("=") else True
        self.lexer.expect(")")
        return self._guard(lambda: Quantization(**arguments))

    # ── Attributes ──────────────────────────────────────────────────────────────────

    def _attributes(self, op_class: type[Op]) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        kinds = op_class.attribute_kinds()
        if not self.lexer.accept("{"):
            return attributes
        while not self.lexer.accept("}"):
            token = self.lexer.take("name")
            if token.text not in kinds or token.text in attributes:
                problem = (
                    "has no attribute" if token.text not in kinds else "has twice the attribute"
                )
                raise self.lexer.error(f"{op_class.name} {problem} {token.text!r}", token.position)
            self.lexer.expect("=")
            attributes[token.text] = self._attribute(kinds[token.text])
            if not self.lexer.at("}"):
                self.lexer.expect(",")
        return attributes

    def _attribute(self, kind: Kind) -> Any:
        if kind.optional and self.lexer.accept("none"):
            return None
        if kind.item is not None:
            return self._list(lambda: self._attribute(_item(kind)))
        match kind.name:
            case "dim":
                return self._dim()
            case "program":
                text = self.lexer.take("program").text[1:-1]
                return self._guard(lambda: parse_program(text))
            case "graph":
                return self.graph()
            case "mapping":
                return self._mapping()
            case _:
                return self._untyped()

    def _list(self, item: Callable[[], Any]) -> tuple[Any, ...]:
        self._descend()
        self.lexer.expect("[")
        items: list[Any] = []
        while not self.lexer.accept("]"):
            items.append(item())
            if not self.lexer.at("]"):
                self.lexer.expect(",")
        self.depth -= 1
        return tuple(items)

    def _untyped(self) -> Any:
        token = self.lexer.token
        match token.kind:
            case "number":
                self.lexer.next()
                return self._guard(lambda: _number(token.text), token.position)
            case "string":
                return self._string()
            case "bytes":
                self.lexer.next()
                return self._guard(
                    lambda: base64.b64decode(token.text[2:-1], validate=True), token.position
                )
            case "name" if token.text in ("true", "false", "inf", "nan"):
                self.lexer.next()
                return (
                    token.text == "true" if token.text in ("true", "false") else float(token.text)
                )
            case "name":
                return self._dtype_or_array()
            case "mark" if token.text == "[":
                return self._list(self._untyped)
            case "mark" if token.text == "{":
                return self._mapping()
            case _:
                raise self.lexer.error(f"expected a value, found {token.text or 'the end'!r}")

    def _dtype_or_array(self) -> DType | FrozenArray:
        dtype = self._dtype()
        if not self.lexer.at("["):
            return dtype
        return FrozenArray(self._elements(self._tensor_type(dtype)))

    def _elements(self, type_: TensorType) -> Array:
        """A flat list of the elements of an array of this type."""
        position = self.lexer.token.position
        items = self._list(self._element)
        if not type_.is_static:
            raise self.lexer.error(f"an array has a known shape, not {type_}", position)
        try:
            return _array(items, type_.dtype).reshape(cast("tuple[int, ...]", type_.dims))
        except (ValueError, TypeError, OverflowError) as error:
            raise self.lexer.error(
                f"these elements do not make a {type_}: {error}", position
            ) from None

    def _element(self) -> Any:
        token = self.lexer.token
        if token.kind == "complex":
            self.lexer.next()
            return self._guard(lambda: complex(token.text), token.position)
        return self._untyped()

    def _mapping(self) -> dict[str, Any]:
        self._descend()
        self.lexer.expect("{")
        items: dict[str, Any] = {}
        while not self.lexer.accept("}"):
            name = self.name()
            self.lexer.expect("=")
            items[name] = self._untyped()
            if not self.lexer.at("}"):
                self.lexer.expect(",")
        self.depth -= 1
        return items

    def _text_mapping(self) -> dict[str, str]:
        return {name: str(value) for name, value in self._mapping().items()}

    def name(self) -> str:
        if self.lexer.token.kind == "string":
            return self._string()
        return self.lexer.take("name").text

    # ── Errors ──────────────────────────────────────────────────────────────────────

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.lexer.error(f"nested deeper than {MAX_NESTING} levels")

    def _guard(self, action: Callable[[], _T], position: int | None = None) -> _T:
        """Run what may reject its input, and say where in the text that input stands."""
        try:
            return action()
        except TextError:
            raise
        except (GieError, ValueError, TypeError) as error:
            raise self.lexer.error(str(error), position) from error


def _item(kind: Kind) -> Kind:
    assert kind.item is not None
    return kind.item


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _array(items: Sequence[Any], dtype: DType) -> Array:
    """Elements as an array.

    Raises:
        TypeError: one is not of this type, or of one that it includes.
        ValueError: one is outside the type's range; or OverflowError.
    """
    allowed, widest = _element_types(dtype)
    for item in items:
        if type(item) not in allowed:
            raise TypeError(f"{item!r} is not a {dtype}")
    wide: Array = np.array(items, widest)
    with np.errstate(over="ignore"):
        array: Array = wide.astype(dtype.numpy)
    if dtype.is_integer and array.astype(object).tolist() != list(items):
        raise ValueError(f"an element is outside the range of {dtype}")
    if dtype.is_float and not np.array_equal(np.isfinite(wide), np.isfinite(array)):
        raise ValueError(f"an element is outside the range of {dtype}")
    return array


def _element_types(dtype: DType) -> tuple[set[type], Any]:
    """Python's types of its elements, and an array type that holds all those."""
    if dtype.is_integer:
        return {int}, np.uint64 if dtype is DType.U64 else np.int64
    if dtype.is_complex:
        return {int, float, complex}, np.complex128
    if dtype.is_float:
        return {int, float}, np.float64
    return ({str}, np.object_) if dtype is DType.STR else ({bool}, np.bool_)
