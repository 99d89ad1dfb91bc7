"""``gie plugins``: what is there, blocked and broken."""

from __future__ import annotations

import pytest

from gie_core.testing.command_line import call_gie

pytestmark = pytest.mark.usefixtures("toys")


def test_what_a_plugin_provides() -> None:
    row = call_gie("plugins").out.splitlines()[1]
    assert row.startswith("gie-toy ")
    assert row.endswith(
        "active  importer: toy; pass: toy-drop-neg; kernel provider: toy-kernels; "
        "command: toy-hello"
    )


def test_blocked() -> None:
    row = call_gie("--block", "gie-toy", "plugins").out.splitlines()[1]
    assert row.split() == ["gie-toy", "blocked"]


def test_what_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import gie_toy  # pyright: ignore[reportMissingImports] - found through the fixture

    monkeypatch.delattr(gie_toy, "Kernels")
    called = call_gie("plugins")
    assert called.err == ""
    row = called.out.splitlines()[1]
    assert "failed" in row
    assert "'toy-kernels' cannot be loaded from gie_toy:Kernels: AttributeError" in row
    assert row.endswith("or block it with --block gie-toy")


def test_json() -> None:
    entry = call_gie("plugins", "--json").json[0]
    assert (entry["name"], entry["status"], entry["error"]) == ("gie-toy", "active", "")
    assert {"kind": "importer", "name": "toy", "summary": "", "version": ""} in entry["provides"]
