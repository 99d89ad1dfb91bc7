"""Pins: nodes whose candidate the user decides."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace

from gie_core.builder.ways import Kernel, Ways
from gie_core.errors import GieError

__all__ = ["pinned"]


def pinned(ways: Ways, pins: Mapping[str, str]) -> Ways:
    """The ways without those that a pin forbids.

    Args:
        ways: all ways to run a graph.
        pins: what may run a node, by the name of its result or of a node of the imported model
            that it covers: a provider ("cpu"), or a provider and the beginning of a candidate's
            name ("cpu im2col"). A pin on a node of a group holds for all that cover it.

    Raises:
        GieError: there is no such node, or nothing of that name runs it; lists what does.
    """
    kernels = ways.kernels
    for name, wish in pins.items():
        covered = _numbers(ways, name)
        touching = [way for way in kernels if covered & set(way.piece.covers)]
        fitting = [way for way in touching if _fits(way, wish)]
        left_out = covered - {n for way in fitting for n in way.piece.covers}
        if left_out:
            have = sorted({f"{way.owner.name} {way.candidate.name}" for way in touching})
            found = ", ".join(have) or "nothing"
            raise GieError(f"nothing named {wish!r} runs {name!r}; what runs it: {found}")
        keep = {id(way) for way in fitting}
        kernels = [w for w in kernels if id(w) in keep or not covered & set(w.piece.covers)]
    return replace(ways, kernels=kernels) if pins else ways


def _fits(way: Kernel, wish: str) -> bool:
    return f"{way.owner.name} {way.candidate.name}".startswith(wish)


def _numbers(ways: Ways, name: str) -> set[int]:
    """The inlined nodes that a pin speaks of."""
    found = {
        number
        for piece in ways.expanded.pieces
        if len(piece.covers) == 1
        and (name in piece.node.sources or any(r.name == name for r in piece.results))
        for number in piece.covers
    }
    if not found:
        names = [r.name for piece in ways.expanded.pieces for r in piece.results]
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]!r}?" if close else "see gie inspect for the names"
        raise GieError(f"there is no node {name!r} to pin; {hint}")
    return found
