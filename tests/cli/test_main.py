"""Exit statuses, errors in one sentence, blocking, and the commands of plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gie_core
from gie_core.cli.commands import COMMANDS
from gie_core.cli.main import shortened
from gie_core.plugin import CommandDeclaration, DeclarationError
from gie_core.testing.command_line import call_gie

pytestmark = pytest.mark.usefixtures("models")


@pytest.mark.parametrize(
    ("line", "status", "error"),
    [
        ("nope", 2, "there is no command 'nope'; see 'gie --help'"),
        ("inspct x", 2, "there is no command 'inspct'; did you mean 'inspect'?"),
        ("--nope", 2, "no such option"),
        ("run", 2, "missing argument 'MODEL'; see 'gie run --help'"),
        ("run gone.toy", 2, "there is no file gone.toy"),
        ("run score.toy", 2, "there is no file score.toy; did you mean scores.toy?"),
        ("run scores.toy -O crash=model", 2, r"damaged at \x1b[31mnode"),
        ("run scores.toy -O nope=1", 2, "the toy importer has no option 'nope'"),
        ("run scores.toy -O target=1", 2, "target is not an importer's option"),
        ("run scores.toy -O crash={1", 2, "-O crash is not JSON: "),
        ("run scores.toy -O nope", 2, "-O nope must read KEY=VALUE"),
        ("run scores.toy --target moon", 2, "there is no target 'moon'; use 'host' or 'auto'"),
        ("run scores.toy -O crash=memory", 2, "there is not enough memory"),
        (
            "run scores.toy -O crash=key",
            2,
            "loading scores.toy, the importer 'toy' of plugin 'gie-",
        ),
        (
            "run scores.toy -O crash=eof",
            2,
            "loading scores.toy, the importer 'toy' of plugin 'gie-",
        ),
        ("toy-hello key", 1, "unexpected KeyError"),
        ("toy-hello eof", 1, "unexpected EOFError: it ends here"),
        ("run scores.toy -O crash=interrupt", 130, ""),
        ("toy-wrong", 2, "the command 'toy-wrong' cannot be loaded"),
    ],
)
def test_a_failure_is_one_sentence(line: str, status: int, error: str) -> None:
    called = call_gie(*line.split())
    assert (called.status, called.out) == (status, "")
    assert called.error.startswith(error)
    assert "Traceback" not in called.err
    assert "\x1b" not in called.err


def test_an_invalid_graph_is_shown_around_the_node() -> None:
    Path("bad.toy").write_text("graph g { input %x: f32[2] %y: f32[3] = relu(%x) return %y }")
    called = call_gie("inspect", "bad.toy")
    assert called.status == 2
    assert "^^^ %y is f32[3], but relu makes f32[2]" in called.err


def test_traceback_shows_where_an_error_comes_from() -> None:
    called = call_gie("--traceback", "toy-hello", "key")
    assert "Traceback" in called.err
    assert called.error.startswith("unexpected KeyError")


@pytest.mark.parametrize("line", ["", "--help", "-h"])
def test_help_lists_own_commands_and_those_of_plugins(line: str) -> None:
    called = call_gie(*line.split())
    assert called.status == 0
    for text in ("run ", "inspect ", "plugins ", "demo ", "toy-hello  Say hello."):
        assert text in called.out


def test_version() -> None:
    assert call_gie("--version").out == f"gie {gie_core.__version__}\n"


def test_a_command_of_a_plugin_runs_and_its_result_is_no_status() -> None:
    called = call_gie("toy-hello", "you")
    assert (called.status, called.out) == (0, "hello you\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plugin_cannot_take_the_name_of_an_own_command(name: str) -> None:
    with pytest.raises(DeclarationError, match=f"gie has a command '{name}' of its own"):
        CommandDeclaration(name=name, factory="a:b").check()


# ── Blocking ────────────────────────────────────────────────────────────────────────


def is_blocked() -> bool:
    status = {p["name"]: p["status"] for p in call_gie("plugins", "--json").json}
    return status["gie-toy"] == "blocked"


def test_block_holds_for_one_call() -> None:
    called = call_gie("--block", "gie-toy", "run", "scores.toy")
    assert called.status == 2
    assert "no importer is installed" in called.error
    assert "GIE_BLOCK" not in os.environ
    assert not is_blocked()


def test_block_hides_commands_from_help() -> None:
    assert "toy-hello" not in call_gie("--block", "gie-toy", "--help").out


def test_block_adds_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIE_BLOCK", "gie-toy-wrong")
    entries = call_gie("--block", "gie-toy", "plugins", "--json").json
    assert [entry["status"] for entry in entries] == ["blocked", "blocked"]
    assert os.environ["GIE_BLOCK"] == "gie-toy-wrong"


def test_the_environment_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIE_BLOCK", "gie-toy")
    assert is_blocked()


@pytest.mark.parametrize("name", ["gie.toml", "other.toml"])
def test_the_configuration_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(name).write_text('block = ["gie-toy"]')
    if name != "gie.toml":
        monkeypatch.setenv("GIE_CONFIG", name)
    assert is_blocked()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("block = 1", "gie.toml: block must be a list"),
        ("blok = []", "gie.toml: there is no setting 'blok'"),
        ("block = [", "the configuration gie.toml cannot be read"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(text: str, error: str) -> None:
    Path("gie.toml").write_text(text)
    called = call_gie("plugins")
    assert called.status == 2
    assert called.error.startswith(error)


# ── Processes ───────────────────────────────────────────────────────────────────────


def process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


MAIN = "import sys\nfrom gie_core.cli.main import main\nstatus = main()\n"


@pytest.mark.parametrize("line", ["--help", "--version", "nope", "run --nope"])
def test_starting_imports_neither_numpy_nor_rich(line: str) -> None:
    heavy = "numpy", "rich", "PIL", "onnx", "scipy"
    if line.startswith("run"):
        heavy = "rich", "PIL", "onnx", "scipy"
    code = f"{MAIN}print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    assert process(code, *line.split()).stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("line", "status"), [("--version", 0), ("nope", 2), ("run gone", 2)])
def test_the_process_ends_with_the_status(line: str, status: int) -> None:
    run = subprocess.run([sys.executable, "-m", "gie_core.cli", *line.split()], capture_output=True)
    assert run.returncode == status


def test_warnings_are_one_line() -> None:
    called = process(f"{MAIN}sys.exit(status)", "--block", "nope", "plugins", "--json")
    assert called.returncode == 0
    assert called.stderr.startswith("gie: warning: there is nothing called 'nope' to block")
    assert called.stderr.count("\n") == 1


@pytest.mark.filterwarnings("always::gie_core.plugin.host.PluginWarning")
def test_a_failed_plugin_is_a_warning_and_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    import gie_toy  # pyright: ignore[reportMissingImports] - found through the fixture

    monkeypatch.delattr(gie_toy, "Kernels")
    called = call_gie("inspect", "scores.toy", "--json")
    assert called.err.startswith("gie: warning: plugin 'gie-toy' is left out: the kernel provider")
    assert called.err.count("gie: warning") == 1
    assert list(called.json["failed_plugins"]) == ["gie-toy"]


def test_a_closed_pipe_is_quiet() -> None:
    command = [sys.executable, "-m", "gie_core.cli", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 1


def test_long_messages_lose_their_middle() -> None:
    text = shortened("a" * 5000 + "end")
    assert len(text) < 1100
    assert text.startswith("aaa")
    assert text.endswith("end")
    assert shortened("short") == "short"
