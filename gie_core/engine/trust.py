"""Which engine files this user has written on this machine.

An engine file may hold native code: compiled kernels, plans of libraries. Such a file runs only
if it is known here, or if the caller says that he trusts it.

For every known file there is an empty file, named by its digest (see ``container``), in the
user's state folder: ``$XDG_STATE_HOME/gie/known-engines``, by default
``~/.local/state/gie/known-engines``. Creating a file is atomic, so that any number of processes
may do it at once. Nobody but the user may write there.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

__all__ = ["is_known", "remember"]

MAX_KNOWN = 10_000
"""Files that are remembered; the oldest are forgotten first."""


def is_known(digest: str) -> bool:
    """Whether this user wrote a file of this digest here; ``False`` if that can't be told."""
    folder = _folder()
    if folder is None or not _is_digest(digest):
        return False
    try:
        return _is_private(folder) and (folder / digest).is_file()
    except OSError:
        return False


def remember(digest: str) -> bool:
    """Note that this user wrote a file of this digest here.

    Returns:
        Whether that succeeded. It doesn't where the user has no home or may not write there; then
        the file runs only for callers who say that they trust it.
    """
    folder = _folder()
    if folder is None or not _is_digest(digest):
        return False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(folder):
            return False
        (folder / digest).touch(mode=0o600)
        _forget_oldest(folder)
    except OSError:
        return False
    return True


def _folder() -> Path | None:
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        # The specification says to ignore a path that is not absolute.
        base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    except RuntimeError:  # there is no home
        return None
    return base / "gie" / "known-engines"


def _is_digest(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _is_private(folder: Path) -> bool:
    """Whether only this user can have put something there."""
    if os.name != "posix":
        return folder.is_dir()  # a profile is private there by default
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _forget_oldest(folder: Path) -> None:
    """Keep at most ``MAX_KNOWN``; another process may be doing the same."""
    known = list(os.scandir(folder))
    if len(known) <= MAX_KNOWN:
        return
    ages: list[tuple[int, str]] = []
    for entry in known:
        with contextlib.suppress(FileNotFoundError):
            ages.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(ages)[: len(known) - MAX_KNOWN]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
