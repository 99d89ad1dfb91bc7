"""Which engine files this user has written on this machine."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gie_core.engine import trust
from gie_core.engine.trust import is_known, remember

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def folder(home: Path) -> Path:
    return home / ".local" / "state" / "gie" / "known-engines"


def test_only_what_was_remembered_is_known() -> None:
    assert not is_known(ONE)
    assert remember(ONE)
    assert is_known(ONE)
    assert not is_known(TWO)
    assert remember(ONE)


def test_only_the_user_can_write_there(home: Path) -> None:
    remember(ONE)
    assert stat.S_IMODE(folder(home).stat().st_mode) == 0o700
    assert stat.S_IMODE((folder(home) / ONE).stat().st_mode) == 0o600


def test_what_others_could_have_written_is_not_believed(home: Path) -> None:
    remember(ONE)
    folder(home).chmod(0o777)
    assert not is_known(ONE)
    assert not remember(TWO)


@pytest.mark.parametrize("state", ["", "relative"])
def test_the_default_place(home: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state)
    remember(ONE)
    assert (folder(home) / ONE).is_file()


def test_the_users_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    remember(ONE)
    assert (tmp_path / "elsewhere" / "gie" / "known-engines" / ONE).is_file()


@pytest.mark.parametrize("digest", ["", "..", "../../x", "1" * 63, "G" * 64, "1" * 64 + "\n"])
def test_what_is_no_digest_is_not_known(home: Path, digest: str) -> None:
    assert not remember(digest)
    assert not is_known(digest)
    assert not list(home.iterdir())


def test_a_place_that_cannot_be_written_is_no_error(home: Path) -> None:
    (home / ".local").write_text("a file", encoding="utf-8")
    assert not remember(ONE)
    assert not is_known(ONE)


def test_without_a_home_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert not remember(ONE)
    assert not is_known(ONE)


def test_the_oldest_are_forgotten(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "MAX_KNOWN", 3)
    digests = [f"{n:064x}" for n in range(5)]
    for age, digest in enumerate(digests):
        remember(digest)
        os.utime(folder(home) / digest, (age, age))
    assert [is_known(digest) for digest in digests] == [False, False, True, True, True]


def test_many_may_write_at_once(home: Path) -> None:
    code = (
        "import sys\n"
        "from gie_core.engine import trust\n"
        "trust.MAX_KNOWN = 50\n"
        "assert all(trust.remember(f'{int(sys.argv[1]) * 100 + n:064x}') for n in range(100))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert 1 <= len(list(folder(home).iterdir())) <= 50
