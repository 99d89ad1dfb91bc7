"""``gie bench`` on small graphs: what it prints, and what it refuses; never how fast it was."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from gie_core.testing.command_line import call_gie

pytestmark = pytest.mark.usefixtures("models")

FEW = ["--runs", "3"]


@pytest.fixture(autouse=True)
def files(models: Path) -> None:
    np.save("x.npy", np.eye(3, dtype=np.float32))


def test_a_table_of_one() -> None:
    called = call_gie("bench", "scores.toy", *FEW)
    assert (called.status, called.err) == (0, "")
    what, head, row, end = called.out.splitlines()
    assert what.startswith("scores.toy on host: ")
    assert what.endswith("; x [1, 3]")
    assert head.split()[:3] == ["load", "first", "median"]
    assert row.startswith("gie scores.toy ")
    assert end.startswith("3 turns of each after 2 runs to warm up; the process had ")


def test_json() -> None:
    found = call_gie("bench", "scores.toy", *FEW, "--dim", "n=5", "--json").json
    [gie] = found["contestants"]
    assert found["inputs"] == [{"name": "x", "type": "f32[n, 3]", "dtype": "f32", "shape": [5, 3]}]
    assert (gie["name"], gie["runs"], found["rounds"]) == ("gie scores.toy", 3, 3)
    low, high = gie["quartiles_seconds"]
    assert 0 < low <= gie["median_seconds"] <= high <= gie["p99_seconds"]
    assert gie["runs_per_second"] > 0
    assert "ratio" not in found


def test_time_instead_of_a_number_of_runs() -> None:
    found = call_gie("bench", "scores.toy", "--seconds", "1e-6", "--json").json
    assert found["contestants"][0]["runs"] == found["rounds"] == 5


def test_files_are_inputs() -> None:
    found = call_gie("bench", "scores.toy", "x.npy", *FEW, "--json").json
    assert found["inputs"][0]["shape"] == [3, 3]


def test_another_model_takes_turns() -> None:
    found = call_gie("bench", "scores.toy", "--against", "scores.toy", *FEW, "--json").json
    one, two = found["contestants"]
    assert found["ratio"] == one["median_seconds"] / two["median_seconds"]
    assert found["output_error"] == 0
    table = call_gie("bench", "scores.toy", "--against", "scores.toy", *FEW).out
    assert " times as long as gie scores.toy; outputs differ by 0.0e+00" in table


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("gone.toy", "there is no file gone.toy"),
        ("scores.toy gone.npy", "there is no input file gone.npy"),
        ("scores.toy x.npy x.npy", "one set of inputs is needed, but these files make 2"),
        ("scores.toy --dim m=2", "there is no dimension 'm'"),
        ("scores.toy --runs 0", "invalid value for '--runs'"),
        ("scores.toy --seconds 0", "invalid value for '--seconds'"),
        ("scores.toy --threads 0", "invalid value for '--threads'"),
        ("scores.toy --threads 999", "NumPy runs with "),
        ("scores.toy --against gone.toy", "there is no file gone.toy"),
        ("scores.toy --against two.toy", "unknown input 'x'; the inputs are a: f32[2], b: f32[2]"),
    ],
)
def test_mistakes(line: str, error: str) -> None:
    called = call_gie("bench", *line.split())
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith(error)


def find_nothing(name: str) -> None:
    """As if no package were installed."""


def test_a_missing_peer_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    called = call_gie("bench", "gone.toy", "--against", "onnxruntime")
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith("onnxruntime is not installed; `pip install onnxruntime`")
