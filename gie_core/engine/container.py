"""The outer form of an engine file: one JSON body and any number of byte sections.

The file is valid safetensors: 8 bytes with the length of the header, the header in JSON, the
data. The sections are its tensors, of type U8, each named by the SHA-256 of its content and
starting at a multiple of 256 bytes; the header's only metadata, ``gie``, is the text ::

    {"body":{…,"sections":[[SHA-256, bytes, kind, CRC-32], …]},"sha256":"…"}

where ``sha256`` is that of the body's text. Everything else about the file follows from the
body: a file is read by making the header that its body asks for and comparing. So no offset
that stands in a file is ever used. See ``docs/engine-file.md``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import threading
import zlib
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import numpy as np

from gie_core.engine.atomic import replace_file
from gie_core.engine.json_reader import Item, JsonError
from gie_core.errors import GieError
from gie_core.ir.types import Array

__all__ = [
    "ALIGNMENT",
    "DATA",
    "FORMAT",
    "NATIVE",
    "Container",
    "EngineFileError",
    "Section",
    "canonical",
    "naming_damage",
    "read_container",
    "reading",
    "write_container",
]

FORMAT = (1, 0)
"""Major and minor version of the files written here; see ``docs/engine-file.md``."""

ALIGNMENT = 256
"""Bytes that the begin of every section in the file is a multiple of."""

DATA = "data"
"""The kind of sections that are only ever read."""
NATIVE = "native"
"""The kind of sections that a device or the operating system executes."""

MAX_HEADER = 32 * 2**20
MAX_SECTION = 2**48
_PREFIX = '{"__metadata__":{"gie":'
_BODY, _DIGEST, _END = '{"body":', ',"sha256":"', '"}'


class EngineFileError(GieError):
    """An engine file can't be written, read or used here."""


@dataclass(frozen=True, eq=False)
class Section:
    """A piece of bytes.

    Args:
        data: uint8 [n], contiguous; read only if it comes from a file.
        digest: SHA-256 of the data, in hexadecimal digits.
        kind: ``DATA`` or ``NATIVE``.
        checksum: CRC-32 of the data, as of gzip.
    """

    data: Array
    digest: str
    kind: str
    checksum: int

    @staticmethod
    def of(data: Array, kind: str = DATA) -> Section:
        """A section of bytes, uint8 [n]."""
        return Section(data, hashlib.sha256(data).hexdigest(), kind, zlib.crc32(data))

    @property
    def has_digest(self) -> bool:
        """Whether the data has its SHA-256: it is what somebody has written, beyond all doubt."""
        return hashlib.sha256(self.data).hexdigest() == self.digest

    @property
    def has_checksum(self) -> bool:
        """Whether the data has its CRC-32: no accident has changed it. It takes a third of the
        time.
        """
        return zlib.crc32(self.data) == self.checksum


@dataclass(frozen=True, eq=False)
class Container:
    """What a file contains.

    Args:
        body: the JSON without the list of sections.
        sections: in the file's order. Data stays mapped as long as somebody holds it.
        digest: SHA-256 of the JSON, which holds the sections' own: it names the file's content.
    """

    body: dict[str, Any]
    sections: tuple[Section, ...]
    digest: str


# ── Writing ─────────────────────────────────────────────────────────────────────────────


def write_container(
    path: str | os.PathLike[str], body: Mapping[str, Any], sections: Sequence[Section]
) -> str:
    """Write a file. Equal content gives equal bytes.

    The target is replaced in one go once all is on the disk: whenever this is killed, the target
    is the old file or the new one.

    Args:
        path: the target; its folder exists.
        body: JSON with ``format``; without ``sections``.
        sections: no two with equal content.

    Returns:
        The digest, as in ``Container``.

    Raises:
        EngineFileError: the body is no JSON or too large, or the file can't be written.
    """
    listed = [[s.digest, s.data.size, s.kind, s.checksum] for s in sections]
    try:
        text = canonical({**body, "sections": listed})
    except (ValueError, TypeError, RecursionError) as error:
        raise EngineFileError(
            f"{path} cannot be written: what is to stand in it is not JSON: {error}; put only "
            "finite numbers, texts, lists and objects into reports and metadata"
        ) from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    header = _header(text, digest, [(s.digest, s.data.size) for s in sections])
    if len(header) > MAX_HEADER:
        raise EngineFileError(
            f"{path} cannot be written: its header would take {len(header)} bytes, more than "
            f"{MAX_HEADER}; build with fewer profiles, or without what makes the report so long"
        )
    chunks = [len(header).to_bytes(8, "little"), header]
    for section in sections:
        chunks += [section.data.data, bytes(-section.data.nbytes % ALIGNMENT)]
    try:
        replace_file(path, chunks)
    except OSError as error:
        raise EngineFileError(
            f"{path} cannot be written: {error.strerror or error}; choose another place"
        ) from error
    return digest


