"""Kernel providers: the protocol that brings kernels into GIE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gie_core.errors import GieError
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support
from gie_core.runtime.target import Target

__all__ = [
    "CandidateFinder",
    "Function",
    "FunctionProvider",
    "KernelError",
    "KernelProvider",
    "Launch",
    "Memory",
    "NamedProvider",
]


class KernelError(GieError):
    """No provider runs a node, or one that should can't."""


Launch = Callable[[], object]
"""Something ready to run: all addresses are bound, and nothing is allocated in it. What it
returns is ignored."""

Function = Callable[[Op, Sequence[Any]], tuple[Any, ...]]
"""Runs a node whose results can't be given memory beforehand: ``function(op, operands)``.

``op`` is the node's op with numbers in place of symbols. Operands are arrays (lists for
sequences), ``None`` where an optional one is absent; they must not be written. Results are
as many as the node has, and may share memory with operands.
"""


@dataclass(frozen=True)
class Memory:
    """What a kernel is bound to.

    Args:
        operands: an array for each operand, with the value's shape and the strides that it
            has in memory; ``None`` where the candidate's format is ``None``. Read only.
        results: an array for each result, to be written whole.
        constants: what ``prepack`` returned.
        workspace: uint8 [candidate.workspace], 64-byte aligned.
    """

    operands: tuple[Any, ...]
    results: tuple[Any, ...]
    constants: tuple[Any, ...] = ()
    workspace: Any = None


class KernelProvider(Protocol):
    """Brings kernels for some ops on some targets.

    The node is static: its operands and results are tensors of known shapes, its op has no
    symbols. Constants are operands with ``data``.
    """

    def supports(self, node: Node, target: Target) -> Support:
        """Whether there is any candidate; a rejection says why. Also asked of nodes that are
        not static, where the answer may be no.
        """
        ...

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        """The ways to run a supported node, the one to take without timing first."""
        ...

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        """The constants as the candidate wants them, made once at build time.

        Shares memory with the node's constants where nothing has to change.
        """
        ...

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        """What runs the candidate in this memory, to be called in this order, many times.

        Host kernels run under ``np.errstate(all="ignore")``.
        """
        ...


@runtime_checkable
class CandidateFinder(Protocol):
    """A provider that makes one candidate without making them all.

    Loading an engine asks for those that its plans name; with many for a node this saves time.
    """

    def candidate(self, node: Node, name: str, target: Target) -> Candidate | None:
        """Of what ``candidates`` returns for a supported node, that of a name; ``None`` if there
        is none. The name may come from a file, and be anything.
        """
        ...


@runtime_checkable
class FunctionProvider(Protocol):
    """A provider that also runs nodes that are not static: sequences, strings, shapes that
    depend on data, types that nobody knows beforehand.
    """

    def function(self, node: Node, target: Target) -> Function:
        """What runs a node that it supports."""
        ...


@dataclass(frozen=True)
class NamedProvider:
    """A provider, the name it was declared under, and the plugin that brings it.

    Args:
        min_gain: as its declaration says.
    """

    name: str
    provider: KernelProvider
    plugin: str = ""
    version: str = ""
    min_gain: float = 0.0
