"""Machine code on disk: one file a kernel, in a folder that is ours alone."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder", "read_code", "write_code"]

MAGIC = b"GIENUMBA"
"""What a file begins with; the checksum follows, then the code."""

_START = len(MAGIC) + hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """Where machine code is kept; ``None`` if there is no place that is ours alone.

    What is found there is run, so nobody else may be able to write into it.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "gie" / "numba"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        return None
    return folder


def read_code(key: str) -> bytes | None:
    """What was written under a key; ``None`` if there is nothing, or it is damaged."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        found = _path(folder, key).read_bytes()
    except OSError:
        return None
    code = found[_START:]
    return code if found[:_START] == _head(key, code) else None


def write_code(key: str, code: bytes) -> None:
    """Keep code under a key, if there is a place for it.

    A file appears whole, also where several processes write the same.
    """
    folder = cache_folder()
    if folder is None:
        return
    with suppress(OSError):  # a full or read-only disk: the next process compiles again
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head(key, code) + code)
            os.replace(temporary, _path(folder, key))
        except OSError:
            os.unlink(temporary)
            raise


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}.code"


def _head(key: str, code: bytes) -> bytes:
    """The key is summed too, so that a file under another's name counts as damaged."""
    return MAGIC + hashlib.sha256(key.encode() + code).digest()
