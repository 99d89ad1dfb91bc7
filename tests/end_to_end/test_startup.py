"""What starting up imports, with every plugin installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "scipy", "onnx", "rich", "PIL", "ml_dtypes"}
FOREIGN = {"onnx", "numba", "rich", "click", "PIL"}
BUILDING = {
    *("scipy", "gie_core.builder", "gie_core.cli", "gie_core.testing"),
    *("gie_importer_onnx.importer", "gie_passes_fusion.fuse_pointwise"),
}

ENTRY = """\
import sys
from gie_core.cli.main import main
sys.argv[1:] = {}
try:
    main()
except SystemExit:
    pass
"""
BUILD = """\
import numpy, gie_core
from gie_core.ops.arithmetic import Neg
b = gie_core.GraphBuilder()
b.output(b.add(Neg(), b.input('x', 'f32', [{shape}])))
engine = gie_core.build(b.build())
engine(numpy.zeros({extents}, 'f4'))
engine.save({path!r})
"""
RUN = """\
import numpy, gie_core
engine = gie_core.load({path!r})
x, y = numpy.ones({extents}, 'f4'), numpy.empty({extents}, 'f4')
engine(x)
engine.context().bind({{'x': x}}, {{engine.outputs[0].name: y}})()
assert (y == -1).all()
"""
PRINT = "import sys; sys.stderr.write(' '.join(sys.modules))"


def imported_by(code: str) -> set[str]:
    """The names of all modules that are there after some code has run in a fresh Python."""
    result = subprocess.run(
        [sys.executable, "-c", code + PRINT], check=True, capture_output=True, text=True
    )
    return set(result.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not imported_by(ENTRY.format(arguments)) & HEAVY


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not imported_by("import gie_core\n") & HEAVY


@pytest.mark.parametrize(("shape", "extents"), [("2", 2), ("'n'", 2), ("'n'", 7)])
def test_engines_are_built_without_a_framework_and_run_without_the_builder(
    shape: str, extents: int, tmp_path: Path
) -> None:
    path = str(tmp_path / "neg.gie")
    assert not imported_by(BUILD.format(shape=shape, extents=extents, path=path)) & FOREIGN
    loaded = imported_by(RUN.format(extents=extents, path=path))
    assert "numpy" in loaded
    assert not loaded & (FOREIGN | BUILDING)


def test_a_loaded_network_runs_without_the_framework_that_it_came_from(tmp_path: Path) -> None:
    path = str(tmp_path / "digits.gie")
    model = str(Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx")
    built = imported_by(f"import gie_core\ngie_core.build({model!r}).save({path!r})\n")
    assert "onnx" in built
    code = f"import gie_core, numpy\ngie_core.load({path!r})(numpy.ones((3, 1, 8, 8), 'f4'))\n"
    assert not imported_by(code) & (FOREIGN | BUILDING)
