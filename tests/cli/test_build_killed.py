"""Builds that are killed or interrupted in another process, at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gie_core.builder.timing_cache import TimingCache
from gie_core.testing.command_line import call_gie

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

TOYS = Path(__file__).parent / "toy"
CODE = f"""
import sys, time
from importlib import metadata
sys.path.insert(0, {str(TOYS)!r})
found = [metadata.EntryPoint("gie-toy", "gie_toy", "gie")]
metadata.entry_points = lambda group: found
import gie_toy
compute = gie_toy.Kernels.compute
def slow(self, node, operands, out):
    time.sleep(0.005)
    compute(self, node, operands, out)
gie_toy.Kernels.compute = slow
from gie_core.cli.main import main
sys.exit(main())
"""
SIZES = range(2, 6)
MODEL = "\n".join(
    [
        "graph chain {",
        *(f"  input %x{n}: f32[{n}]" for n in SIZES),
        *(f"  %y{n}: f32[{n}] = relu(%x{n})" for n in SIZES),
        f"  return {', '.join(f'%y{n}' for n in SIZES)}",
        "}",
    ]
)
LINE = "build chain.toy -o chain.gie --timing-cache t.json --seconds 1"


@pytest.fixture(autouse=True)
def chain(toys: Path) -> None:
    Path("chain.toy").write_text(MODEL, encoding="utf-8")


def started(until: str) -> subprocess.Popen[str]:
    """A build that has just printed this on stderr."""
    run = subprocess.Popen(
        [sys.executable, "-c", CODE, *LINE.split()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith(f"gie: {until}"):
            return run
    raise AssertionError(f"the build ended before {until!r}")


def ended(run: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str]:
    """Exit status and the rest of stderr after a signal."""
    run.send_signal(how)
    _, err = run.communicate(timeout=60)
    return run.returncode, err


def is_sound() -> bool:
    return call_gie("inspect", "chain.gie").status == 0


STAGES = ["importing", "choosing kernels", "timed 1 of 4", "timed 4 of 4", "writing"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("old", [False, True])
def test_a_killed_build_leaves_no_half_written_file(stage: str, old: bool) -> None:
    if old:
        assert call_gie("build", "chain.toy", "-o", "chain.gie", "--no-timing").status == 0
    before = Path("chain.gie").read_bytes() if old else None
    for delay in (0, 0.002, 0.005) if stage == "writing" else (0,):
        run = started(stage)
        time.sleep(delay)
        ended(run, signal.SIGKILL)
        if stage == "writing" and Path("chain.gie").exists():
            assert is_sound()
        else:
            now = Path("chain.gie").read_bytes() if Path("chain.gie").exists() else None
            assert now == before
        TimingCache.load("t.json")
        visible = {path.name for path in Path().iterdir() if not path.name.startswith(".")}
        assert visible <= {"chain.toy", "chain.gie", "t.json"}


@pytest.mark.parametrize("stage", STAGES[:3])
def test_an_interrupted_build_keeps_its_timings(stage: str) -> None:
    status, err = ended(started(stage), signal.SIGINT)
    assert status == 130
    assert err == (
        "gie: interrupted; chain.gie is as it was, and the timings so far are kept in t.json\n"
    )
    assert {path.name for path in Path().iterdir()} <= {"chain.toy", "t.json"}
    known = len(TimingCache.load("t.json"))
    assert (known > 0) == stage.startswith("timed")
    found = call_gie(*LINE.split(), "--json").json
    assert found["candidates"] == {"timed": 4 - known, "cached": known}
    assert is_sound()
