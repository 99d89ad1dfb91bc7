"""The outer form of engine files: bytes, header, sections."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gie_core.engine import atomic
from gie_core.engine.container import (
    NATIVE,
    EngineFileError,
    Section,
    read_container,
    reading,
    write_container,
)

BODY: dict[str, Any] = {"format": [1, 0], "name": "näme ☃", "numbers": [1, -2.5, 1e300]}
SIZES = [1, 256, 300, 0, 70_000]


def section(size: int, kind: str = "data") -> Section:
    return Section.of(np.random.default_rng(size).integers(0, 256, size, np.uint8), kind)


SECTIONS = [section(size) for size in SIZES]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "a.gie"
    write_container(target, BODY, SECTIONS)
    return target


def pack(
    body: dict[str, Any] | str, data: Sequence[bytes], digest: str | None = None, spaces: int = 0
) -> bytes:
    """A file, made as docs/engine-file.md says; any part of it may be wrong."""
    text = (
        body if isinstance(body, str) else json.dumps(body, sort_keys=True, separators=(",", ":"))
    )
    digest = hashlib.sha256(text.encode()).hexdigest() if digest is None else digest
    metadata = f'{{"body":{text},"sha256":"{digest}"}}'
    header: dict[str, Any] = {"__metadata__": {"gie": metadata}}
    payload = b""
    for each in data:
        begin = len(payload)
        payload += each + bytes(-len(each) % 256)
        header[hashlib.sha256(each).hexdigest()] = {
            "dtype": "U8",
            "shape": [len(payload) - begin],
            "data_offsets": [begin, len(payload)],
        }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % 256 + spaces)
    return len(encoded).to_bytes(8, "little") + encoded + payload


def canonical(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def listed(data: Sequence[bytes], kind: str = "data") -> list[list[Any]]:
    return [[hashlib.sha256(x).hexdigest(), len(x), kind, zlib.crc32(x)] for x in data]


def test_round_trip(path: Path) -> None:
    read = read_container(path)
    assert read.body == BODY
    assert [s.data.tobytes() for s in read.sections] == [s.data.tobytes() for s in SECTIONS]
    assert {s.kind for s in read.sections} == {"data"}


def test_sections_are_mapped_aligned_and_read_only(path: Path) -> None:
    for each in read_container(path).sections:
        assert not each.data.flags.writeable
        assert not each.data.flags.owndata
        assert not each.data.size or each.data.__array_interface__["data"][0] % 256 == 0


def test_the_file_is_what_the_documentation_says(path: Path) -> None:
    data = [s.data.tobytes() for s in SECTIONS]
    assert pack({**BODY, "sections": listed(data)}, data) == path.read_bytes()


def test_native_code_is_not_mapped(tmp_path: Path) -> None:
    """Somebody else could change it after it was compared."""
    path = tmp_path / "a.gie"
    write_container(path, BODY, [section(300, NATIVE)])
    [read] = read_container(path).sections
    with path.open("r+b") as file:
        file.seek(-512, os.SEEK_END)
        file.write(bytes(300))
    np.testing.assert_array_equal(read.data, section(300).data)


def test_equal_content_gives_equal_bytes(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.gie"
    digest = write_container(other, dict(reversed(BODY.items())), SECTIONS)
    assert other.read_bytes() == path.read_bytes()
    assert digest == read_container(path).digest


def test_the_digest_follows_every_section(tmp_path: Path) -> None:
    digests = {write_container(tmp_path / "c.gie", BODY, [section(n)]) for n in (1, 2, 3)}
    assert len(digests) == 3


def test_safetensors_reads_it(path: Path) -> None:
    safetensors = pytest.importorskip("safetensors", reason="the library that defines the format")
    with safetensors.safe_open(path, framework="numpy") as file:
        assert list(file.metadata()) == ["gie"]
        assert sorted(file.keys()) == sorted(s.digest for s in SECTIONS)
        for each in SECTIONS:
            tensor = file.get_tensor(each.digest)
            assert tensor.dtype == np.uint8
            assert tensor.ndim == 1
            np.testing.assert_array_equal(tensor[: each.data.size], each.data)


# ── What is no file ─────────────────────────────────────────────────────────────────────

DATA = [b"weights", b"more"]
GOOD: dict[str, Any] = {"format": [1, 0], "sections": listed(DATA)}
TEXT = canonical(GOOD)
DEEP = f'{{"format":{"[" * 100_000}'


def changed(**entries: Any) -> bytes:
    return pack({**GOOD, **entries}, DATA)


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not an engine"),
    "short": (b"\0" * 7, "is not an engine"),
    "another format": (b"PK\x03\x04" + bytes(100), "is not an engine"),
    "another safetensors": (
        (2).to_bytes(8, "little") + b"{}" + bytes(20),
        "is not an engine",
    ),
    "header longer than the file": (
        (2**40).to_bytes(8, "little") + pack(GOOD, DATA)[8:],
        "header cannot take",
    ),
    "header length 2**64-1": (b"\xff" * 8 + pack(GOOD, DATA)[8:], "header cannot take"),
    "header length 0": (bytes(8) + pack(GOOD, DATA)[8:], "header cannot take"),
    "more spaces": (pack(GOOD, DATA, spaces=256), "header and its description differ"),
    "truncated": (pack(GOOD, DATA)[:-1], "bytes instead of"),
    "appended": (pack(GOOD, DATA) + b"\0", "bytes instead of"),
    "no sections in the data": (pack(GOOD, []), "header and its description differ"),
    "other data": (pack(GOOD, [b"weights", b"m0re"]), "header and its description differ"),
    "wrong checksum": (pack(GOOD, DATA, digest="0" * 64), "does not have its SHA-256"),
    "short checksum": (pack(GOOD, DATA, digest="0"), "metadata is not that of an engine"),
    "newer": (changed(format=[2, 7]), "has format 2.7, and this GIE reads 1.x"),
    "older": (changed(format=[0, 1]), "with an older one"),
    "no version": (pack({"sections": listed(DATA)}, DATA), "format: expected a list"),
    "odd version": (changed(format=[1, "0"]), "format, item 1: expected an integer"),
    "true for 1": (changed(format=[True, 0]), "format, item 0: expected an integer"),
    "a key twice": (pack('{"format":[1,0],' + TEXT[1:], DATA), "canonical JSON"),
    "spaces": (pack(TEXT.replace(":", ": "), DATA), "canonical JSON"),
    "unsorted": (
        pack('{"sections":[],"format":[1,0]}', []),
        "canonical JSON",
    ),
    "NaN": (pack('{"format":NaN,"sections":[]}', []), "canonical JSON"),
    "infinite": (pack('{"format":1e999,"sections":[]}', []), "canonical JSON"),
    "huge number": (pack(f'{{"format":{"9" * 5000},"sections":[]}}', []), "canonical JSON"),
    "nested": (pack(DEEP, []), "canonical JSON"),
    "nested and closed": (
        pack(f'{{"format":{"[" * 50_000}{"]" * 50_000}}}', []),
        "canonical JSON",
    ),
    "a list": (pack("[]", []), "canonical JSON"),
    "not ASCII": (pack('{"format":[1,0],"x":"ä","sections":[]}', []), "not ASCII"),
    "sections no list": (changed(sections={}), "sections: expected a list"),
    "section no list": (changed(sections=[7]), "section 0: expected a list"),
    "negative size": (changed(sections=[["0" * 64, -1, "data", 0]]), "section 0, item 1"),
    "fractional size": (changed(sections=[["0" * 64, 1.5, "data", 0]]), "section 0, item 1"),
    "enormous size": (changed(sections=[["0" * 64, 2**60, "data", 0]]), "section 0, item 1"),
    "large size": (changed(sections=[["0" * 64, 2**45, "data", 0]]), "header and its description"),
    "no digest": (changed(sections=[['","x":"', 1, "data", 0]]), "section 0, item 0: it is no SHA"),
    "no checksum": (
        changed(sections=[["0" * 64, 1, "data"]]),
        "section 0: expected 4 items",
    ),
    "large checksum": (changed(sections=[["0" * 64, 1, "data", 2**32]]), "section 0, item 3"),
    "no kind": (changed(sections=[["0" * 64, 1, "code", 0]]), "'code' is not one of data, native"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gie"
    path.write_bytes(content)
    with pytest.raises(EngineFileError) as caught:
        read_container(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).replace(str(path), "").splitlines()[0]) < 250


def test_the_example_is_good(tmp_path: Path) -> None:
    path = tmp_path / "a.gie"
    path.write_bytes(pack(GOOD, DATA))
    assert [s.data.tobytes() for s in read_container(path).sections] == DATA


def test_metadata_may_be_anything(tmp_path: Path) -> None:
    path = tmp_path / "a.gie"
    for metadata in ['{"a":1}', "[" * 10_000, '"\\ud800"', '"', "7"]:
        header = f'{{"__metadata__":{{"gie":{metadata}}}}}'.encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(EngineFileError, match="metadata is not that of an engine"):
            read_container(path)


def test_what_stands_between_sections_is_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(EngineFileError, match="between its sections"):
        read_container(path)


CHECKSUM, DIGEST = "does not have its checksum", "does not have its SHA-256"


@pytest.mark.parametrize(("kind", "verify", "message"), [
    ("data", True, CHECKSUM),
    ("data", False, ""),
    (NATIVE, True, DIGEST),
    (NATIVE, False, DIGEST),
])  # fmt: skip
def test_damaged_data_is_found(tmp_path: Path, kind: str, verify: bool, message: str) -> None:
    path = tmp_path / "a.gie"
    write_container(path, BODY, [section(256, kind), section(9)])
    content = bytearray(path.read_bytes())
    content[-512] ^= 1
    path.write_bytes(content)
    if not message:
        read_container(path, verify=verify)
        return
    with pytest.raises(EngineFileError, match=message):
        read_container(path, verify=verify)


def test_beside_native_code_no_data_can_be_exchanged(tmp_path: Path) -> None:
    """A CRC-32 is easy to keep; native code that is known may rely on what lies beside it."""
    path = tmp_path / "a.gie"
    data = section(256)
    forged = Section(np.zeros(256, np.uint8), data.digest, data.kind, zlib.crc32(bytes(256)))
    write_container(path, BODY, [forged])
    read_container(path)
    write_container(path, BODY, [forged, section(9, NATIVE)])
    with pytest.raises(EngineFileError, match=CHECKSUM):
        read_container(path)


def test_damage_outranks_what_it_led_to(tmp_path: Path) -> None:
    path = tmp_path / "a.gie"
    write_container(path, BODY, [section(256, "data")])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(EngineFileError, match=CHECKSUM), reading(path):
        raise ValueError("a weight is negative")


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "there is no such file"),
    "folder": (Path.mkdir, "is not a file"),
    "pipe": (os.mkfifo, "is not a file"),
}


@pytest.mark.parametrize(("make", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "x.gie")
    with pytest.raises(EngineFileError, match=message):
        read_container(tmp_path / "x.gie")


# ── Writing ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1, 2}, np.float32(1), {(1, 2): 3}, b"x"], ids=repr
)
def test_what_is_no_json_is_refused(path: Path, value: Any) -> None:
    before = path.read_bytes()
    with pytest.raises(EngineFileError, match="not JSON"):
        write_container(path, {**BODY, "report": value}, [])
    assert path.read_bytes() == before


def test_a_header_without_end_is_refused(path: Path) -> None:
    with pytest.raises(EngineFileError, match="its header would take"):
        write_container(path, {**BODY, "report": "x" * 2**25}, [])
    read_container(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineFileError, match="No such file or directory"):
        write_container(tmp_path / "no" / "a.gie", BODY, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left"), MemoryError])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_nothing_is_left_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: Any
) -> None:
    def fail(*_: Any) -> None:
        raise error

    before = path.read_bytes()
    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises((EngineFileError, KeyboardInterrupt, MemoryError)):
        write_container(path, BODY, [section(10_000)])
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_killed_writer_leaves_the_old_file(path: Path, call: str) -> None:
    before = path.read_bytes()
    code = (
        "import os, sys, numpy as np\n"
        "from gie_core.engine.container import Section, write_container\n"
        f"os.{call} = lambda *_: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "write_container(sys.argv[1], {'format': [1, 0]}, [Section.of(np.ones(10**6, np.uint8))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert len(os.listdir(path.parent)) == 2  # what was being written has another name


def test_permissions_and_links_are_as_for_any_file(path: Path) -> None:
    link = path.with_name("link.gie")
    link.symlink_to(path.name)
    write_container(link, {**BODY, "x": 1}, [])
    assert link.is_symlink()
    assert read_container(path).body["x"] == 1
    plain = path.with_name("plain")
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
