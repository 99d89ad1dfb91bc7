"""Engine files wherever a model is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gie_core.testing.command_line import Called, call_gie

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
def engines(models: Path) -> None:
    """``scores.gie``, and ``refit.gie``, which keeps the imported graph."""
    for name, options in (("scores", ()), ("refit", ("--refit",))):
        line = ("build", "scores.toy", "-o", f"{name}.gie", "--no-timing", *options)
        assert call_gie(*line).status == 0


def called(line: str) -> Called:
    found = call_gie(*line.split())
    assert found.status == 0, found.err
    return found


def values(line: str) -> Any:
    [run] = called(f"run {line} --random-input --json").json["runs"]
    return run["outputs"][0]["values"]


def test_an_engine_computes_what_its_model_does() -> None:
    assert values("scores.gie") == values("scores.toy")
    assert values("scores.gie --dim n=3") == values("scores.toy --dim n=3")
    assert values("scores.gie --rebuild") == values("scores.gie --trust") == values("scores.gie")


def test_an_engine_remembers_the_notes_of_its_importer() -> None:
    called("build scores.toy -o noted.gie --no-timing -O foreign=true")
    note = "gie: note: 1 node of ops that GIE does not define (toy::Top): see gie inspect --foreign"
    assert called("run noted.gie --random-input").err == f"{note}\n"
    assert "n1            toy::Top  tops only spin" in called("inspect noted.gie --foreign").out


def test_engines_are_timed_beside_models_and_engines() -> None:
    for other in ("scores.toy", "refit.gie"):
        found = called(f"bench scores.gie --against {other} --runs 2 --json").json
        assert [each["name"] for each in found["contestants"]] == ["gie scores.gie", f"gie {other}"]
        assert found["output_error"] == 0


@pytest.mark.parametrize("other", ["reference", "scores.toy", "scores.gie", "refit.gie"])
def test_engines_are_compared(other: str) -> None:
    assert called(f"compare scores.gie --with {other} --json").json["diverges"] is False


def test_options_of_the_importer_are_for_the_model_that_is_compared() -> None:
    called("compare scores.gie --with scores.toy -O foreign=true")
    found = call_gie("compare", "scores.gie", "--with", "scores.toy", "-O", "nope=1")
    assert found.error == "the toy importer has no option 'nope'"


# ── gie inspect ─────────────────────────────────────────────────────────────────────


def test_inspect_shows_what_is_inside() -> None:
    text = called("inspect scores.gie").out
    for wanted in (
        "graph scores\n",
        "input      x: f32[n, 3]\n",
        " kB, for host, made by GIE ",
        "kernels    toy-kernels of gie-toy",
        "imported from toy\n",
        "toy-drop-neg     1\n",
        "toy-kernels      1  relu ×1\n",
        "n = 1       2       0 ",
    ):
        assert wanted in text
    assert "weights can be exchanged" not in text
    assert "weights can be exchanged" in called("inspect refit.gie").out


@pytest.mark.parametrize(
    "option",
    ["--kernels", "--node Relu_0", "--plans", "--graph optimized", "--why-not", "--foreign"],
)
def test_inspect_shows_the_same_of_a_model_and_its_engine(option: str) -> None:
    assert called(f"inspect scores.gie {option}").out == called(f"inspect scores.toy {option}").out


def test_inspect_shows_what_passes_did() -> None:
    assert "toy-drop-neg, round 0: 1 hit\n  %b = neg\n" in called("inspect scores.gie --passes").out


def test_the_imported_graph_is_there_if_it_was_kept() -> None:
    kept = called("inspect refit.gie --graph imported").out
    assert kept == called("inspect scores.toy --graph imported").out


def test_inspect_json() -> None:
    found = called("inspect refit.gie --json").json
    assert found["engine"]["providers"] == [
        {
            "name": "toy-kernels",
            "plugin": "gie-toy",
            "version": found["engine"]["providers"][0]["version"],
        }
    ]
    assert (found["engine"]["refit"], found["target"]) == (True, "host")
    model = called("inspect scores.toy --json").json
    assert model["engine"] is None
    for name in ("name", "inputs", "outputs", "imported", "kernels", "plans", "graph", "hits"):
        assert found[name] == model[name]


# ── What can't be ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("run gone.gie", "the engine gone.gie cannot be read: there is no such file"),
        ("run scores.gie -O a=1", "-O is for importers, but scores.gie is an engine"),
        ("run scores.gie --weights a", "--weights is for importers, but scores.gie is an engine"),
        ("bench scores.gie -O a=1", "-O is for importers, but scores.gie is an engine"),
        ("compare scores.gie -O a=1", "-O is for importers, but scores.gie is an engine"),
        ("inspect scores.gie -O a=1", "-O is for importers, but scores.gie is an engine"),
        (
            "run scores.gie --no-optimize",
            "--no-optimize is for models, but scores.gie is an engine",
        ),
        ("run scores.gie --target moon", "there is no target 'moon'"),
        ("inspect scores.gie --print-after all", "--print-after is for models, but scores.gie is"),
        ("inspect scores.gie --graph imported", "scores.gie does not have the imported graph"),
        ("inspect scores.gie --why-not=nope", "there is no pass 'nope'"),
        ("inspect scores.gie --node nope", "no kernel is chosen for a node 'nope'"),
        ("build scores.gie -o b.gie", "scores.gie is an engine already"),
        ("bench scores.gie --against onnxruntime", "onnxruntime "),
        ("bench scores.toy --against gone.gie", "the engine gone.gie cannot be read"),
    ],
)
def test_mistakes(line: str, error: str) -> None:
    found = call_gie(*line.split())
    assert (found.status, found.out) == (2, "")
    assert found.error.startswith(error)


BLOCKED = "--block gie-toy:toy-kernels"


def test_missing_kernels_are_one_sentence_with_the_option_that_helps() -> None:
    found = call_gie(*f"{BLOCKED} run scores.gie --random-input".split())
    assert (found.status, found.out) == (2, "")
    assert found.error.startswith("scores.gie runs kernels of gie-toy")
    assert "load it with --rebuild to plan it again" in found.error
    again = called(f"{BLOCKED} run scores.gie --random-input --rebuild --json").json
    assert again["runs"][0]["outputs"][0]["values"] == values("scores.toy")


def test_inspect_shows_engines_that_cannot_run_here() -> None:
    found = called(f"{BLOCKED} inspect scores.gie")
    assert "scores.gie runs kernels of gie-toy" in found.out
    assert "toy-kernels      1  relu ×1\n" in found.out
    assert "toy-kernels" not in called(f"{BLOCKED} inspect scores.gie --rebuild --kernels").out


def spoiled(damage: str, whole: bytes) -> bytes:
    middle = len(whole) // 2
    match damage:
        case "empty":
            return b""
        case "text":
            return b"graph g { input %x: f32[2] return %x }"
        case "truncated":
            return whole[:middle]
        case "header":
            return whole[:200] + b"?" + whole[201:]
        case "longer":
            return whole + b"\0"
        case _:
            return whole[:-300] + bytes(b ^ 1 for b in whole[-300:-200]) + whole[-200:]


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "header", "longer", "weights"])
@pytest.mark.parametrize("command", ["run", "inspect", "bench", "compare"])
def test_a_damaged_engine_is_one_sentence(command: str, damage: str) -> None:
    path = Path("damaged.gie")
    path.write_bytes(spoiled(damage, Path("scores.gie").read_bytes()))
    found = call_gie(command, path, *(["--random-input"] if command == "run" else []))
    assert (found.status, found.out) == (2, "")
    assert found.err.count("\n") == 1
    assert "damaged.gie" in found.error
