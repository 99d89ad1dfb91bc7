"""What runs each node, what else could have, and why others can't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gie_core.builder.report import Alternative, KernelChoice
from gie_core.cli.console import count
from gie_core.cli.html.drawing import row_id
from gie_core.cli.html.families import FAMILIES
from gie_core.cli.html.markup import Child, Markup, clip, fragment, tag
from gie_core.cli.html.sketch import LINE, LIST, NAME, Box
from gie_core.cli.html.tables import bar, table
from gie_core.cli.html.units import MISSING, error_text, ratio_text
from gie_core.cli.units import time_text

__all__ = ["kernels", "shares"]

ROWS, ALTERNATIVES = 1500, 40
"""Nodes, and alternatives of each, that are shown at most."""
SCALE = 4
"""Bars of alternatives end at this multiple of the chosen one's time."""


def shares(choices: Sequence[KernelChoice], boxes: Mapping[str, Box]) -> Markup | None:
    """One bar: which families of ops take the time.

    Args:
        choices: what runs.
        boxes: of the nodes, by name.
    """
    times = dict.fromkeys(FAMILIES, 0)
    for choice in choices:
        times[_family(boxes.get(choice.node))] += choice.nanoseconds
    total = sum(times.values())
    if not total:
        return None
    found = [(family, time / total) for family, time in times.items() if time]
    parts = [
        tag("i", class_=f"f-{family}", style=f"flex-grow:{share:.5f}", title=FAMILIES[family])
        for family, share in found
    ]
    keys = [
        tag(
            "li",
            tag("i", class_=f"f-{family}"),
            FAMILIES[family],
            tag("b", f"{share:.0%}" if share >= 0.005 else "< 1%"),
        )
        for family, share in found
    ]
    return fragment(tag("div", *parts, class_="shares"), tag("ul", *keys, class_="legend"))


def kernels(
    choices: Sequence[KernelChoice], boxes: Mapping[str, Box], places: Mapping[int, str]
) -> Markup:
    """A row a node, to be sorted and opened.

    Args:
        choices: in the order of the graph that runs.
        boxes: of the nodes, by name.
        places: the ids of the boxes in which nodes are drawn, by the number of their choice.
    """
    longest = max((choice.nanoseconds for choice in choices), default=0) or 1
    total = sum(choice.nanoseconds for choice in choices) or 1
    titles = [("order", "Node"), ("kernel", "Kernel"), ("time", "Time"), ("share", "")]
    titles.append(("others", "Rejected"))
    head = [
        tag("button", title, type="button", data_sort=key) if title else tag("span")
        for key, title in titles
    ]
    rows = [
        _row(number, choice, boxes.get(choice.node), places.get(number), longest, total)
        for number, choice in enumerate(choices[:ROWS])
    ]
    left = len(choices) - len(rows)
    return fragment(
        tag("div", *head, class_="row head"),
        tag("div", *rows, id="kernel-rows"),
        tag("p", f"and {count(left, 'node')} more", class_="sub") if left else None,
    )


def _row(
    number: int,
    choice: KernelChoice,
    box: Box | None,
    place: str | None,
    longest: int,
    total: int,
) -> Markup:
    family = _family(box)
    others = len(choice.alternatives) + len(choice.rejections)
    time = choice.nanoseconds
    provider = choice.provider or "node by node"
    summary = tag(
        "summary",
        tag(
            "span",
            tag("b", clip(choice.node, NAME)),
            tag("small", box.label if box else clip(choice.op, NAME)),
            class_=f"who f-{family}",
        ),
        tag("span", clip(choice.candidate or provider, NAME), _provider(choice), class_="kernel"),
        tag("span", time_text(time) if time else MISSING, class_="number"),
        tag("span", bar(time / longest, f"f-{family}"), _share(time, total), class_="share"),
        tag("span", others or MISSING, class_="number"),
        class_="row",
    )
    return tag(
        "details",
        summary,
        tag("div", *_body(choice, place), class_="body", id=row_id(number)),
        data_order=number,
        data_kernel=clip(f"{choice.provider} {choice.candidate}", NAME),
        data_time=time,
        data_others=others,
    )


