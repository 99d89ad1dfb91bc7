"""What stands between a fresh process and a network's first answer.

No time is tested here, since machines differ: ``benchmarks/loading.py`` measures it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from networks import NETWORKS

import gie_core

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "loading.py"
UNWANTED = {
    *("scipy", "numba", "onnx", "onnxruntime", "click", "rich", "PIL"),
    *("gie_core.builder", "gie_core.cli", "gie_core.testing", "gie_importer_onnx.importer"),
}
ANSWER = """\
import sys, numpy, gie_core
y = gie_core.load(sys.argv[1])(numpy.ones((1, 3, 224, 224), "f4"))
assert y.shape == (1, 1000) and abs(y.sum() - 1) < 1e-4
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engines") / "resnet50.gie"
    gie_core.build(NETWORKS["resnet50"](1, 0).SerializeToString()).save(path)
    return path


def fresh(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_the_first_answer_imports_what_it_needs(resnet: Path) -> None:
    modules = set(fresh("-c", ANSWER, str(resnet)).split())
    assert "gie_kernels_cpu.provider" in modules
    assert not modules & {*UNWANTED, "llvmlite"}


def test_compiled_kernels_are_loaded_without_their_compiler(tmp_path: Path) -> None:
    path = tmp_path / "mobilenet.gie"
    engine = gie_core.build(NETWORKS["mobilenet-v2"](1, 0).SerializeToString())
    engine.save(path)
    assert engine.report is not None
    assert "numba" in {choice.provider for choice in engine.report.choices}
    fresh("-c", ANSWER, str(path))  # compiles what nobody has compiled before
    modules = set(fresh("-c", ANSWER, str(path)).split())
    assert "llvmlite" in modules
    assert not modules & UNWANTED


def test_the_benchmark_tells_what_takes_the_time(resnet: Path) -> None:
    lines = fresh(str(SCRIPT), "--engine", str(resnet), "--runs", "1").splitlines()
    assert lines[0].startswith(f"{resnet}: ")
    parts = {line[:26].strip(): float(line[26:34]) for line in lines[2:]}
    total, _ = parts.pop("all"), parts.pop("(a second run)")
    assert total == pytest.approx(sum(parts.values()), rel=0.1, abs=10)
    assert {"NumPy imported", "plans admitted", "kernels bound, first run"} <= parts.keys()
