"""A graph as SVG: boxes in layers, with what runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gie_core.builder.report import KernelChoice
from gie_core.cli.console import clean, count
from gie_core.cli.html.collapse import Collapsed, collapse
from gie_core.cli.html.families import FAMILIES
from gie_core.cli.html.layers import layered
from gie_core.cli.html.markup import Markup, clip, tag
from gie_core.cli.html.placing import BOX_HEIGHT, BOX_WIDTH, Placed, place
from gie_core.cli.html.sketch import LINE, LIST, NAME, Box, Sketch
from gie_core.cli.units import time_text

__all__ = ["Drawing", "draw", "row_id"]

LABEL, SMALL = 23, 26
"""Letters that fit into a box's first and second line."""
Kernels = Mapping[str, tuple[int, KernelChoice]]


@dataclass(frozen=True)
class Drawing:
    """A drawn graph.

    Args:
        svg: the drawing.
        data: about each box, for the script of the page.
        places: the ids of the boxes that show a choice's node, by the choice's number.
        note: what is not drawn; "" if all is.
    """

    svg: Markup
    data: list[dict[str, Any]]
    places: dict[int, str]
    note: str


def row_id(number: int) -> str:
    """The id of a kernel's row on the page."""
    return f"kernel-{number}"


def draw(whole: Sketch, name: str, choices: Sequence[KernelChoice] = ()) -> Drawing:
    """Draw a graph.

    Args:
        whole: the graph.
        name: of the drawing, unique on the page.
        choices: what runs its nodes, if anything does.
    """
    reduced = collapse(whole)
    small = reduced.sketch
    drawn = layered(len(small.boxes), small.edges)
    placed = place(drawn)
    kernels = {choice.node: (row, choice) for row, choice in enumerate(choices)}
    chosen = [_kernels(whole, members, kernels) for members in reduced.members]
    times = [sum(choice.nanoseconds for _, choice in each) for each in chosen]
    longest = max(times, default=0)
    nodes = [
        _node(box, index, placed, name, each, time / longest if longest else 0.0)
        for index, (box, each, time) in enumerate(zip(small.boxes, chosen, times, strict=True))
    ]
    edges = [
        tag("path", d=path, data_edge=f"{name}-{a} {name}-{b}")
        for (a, b), path in placed.paths.items()
    ]
    svg = tag(
        "svg",
        tag("g", *edges, class_="edges"),
        tag("g", *nodes, class_="nodes"),
        class_="graph",
        width=placed.width,
        height=placed.height,
        viewBox=f"0 0 {placed.width} {placed.height}",
        role="img",
        aria_label=f"graph of {whole.nodes} nodes",
    )
    data = [_data(box, each) for box, each in zip(small.boxes, chosen, strict=True)]
    places = {row: f"{name}-{index}" for index, each in enumerate(chosen) for row, _ in each}
    return Drawing(svg, data, places, _note(reduced, len(drawn.loose)))


def _kernels(
    whole: Sketch, members: Sequence[int], kernels: Kernels
) -> list[tuple[int, KernelChoice]]:
    """What runs the nodes of a box, with the numbers of their rows."""
    boxes = [whole.boxes[member] for member in members]
    return [kernels[b.name] for b in boxes if b.family in FAMILIES and b.name in kernels]


def _node(
    box: Box,
    index: int,
    placed: Placed,
    name: str,
    chosen: Sequence[tuple[int, KernelChoice]],
    share: float,
) -> Markup:
    x, y = placed.centers[index] - BOX_WIDTH // 2, placed.tops[index]
    terminal = box.family in ("input", "output")
    second = box.type if terminal or not chosen else _running(chosen)
    parts = [
        tag("title", f"{box.label}\n{box.name}\n{box.type}"),
        tag("rect", class_="box", width=BOX_WIDTH, height=BOX_HEIGHT, rx=6),
        None if terminal else tag("rect", class_="stripe", y=6, width=3, height=BOX_HEIGHT - 12),
        tag("text", clip(box.label, LABEL), x=12, y=18),
        tag("text", clip(second, SMALL), x=12, y=33, class_="small"),
    ]
    if share > 0:
        width = max(1.0, share * (BOX_WIDTH - 12))
        parts.append(tag("rect", class_="heat", x=6, y=BOX_HEIGHT - 3, width=width, height=3))
    group = tag(
        "g",
        *parts,
        id=f"{name}-{index}",
        class_=f"node f-{box.family}",
        transform=f"translate({x} {y})",
    )
    return tag("a", group, href=f"#{row_id(chosen[0][0])}") if chosen else group


def _running(chosen: Sequence[tuple[int, KernelChoice]]) -> str:
    """Who runs it, and for how long."""
    time = sum(choice.nanoseconds for _, choice in chosen)
    first = chosen[0][1]
    who = f"{len(chosen)} kernels" if len(chosen) > 1 else (first.candidate or first.provider)
    took = f" · {time_text(time)}" if time else ""
    return clip(who or "node by node", SMALL - len(took)) + took


def _data(box: Box, chosen: Sequence[tuple[int, KernelChoice]]) -> dict[str, Any]:
    facts = [*box.facts, *_choice_facts(chosen)]
    return {
        "label": clean(box.label),
        "name": clean(clip(box.name, NAME)),
        "type": clean(clip(box.type, LINE)),
        "facts": [(clean(name), clean(text)) for name, text in facts],
        "sources": [clean(clip(source, NAME)) for source in box.sources[:LIST]],
        "row": row_id(chosen[0][0]) if chosen else None,
    }


def _choice_facts(chosen: Sequence[tuple[int, KernelChoice]]) -> Iterator[tuple[str, str]]:
    for _, choice in chosen:
        kernel = f"{choice.provider or 'node by node'} {choice.candidate}".strip()
        time = f", {time_text(choice.nanoseconds)}" if choice.nanoseconds else ""
        yield "kernel", clip(kernel, NAME) + time
        if choice.formats and len(chosen) == 1:
            yield "formats", clip(choice.formats, LINE)


def _note(reduced: Collapsed, loose: int) -> str:
    chains = sum(len(each) > 1 for each in reduced.members)
    notes = [f"{count(chains, 'chain')} of nodes drawn as one box each"] * (chains > 0)
    notes += [f"{count(reduced.left_out, 'node')} at the end left out"] * (reduced.left_out > 0)
    notes += [f"{count(loose, 'long edge')} left out"] * (loose > 0)
    return "; ".join(notes)
