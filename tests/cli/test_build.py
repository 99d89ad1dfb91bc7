"""``gie build`` on small graphs, in this process."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from gie_core.builder.timing_cache import TimingCache
from gie_core.cli.main import main
from gie_core.testing.command_line import Called, call_gie

pytestmark = pytest.mark.usefixtures("models")


def build(line: str) -> Called:
    return call_gie("build", *line.split())


def built(line: str) -> Any:
    called = build(f"{line} --json")
    assert called.status == 0, called.err
    return called.json


def test_the_summary_is_a_few_lines() -> None:
    called = build("two.toy -o a.gie --seconds 1")
    assert called.status == 0
    title, nodes, kernels, timings, _, head, row = called.out.splitlines()
    assert re.fullmatch(r"a\.gie: .* kB for host, built in .* s", title)
    assert nodes.split() == ["nodes", "2", "became", "2"]
    assert kernels.split() == ["kernels", "reference", "2", "(NumPy", "×2)"]
    assert timings.split() == ["timings", "2", "candidates", "timed,", "0", "from", "the", "cache"]
    assert head.split()[:4] == ["steps", "copies", "measured", "predicted"]
    assert row.split()[:2] == ["2", "0"]


def test_stages_are_lines_where_nobody_watches() -> None:
    lines = build("two.toy -o a.gie --seconds 1").err.splitlines()
    assert lines[:3] == ["gie: importing", "gie: optimizing", "gie: choosing kernels"]
    assert lines[3].startswith("gie: timed 1 of 2 candidates in 0 s, about ")
    assert lines[4] == "gie: timed 2 of 2 candidates in 0 s"
    assert lines[-2:] == ["gie: writing a.gie", "gie: note: toys are for play"]


def test_a_terminal_shows_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("gie_core.cli.timing_table.FRAME", 0)
    with redirect_stderr(Terminal()) as shown:
        assert main(["build", "scores.toy", "-o", "a.gie", "--seconds", "1"]) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    for wanted in (
        "choosing kernels …",
        "timed 1 of ",
        "%m: matmul → f32[1, 4]",
        "candidate",
        "fastest",
        "Relu_0: relu → f32[1, 4]",
        "toy-kernels arrays, of 1 candidate",
        "comparing whole plans …",
        "writing a.gie …",
    ):
        assert wanted in text


def test_json() -> None:
    found = built("scores.toy -o a.gie --seconds 1")
    assert (found["output"], found["bytes"]) == ("a.gie", Path("a.gie").stat().st_size)
    assert (found["nodes_before"], found["nodes_after"]) == (4, 2)
    assert found["kernels"] == {"reference": {"NumPy": 1}, "toy-kernels": {"arrays": 1}}
    assert found["plans"][0]["sizes"] == {"n": 1}
    assert found["plans"][0]["measured"] > 0
    assert found["candidates"]["cached"] == 0
    assert found["candidates"]["timed"] >= 2


def test_without_timing_the_cost_model_decides() -> None:
    found = built("scores.toy -o a.gie --no-timing")
    assert found["candidates"] == {"timed": 0, "cached": 0}
    assert found["plans"][0]["measured"] is None
    assert found["plans"][0]["predicted"] > 0


def test_two_builds_with_one_cache_give_the_same_bytes() -> None:
    first, second = (
        built(f"scores.toy -o {name}.gie --timing-cache t.json --seconds 1") for name in "ab"
    )
    assert Path("a.gie").read_bytes() == Path("b.gie").read_bytes()
    assert second["candidates"] == {"timed": 0, "cached": first["candidates"]["timed"]}


def test_shapes_make_profiles() -> None:
    found = built("scores.toy -o a.gie --no-timing --shape x=2x3 --shape x=5x3")
    assert [plan["sizes"] for plan in found["plans"]] == [{"n": 2}, {"n": 5}]
    found = built("two.toy -o a.gie --no-timing --shape a=2,b=2")
    assert [plan["sizes"] for plan in found["plans"]] == [{}]


def test_pins_are_obeyed() -> None:
    assert build("scores.toy -o a.gie --no-timing --pin Relu_0=toy-kernels").status == 0
    called = build("scores.toy -o a.gie --no-timing --pin %y=reference")
    assert called.error == ("nothing named 'reference' runs 'y'; what runs it: toy-kernels arrays")


def test_weights_are_an_option_of_the_importer() -> None:
    for line in ("--weights w.bin", "--weights a.bin --weights b.bin", "-O weights=1"):
        called = build(f"scores.toy -o a.gie {line}")
        assert called.error == "the toy importer has no option 'weights'"
    called = build("scores.toy -o a.gie --weights a.bin -O weights=1")
    assert called.error == "the weights are given twice, by --weights and by -O"


def test_reduced_precision_keeps_its_promise() -> None:
    found = built("scores.toy -o a.gie --seconds 1 --precision fp32,fp16 --max-error 1e-1")
    [plan] = found["plans"]
    assert plan["budget"] == 0.1
    assert plan["error"] <= 0.1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("gone.toy -o a.gie", "there is no file gone.toy"),
        ("scores.toy", "missing option '-o' / '--output'"),
        ("scores.toy -o a.onnx", "--output a.onnx must end in .gie"),
        ("scores.toy -o gone/a.gie", "--output gone/a.gie: there is no folder gone"),
        ("a.gie -o b.gie", "a.gie is an engine already; give its model"),
        ("scores.toy -o a.gie --shape x", "--shape x must read NAME=1x3x224x224"),
        ("scores.toy -o a.gie --shape x=1xn", "--shape x=1xn must read NAME=1x3x224x224"),
        ("scores.toy -o a.gie --shape x=1,x=2", "--shape x=1,x=2 has the input 'x' twice"),
        ("scores.toy -o a.gie --shape y=1x3", "there is no input 'y'; the inputs are x"),
        ("scores.toy -o a.gie --shape x=1x4", "the shape [1, 4] does not fit the input 'x'"),
        ("scores.toy -o a.gie --workspace 3x", "--workspace 3x must be a number of bytes"),
        ("scores.toy -o a.gie --pin y", "--pin y must read NODE=PROVIDER"),
        ("scores.toy -o a.gie --pin y=a --pin %y=b", "--pin y is given twice"),
        ("scores.toy -o a.gie --pin z=toy", "there is no node 'z' to pin"),
        ("scores.toy -o a.gie --no-timing --seconds 3", "--seconds needs timing: leave out"),
        ("scores.toy -o a.gie --no-timing --precision fp16", "--precision needs timing"),
        ("scores.toy -o a.gie --max-error 1", "--max-error and --calibration are for reduced"),
        ("scores.toy -o a.gie --no-timing --timing-cache t", "--timing-cache needs timing"),
        ("scores.toy -o a.gie --timing-cache gone/t", "--timing-cache gone/t: there is no folder"),
        ("scores.toy -o a.gie --timing-cache scores.toy", "the timing cache 'scores.toy' is no"),
        ("scores.toy -o a.gie --target moon", "there is no target 'moon'"),
        ("scores.toy -o a.gie -O prefer=time", "prefer is not an importer's option"),
        ("scores.toy -o a.gie --precision fp16 --calibration no.npz", "there is no calibration"),
        ("alone.toy -o a.gie", "nothing runs foreign %y on host"),
    ],
)
def test_mistakes(line: str, error: str) -> None:
    called = build(line)
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith(error)
    assert not list(Path().glob("*.gie"))


def test_a_build_that_fails_leaves_the_old_engine() -> None:
    assert build("two.toy -o a.gie --no-timing").status == 0
    before = Path("a.gie").read_bytes()
    assert build("scores.toy -o a.gie -O crash=model").status == 2
    assert Path("a.gie").read_bytes() == before


def test_an_interruption_is_one_sentence() -> None:
    called = build("scores.toy -o a.gie -O crash=interrupt")
    assert called.status == 130
    assert called.err.splitlines()[-1] == (
        "gie: interrupted; a.gie is as it was, and --timing-cache would keep the timings"
    )
    called = build("scores.toy -o a.gie -O crash=interrupt --timing-cache t.json")
    assert called.err.splitlines()[-1].endswith("and the timings so far are kept in t.json")
    assert not Path("a.gie").exists()


# ── Timing caches ───────────────────────────────────────────────────────────────────


def test_merged_caches_know_what_each_knew() -> None:
    for name in ("scores", "two"):
        assert build(f"{name}.toy -o {name}.gie --timing-cache {name}.json --seconds 1").status == 0
    called = call_gie("merge-caches", "scores.json", "two.json", "-o", "both.json")
    size = len(TimingCache.load("both.json"))
    assert (called.status, called.out) == (0, f"both.json: {size} timings\n")
    for name in ("scores", "two"):
        assert built(f"{name}.toy -o b.gie --timing-cache both.json")["candidates"]["timed"] == 0
        assert Path("b.gie").read_bytes() == Path(f"{name}.gie").read_bytes()
    assert call_gie("merge-caches", "two.json", "scores.json", "-o", "other.json").status == 0
    assert Path("other.json").read_bytes() == Path("both.json").read_bytes()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("gone.json -o a.json", "there is no timing cache gone.json"),
        ("scores.toy -o a.json", "the timing cache 'scores.toy' is no timing cache"),
        ("-o a.json", "missing argument 'CACHE...'"),
    ],
)
def test_what_cannot_be_merged(line: str, error: str) -> None:
    called = call_gie("merge-caches", *line.split())
    assert (called.status, called.out) == (2, "")
    assert called.error.startswith(error)
