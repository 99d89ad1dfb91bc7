"""The cache is the same bytes for the same content, merges in any order, and survives any file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.builder.timing_cache import (
    Timing,
    TimingCache,
    TimingCacheError,
    Verdict,
    entry_key,
    merge,
)

KEYS = [entry_key(f"signature {index}", "host") for index in range(6)]
OK = Timing(1200, 30, 1.5e-7, recipe=b"\0plan\xff")
WRONG = Timing(0, 0, 0.5, Verdict.WRONG, "%y has an error of 0.5")
CACHE = TimingCache({KEYS[0]: OK, KEYS[1]: WRONG, KEYS[2]: Timing.dropped(Verdict.SLOW, "late")})

timings = st.builds(
    Timing,
    nanoseconds=st.integers(0, 5),
    spread=st.integers(0, 2),
    error=st.none() | st.sampled_from([0.0, 1e-7, 0.5]),
    verdict=st.sampled_from(Verdict),
    reason=st.sampled_from(["", "a", "b"]),
    recipe=st.sampled_from([b"", b"x"]),
)
caches = st.builds(TimingCache, st.dictionaries(st.sampled_from(KEYS), timings))


def test_a_key_is_of_signature_and_environment() -> None:
    pairs = [("a", "b"), ("ab", ""), ("", "ab"), ("b", "a")]
    assert len({entry_key(*pair) for pair in pairs}) == 4


@given(caches)
def test_what_is_written_is_read(cache: TimingCache) -> None:
    data = cache.to_bytes()
    again = TimingCache.from_bytes(data)
    assert again == cache
    assert again.to_bytes() == data


def test_the_order_of_recording_does_not_show() -> None:
    forward, backward = TimingCache(), TimingCache()
    for key in KEYS:
        forward.record(key, OK)
    for key in reversed(KEYS):
        backward.record(key, OK)
    assert forward.to_bytes() == backward.to_bytes()


def test_it_is_plain_json() -> None:
    document = json.loads(CACHE.to_bytes())
    assert document["entries"][KEYS[0]] == {
        "nanoseconds": 1200,
        "spread": 30,
        "error": 1.5e-7,
        "verdict": "ok",
        "reason": "",
        "recipe": "AHBsYW7/",
    }


def test_the_first_record_stays() -> None:
    cache = TimingCache()
    assert cache.record(KEYS[0], OK) == OK
    assert cache.record(KEYS[0], WRONG) == OK
    assert cache.lookup(KEYS[0]) == OK
    assert cache.lookup(KEYS[1]) is None


@given(caches, caches, caches)
def test_merging_knows_no_order(a: TimingCache, b: TimingCache, c: TimingCache) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(a, TimingCache()) == a


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (Timing(5), Timing(6)),
        (Timing(5, 1), Timing(5, 2)),
        (WRONG, Timing(1)),
        (Timing.dropped(Verdict.FAILED, "crash"), Timing(1)),
        (Timing(9), Timing.dropped(Verdict.SLOW, "late")),
    ],
)
def test_of_two_entries_one_is_kept(winner: Timing, loser: Timing) -> None:
    assert merge(TimingCache({KEYS[0]: loser}), TimingCache({KEYS[0]: winner}))[KEYS[0]] == winner


def test_what_is_missing_is_listed() -> None:
    wanted = [(KEYS[0], "conv"), (KEYS[4], "gemm"), (KEYS[5], "pool")]
    assert CACHE.missing(wanted) == ["gemm", "pool"]
    CACHE.require(wanted[:1])
    with pytest.raises(TimingCacheError, match=r"lacks 2 of 3 timings, the first of gemm; build"):
        CACHE.require(wanted)


# ── Files ───────────────────────────────────────────────────────────────────────────────


def test_a_file_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    assert TimingCache.load(path) == TimingCache()
    CACHE.save(path)
    assert TimingCache.load(path) == CACHE
    assert [p.name for p in tmp_path.iterdir()] == ["timings.json"]


def test_a_file_is_only_written_if_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    CACHE.save(path)
    before = path.stat()
    CACHE.save(path)
    assert path.stat().st_ino == before.st_ino
    merge(CACHE, TimingCache({KEYS[5]: OK})).save(path)
    assert path.stat().st_ino != before.st_ino


def test_a_file_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    with pytest.raises(TimingCacheError, match="can't be read: Is a directory"):
        TimingCache.load(tmp_path)
    with pytest.raises(TimingCacheError, match="can't be written: No such file or directory"):
        CACHE.save(tmp_path / "absent" / "timings.json")


ENTRY = json.loads(CACHE.to_bytes())["entries"][KEYS[0]]
HOSTILE = {
    "nothing": (b"", "is no timing cache"),
    "other bytes": (b"\x89PNG\r\n", "is no timing cache"),
    "nested": (b"[" * 100_000, "is no timing cache"),
    "long number": (b'{"format": 1' + b"0" * 10_000 + b"}", "is no timing cache"),
    "a list": (b"[]", "expected an object, found a list"),
    "another format": (
        b'{"format": "x", "version": 1, "entries": {}}',
        "format: 'x' is not one of gie timing cache",
    ),
    "another version": (
        b'{"format": "gie timing cache", "version": 2, "entries": {}}',
        "version: expected an integer from 1 to 1, found 2",
    ),
    "no entries": (b'{"format": "gie timing cache", "version": 1}', "'entries' is missing"),
}
BAD_FIELDS = {
    "nanoseconds": [-1, 1.5, True, None, "1", 10**30],
    "spread": [-1, "0"],
    "error": [-0.5, float("nan"), float("inf"), 1, "0", True],
    "verdict": ["fine", 0, None, ["ok"]],
    "reason": [0, "two\nlines", "\x1b[31m", "\ud800", "x" * 500],
    "recipe": ["?", "abc", 0, None, "ä"],
}


def check_refused(data: bytes, match: str = "") -> None:
    with pytest.raises(TimingCacheError) as caught:
        TimingCache.from_bytes(data, "'timings.json'")
    message = str(caught.value)
    assert message.startswith("'timings.json' ")
    assert match in message
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize("name", HOSTILE)
def test_other_files_are_refused(name: str) -> None:
    check_refused(*HOSTILE[name])


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, values in BAD_FIELDS.items() for v in values]
)
def test_bad_entries_are_refused(field: str, value: object) -> None:
    document = {
        "format": "gie timing cache",
        "version": 1,
        "entries": {KEYS[0]: {**ENTRY, field: value}},
    }
    check_refused(json.dumps(document).encode(), f"entries, {KEYS[0]}, {field}: ")


@pytest.mark.parametrize("key", ["", "a", KEYS[0].upper(), KEYS[0] + "0", "\n" * 64])
def test_bad_keys_are_refused(key: str) -> None:
    document = {"format": "gie timing cache", "version": 1, "entries": {key: ENTRY}}
    check_refused(json.dumps(document).encode(), "an entry's name is no SHA-256")


def test_damage_is_noticed_or_harmless() -> None:
    """500 mutations: each file is refused in one sentence, or is a cache that writes itself."""
    rng = random.Random(0)
    whole = CACHE.to_bytes()
    errors: list[str] = []
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            damage(data, rng)
        try:
            cache = TimingCache.from_bytes(bytes(data), "'timings.json'")
        except TimingCacheError as error:
            errors.append(str(error))
        else:
            assert TimingCache.from_bytes(cache.to_bytes()) == cache
    assert len(errors) > 300
    assert all(error.isprintable() for error in errors)


def damage(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            data[start] = rng.randrange(256)
        case 1:
            del data[start : start + rng.randint(1, 40)]
        case 2:
            data[start:start] = data[rng.randrange(len(data)) :][: rng.randint(1, 40)]
        case _:
            data[start] ^= 1 << rng.randrange(8)


def test_reasons_become_one_short_line() -> None:
    timing = Timing.dropped(Verdict.FAILED, "ValueError:\n\x1b[31m  no\tgood " + "x" * 1000)
    assert timing.reason.startswith("ValueError: [31m no good xxx")
    assert timing.reason.endswith("x…")
    assert len(timing.reason) == 400
    cache = TimingCache({KEYS[0]: timing})
    assert TimingCache.from_bytes(cache.to_bytes()) == cache
