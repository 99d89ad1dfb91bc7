"""``gie inspect --html``: what stands on the page, and what can't."""

from __future__ import annotations

import json
import random
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gie_core.builder.pipeline import build
from gie_core.builder.report import BuildReport
from gie_core.cli.html.header import Subject
from gie_core.cli.html.page import page
from gie_core.cli.html.sketch import sketch
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.plugin.host import PluginHost
from gie_core.testing.command_line import call_gie

EVIL = '</script></style></title><img src=x onerror="alert(1)">\'&\u202e'


class Reader(HTMLParser):
    """Collects elements, ids, links, and the text that people see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.loads: list[str] = []
        self.seen = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in = tag
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name in ("src", "srcset", "action", "data"):
                self.loads.append(value or "")

    def handle_data(self, data: str) -> None:
        if self._in not in ("script", "style"):
            self.seen += f"{data} "


@pytest.fixture
def scores(models: Path) -> str:
    called = call_gie("inspect", "scores.toy", "--html", "page.html")
    assert (called.status, called.out) == (0, ""), called.err
    assert called.err.endswith("gie: note: the page is in page.html\n")
    return Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "scores.toy",
        "Built for host, imported from toy",
        "1 rewrite by 1 pass ",
        "predicted, not measured",
        "As imported 4 nodes",
        "As it runs 2 nodes",
        "toys only do relu",
        "toy-drop-neg",
        "%b = neg",
        "n = 1",
        "toy: 2 native nodes, 0 foreign.",
    ],
)
def test_the_page_says(scores: str, text: str) -> None:
    assert text in " ".join(Reader(scores).seen.split())


def test_links_lead_somewhere_and_ids_are_unique(scores: str) -> None:
    read = Reader(scores)
    assert len(set(read.ids)) == len(read.ids)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert {"kernel-0", "kernel-1", "before-0", "after-0"} <= set(read.ids)


def test_the_page_needs_nothing_else(scores: str) -> None:
    read = Reader(scores)
    assert not read.loads
    assert all(link.startswith("#") for link in read.links)
    assert not {"link", "img", "iframe", "object"} & read.tags
    assert "default-src 'none'" in unescape(scores)
    assert "@import" not in scores
    assert "url(" not in scores


def evil_page() -> str:
    name = json.dumps(EVIL)
    text = f"graph {name} {{ input %{name}: f32[2] %y: f32[2] = relu(%{name}) from {name}"
    graph = parse_graph(f"{text} return %y as {name} }}", core_ops())
    engine = build(graph, host=PluginHost(entry_points=[]))
    report = engine.report
    assert report is not None
    report.notes.append(EVIL)
    report.failed_plugins[EVIL] = EVIL
    drawn = sketch(graph)
    return page(Subject(EVIL, EVIL, report, drawn, drawn, problem=EVIL))


def test_hostile_names_are_text() -> None:
    text = evil_page()
    read = Reader(text)
    assert "img" not in read.tags
    assert not read.handlers
    assert (text.count("<script"), text.count("</script>")) == (2, 2)
    assert (text.count("</style>"), text.count("</title>\n") <= 1) == (1, True)
    assert "\u202e" not in text
    assert "<img src=x onerror" in read.seen


def test_the_page_of_a_huge_graph_is_bounded() -> None:
    pick = random.Random(0)
    lines = ["graph g { input %v0: f32[4]"]
    for n in range(1, 3000):
        a, b = (pick.randrange(max(0, n - 50), n) for _ in range(2))
        lines.append(f"%v{n}: f32[4] = add(%v{a}, %v{b}) from {json.dumps('x' * 5000)}")
    graph = parse_graph("\n".join([*lines, "return %v2999 }"]), core_ops())
    drawn = sketch(graph)
    text = page(Subject("net", "host", BuildReport(nodes_before=3000), drawn, drawn))
    assert len(text) < 4_000_000
    assert "nodes at the end left out" in text


def test_a_model_that_nothing_runs_still_has_a_page(models: Path) -> None:
    assert call_gie("inspect", "alone.toy", "--html", "page.html").status == 0
    seen = Reader(Path("page.html").read_text(encoding="utf-8")).seen
    assert "nothing runs foreign %y on host" in seen


def test_a_page_that_cannot_be_written(models: Path) -> None:
    called = call_gie("inspect", "scores.toy", "--html", "nowhere/page.html")
    assert called.status == 2
    assert "page.html cannot be written: " in called.error


def test_the_page_of_an_engine(models: Path) -> None:
    assert call_gie("build", "picture.toy", "-o", "picture.gie", "--no-timing").status == 0
    assert call_gie("inspect", "picture.gie", "--html", "page.html").status == 0
    read = Reader(Path("page.html").read_text(encoding="utf-8"))
    assert "after-0" in read.ids
    assert "before-0" not in read.ids
    assert "picture.gie" in read.seen
