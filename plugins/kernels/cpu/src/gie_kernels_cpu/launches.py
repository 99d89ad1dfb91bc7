"""Launches made of calls whose arguments are bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gie_core.kernels.provider import Launch

__all__ = ["Call", "in_order"]

Call = Callable[[], object]
"""A function of NumPy with its operands and its ``out``, as ``functools.partial`` makes one."""


def in_order(calls: Iterable[Call]) -> Launch:
    """A launch that makes the calls one after the other."""
    bound = tuple(calls)

    def launch() -> None:
        for call in bound:
            call()

    return launch
