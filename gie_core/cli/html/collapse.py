"""Fewer boxes for graphs that are too large to be looked at: chains become one box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gie_core.cli.html.families import FAMILIES
from gie_core.cli.html.markup import clip
from gie_core.cli.html.sketch import LIST, NAME, Box, Sketch

__all__ = ["Collapsed", "collapse"]

LONGEST = 12
"""Nodes of a chain that become one box."""


@dataclass(frozen=True)
class Collapsed:
    """A sketch with fewer boxes.

    Args:
        sketch: what is left.
        members: for each of its boxes, the boxes that it was made of, by their numbers.
        left_out: boxes that are not there at all.
    """

    sketch: Sketch
    members: tuple[tuple[int, ...], ...]
    left_out: int = 0


def collapse(whole: Sketch, *, enough: int = 400, most: int = 1200) -> Collapsed:
    """Put chains of nodes, in which each has no other reader and writer, into one box each.

    Args:
        whole: the graph.
        enough: boxes up to which a sketch stays as it is.
        most: boxes that are left at most; those beyond are left out.
    """
    if len(whole.boxes) <= enough:
        return Collapsed(whole, tuple((index,) for index in range(len(whole.boxes))))
    chains = _chains(whole)
    kept = chains[:most]
    home = {member: index for index, chain in enumerate(kept) for member in chain}
    edges = dict.fromkeys(
        (home[a], home[b]) for a, b in whole.edges if a in home and b in home and home[a] != home[b]
    )
    boxes = tuple(_joined([whole.boxes[member] for member in chain]) for chain in kept)
    left_out = sum(map(len, chains[most:]))
    return Collapsed(Sketch(boxes, tuple(edges), whole.nodes), tuple(map(tuple, kept)), left_out)


def _chains(whole: Sketch) -> list[list[int]]:
    """All boxes, those of a chain together, ordered by their last members."""
    readers: list[list[int]] = [[] for _ in whole.boxes]
    writers: list[list[int]] = [[] for _ in whole.boxes]
    for a, b in whole.edges:
        readers[a].append(b)
        writers[b].append(a)
    chains: dict[int, list[int]] = {}  # by the last member
    for index, box in enumerate(whole.boxes):
        chain = [index]
        if len(writers[index]) == 1 and box.family in FAMILIES:
            before = writers[index][0]
            open_ = len(readers[before]) == 1 and whole.boxes[before].family in FAMILIES
            if open_ and len(chains[before]) < LONGEST:
                chain = [*chains.pop(before), index]
        chains[index] = chain
    return [chains[last] for last in sorted(chains)]


def _joined(boxes: Sequence[Box]) -> Box:
    first, last = boxes[0], boxes[-1]
    if first is last:
        return first
    return Box(
        name=last.name,
        label=clip(f"{len(boxes)} × {' → '.join(dict.fromkeys(b.label for b in boxes))}", NAME),
        type=last.type,
        family=min((box.family for box in boxes), key=list(FAMILIES).index),
        facts=tuple((box.label, f"{box.name}: {box.type}") for box in boxes),
        sources=tuple(dict.fromkeys(s for box in boxes for s in box.sources))[:LIST],
    )
