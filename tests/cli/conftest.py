"""Two toy plugins and no other, an empty folder, and models in it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from gie_core.plugin.host import default_host

TOYS = Path(__file__).parent / "toy"
MODELS = {
    "scores": """\
graph scores {
  input %x: f32[n, 3]
  const %w: f32[3, 4] = [1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 3, 1]
  %m: f32[n, 4] = matmul(%x, %w)
  %a: f32[n, 4] = neg(%m)
  %b: f32[n, 4] = neg(%a)
  %y: f32[n, 4] = relu(%b) from "Relu_0"
  return %y as "scores"
}
""",
    "picture": """\
graph picture {
  input %image: f32[1, 3, 4, 4]
  %y: f32[1, 3, 4, 4] = relu(%image)
  return %y
}
""",
    "two": """\
graph two {
  input %a: f32[2]
  input %b: f32[2]
  %sum: f32[2] = add(%a, %b)
  %difference: f32[2] = sub(%a, %b)
  return %sum, %difference
}
""",
    "alone": """\
graph alone {
  input %x: f32[2]
  %y: f32[2] = foreign(%x) {domain = "toy", op = "Top"}
  return %y
}
""",
}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty folder as the current one; the toy plugins are the only ones installed."""
    found = [
        metadata.EntryPoint(name, name.replace("-", "_"), "gie")
        for name in ("gie-toy", "gie-toy-wrong")
    ]
    monkeypatch.syspath_prepend(TOYS)  # pyright: ignore[reportUnknownMemberType] - pytest's own
    monkeypatch.setattr(metadata, "entry_points", lambda group: found)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType] - it need not know
    monkeypatch.chdir(tmp_path)
    for name in ("GIE_BLOCK", "GIE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    default_host.cache_clear()
    yield tmp_path
    default_host.cache_clear()


@pytest.fixture
def models(toys: Path) -> Path:
    """A folder with the models above: ``scores.toy`` and so on."""
    for name, text in MODELS.items():
        (toys / f"{name}.toy").write_text(text, encoding="utf-8")
    return toys
