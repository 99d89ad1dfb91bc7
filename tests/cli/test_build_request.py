"""What the options of ``gie build`` say."""

from __future__ import annotations

import pytest

from gie_core.cli.build_request import parse_bytes, parse_pins, parse_shapes
from gie_core.errors import GieError


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("64K", 65536), ("64MiB", 64 << 20), ("1gb", 1 << 30)],
)
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5M", "M", "9" * 16, "1T"])
def test_no_bytes(text: str) -> None:
    with pytest.raises(GieError, match="must be a number of bytes"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("texts", "shapes"),
    [
        ([], []),
        (["x=1x3"], [{"x": (1, 3)}]),
        (["x=1x3,y:0=5"], [{"x": (1, 3), "y:0": (5,)}]),
        (["x=1", "x=8"], [{"x": (1,)}, {"x": (8,)}]),
        (["a=b=2"], [{"a=b": (2,)}]),
        (["x=scalar"], [{"x": ()}]),
    ],
)
def test_shapes(texts: list[str], shapes: list[dict[str, tuple[int, ...]]]) -> None:
    assert parse_shapes(texts) == shapes


@pytest.mark.parametrize("text", ["", "x", "=1", "x=", "x=1x", "x=-1", "x=1 2", "x=" + "9" * 19])
def test_no_shapes(text: str) -> None:
    with pytest.raises(GieError, match="must read NAME=1x3x224x224"):
        parse_shapes([text])


def test_pins() -> None:
    assert parse_pins(["%a=cpu", "b/c=cpu im2col "]) == {"a": "cpu", "b/c": "cpu im2col"}
