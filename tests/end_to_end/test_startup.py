"""What starting up imports, with every plugin installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "scipy", "onnx", "rich", "PIL", "ml_dtypes"}
ENTRY = """\
import sys
from gie_core.cli.main import main
sys.argv[1:] = {}
try:
    main()
except SystemExit:
    pass
"""
PRINT = "import sys; sys.stderr.write(' '.join({m.partition('.')[0] for m in sys.modules}))"


def imported_by(code: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", code + PRINT], check=True, capture_output=True, text=True
    )
    return set(result.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not imported_by(ENTRY.format(arguments)) & HEAVY


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not imported_by("import gie_core\n") & HEAVY


def test_a_graph_runs_without_any_framework() -> None:
    code = (
        "import numpy, gie_core\n"
        "from gie_core.ops.arithmetic import Neg\n"
        "b = gie_core.GraphBuilder()\n"
        "b.output(b.add(Neg(), b.input('x', 'f32', [2])))\n"
        "gie_core.build(b.build())(numpy.zeros(2, 'f4'))\n"
    )
    assert not imported_by(code) & {"onnx", "scipy", "rich", "click", "PIL"}