def canonical(value: Any) -> str:
    """JSON in the one way in which it stands in a file: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: it has a number that is not finite, or contains itself.
        TypeError: it has something that is not JSON.
        RecursionError: it is nested too deep.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _header(body: str, digest: str, sections: Sequence[tuple[str, int]]) -> bytes:
    """The safetensors header, filled up with spaces so that the data starts aligned."""
    metadata = json.dumps(f"{_BODY}{body}{_DIGEST}{digest}{_END}")
    parts, begin = [f"{_PREFIX}{metadata}}}"], 0
    for name, size in sections:
        end = begin + _padded(size)
        parts.append(
            f'"{name}":{{"dtype":"U8","shape":[{end - begin}],"data_offsets":[{begin},{end}]}}'
        )
        begin = end
    header = (",".join(parts) + "}").encode()
    return header + b" " * (-(8 + len(header)) % ALIGNMENT)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


# ── Reading ─────────────────────────────────────────────────────────────────────────────


def read_container(path: str | os.PathLike[str], *, verify: bool = True) -> Container:
    """Read a file, whatever bytes are in it: ``reading``, with nothing to do meanwhile."""
    with reading(path, verify=verify) as container:
        return container


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], *, verify: bool = True) -> Generator[Container]:
    """Read a file, whatever bytes are in it, and compare its content while the caller goes on.

    Data sections are not read into memory but mapped. Don't change the file in place afterwards;
    replacing it, as ``write_container`` does, is harmless.

    Args:
        path: the file.
        verify: compare the content of all sections, the native ones at once with their SHA-256,
            the others on a second thread with their CRC-32 (beside native code, which may rely on
            them, with their SHA-256); when the block ends, they are right. What is not compared
            may be damaged, and then the answers are wrong; reading it is still safe.

    Raises:
        EngineFileError: it can't be read, is no engine file, is damaged, or is of another
            format version. At the end of the block, damage replaces whatever the block raised.
    """
    with naming_damage(path):
        container = _read(_map(path), path)
    comparison = _Comparison(container.sections if verify else ())
    try:
        yield container
    finally:
        with naming_damage(path):
            comparison.finish()


@contextlib.contextmanager
def naming_damage(path: str | os.PathLike[str]) -> Generator[None]:
    """Let whatever is found wrong with the content of a file be an error that names the file.

    Raises:
        EngineFileError: in place of any other ``GieError``.
    """
    try:
        yield
    except EngineFileError:
        raise
    except GieError as error:
        raise EngineFileError(
            f"{path} is damaged: {error}; copy it again, or build the engine again"
        ) from error


def _map(path: str | os.PathLike[str]) -> Array:
    """The bytes of a file, read only."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise EngineFileError(f"{path} is not a file; give the file of an engine")
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return np.zeros(0, np.uint8)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "there is no such file" if missing else error.strerror or error
        raise EngineFileError(
            f"the engine {path} cannot be read: {why}; give a file that Engine.save or "
            "`gie build` has written"
        ) from error


def _read(memory: Array, path: str | os.PathLike[str]) -> Container:
    prefix = _PREFIX.encode()
    if memory[8 : 8 + len(prefix)].tobytes() != prefix:
        raise EngineFileError(
            f"{path} is not an engine; give a file that Engine.save or `gie build` has written"
        )
    header = _header_text(memory)
    text, digest = _split(header)
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        _damaged("its description does not have its SHA-256")
    body = _body(text)
    _check_format(body, path)
    listed = list(_listed(Item(body.pop("sections", None), "sections")))
    if _header(text, digest, [(each.digest, each.size) for each in listed]) != header.encode():
        _damaged("its header and its description differ")
    sections = _sections(memory, 8 + len(header), listed)
    for section in sections:
        if section.kind == NATIVE and not section.has_digest:
            _damaged(f"the section {section.digest} does not have its SHA-256")
    return Container(body, sections, digest)


