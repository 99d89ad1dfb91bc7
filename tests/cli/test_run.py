"""``gie run`` on small graphs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gie_core.testing.command_line import call_gie

pytestmark = pytest.mark.usefixtures("models")

X = np.eye(3, dtype=np.float32)  # scores.toy makes [[1, 0, 0, 1], [0, 2, 0, 1], [0, 0, 3, 1]] of it
Y = np.array([[1, 0, 0, 1], [0, 2, 0, 1], [0, 0, 3, 1]], np.float32)


@pytest.fixture(autouse=True)
def files(models: Path) -> None:
    np.save("x.npy", X)
    np.save("a.npy", np.array([1, 2], np.float32))
    np.savez("ab.npz", a=np.array([1, 2], np.float32), b=np.array([5, 5], np.float32))
    Path("labels.txt").write_text("ant\nbee\ncat\ndog\n")


def test_outputs_are_printed_with_type_and_values() -> None:
    called = call_gie("run", "scores.toy", "x.npy")
    assert called.status == 0
    [what, head, row] = called.out.splitlines()
    assert what.startswith("1 output in ")
    assert what.endswith(" ms (first run)")
    assert head.split() == ["output", "type", "min", "mean", "max", "values"]
    assert " ".join(row.split()) == "scores f32[3, 4] 0 0.75 3 1, 0, 0, 1, 0, 2, 0, 1 …"


def test_of_the_importers_notes_only_foreign_nodes_matter_here() -> None:
    note = "1 node of ops that GIE does not define (toy::Top): see gie inspect --foreign"
    line = "run scores.toy x.npy -O foreign=true"
    assert call_gie(*line.split()).err == f"gie: note: {note}\n"
    assert call_gie(*line.split(), "--json").json["notes"] == [note]
    assert call_gie("run", "scores.toy", "x.npy").err == ""


@pytest.mark.parametrize("optimize", [[], ["--no-optimize"]])
def test_json(optimize: list[str]) -> None:
    called = call_gie("run", "scores.toy", "x.npy", "--json", *optimize).json
    [run] = called["runs"]
    assert called["inputs"] == [
        {"name": "x", "type": "f32[n, 3]", "dtype": "f32", "shape": ["n", 3]}
    ]
    assert run["outputs"][0]["name"] == "scores"
    assert run["outputs"][0]["values"] == Y.tolist()


def test_arrays_take_one_line_of_json() -> None:
    out = call_gie("run", "scores.toy", "x.npy", "--json").out
    lines = [line.strip() for line in out.splitlines()]
    assert '"shape": [3, 4],' in lines
    assert f'"values": {Y.tolist()}' in lines


def test_json_has_no_nan() -> None:
    np.save("x.npy", np.full((1, 3), np.nan, np.float32))
    [run] = call_gie("run", "scores.toy", "x.npy", "--json").json["runs"]
    assert run["outputs"][0]["max"] is None


@pytest.mark.parametrize(
    "given",
    ["a=a.npy b=a.npy", "-i a=a.npy --input b=a.npy", "b=a.npy a.npy", "a.npy -i a.npy"],
)
def test_two_inputs(given: str) -> None:
    [run] = call_gie("run", "two.toy", *given.split(), "--json").json["runs"]
    assert [output["values"] for output in run["outputs"]] == [[2, 4], [0, 0]]


def test_a_npz_feeds_all_inputs() -> None:
    [run] = call_gie("run", "two.toy", "ab.npz", "--json").json["runs"]
    assert [output["values"] for output in run["outputs"]] == [[6, 7], [-4, -3]]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("two.toy", "two.toy needs inputs (a: f32[2], b: f32[2]); give INPUT files, or"),
        ("two.toy a.npy", "1 file for 2 inputs (a, b): write NAME=FILE"),
        ("two.toy a=a.npy", "input 'b' is missing"),
        ("two.toy gone.npy", "there is no input file gone.npy"),
        ("scores.toy a.npy", "%x is f32[n, 3], but got an array of shape [2]"),
        ("scores.toy x.npy --preprocess nope", "preprocess: there is no step 'nope'"),
        (
            "scores.toy x.npy --labels gone",
            "the labels gone cannot be read: No such file or directory",
        ),
        ("picture.toy --random-input --labels labels.txt", "no output has scores of 4 classes"),
        ("scores.toy x.npy --output y.txt", "--output y.txt must end in .npy or .npz"),
        ("scores.toy x.npy --output gone/y.npy", "--output gone/y.npy: there is no folder gone"),
        # The output is looked at first: nothing is built in vain.
        ("alone.toy --random-input --output gone/y.npy", "--output gone/y.npy: there is no"),
        ("alone.toy --random-input --output y.txt", "--output y.txt must end in .npy or .npz"),
        ("two.toy ab.npz --output y.npy", "the model has 2 outputs, and a .npy holds one"),
        ("scores.toy x.npy --labels .", "the labels . are not a file"),
        ("scores.toy --random-input --dim n", "--dim n must read NAME=N"),
        ("scores.toy --random-input --dim n=" + "9" * 19, "--dim n has 19 digits"),
        ("scores.toy --random-input --dim n=" + "9" * 18, "no array can have the size of the"),
        ("scores.toy --random-input --seed -1", "invalid value for '--seed'"),
        ("scores.toy x.npy --preprocess scale=1" + "0" * 400, "preprocess: 'scale=1"),
        (
            "scores.toy --random-input --dim zz=3",
            "there is no dimension 'zz'; the dimensions are n",
        ),
        ("two.toy --random-input --dim n=3", "there is no dimension 'n'; all have a size"),
        ("scores.toy x.npy --dim n=3", "--dim gives sizes to random inputs; add --random-input"),
        ("alone.toy --random-input", "nothing runs foreign %y on host"),
    ],
)
def test_mistakes(line: str, error: str) -> None:
    called = call_gie("run", *line.split())
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith(error)


# ── Random inputs ───────────────────────────────────────────────────────────────────


def shapes(line: str) -> list[list[int]]:
    [run] = call_gie("run", *line.split(), "--json").json["runs"]
    return [output["shape"] for output in run["outputs"]]


def test_random_inputs_have_the_size_asked_for() -> None:
    assert shapes("scores.toy --random-input") == [[1, 4]]
    assert shapes("scores.toy --random-input --dim n=5") == [[5, 4]]


def test_random_inputs_are_seeded() -> None:
    values = [
        call_gie("run", "scores.toy", "--random-input", "--seed", seed, "--json").json["runs"][0][
            "outputs"
        ]
        for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("given", ["a=a.npy", "a.npy"])
def test_random_inputs_fill_what_has_no_file(given: str) -> None:
    [run] = call_gie("run", "two.toy", given, "--random-input", "--json").json["runs"]
    total, difference = (np.array(output["values"]) for output in run["outputs"])
    np.testing.assert_allclose(total + difference, [2, 4], rtol=1e-6)


# ── Progress ────────────────────────────────────────────────────────────────────────


def test_progress_goes_on_while_the_network_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    @contextmanager
    def recorded() -> Generator[Callable[[str], None], None, None]:
        yield said.append
        said.append("end")

    monkeypatch.setattr("gie_core.cli.run.progress", recorded)
    assert call_gie("run", "scores.toy", "x.npy", "x.npy").status == 0
    assert call_gie("run", "scores.toy", "--random-input").status == 0
    assert said == ["running x.npy", "running x.npy", "end", "running", "end"]


# ── Classes ─────────────────────────────────────────────────────────────────────────


def rows(line: str) -> list[list[str]]:
    return [row.split() for row in call_gie("run", *line.split()).out.splitlines()]


def test_the_best_classes_with_labels() -> None:
    assert rows("scores.toy x.npy --labels labels.txt --top 2") == [
        ["input", "class", "label", "score"],
        ["x.npy[0]", "0", "ant", "1.0000"],
        ["3", "dog", "1.0000"],
        ["x.npy[1]", "1", "bee", "2.0000"],
        ["3", "dog", "1.0000"],
        ["x.npy[2]", "2", "cat", "3.0000"],
        ["3", "dog", "1.0000"],
    ]


def test_scores_become_probabilities_only_when_asked() -> None:
    np.save("x.npy", X[:1])
    probabilities = np.exp(Y[0]) / np.exp(Y[0]).sum()
    assert rows("scores.toy x.npy --top 1 --softmax") == [
        ["class", "probability"],
        ["0", f"{probabilities[0]:.4f}"],
    ]


def test_json_ranks_classes() -> None:
    called = call_gie("run", "scores.toy", "x.npy", "--labels", "labels.txt", "--json")
    best = called.json["runs"][0]["top"][1][0]
    assert best == {"index": 1, "label": "bee", "score": 2.0}
    assert "values" not in called.json["runs"][0]["outputs"][0]


# ── Pictures and files ──────────────────────────────────────────────────────────────


def test_several_pictures_are_several_runs_and_one_file() -> None:
    for name, level in (("dark", 10), ("light", 200)):
        Image.fromarray(np.full((6, 8, 3), level, np.uint8)).save(f"{name}.png")
    line = "picture.toy dark.png light.png --preprocess scale=1/10 --output y.npy"
    called = call_gie("run", *line.split())
    assert called.status == 0
    assert [line.split(":")[0] for line in called.out.splitlines() if " in " in line] == [
        "dark.png",
        "light.png",
    ]
    assert called.out.count("(first run)") == 1
    expected = np.full((2, 3, 4, 4), [[[[1]]], [[[20]]]], np.float32)
    np.testing.assert_allclose(np.load("y.npy"), expected)


def test_outputs_are_stored_by_name() -> None:
    assert call_gie("run", "two.toy", "ab.npz", "--output", "y.npz").status == 0
    stored = np.load("y.npz")
    assert sorted(stored.files) == ["difference", "sum"]
    np.testing.assert_array_equal(stored["sum"], [6, 7])
    assert not list(Path().glob(".*"))
