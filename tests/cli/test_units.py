"""Numbers for people."""

from __future__ import annotations

import pytest

from gie_core.cli.units import bytes_text, error_text, time_text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (None, ""),
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.00 µs"),
        (12345, "12.3 µs"),
        (100e6, "100 ms"),
        (2.5e12, "2,500 s"),
    ],
)
def test_times(nanoseconds: float | None, text: str) -> None:
    assert time_text(nanoseconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (4_190_000, "4.19 MB"), (2e9, "2.00 GB")]
)
def test_bytes(size: float, text: str) -> None:
    assert bytes_text(size) == text


def test_errors() -> None:
    assert (error_text(None), error_text(1.23e-4)) == ("", "1.2e-04")
