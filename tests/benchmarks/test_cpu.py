"""``benchmarks/cpu.py`` as people start it; what it measures is nobody's business here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="it is what GIE is compared with")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cpu.py"


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
    )


def test_results_are_printed_and_stored(tmp_path: Path) -> None:
    line = f"--networks squeezenet --quick --no-timing --threads 1 --output {tmp_path}"
    done = start(*line.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "cpu-1-threads-no-timing.md").read_text(encoding="utf-8")
    assert "\n| squeezenet | " in done.stdout
    stored = json.loads((tmp_path / "cpu-1-threads-no-timing.json").read_text(encoding="utf-8"))
    [network] = stored["networks"]
    ours, theirs = network["contestants"]
    assert (ours["name"], theirs["name"]) == ("GIE", "onnxruntime")
    assert network["ratio"] == ours["median_seconds"] / theirs["median_seconds"]
    assert network["output_error"] < 1e-4
    assert stored["threads"] == 1
    assert {"machine", "date", "commit", "python", "numpy"} <= stored.keys()


def test_an_unknown_network_is_one_sentence() -> None:
    done = start("--networks", "lenet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no network 'lenet'; there are alexnet, vgg19")
