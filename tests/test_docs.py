"""The documentation agrees with the code, and every hook has a test."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gie_core.plugin import hookspec

ROOT = Path(__file__).parent.parent
HOOKS = sorted(
    name
    for name, value in vars(hookspec).items()
    if name.startswith("gie_") and inspect.isfunction(value)
)
REFERENCE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_signature(hook: str) -> None:
    signature = str(inspect.signature(getattr(hookspec, hook))).replace("'", "")
    assert f"### `{hook}{signature}`" in REFERENCE


def test_no_other_hook_is_documented() -> None:
    assert sorted(re.findall(r"^### `(gie_\w+)\(", REFERENCE, re.MULTILINE)) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_when_it_is_called(hook: str) -> None:
    assert re.search(r"\bCalled\b", inspect.getdoc(getattr(hookspec, hook)) or "")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook: str) -> None:
    tests = [p for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__)]
    assert any(f"def {hook}(" in path.read_text(encoding="utf-8") for path in tests)


def blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_plugin_of_the_readme_works(tmp_path: Path) -> None:
    """Both files of the example, as they stand, installed by hand."""
    [example] = [b for b in blocks(ROOT / "README.md", "python") if "acme/plugin.py" in b]
    plugin, ops = example.split("# acme/ops.py")
    package = tmp_path / "acme"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(plugin, encoding="utf-8")
    (package / "ops.py").write_text(ops, encoding="utf-8")
    code = (
        "import numpy as np, acme.plugin\n"
        "from gie_core.ir.parser import parse_graph\n"
        "from gie_core.ops.run import run_graph\n"
        "from gie_core.plugin.host import PluginHost\n"
        "host = PluginHost(entry_points=[])\n"
        "host.register(acme.plugin, 'acme')\n"
        "text = 'graph g { input %x: f32[3] %y = acme.hard_tanh(%x) return %y }'\n"
        "x = np.array([-3, 0.5, 2], np.float32)\n"
        "print(*run_graph(parse_graph(text, host.ops()), [x])[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["-1.0", "0.5", "1.0"]
