"""Replacing a file in one go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

__all__ = ["replace_file"]


def replace_file(path: str | os.PathLike[str], chunks: Iterable[Any]) -> None:
    """Write a file so that whoever looks sees the old one or the whole new one.

    The bytes go to a file beside the target, reach the disk, and only then take the target's
    name. If something goes wrong, Ctrl+C included, that file is removed; only a process that is
    killed leaves it, as ``.NAME.….tmp``.

    Args:
        path: the target; its folder exists. Of a link, what it points to is replaced.
        chunks: bytes, or contiguous memory.

    Raises:
        OSError: it can't be written.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    # Unlike those of tempfile, this file gets the permissions that the user's umask says.
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
