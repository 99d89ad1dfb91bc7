"""A build's report from its JSON form, in which engine files keep it.

What stands in a file may be anything: what is missing, or not what it should be, is left at its
default, so that whoever reads a report never stumbles.
"""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from gie_core.builder.report import BuildReport

__all__ = ["read_report"]

LARGEST = 2**63
"""Beyond it, a number is neither bytes nor nanoseconds."""


def read_report(document: Mapping[str, Any]) -> BuildReport:
    """The report that ``BuildReport.to_json`` made this of."""
    return cast("BuildReport", _read(BuildReport, document))


def _read(kind: Any, value: Any) -> Any:
    """The value as one of that type: something neutral where it is none."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value)
    if origin in (list, tuple):
        return _sequence(origin, arguments, value)
    if origin in (dict, Counter):
        return _mapping(kind, value)
    if is_dataclass(kind):
        return _dataclass(cast("type[Any]", kind), value)
    return _scalar(kind, value)


def _scalar(kind: type[Any], value: Any) -> Any:
    if isinstance(value, int) and abs(value) > LARGEST:
        return kind()
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else kind()


def _sequence(origin: type[Any], arguments: tuple[Any, ...], value: Any) -> Any:
    items = cast("list[Any]", value) if isinstance(value, (list, tuple)) else []
    if origin is tuple and arguments[-1] is not Ellipsis:
        padded = [*items, *[None] * len(arguments)]
        return tuple(_read(kind, item) for kind, item in zip(arguments, padded, strict=False))
    read = [_read(arguments[0], item) for item in items]
    return read if origin is list else tuple(read)


def _mapping(kind: Any, value: Any) -> Any:
    """A dict or a counter, whose type arguments are (key, value) or (key,)."""
    of = get_args(kind)[1] if get_origin(kind) is dict else int
    items = cast("Mapping[str, Any]", value).items() if isinstance(value, Mapping) else ()
    found = {str(name): _read(of, item) for name, item in items}
    return Counter(found) if get_origin(kind) is Counter else found


def _dataclass(kind: type[Any], value: Any) -> Any:
    given = cast("Mapping[str, Any]", value if isinstance(value, Mapping) else {})
    hints = _hints(kind)
    return kind(
        **{
            each.name: _read(hints[each.name], given[each.name])
            if each.name in given
            else _default(each, hints[each.name])
            for each in fields(kind)
        }
    )


def _default(each: Field[Any], kind: Any) -> Any:
    if each.default is not MISSING:
        return each.default
    if each.default_factory is not MISSING:
        return each.default_factory()
    return _read(kind, None)


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)
