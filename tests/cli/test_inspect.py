"""``gie inspect`` on small graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ops import core_ops
from gie_core.testing.command_line import call_gie

pytestmark = pytest.mark.usefixtures("models")


def printed(line: str) -> str:
    called = call_gie("inspect", *line.split())
    assert called.status == 0, called.err
    return called.out


@pytest.mark.parametrize(
    "text",
    [
        "graph scores\n",
        "input      x: f32[n, 3]\n",
        "output     scores: f32[n, 4]\n",
        "constants  12 elements",
        "imported from toy\n2 native nodes, 0 foreign\n",
        "passes: 4 nodes became 2\n",
        "toy-drop-neg     1",
        "toy-kernels      1  relu ×1\n",
        "reference        1  matmul ×1\n",
    ],
)
def test_overview(text: str) -> None:
    assert text in printed("scores.toy")


@pytest.mark.parametrize(("stage", "nodes"), [("imported", 4), ("optimized", 2)])
def test_the_printed_graph_parses_back(stage: str, nodes: int) -> None:
    text = printed(f"scores.toy --graph {stage}")
    graph = parse_graph(text, core_ops())
    assert len(graph) == nodes
    assert format_graph(graph) + "\n" == text


SOURCED = """\
graph g {
  input %x: f32[2]
  %r: f32[2] = relu(%x) from "R"
  %a: f32[2] = neg(%r) from "M"
  %b: f32[2] = neg(%a) from "N"
  return %b
}
"""


def test_passes() -> None:
    text = printed("scores.toy --passes")
    assert "toy-drop-neg, round 0: 1 hit, " in text
    assert "  %b = neg\n    → %m = matmul\n" in text
    assert "round 1" not in text
    assert text.endswith("\n1 run without hits is not shown\n")


def test_passes_name_sources() -> None:
    Path("sourced.toy").write_text(SOURCED)
    text = printed("sourced.toy --passes")
    assert "  %b = neg from N\n    → %r = relu from R, M, N\n" in text


def test_replacements_that_are_no_nodes_are_named() -> None:
    Path("input.toy").write_text(SOURCED.replace("neg(%r)", "neg(%x)"))
    assert "  %b = neg from N\n    → %x\n" in printed("input.toy --passes")


SINGLE = "graph g { input %x: f32[2] %y: f32[2] = neg(%x) return %y }"


@pytest.mark.parametrize("option", ["--why-not", "--why-not=toy-drop-neg", "--why-not all"])
def test_why_not(option: str) -> None:
    Path("single.toy").write_text(SINGLE)
    row = printed(f"single.toy {option}").splitlines()[-1]
    assert row.split(maxsplit=1)[0] == "toy-drop-neg"
    assert row.endswith("a single neg is needed")


def test_nothing_to_ask_why_not() -> None:
    assert "nothing: whatever a pattern matched" in printed("scores.toy --why-not")


@pytest.mark.parametrize("name", ["all", "toy-drop-neg"])
def test_print_after(name: str) -> None:
    head, _, graph = printed(f"scores.toy --print-after {name}").partition("\n")
    assert head == "// after toy-drop-neg, round 0, 1 hit"
    assert len(parse_graph(graph, core_ops())) == 2


def test_kernels_with_formats_and_sources() -> None:
    head, m, y = printed("scores.toy --kernels").splitlines()[1:]
    assert head.split() == ["node", "op", "kernel", "formats", "time", "covers"]
    assert m.split()[:4] == ["m", "matmul", "reference", "NumPy"]
    assert y.split()[:3] == ["y", "relu", "toy-kernels"]
    assert y.split()[-1] == "Relu_0"


@pytest.mark.parametrize("name", ["y", "%y", "Relu_0"])
def test_a_node(name: str) -> None:
    first, *rest = printed(f"scores.toy --node {name}").splitlines()
    assert first == "%y = relu from Relu_0"
    kernel, formats, time = (" ".join(line.split()) for line in rest)
    assert (kernel, formats) == ("kernel toy-kernels arrays", "formats f32 any → f32 pitched")
    assert time.startswith("time ")


def test_a_node_with_the_providers_that_do_not_run_it() -> None:
    *_, head, row = printed("scores.toy --node m").splitlines()
    assert " ".join(head.split()) == "why not who"
    assert " ".join(row.split()) == "toys only do relu toy-kernels"


def test_plans() -> None:
    head, columns, m, y = printed("scores.toy --plans").splitlines()
    assert head.startswith("plan for n = 1: 2 steps, an arena of ")
    assert (
        columns.split()
        == [*("begin", "time", "node", "kernel", "operands", "results", "at", "workspace")][
            : len(columns.split())
        ]
    )
    assert " ".join(m.split()).startswith("0 0 ns ")
    assert " m reference NumPy f32[1, 3] f32[1, 4] " in " ".join(m.split())
    assert " y toy-kernels arrays f32[1, 4] f32[1, 4] " in " ".join(y.split())


def test_foreign() -> None:
    text = printed("scores.toy --foreign -O foreign=true")
    assert "2 native nodes, 1 foreign" in text
    assert "n1            toy::Top  tops only spin" in text


def test_notes_of_the_importer() -> None:
    called = call_gie("inspect", "scores.toy", "-O", "foreign=true")
    assert called.err == "gie: note: toys are for play\n"
    notes = call_gie("inspect", "scores.toy", "--json").json["notes"]
    assert notes == ["toys are for play"]


def test_a_model_that_nothing_runs_still_shows() -> None:
    assert "nothing runs foreign %y on host" in printed("alone.toy")
    assert "nothing runs foreign %y on host" in printed("alone.toy --kernels")


def test_json() -> None:
    found = call_gie("inspect", "scores.toy", "--json").json
    assert (found["nodes_before"], found["nodes_after"]) == (4, 2)
    assert found["hits"] == {"toy-drop-neg": 1}
    assert found["imported"]["native"] == {"Toy": 2}
    assert found["constants"] == {"elements": 12, "bytes": 48}
    assert [choice["provider"] for choice in found["kernels"]] == ["reference", "toy-kernels"]
    assert len(parse_graph(found["graph"], core_ops())) == 2


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("scores.toy --print-after toy-drop-ne", "did you mean toy-drop-neg?"),
        ("scores.toy --why-not=nope", "there is no pass 'nope'; the passes are toy-drop-neg"),
        ("scores.toy --graph nope", "invalid value for '--graph'"),
        ("scores.toy --node Relu_1", "no kernel is chosen for a node 'Relu_1'; did you mean"),
        ("scores.toy --node qqq", "no kernel is chosen for a node 'qqq'; --kernels lists them"),
    ],
)
def test_mistakes(line: str, error: str) -> None:
    called = call_gie("inspect", *line.split())
    assert called.status == 2
    assert error in called.error
