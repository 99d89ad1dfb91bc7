"""Pins: nodes whose candidate the user decides."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from gie_core.builder.expand import Piece
from gie_core.builder.ways import Kernel, Ways
from gie_core.errors import GieError

__all__ = ["pinned"]

VIEW, JOIN = "view", "join"


def pinned(ways: Ways, pins: Mapping[str, str]) -> Ways:
    """The ways without those that a pin forbids.

    Args:
        ways: all ways to run a graph.
        pins: what may run a node, by the name of its result or of a node of the imported model
            that it covers: a provider ("cpu"), a candidate ("cpu im2col NHWC"), or the beginning
            of some ("cpu im2col"); "view" and "join" for what needs no kernel. A pin on a node
            of a group holds for all that cover it.

    Raises:
        GieError: there is no such node, or nothing of that name runs it; lists what does.
    """
    for name, wish in pins.items():
        ways = _pinned(ways, name, wish)
    return ways


def _pinned(ways: Ways, name: str, wish: str) -> Ways:
    pinned = _numbers(ways, name)
    touching = [each for each in _labels(ways) if pinned.intersection(each[0].covers)]
    names = sorted({label for _, label in touching})
    wanted = [label for label in names if label == wish] or [n for n in names if _fits(n, wish)]
    kept = {n for piece, label in touching if label in wanted for n in piece.covers}
    if not pinned <= kept:
        found = ", ".join(names) or "nothing"
        raise GieError(f"nothing named {wish!r} runs {name!r}; what runs it: {found}")

    def may_run(piece: Piece, label: str) -> bool:
        return label in wanted or pinned.isdisjoint(piece.covers)

    return replace(
        ways,
        kernels=[way for way in ways.kernels if may_run(way.piece, _label(way))],
        views=[view for view in ways.views if may_run(view.piece, VIEW)],
        joins={piece: formats for piece, formats in ways.joins.items() if may_run(piece, JOIN)},
    )


def _labels(ways: Ways) -> Iterator[tuple[Piece, str]]:
    """What may run, and what pins call it."""
    yield from ((way.piece, _label(way)) for way in ways.kernels)
    yield from ((view.piece, VIEW) for view in ways.views)
    yield from ((piece, JOIN) for piece in ways.joins)
    yield from ways.functions.items()


def _label(way: Kernel) -> str:
    return f"{way.owner.name} {way.candidate.name}"


def _fits(label: str, wish: str) -> bool:
    """Whether it begins so, with the whole name of a provider."""
    return label.partition(" ")[0] == wish.partition(" ")[0] and label.startswith(wish)


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
        pieces = ways.expanded.pieces
        names = [r.name for piece in pieces for r in piece.results]
        names += [source for piece in pieces for source in piece.node.sources]
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]!r}?" if close else "see gie inspect for the names"
        raise GieError(f"there is no node {name!r} to pin; {hint}")
    return found