def _header_text(memory: Array) -> str:
    """The header; its length is checked against the file's before it is used."""
    length = int.from_bytes(memory[:8].tobytes(), "little")
    if not len(_PREFIX) <= length <= min(memory.size - 8, MAX_HEADER):
        _damaged(f"its header cannot take {length} of its {memory.size} bytes")
    try:
        return memory[8 : 8 + length].tobytes().decode("ascii")
    except UnicodeDecodeError:
        _damaged("its header is not ASCII text")


def _split(header: str) -> tuple[str, str]:
    """The text of the body, and the SHA-256 that it should have."""
    text = ""
    with contextlib.suppress(ValueError):
        if header.startswith('"', len(_PREFIX)):
            text, _ = json.JSONDecoder().raw_decode(header, len(_PREFIX))
    tail = len(_DIGEST) + 64 + len(_END)
    body, rest = text[len(_BODY) : -tail], text[-tail:]
    if text != f"{_BODY}{body}{rest}" or not rest.startswith(_DIGEST) or not rest.endswith(_END):
        _damaged("its metadata is not that of an engine")
    if not text.isascii():
        _damaged("its description is not ASCII text")
    return body, rest[len(_DIGEST) : -len(_END)]


def _body(text: str) -> dict[str, Any]:
    """The body, which must be canonical: then it has no key twice, and no NaN."""
    try:
        body = json.loads(text)
        is_canonical = canonical(body) == text
    except (ValueError, RecursionError):
        body, is_canonical = None, False
    if not is_canonical or not isinstance(body, dict):
        _damaged("its description is not canonical JSON")
    return cast("dict[str, Any]", body)


def _check_format(body: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    version = Item(body.get("format"), "format")
    major, minor = (part.integer(0, 10**6) for part in version.items(2))
    if major != FORMAT[0]:
        age = "a newer" if major > FORMAT[0] else "an older"
        raise EngineFileError(
            f"{path} has format {major}.{minor}, and this GIE reads {FORMAT[0]}.x; build the "
            f"engine again with this GIE, or load it with {age} one"
        )


class _Listed(NamedTuple):
    """What a file's list of sections says of one."""

    digest: str
    size: int
    kind: str
    checksum: int


def _listed(sections: Item) -> Iterator[_Listed]:
    for section in sections.items(each="section"):
        name, size, kind, checksum = section.items(4)
        digest = name.text()
        if len(digest) != 64 or digest.strip("0123456789abcdef"):
            name.fail("it is no SHA-256")
        yield _Listed(
            digest,
            size.integer(0, MAX_SECTION),
            kind.choice((DATA, NATIVE)),
            checksum.integer(0, 2**32 - 1),
        )


def _sections(memory: Array, begin: int, listed: Sequence[_Listed]) -> tuple[Section, ...]:
    """The sections, one behind the other from ``begin`` to the end of the file."""
    end = begin + sum(_padded(each.size) for each in listed)
    if memory.size != end:
        _damaged(f"it has {memory.size} bytes instead of {end}")
    sections: list[Section] = []
    for digest, size, kind, checksum in listed:
        data = memory[begin : begin + size]
        if kind == NATIVE:  # whoever may write the file must not change it once it is compared
            data = np.frombuffer(data.tobytes(), np.uint8)
        sections.append(Section(data, digest, kind, checksum))
        if memory[begin + size : begin + _padded(size)].any():
            _damaged("there is something between its sections")
        begin += _padded(size)
    return tuple(sections)


class _Comparison:
    """Compares the content of data sections, on a second thread until the first one has nothing
    else to do; both checksums let go of the GIL.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        data = [section for section in sections if section.kind == DATA]
        self._is_strict = len(data) < len(sections)
        # The largest come first, so that in the end both threads are done at the same time.
        self._todo = deque(sorted(data, key=lambda section: section.data.size, reverse=True))
        self._bad: list[str] = []
        self._helper = threading.Thread(target=self._work)
        self._helper.start()

    def finish(self) -> None:
        """Compare the rest.

        Raises:
            EngineFileError: something differs.
        """
        self._work()
        self._helper.join()
        if self._bad:
            _damaged(f"the section {min(self._bad)} does not have its checksum")

    def _work(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                section = self._todo.popleft()
                if not (section.has_digest if self._is_strict else section.has_checksum):
                    self._bad.append(section.digest)


def _damaged(problem: str) -> NoReturn:
    raise JsonError(problem)