def _family(box: Box | None) -> str:
    return box.family if box is not None and box.family in FAMILIES else "other"


def _share(time: int, total: int) -> Markup:
    return tag("small", f"{time / total:.1%}" if time else "")


def _provider(choice: KernelChoice) -> Markup | None:
    return tag("small", clip(choice.provider, NAME)) if choice.candidate else None


def _body(choice: KernelChoice, place: str | None) -> list[Markup | None]:
    facts = [
        ("formats", choice.formats),
        ("covers", ", ".join(choice.sources[:LIST]) + ", …" * (len(choice.sources) > LIST)),
    ]
    listed = [
        fragment(tag("dt", name), tag("dd", clip(text, 2 * LINE))) for name, text in facts if text
    ]
    nobody = None
    if not (choice.alternatives or choice.rejections):
        nobody = tag("p", "Nothing else could run it.", class_="sub")
    return [
        tag("dl", *listed, class_="facts") if listed else None,
        _alternatives(choice) if choice.alternatives else None,
        _rejections(choice) if choice.rejections else None,
        nobody,
        tag("p", tag("a", "Show in the graph", href=f"#{place}")) if place else None,
    ]


def _alternatives(choice: KernelChoice) -> Markup:
    """The chosen candidate, those that run the whole node too, then those that run a part."""
    whole = max(len(each.covers) for each in choice.alternatives)
    parts = [choice.node not in a.covers or len(a.covers) < whole for a in choice.alternatives]
    ordered = sorted(zip(parts, choice.alternatives, strict=True), key=lambda pair: pair[0])
    longest = max(choice.nanoseconds, *map(_time, choice.alternatives)) or 1
    if choice.nanoseconds:  # one that is far slower must not make all other bars short
        longest = min(longest, SCALE * choice.nanoseconds)
    others = (_alternative(each, choice, part, longest) for part, each in ordered)
    columns = ["Candidate", "Formats", ">Predicted", ">Measured", "", ">", ">Error", "Verdict"]
    return table(columns, [_chosen(choice, longest), *others], most=ALTERNATIVES)


def _chosen(choice: KernelChoice, longest: int) -> Sequence[Child]:
    time = time_text(choice.nanoseconds) if choice.nanoseconds else MISSING
    timed = any(each.measured is not None for each in choice.alternatives)
    return (
        tag("b", clip(f"{choice.provider} {choice.candidate}".strip(), NAME)),
        clip(choice.formats, LINE),
        MISSING if timed else time,
        time if timed else MISSING,
        bar(choice.nanoseconds / longest, "chosen"),
        "",
        "",
        tag("b", "chosen"),
    )


def _alternative(
    each: Alternative, choice: KernelChoice, part: bool, longest: int
) -> Sequence[Child]:
    time = _time(each)
    covers = tag("small", f"a part: {clip(', '.join(each.covers[:8]), NAME)}") if part else None
    verdict = "" if part and not each.reason else each.verdict
    factor = ratio_text(time / choice.nanoseconds) if choice.nanoseconds and time else ""
    return (
        fragment(clip(f"{each.provider} {each.candidate}", NAME), covers),
        clip(each.formats, LINE),
        time_text(each.predicted),
        MISSING if each.measured is None else time_text(each.measured),
        bar(time / longest, "predicted" if each.measured is None else ""),
        "" if part else factor,
        error_text(each.error),
        clip(f"{verdict}: {each.reason}" if each.reason else verdict, LINE),
    )


def _time(each: Alternative) -> int:
    return each.predicted if each.measured is None else each.measured


def _rejections(choice: KernelChoice) -> Markup:
    rows = [(clip(r.provider, NAME), clip(r.reason, 2 * LINE)) for r in choice.rejections]
    return table(["Who", "Why it does not run the node"], rows, most=ALTERNATIVES)
