"""What the strategy decides about, in plain numbers, and what it answers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gie_core.errors import GieError

__all__ = [
    "AliasGroup",
    "Option",
    "Problem",
    "Reformat",
    "Solution",
    "Stored",
    "StrategyError",
    "tie_weight",
]

Stored = tuple[int, int]
"""(value, format): a value, and how it lies in memory."""


class StrategyError(GieError):
    """No choice of kernels runs the graph within the limits."""


@dataclass(frozen=True)
class Option:
    """One way to run one or several nodes. Of a group, some options run it whole, others a part.

    Args:
        key: unique in a problem, the same in every build: it names the option in the solution
            and decides ties.
        covers: the nodes that it runs.
        time: nanoseconds.
        reads: what has to exist before; not what passes between the nodes that it covers.
        writes: what exists afterwards. A value in two formats is two entries.
        workspace: bytes.
        error: σ², the variance that it adds to the relative error of the outputs; infinite
            where it must not be chosen.
        needs: alias groups that must be on.
        excludes: alias groups that must be off.
    """

    key: str
    covers: frozenset[int]
    time: int
    reads: tuple[Stored, ...] = ()
    writes: tuple[Stored, ...] = ()
    workspace: int = 0
    error: float = 0.0
    needs: frozenset[int] = frozenset()
    excludes: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        _check_price(self, self.time, self.error)
        if not self.covers:
            raise ValueError(f"option {self.key!r} covers no node")
        if {value for value, _ in self.reads} & {value for value, _ in self.writes}:
            raise ValueError(f"option {self.key!r} reads a value that it writes")
        if self.needs & self.excludes:
            raise ValueError(f"option {self.key!r} needs an alias group that it excludes")


@dataclass(frozen=True)
class Reformat:
    """A copy of a value into another format.

    Args:
        value: which.
        source: the format it is given or written in; never that of another reformat.
        target: the format that it then has, too.
        time: nanoseconds.
        error: σ², as an option's: what rounding to a narrower type adds.
    """

    value: int
    source: int
    target: int
    time: int
    error: float = 0.0

    def __post_init__(self) -> None:
        _check_price(self, self.time, self.error)
        if self.source == self.target:
            raise ValueError(f"{self} changes nothing")


@dataclass(frozen=True)
class AliasGroup:
    """Something that is on or off for several options at once: that the operands of a
    concatenation are written right into its result. All it does is to bind those options.

    Args:
        number: unique in a problem.
        name: for messages.
    """

    number: int
    name: str = ""


@dataclass(frozen=True)
class Problem:
    """What to choose from.

    Args:
        nodes: how many; they are numbered from 0, and each must be covered once.
        options: in any order.
        reformats: at most one for each (value, source, target), in any order.
        aliases: the alias groups that options need or exclude.
        given: what exists from the start: inputs, constants. Nothing writes these values.
        wanted: what must exist at the end: outputs.
        workspace: bytes that an option may need; ``None``: any number.
        budget: the largest relative error of the outputs, σ: Σσ² ≤ budget². ``None``: any that
            is finite.
        node_names, value_names, format_names: for messages, where numbers would say little.

    Raises:
        ValueError: two options, reformats or alias groups are the same, or something is named
            that does not exist.
    """

    nodes: int
    options: tuple[Option, ...]
    reformats: tuple[Reformat, ...] = ()
    aliases: tuple[AliasGroup, ...] = ()
    given: frozenset[Stored] = frozenset()
    wanted: frozenset[Stored] = frozenset()
    workspace: int | None = None
    budget: float | None = None
    node_names: Mapping[int, str] = field(default_factory=dict[int, str])
    value_names: Mapping[int, str] = field(default_factory=dict[int, str])
    format_names: Mapping[int, str] = field(default_factory=dict[int, str])

    def __post_init__(self) -> None:
        _check_unique("key of an option", [option.key for option in self.options])
        _check_unique("reformat", [(r.value, r.source, r.target) for r in self.reformats])
        _check_unique("alias group", [group.number for group in self.aliases])
        known = {group.number for group in self.aliases}
        given = {value for value, _ in self.given}
        for option in self.options:
            if not all(0 <= node < self.nodes for node in option.covers):
                raise ValueError(f"option {option.key!r} covers a node that does not exist")
            if not option.needs | option.excludes <= known:
                raise ValueError(f"option {option.key!r} names an alias group that does not exist")
            if any(value in given for value, _ in option.writes):
                raise ValueError(f"option {option.key!r} writes a value that is given")

    def node(self, number: int) -> str:
        """A node, for messages."""
        return self.node_names.get(number, f"node {number}")

    def stored(self, stored: Stored) -> str:
        """A value in a format, for messages."""
        value, format_ = stored
        return (
            f"{self.value_names.get(value, f'value {value}')} in "
            f"{self.format_names.get(format_, f'format {format_}')}"
        )


@dataclass(frozen=True)
class Solution:
    """One choice.

    Args:
        options: the keys of the chosen options, by the first node that each covers.
        reformats: the chosen ones, by value and target.
        aliases: the alias groups that a chosen option needs; the others are off.
        time: nanoseconds, all options and reformats one after the other.
        error: Σσ².
    """

    options: tuple[str, ...]
    reformats: tuple[Reformat, ...]
    aliases: frozenset[int]
    time: int
    error: float


def tie_weight(choice: Option | Reformat) -> int:
    """What decides between solutions of equal time: the sum of these is least.

    Returns:
        1 to 2²⁴, random but the same in every build.
    """
    text = (
        f"option {choice.key}"
        if isinstance(choice, Option)
        else f"reformat {choice.value} {choice.source} {choice.target}"
    )
    return 1 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "little")


def _check_price(choice: Option | Reformat, time: int, error: float) -> None:
    if time < 0 or math.isnan(error) or error < 0:
        raise ValueError(f"{choice} has a time or an error that is no number from 0 up")


def _check_unique(what: str, names: list[Any]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"a problem has one {what} twice")
