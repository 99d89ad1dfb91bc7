"""``gie compare`` on small graphs."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from gie_core.ir.graph import Node
from gie_core.kernels.provider import Launch, Memory
from gie_core.testing.command_line import Called, call_gie

pytestmark = pytest.mark.usefixtures("models")

CHAIN = """\
graph chain {
  input %x: f32[4]
  const %c: f32[1] = [CONSTANT]
  %a: f32[4] = relu(%x) from "Relu_0"
  %b: f32[4] = mul(%a, %c) from "Mul_1"
  %d: f32[4] = relu(%b) from "Relu_2"
  return %d as "out"
}
"""


@pytest.fixture(autouse=True)
def chains(models: Path) -> None:
    for name, constant in (("chain", "2"), ("other", "2.02")):
        Path(f"{name}.toy").write_text(CHAIN.replace("CONSTANT", constant), encoding="utf-8")
    Path("elsewhere.toy").write_text(
        "graph elsewhere {\n  input %x: f32[4]\n  %z: f32[4] = relu(%x)\n  return %z\n}\n",
        encoding="utf-8",
    )


def compare(line: str) -> Called:
    return call_gie("compare", *line.split())


def test_an_engine_computes_what_the_reference_does() -> None:
    called = compare("scores.toy")
    assert (called.status, called.err) == (0, "")
    what, head, *_, end = called.out.splitlines()
    assert what.startswith("scores.toy beside reference: ")
    assert head.split() == ["value", "op", "kernel", "error", "largest", "from"]
    assert end == "no error is beyond 0.0001"


def test_the_first_divergence_is_named_with_its_source() -> None:
    called = compare("chain.toy --with other.toy")
    assert called.status == 1
    assert called.out.splitlines()[-1] == (
        "the first beyond 0.0001 in the order of execution is %b = mul (from Mul_1): 9.9e-03"
    )


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    toy: Any = importlib.import_module("gie_toy")  # on the path while the toys are
    bind = toy.Kernels.bind

    def spoiled(self: Any, node: Node, candidate: str, memory: Memory) -> list[Launch]:
        def spoil() -> None:
            memory.results[0][...] += node.sources == ("Relu_2",)

        return [*bind(self, node, candidate, memory), spoil]

    monkeypatch.setattr(toy.Kernels, "bind", spoiled)
    called = compare("chain.toy --json")
    assert called.status == 1
    assert called.json["first"]["value"] == "d"
    assert called.json["first"]["kernel"].startswith("toy-kernels ")


def test_json_has_every_value_in_order() -> None:
    called = compare("chain.toy --with other.toy --json")
    assert called.status == 1
    found = called.json
    assert [each["value"] for each in found["values"]] == ["a", "b", "d", "out"]
    assert [each["error"] > 1e-3 for each in found["values"]] == [False, True, True, True]
    assert found["values"][1]["error"] == pytest.approx(0.02 / 2.02, rel=1e-4)
    assert (found["diverges"], found["first"]["value"]) == (True, "b")
    assert found["first"]["sources"] == ["Mul_1"]


def test_the_tolerance_is_the_users() -> None:
    assert compare("chain.toy --with other.toy --tolerance 0.01").status == 0
    assert compare("chain.toy --with other.toy --tolerance 0.009").status == 1
    assert compare("chain.toy --tolerance 0").status == 0


def test_as_many_rows_as_wanted() -> None:
    rows = compare("chain.toy --with other.toy --top 2").out.splitlines()
    assert sum(row.startswith("%") for row in rows) == 2


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("gone.toy", "there is no file gone.toy"),
        ("chain.toy --with gone.toy", "there is no file gone.toy"),
        ("chain.toy --with elsewhere.toy", "the two have no value in common"),
        ("chain.toy --with two.toy", "two has an input 'a', but the network it is compared with"),
        ("chain.toy --tolerance -1", "invalid value for '--tolerance'"),
        ("chain.toy gone.npy", "there is no input file gone.npy"),
    ],
)
def test_mistakes(line: str, error: str) -> None:
    called = compare(line)
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith(error)


def find_nothing(name: str) -> None:
    """As if no package were installed."""


def test_a_missing_peer_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    called = compare("gone.toy --with onnxruntime")
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith("onnxruntime is not installed; `pip install onnxruntime`")
