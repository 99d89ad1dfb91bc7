"""A candidate: one way to run a node, described without any memory at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from gie_core.ir.types import DType
from gie_core.kernels.format import Format

__all__ = ["Candidate", "Support", "Work"]


@dataclass(frozen=True)
class Support:
    """Whether a provider runs a node; a rejection always says why.

    Args:
        ok: it does.
        reason: why it does not.
        open: it may once the node's shapes are known: ask again then.
    """

    ok: bool
    reason: str = ""
    open: bool = False

    @staticmethod
    def yes() -> Support:
        """It does."""
        return Support(True)

    @staticmethod
    def no(reason: str) -> Support:
        """It does not, for this reason."""
        return Support(False, reason)

    @staticmethod
    def later() -> Support:
        """Nobody can tell before the node's shapes are known."""
        return Support(False, "its shapes are not known before it runs", open=True)


@dataclass(frozen=True)
class Work:
    """What a kernel has to do; the cost model of a build without timing makes a time of it.

    Args:
        products: multiply-adds that run as dense matrix products.
        steps: elements × operations that run one after the other over arrays.
        bytes: memory read and written, the operands, results and weights included.
        calls: calls of library functions, each with its fixed price.
    """

    products: float = 0
    steps: float = 0
    bytes: float = 0
    calls: float = 1


@dataclass(frozen=True)
class Candidate:
    """One way to run a node. Making one needs no memory and no device.

    Args:
        name: with the node, says all that ``prepack`` and ``bind`` must know besides the
            memory: "im2col NHWC", "winograd 4x4". Unique among a provider's for a node.
        operands: the format of each operand; ``None`` for one that is absent, or constant and
            handed over by ``prepack``.
        results: the format of each result.
        workspace: bytes of scratch memory while it runs, contents undefined.
        work: what it has to do.
        deterministic: the same operands give the same bits.
        packed: the element type that ``prepack`` rounds f32 constants to, if it is a narrower one.
        in_place: pairs (result, operand): the result may have the very memory of the operand
            (same layout); it is written after the operand was read.
    """

    name: str
    operands: tuple[Format | None, ...]
    results: tuple[Format, ...]
    workspace: int = 0
    work: Work = field(default_factory=Work)
    deterministic: bool = True
    packed: DType | None = None
    in_place: tuple[tuple[int, int], ...] = ()
