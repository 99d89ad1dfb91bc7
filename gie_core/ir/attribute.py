"""Attributes of ops: which kinds there are, how each is checked, printed and parsed.

An op declares its attributes as annotated fields (see ``op``). The annotation
picks the ``Kind`` here, and the kind does the rest, so that no op writes code
for its attributes and the text form of an attribute follows from its type.

========================  =====================================================
annotation                text
========================  =====================================================
``bool``                  ``true``
``int``                   ``2``
``float``                 ``0.1`` (shortest that round-trips), ``inf``, ``nan``
``str``                   ``"same"``
``bytes``                 ``b"…"`` (base64)
``DType``                 ``f16``
``Dim``                   ``2*n + 1``
``Array``                 ``i64[2] [1, 2]``
``Program``               ``(x[n]: f32) -> max(x, 0.0)``
``Graph``                 ``graph body { … }``
``tuple[K, ...]``         ``[a, b]``
``Mapping[str, Any]``     ``{a = 1, b = [2.0]}``: kinds told by the text alone
``K | None``              ``none``
========================  =====================================================
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Union, cast, get_args, get_origin

import numpy as np

from gie_core.ir.dims import SymInt
from gie_core.ir.types import DType, as_array

__all__ = ["FrozenArray", "FrozenMapping", "Kind", "freeze", "kind_of"]


@dataclass(frozen=True)
class Kind:
    """How one attribute is written.

    Args:
        name: "bool", "int", "float", "str", "bytes", "dtype", "dim", "array",
            "program", "graph", "list", "mapping".
        item: the kind of a list's items.
        optional: ``None`` is allowed.
    """

    name: str
    item: Kind | None = None
    optional: bool = False

    def coerce(self, value: Any) -> Any:
        """``value`` in canonical form (lists become tuples, NumPy scalars Python's).

        Raises:
            TypeError: the value is not of this kind.
        """
        if value is None:
            if self.optional:
                return None
            raise TypeError(f"expected {self.name}, got None")
        if self.item is not None:
            if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
                raise TypeError(f"expected a list, got {value!r}")
            return tuple(self.item.coerce(v) for v in cast("Iterable[Any]", value))
        python = cast("Any", value).item() if isinstance(value, np.generic) else value
        return self._coerce_scalar(python)

    def _coerce_scalar(self, value: Any) -> Any:
        match self.name:
            case "float" if isinstance(value, int) and not isinstance(value, bool):
                return float(value)
            case "dtype":
                return DType.of(value)
            case "array":
                return value if isinstance(value, FrozenArray) else FrozenArray(np.asarray(value))
            case "mapping" if isinstance(value, Mapping):
                return FrozenMapping(cast("Mapping[str, Any]", value))
            case _:
                if not _is_kind(self.name, value):
                    raise TypeError(f"expected {self.name}, got {value!r}")
        return value


class FrozenArray:
    """A read-only array that compares and hashes by content, so that it can be an attribute.

    Raises:
        TypeError: GIE has no such element type.
    """

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        array = as_array(data)
        self.data = array.copy() if array.flags.writeable else array
        self.data.flags.writeable = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenArray) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        content = tuple(self.data.ravel()) if self.data.dtype == object else self.data.tobytes()
        return (self.data.dtype, self.data.shape, content)

    def __repr__(self) -> str:
        return f"FrozenArray({self.data!r})"


class FrozenMapping(Mapping[str, Any]):
    """A read-only mapping that compares and hashes by content; its values are frozen too."""

    def __init__(self, items: Mapping[str, Any] = types.MappingProxyType({})) -> None:
        self._items = {key: freeze(value) for key, value in items.items()}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMapping({self._items!r})"


def freeze(value: Any) -> Any:
    """A value of an untyped mapping in canonical, immutable form.

    Raises:
        TypeError: it is of a kind that the text form lacks.
    """
    if isinstance(value, np.ndarray):
        return FrozenArray(cast("np.ndarray[Any, Any]", value))
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in cast("list[Any]", value))
    if isinstance(value, Mapping):
        return FrozenMapping(cast("Mapping[str, Any]", value))
    python = cast("Any", value).item() if isinstance(value, np.generic) else value
    if not isinstance(python, (bool, int, float, str, bytes, DType, FrozenArray)):
        raise TypeError(
            f"a {type(python).__name__} cannot stand in a mapping; use bool, int, float, str, "
            "bytes, DType, arrays, and lists and mappings of those"
        )
    return python


def _is_kind(name: str, value: Any) -> bool:
    match name:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "dim":
            return isinstance(value, (int, SymInt)) and not isinstance(value, bool)
        case "float" | "str" | "bytes":
            return isinstance(value, {"float": float, "str": str, "bytes": bytes}[name])
        case "program" | "graph":
            return type(value).__name__ == name.capitalize()
        case _:
            return False


_SCALARS: dict[Any, str] = {bool: "bool", int: "int", float: "float", str: "str", bytes: "bytes"}


@cache
def kind_of(annotation: Any) -> Kind:
    """The kind an annotation stands for.

    Raises:
        TypeError: attributes of this type are not supported; the message lists those that are.
    """
    if annotation == int | SymInt:
        return Kind("dim")
    if annotation in _SCALARS:
        return Kind(_SCALARS[annotation])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType) and types.NoneType in arguments:
        rest = [a for a in arguments if a is not types.NoneType]
        inner = kind_of(rest[0] if len(rest) == 1 else Union[tuple(rest)])  # noqa: UP007 - built from a list
        return Kind(inner.name, inner.item, optional=True)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Kind("list", kind_of(arguments[0]))
    if origin is np.ndarray or annotation is FrozenArray:
        return Kind("array")
    if origin is Mapping:
        return Kind("mapping")
    name = getattr(annotation, "__name__", "").lower()
    if name in ("dtype", "program", "graph"):
        return Kind(name)
    raise TypeError(
        f"{annotation} cannot be an attribute; use bool, int, float, str, bytes, DType, Dim, "
        "FrozenArray, Program, Graph, Mapping[str, Any], a tuple[K, ...] of those, or K | None"
    )
