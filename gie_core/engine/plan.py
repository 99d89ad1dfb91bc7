"""A plan: what runs, in which memory, in which order.

A value is a *region* of a *storage*: an offset and strides. Several values may lie in one
storage, and overlap: the slices of a concatenation, a view, a result computed in place. Storages
that live in the arena have an offset there; those that are never alive at once may share bytes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import cached_property

from gie_core.ir.graph import Graph, Node
from gie_core.ir.types import Array
from gie_core.kernels.format import Layout

__all__ = [
    "ALIGNMENT",
    "AT_RUN_TIME",
    "Kind",
    "Place",
    "Plan",
    "Region",
    "Slot",
    "Step",
    "Storage",
]

AT_RUN_TIME = "at run time"
"""The provider of steps that nobody is settled on before their operands are there."""

ALIGNMENT = 64
"""Bytes that every storage's offset in the arena is a multiple of."""


class Kind(enum.Enum):
    """Whose a storage is."""

    ARENA = "arena"
    """The context's; free for others when its values are dead."""
    INPUT = "input"
    """A graph input's, in the arena too; a caller may put his own memory in its place."""
    OUTPUT = "output"
    """A graph output's, in the arena too; a caller may put his own memory in its place."""
    STATE = "state"
    """Lives from run to run."""
    CONSTANT = "constant"
    """The graph's: read only, shared by all contexts; ``offset`` is an index into the constants."""


@dataclass(frozen=True)
class Storage:
    """A piece of memory.

    Args:
        kind: whose it is.
        size: bytes.
        offset: in the arena, a multiple of ``ALIGNMENT``; -1 until it is planned.
    """

    kind: Kind
    size: int
    offset: int = -1


@dataclass(frozen=True)
class Region:
    """Where a value lies.

    Args:
        storage: index into the plan's storages.
        offset: bytes from the storage's begin to element (0, …, 0).
        layout: element type as stored, shape, strides.
    """

    storage: int
    offset: int
    layout: Layout

    @property
    def span(self) -> tuple[int, int]:
        """First and one past the last byte in the storage."""
        low, high = self.layout.span
        return self.offset + low, self.offset + high


@dataclass(frozen=True)
class Slot:
    """Where a value lies that is no region, since its size isn't known before it is computed.

    Args:
        index: the number of the Python object in the context.
    """

    index: int


Place = Region | Slot


@dataclass(frozen=True)
class Step:
    """One thing that runs.

    Args:
        node: the node of the plan's graph; of a reformat, the node that needs the copy.
        provider: who runs it; "" copies its only operand into its only result, converting;
            of a step whose results lie in slots, who is likely to.
        candidate: the name of the provider's candidate; "" where the results lie in slots.
        operands: where each operand lies; ``None`` for absent and prepacked ones.
        results: where each result lies.
        constants: the prepacked constants, as indices into the plan's weights.
        workspace: scratch memory, in a storage of its own.
        stream: on which it runs.
        after: steps on other streams that must have ended, as indices into the plan's steps.
    """

    node: Node
    provider: str
    candidate: str
    operands: tuple[Place | None, ...]
    results: tuple[Place, ...]
    constants: tuple[int, ...] = ()
    workspace: Region | None = None
    stream: int = 0
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What an executor runs, for one set of input sizes.

    Args:
        graph: what it computes; must not change afterwards. Values whose node is not among the
            steps' are views or were written by others.
        steps: in an order that is right if all run one after the other.
        storages: with their offsets in the arena.
        arena: bytes.
        inputs: where the graph's inputs are put, in order.
        outputs: where the graph's outputs are found, in order.
        weights: what was packed for kernels, read only.
        slots: number of Python objects.
        fixed: constants that are no regions: pairs of a slot and an index into the constants.
        sizes: what the symbols in the shapes of the inputs stand for.
    """

    graph: Graph
    steps: tuple[Step, ...]
    storages: tuple[Storage, ...]
    arena: int
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    weights: tuple[Array, ...] = ()
    slots: int = 0
    fixed: tuple[tuple[int, int], ...] = ()
    sizes: dict[str, int] = field(default_factory=dict[str, int])

    @cached_property
    def constants(self) -> tuple[Array, ...]:
        """The elements of the graph's constants, for those who read them as they are."""
        return tuple(v.data for v in self.graph.constants if v.data is not None)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants that steps read, packed or as they are."""
        read = (self.constants[s.offset] for s in self.storages if s.kind is Kind.CONSTANT)
        return sum({id(array): array.nbytes for array in (*read, *self.weights)}.values())

    @property
    def streams(self) -> int:
        """Number of streams."""
        return 1 + max((step.stream for step in self.steps), default=0)
