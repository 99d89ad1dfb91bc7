"""The timing cache: what was measured, in a file, so that no build measures it again.

The format and its rules are described in docs/timing-cache.md.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gie_core.engine.atomic import replace_file
from gie_core.engine.json_reader import Item, JsonError
from gie_core.errors import GieError

__all__ = ["Timing", "TimingCache", "TimingCacheError", "Verdict", "entry_key", "merge"]

FORMAT = "gie timing cache"
VERSION = 1
LARGEST_FILE = 1 << 28
LONGEST_TEXT = 400
_KEY = re.compile("[0-9a-f]{64}")


class TimingCacheError(GieError):
    """A file is no timing cache, or a cache lacks what a build needs."""


class Verdict(enum.Enum):
    """What came out of a trial."""

    OK = "ok"
    """Right, and timed."""
    WRONG = "wrong"
    """Its answer differs from the reference's."""
    FAILED = "failed"
    """It raised an error."""
    SLOW = "slow"
    """Far slower than another, or there was no time left to look at it."""


@dataclass(frozen=True)
class Timing:
    """What is known of a candidate.

    Args:
        nanoseconds: median time of one run; 0 if it never ran.
        spread: the distance of the samples' quartiles, in nanoseconds.
        error: ‖answer − right‖ / ‖right‖, for integers the share of elements that differ;
            ``None`` if nothing could be compared or the answer is not finite.
        verdict: only what is ``OK`` may be chosen.
        reason: why it isn't, in one line.
        recipe: what the provider needs to make exactly this kernel again: a library's plan or
            machine code.
    """

    nanoseconds: int
    spread: int = 0
    error: float | None = None
    verdict: Verdict = Verdict.OK
    reason: str = ""
    recipe: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether it may be chosen."""
        return self.verdict is Verdict.OK

    @staticmethod
    def dropped(
        verdict: Verdict, reason: str, nanoseconds: int = 0, error: float | None = None
    ) -> Timing:
        """Of a candidate that may not be chosen; the reason is cut to one printable line."""
        line = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
        if len(line) > LONGEST_TEXT:
            line = line[: LONGEST_TEXT - 1] + "…"
        return Timing(nanoseconds, 0, error, verdict, line)


def entry_key(signature: str, environment: str) -> str:
    """The name of an entry: a SHA-256 of what was timed, and where and how."""
    return hashlib.sha256(json.dumps([signature, environment]).encode()).hexdigest()


class TimingCache:
    """Timings by ``entry_key``. What was recorded first stays."""

    def __init__(self, entries: Mapping[str, Timing] | None = None) -> None:
        self._entries = dict(entries or {})

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimingCache) and self._entries == other._entries

    __hash__ = None  # pyright: ignore[reportAssignmentType] - it changes, so it is no key

    def __getitem__(self, key: str) -> Timing:
        return self._entries[key]

    def lookup(self, key: str) -> Timing | None:
        """The timing of this name, if there is one."""
        return self._entries.get(key)

    def record(self, key: str, timing: Timing) -> Timing:
        """Keep a timing, unless there is one of this name; returns the one that is kept."""
        return self._entries.setdefault(key, timing)

    def missing(self, wanted: Iterable[tuple[str, str]]) -> list[str]:
        """Descriptions of what the cache lacks, in order.

        Args:
            wanted: pairs of a key and a description.
        """
        return [what for key, what in wanted if key not in self._entries]

    def require(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Check that nothing is missing, for builds that can't measure.

        Raises:
            TimingCacheError: something is; names the first and says how many.
        """
        wanted = list(wanted)
        if missing := self.missing(wanted):
            raise TimingCacheError(
                f"the timing cache lacks {len(missing)} of {len(wanted)} timings, the first of "
                f"{missing[0]}; build once with this cache on a machine that has the device"
            )

    # ── File ────────────────────────────────────────────────────────────────────────

    def to_bytes(self) -> bytes:
        """The file's content: equal caches have equal bytes."""
        entries = (
            f'"{key}": {json.dumps(_to_json(timing), sort_keys=True)}'
            for key, timing in sorted(self._entries.items())
        )
        head = f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "entries": {{'
        return "\n".join([head, ",\n".join(entries), "}}\n"]).encode()

    @staticmethod
    def from_bytes(data: bytes, name: str = "the timing cache") -> TimingCache:
        """Read a file's content.

        Args:
            data: any bytes.
            name: what to call it in errors.

        Raises:
            TimingCacheError: it is no timing cache, or one of another version.
        """
        try:
            document: Any = json.loads(data)
        except (ValueError, RecursionError):
            raise TimingCacheError(f"{name} is no timing cache; name another file") from None
        try:
            return TimingCache(_read(Item(document)))
        except JsonError as error:
            raise TimingCacheError(f"{name} can't be used: {error}; delete it") from error

    @staticmethod
    def load(path: str | Path) -> TimingCache:
        """Read a file; one that does not exist is an empty cache.

        Raises:
            TimingCacheError: it can't be read or is no timing cache; names the file.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            return TimingCache()
        except OSError as error:
            raise TimingCacheError(
                f"the timing cache {str(path)!r} can't be read: {error.strerror}"
            ) from error
        if len(data) > LARGEST_FILE:
            raise TimingCacheError(
                f"the timing cache {str(path)!r} has more than {LARGEST_FILE >> 20} MiB; delete it"
            )
        return TimingCache.from_bytes(data, f"the timing cache {str(path)!r}")

    def save(self, path: str | Path) -> None:
        """Write the file if its content changes; it is never there in part.

        Raises:
            TimingCacheError: it can't be written; names the file.
        """
        data = self.to_bytes()
        with contextlib.suppress(OSError):
            if Path(path).read_bytes() == data:
                return
        try:
            replace_file(path, [data])
        except OSError as error:
            raise TimingCacheError(
                f"the timing cache {str(path)!r} can't be written: {error.strerror}"
            ) from error


def merge(first: TimingCache, second: TimingCache) -> TimingCache:
    """All entries of both caches; the order of caches never matters.

    Where both have one, a candidate that was wrong or failed once stays out, a measured time
    comes before none, and the shorter time before the longer, since disturbances only add to it.
    """
    entries: dict[str, Timing] = {}
    for cache in (first, second):
        for key, timing in cache._entries.items():  # pyright: ignore[reportPrivateUsage] - of its own class
            known = entries.setdefault(key, timing)
            entries[key] = min(known, timing, key=_preference)
    return TimingCache(entries)


_RANK = [Verdict.WRONG, Verdict.FAILED, Verdict.OK, Verdict.SLOW]


def _preference(timing: Timing) -> tuple[Any, ...]:
    """A total order, so that the smallest of several is the same in whatever order they come."""
    return (
        _RANK.index(timing.verdict),
        timing.nanoseconds,
        timing.spread,
        math.inf if timing.error is None else timing.error,
        timing.reason,
        timing.recipe,
    )


# ── Entries ─────────────────────────────────────────────────────────────────────────


def _to_json(timing: Timing) -> dict[str, Any]:
    return {
        "nanoseconds": timing.nanoseconds,
        "spread": timing.spread,
        "error": None if timing.error is None else float(timing.error),
        "verdict": timing.verdict.value,
        "reason": timing.reason,
        "recipe": base64.b64encode(timing.recipe).decode(),
    }


def _read(document: Item) -> dict[str, Timing]:
    fields = document.fields("format", "version", "entries")
    fields["format"].choice([FORMAT])
    fields["version"].integer(VERSION, VERSION)
    entries = fields["entries"].entries()
    if not all(map(_KEY.fullmatch, entries)):
        fields["entries"].fail("an entry's name is no SHA-256")
    return {key: _timing(entry) for key, entry in entries.items()}


def _timing(entry: Item) -> Timing:
    fields = entry.fields("nanoseconds", "spread", "error", "verdict", "reason", "recipe")
    error, reason = fields["error"].value, fields["reason"].text()
    if error is not None and not (type(error) is float and 0 <= error < math.inf):
        fields["error"].fail("expected null or a number from 0")
    if len(reason) > LONGEST_TEXT or not reason.isprintable():
        fields["reason"].fail("expected a line of text")
    try:
        recipe = base64.b64decode(fields["recipe"].text(), validate=True)
    except ValueError:
        fields["recipe"].fail("expected base64")
    return Timing(
        nanoseconds=fields["nanoseconds"].integer(),
        spread=fields["spread"].integer(),
        error=error,
        verdict=Verdict(fields["verdict"].choice([verdict.value for verdict in Verdict])),
        reason=reason,
        recipe=recipe,
    )
