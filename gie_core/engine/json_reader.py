"""Reading JSON that anybody may have written: each access says what it expects.

An ``Item`` is a piece of a document together with where it stands, so that what reads a document
is a list of expectations, and every error names the place: "plan 0, step 12, operand 1: …".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from gie_core.errors import GieError

__all__ = ["Item", "JsonError"]

MAX_INTEGER = 2**62
MAX_DEPTH = 32


class JsonError(GieError):
    """A document is not what was expected; whoever reads it adds its name to the message."""


@dataclass(frozen=True)
class Item:
    """A piece of a document. Its methods raise a ``JsonError`` if it is not what they say.

    Args:
        value: as ``json.loads`` gave it.
        name: "operand 1".
        outer: what it is part of: "plan 0, step 12".
    """

    value: Any
    name: str = ""
    outer: str = ""

    @property
    def where(self) -> str:
        """The whole way to it: "plan 0, step 12, operand 1"."""
        return ", ".join(filter(None, (self.outer, self.name)))

    def fail(self, problem: str) -> NoReturn:
        """Reject the document because of this piece.

        Raises:
            JsonError: always.
        """
        raise JsonError(": ".join(filter(None, (self.where, problem))))

    def integer(self, low: int = 0, high: int = MAX_INTEGER) -> int:
        """An int from low to high, both included."""
        if type(self.value) is not int or not low <= self.value <= high:
            self.fail(f"expected an integer from {low} to {high}, found {_shown(self.value)}")
        return self.value

    def index(self, count: int, what: str) -> int:
        """The number of one of ``count`` things, from 0; ``what`` names them in the error."""
        if type(self.value) is not int or not 0 <= self.value < count:
            self.fail(f"there is no {what} {_shown(self.value)} (there are {count})")
        return self.value

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            self.fail(f"expected text, found {_shown(self.value)}")
        return self.value

    def choice(self, options: Sequence[str]) -> str:
        """One of several strings."""
        text = self.text()
        if text not in options:
            self.fail(f"{_shown(text)} is not one of {', '.join(options)}")
        return text

    def items(self, count: int | None = None, each: str = "") -> list[Item]:
        """A list, of ``count`` pieces if given; errors say "``each`` 3" for "LIST, item 3"."""
        found: Any = self.value
        if not isinstance(found, list):
            self.fail(f"expected a list, found {_shown(found)}")
        values = cast("list[Any]", found)
        if count is not None and len(values) != count:
            self.fail(f"expected {count} items, found {len(values)}")
        name, outer = (each, self.outer) if each else ("item", self.where)
        return [Item(value, f"{name} {index}", outer) for index, value in enumerate(values)]

    def integers(self, low: int = 0, high: int = MAX_INTEGER) -> tuple[int, ...]:
        """A list of ints from low to high."""
        return tuple(item.integer(low, high) for item in self.items())

    def entries(self) -> dict[str, Item]:
        """An object with any keys."""
        found: Any = self.value
        if not isinstance(found, dict):
            self.fail(f"expected an object, found {_shown(found)}")
        values = cast("dict[str, Any]", found)
        where = self.where
        return {key: Item(value, key, where) for key, value in values.items()}

    def fields(self, *names: str) -> dict[str, Item]:
        """An object with exactly these keys."""
        entries = self.entries()
        missing = [name for name in names if name not in entries]
        unknown = sorted(entries.keys() - set(names))
        if missing:
            self.fail(f"{missing[0]!r} is missing")
        if unknown:
            self.fail(f"there is no entry {_shown(unknown[0])}")
        return entries

    def json(self) -> Any:
        """Any JSON that is not nested deeper than is good for those who walk through it."""
        self._check_depth(self.value, MAX_DEPTH)
        return self.value

    def _check_depth(self, value: Any, left: int) -> None:
        if not isinstance(value, (dict, list)):
            return
        if not left:
            self.fail(f"it is nested deeper than {MAX_DEPTH} levels")
        inner = cast("dict[str, Any] | list[Any]", value)
        for each in inner.values() if isinstance(inner, dict) else inner:
            self._check_depth(each, left - 1)


def _shown(value: Any) -> str:
    """A value in an error message, which stays short whatever the value is."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
