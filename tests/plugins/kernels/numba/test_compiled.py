"""Kernels on disk, and what imports Numba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gie_kernels_numba.compiled import cache_folder

SOURCE = (
    "def kernel(g, begin, end, y):\n    for c in range(begin, end):\n        y[c] = float32(7.0)\n"
)

RUN = f"""
import numpy as np
from gie_kernels_numba.compiled import compiled
kernel = compiled({SOURCE!r}, 0)
y, g = np.zeros(3, np.float32), np.zeros(1, np.int64)
g.flags.writeable = False
kernel(g, 0, 3, y)
print(y.tolist(), sum(kernel.stats.cache_hits.values()))
"""

ASK = """
import sys
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_kernels_numba.provider import NumbaProvider
text = "graph main { input %x: f32[64, 64] %y = relu(%x) return %y }"
(node,) = parse_graph(text, core_ops()).nodes
assert NumbaProvider().supports(node, HOST).ok
print(len(NumbaProvider().candidates(node, HOST)), "numba" in sys.modules)
"""


def python(script: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert not run.returncode, run.stderr
    return run.stdout.strip()


def test_candidates_are_made_without_numba() -> None:
    assert python(ASK) == "1 False"


def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    outputs = [python(RUN, XDG_CACHE_HOME=str(tmp_path)) for _ in range(2)]
    assert outputs == ["[7.0, 7.0, 7.0] 0", "[7.0, 7.0, 7.0] 1"]
    folder = tmp_path / "gie" / "numba"
    assert folder.stat().st_mode & 0o777 == 0o700
    (file,) = folder.glob("*.py")
    assert file.read_text() == SOURCE
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_stands_in_the_file_is_not_run(tmp_path: Path) -> None:
    python(RUN, XDG_CACHE_HOME=str(tmp_path))
    (file,) = (tmp_path / "gie" / "numba").glob("*.py")
    file.write_text("raise SystemExit('the file was run')")
    assert python(RUN, XDG_CACHE_HOME=str(tmp_path)).startswith("[7.0")


def test_a_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "gie" / "numba"
    assert cache_folder() == folder
    folder.chmod(0o777)
    assert cache_folder() is None
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert cache_folder() is None
