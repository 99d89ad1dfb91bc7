"""The documentation agrees with the code, and every hook has a test."""

from __future__ import annotations

import inspect
import re
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
