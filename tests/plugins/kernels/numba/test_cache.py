"""The folder of machine code: nothing is read from it that wasn't written there by us, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from gie_kernels_numba.cache import cache_folder, read_code, write_code

CODE = bytes(range(200))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gie" / "numba"


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_code("a") is None
    write_code("a", CODE)
    write_code("b", CODE[::-1])
    assert (read_code("a"), read_code("b")) == (CODE, CODE[::-1])
    write_code("a", b"")
    assert read_code("a") == b""
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["a.code", "b.code"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("length", [0, 5, 8, 39, 40, 41, 239])
def test_a_truncated_file_is_not_read(length: int, folder: Path) -> None:
    write_code("a", CODE)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert read_code("a") is None


@pytest.mark.parametrize("place", [0, 8, 39, 40, 239])
def test_a_damaged_file_is_not_read(place: int, folder: Path) -> None:
    write_code("a", CODE)
    (file,) = folder.iterdir()
    found = bytearray(file.read_bytes())
    found[place] ^= 1
    file.write_bytes(found)
    assert read_code("a") is None
    write_code("a", CODE)
    assert read_code("a") == CODE


def test_a_file_under_the_name_of_another_is_not_read(folder: Path) -> None:
    write_code("a", CODE)
    (folder / "a.code").rename(folder / "b.code")
    assert read_code("b") is None


def test_what_cannot_be_written_leaves_nothing_behind(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    (folder / "a.code").mkdir()
    write_code("a", CODE)
    assert read_code("a") is None
    assert [file.name for file in folder.iterdir()] == ["a.code"]


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, folder: Path) -> None:
    assert cache_folder() == folder
    write_code("a", CODE)
    folder.chmod(0o777)
    assert cache_folder() is None
    assert read_code("a") is None
    write_code("b", CODE)
    assert [file.name for file in folder.iterdir()] == ["a.code"]
    (folder / "a.code").unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert cache_folder() is None
