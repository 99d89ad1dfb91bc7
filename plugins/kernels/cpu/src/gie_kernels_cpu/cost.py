"""What work costs, roughly: the order in which candidates are offered.

The first candidate of a node is the one to take without timing, so the order has to be about
right. It follows from a few rates, measured with OpenBLAS on two cores of a server
processor of 2024 (AVX-512); what matters is how they relate.
"""

from __future__ import annotations

from collections.abc import Iterable

from gie_core.kernels.candidate import Candidate, Work

__all__ = ["SCATTERED", "elementwise", "matrix_products", "ranked", "seconds", "total"]

PRODUCTS = 200e9
"""Multiply-adds a second in a large matrix product."""

STEPS = 8e9
"""Elements a second that one NumPy call adds, multiplies or copies, in the cache."""

BYTES = 100e9
"""Bytes a second of what a matrix product reads and writes besides the weights."""

WEIGHTS = 5
"""How much longer a byte of the weights takes: they are packed anew by every call, and in a whole
network come from memory. This is what makes products with few pixels slow."""

CALL = 2e-6
"""Seconds that a call takes besides."""

SCATTERED = 3
"""How much longer a copy takes that moves single elements instead of runs of channels: tiles and
patches of channels first (measured: 1.5 to 5)."""


def seconds(work: Work) -> float:
    """An estimate of the time that work takes."""
    steps = work.products / PRODUCTS + work.steps / STEPS
    return steps + work.bytes / BYTES + work.calls * CALL


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates from the fastest to the slowest by estimate, those with narrow storage last."""
    return sorted(candidates, key=lambda c: (_is_narrow(c), seconds(c.work)))


def matrix_products(count: int, m: int, k: int, n: int) -> Work:
    """So many products of weights [m, k] and matrices [k, n], in 4-byte elements."""
    traffic = 4 * count * (WEIGHTS * m * k + k * n + m * n)
    return Work(products=count * m * k * n, bytes=traffic, calls=1.5 * count)


def elementwise(elements: float, calls: float = 1) -> Work:
    """Arrays of so many elements altogether, written by so many calls."""
    return Work(steps=elements, calls=calls)


def total(*works: Work) -> Work:
    """All of them, one after the other."""
    return Work(
        products=sum(work.products for work in works),
        steps=sum(work.steps for work in works),
        bytes=sum(work.bytes for work in works),
        calls=sum(work.calls for work in works),
    )


def _is_narrow(candidate: Candidate) -> bool:
    return candidate.name.endswith((" f16", " bf16", " weights"))
