"""What work costs, roughly: the order in which candidates are offered.

The first candidate of a node is the one to take without timing, so the order has to be about
right. It follows from a few rates, measured on a server core of 2024 with two threads; what
matters is how they relate.
"""

from __future__ import annotations

from collections.abc import Iterable

from gie_core.kernels.candidate import Candidate, Work

__all__ = ["SCATTERED", "elementwise", "matrix_products", "ranked", "seconds", "total", "weights"]

PRODUCTS = 105e9
"""Multiply-adds a second in a large matrix product of two threads."""

STEPS = 8e9
"""Elements a second that one NumPy call adds, multiplies or copies, in the cache."""

BYTES = 40e9
"""Bytes a second that a matrix product takes to pack its operands and to write its result: what
makes products of few rows or columns slow. (49 × 256 × 256: 46 µs measured, 43 computed; 16 × 512
× 512: 79 and 71; 784 × 64 × 64: 47 and 44.)"""

CALL = 2e-6
"""Seconds that a call takes besides."""


def seconds(work: Work) -> float:
    """An estimate of the time that work takes."""
    return work.products / PRODUCTS + work.steps / STEPS + work.bytes / BYTES + work.calls * CALL


SCATTERED = 3
"""How much longer a copy takes that moves single elements instead of runs of channels: tiles and
patches of channels first (measured: 1.5 to 5)."""


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates from the fastest to the slowest by estimate, those with narrow storage last."""
    return sorted(candidates, key=lambda c: (_is_narrow(c), seconds(c.work)))


def weights(elements: float) -> Work:
    """Weights that a network reads once: they come from memory, not from a cache."""
    return Work(bytes=4 * elements, calls=0)


def matrix_products(count: int, m: int, k: int, n: int) -> Work:
    """So many products of matrices [m, k] and [k, n], in 4-byte elements."""
    traffic = 4 * count * (m * k + k * n + m * n)
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
