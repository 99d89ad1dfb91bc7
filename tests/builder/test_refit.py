"""New weights for an engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gie_core
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.plugin.host import PluginHost

HOST = PluginHost(entry_points=[])
RNG = np.random.default_rng(0)
TEXT = """graph g {
  input %x: f32[n, 2]
  const %w: f32[2, 3] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
  const %b: f32[3] = [1.0, 1.0, 1.0]
  %p = matmul(%x, %w)
  %y = add(%p, %b)
  return %y
}"""
X = RNG.standard_normal((4, 2)).astype(np.float32)
W = RNG.standard_normal((2, 3)).astype(np.float32)


def graph() -> Graph:
    return parse_graph(TEXT, core_ops())


def test_refit_exchanges_weights() -> None:
    engine = gie_core.build(graph(), host=HOST, refit=True)
    context = engine.context()
    before = context(X)
    engine.refit({"w": W})
    np.testing.assert_allclose(engine(X), X @ W + 1, rtol=1e-6)
    np.testing.assert_array_equal(context(X), before, "a context keeps its weights")


def test_refit_works_on_engines_from_files(tmp_path: Path) -> None:
    gie_core.build(graph(), host=HOST, refit=True).save(tmp_path / "a.gie")
    engine = gie_core.load(tmp_path / "a.gie", host=HOST)
    engine.refit({"w": W, "b": np.zeros(3, np.float32)})
    engine.save(tmp_path / "b.gie")
    again = gie_core.load(tmp_path / "b.gie", host=HOST)
    np.testing.assert_allclose(again(X), X @ W, rtol=1e-6)


WRONG = [
    ({"v": W}, "the network has no weight 'v'"),
    ({"w": W.T}, r"the weight 'w' is f32\[2, 3\], but got f32\[3, 2\]"),
    ({"w": W.astype(np.float64)}, r"but got f64\[2, 3\]"),
]


@pytest.mark.parametrize(("weights", "message"), WRONG)
def test_what_does_not_fit_is_refused(weights: dict[str, np.ndarray], message: str) -> None:
    engine = gie_core.build(graph(), host=HOST, refit=True)
    with pytest.raises(GieError, match=message):
        engine.refit(weights)


def test_an_engine_without_its_weights_says_so() -> None:
    engine = gie_core.build(graph(), host=HOST)
    with pytest.raises(GieError, match="build it with refit=True"):
        engine.refit({"w": W})


@pytest.mark.parametrize("shapes", [None, [{"x": [1, 2]}, {"x": [2, 2]}]], ids=["one", "two"])
@pytest.mark.parametrize("saved", [False, True])
def test_weights_that_were_equal_become_different(
    tmp_path: Path, shapes: list[dict[str, list[int]]] | None, saved: bool
) -> None:
    text = """graph g {
      input %x: f32[n, 2]
      const %a: f32[1, 2] = [0.0, 0.0]
      const %b: f32[1, 2] = [0.0, 0.0]
      %y = concat(%x, %a, %b) {axis = 0}
      return %y, %b as "b"
    }"""
    engine = gie_core.build(parse_graph(text, core_ops()), host=HOST, refit=True, shapes=shapes)
    if saved:
        engine.save(tmp_path / "a.gie")
        engine = gie_core.load(tmp_path / "a.gie", host=HOST)
    engine.refit({"b": np.array([[5, 6]], np.float32)})
    found = engine(X[:1])
    np.testing.assert_array_equal(found["y"], [X[0], [0, 0], [5, 6]])
    np.testing.assert_array_equal(found["b"], [[5, 6]])
