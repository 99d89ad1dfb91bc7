"""What ``-O KEY=VALUE`` says."""

from __future__ import annotations

from typing import Any

import pytest

from gie_core.cli.model import parse_options
from gie_core.errors import GieError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("0.5", 0.5),
        ("True", True),
        ("false", False),
        ("maybe", "maybe"),
        ('{"x": [1, null]}', {"x": [1, None]}),
        (" [1, 2]", [1, 2]),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = parse_options([f"some-key={text}"])
    assert found == {"some_key": value}
    assert type(found["some_key"]) is type(value)


@pytest.mark.parametrize("text", ["{", "[1,", "{x: 1}", "[" * 100_000])
def test_wrong_json(text: str) -> None:
    with pytest.raises(GieError, match="-O key is not JSON: "):
        parse_options([f"key={text}"])
