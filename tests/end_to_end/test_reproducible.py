"""Two builds with one timing cache give the same bytes, in one process or in several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gie_core
from gie_core.builder.timing_cache import TimingCache, merge
from gie_core.builder.tuner import TunerOptions
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.testing.models import models_dir

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
QUICK = TunerOptions(seconds=3)
CNN = """graph cnn {
  input %x: f32[1, 8, 20, 20]
  const %w1: f32[16, 8, 3, 3] = blob "w1"
  const %w2: f32[16, 16, 1, 1] = blob "w2"
  const %w3: f32[16, 16, 3, 3] = blob "w3"
  %a = conv(%x, %w1) {pads = [1, 1, 1, 1]}
  %b = relu(%a)
  %c = conv(%b, %w2)
  %d = conv(%b, %w3) {pads = [1, 1, 1, 1]}
  %e = concat(%c, %d) {axis = 1}
  %f = relu(%e)
  %y = max_pool(%f) {kernel = [2, 2], strides = [2, 2]}
  return %y
}"""


def cnn() -> Graph:
    rng = np.random.default_rng(1)
    shapes = {"w1": (16, 8, 3, 3), "w2": (16, 16, 1, 1), "w3": (16, 16, 3, 3)}
    weights = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return parse_graph(CNN, core_ops(), weights)


def ultraface() -> Path:
    models = models_dir()
    if models is None:
        pytest.skip("the folder of real models is not beside the checkout")
    return models / "ultraface" / "version-slim-320_simplified.onnx"


SOURCES: dict[str, Callable[[], object]] = {
    "cnn": cnn,
    "digits": lambda: DIGITS,
    "ultraface": ultraface,
}


def saved(source: object, path: Path, cache: Path | None = None) -> bytes:
    timing = QUICK if cache is not None else False
    gie_core.build(source, timing=timing, timing_cache=cache).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", SOURCES)
def test_two_builds_with_one_cache_are_equal(name: str, tmp_path: Path) -> None:
    make, cache = SOURCES[name], tmp_path / "cache"
    first = saved(make(), tmp_path / "1.gie", cache)
    timings = cache.read_bytes()
    assert saved(make(), tmp_path / "2.gie", cache) == first
    assert cache.read_bytes() == timings
    assert len(TimingCache.load(cache)) > 0


@pytest.mark.parametrize("name", SOURCES)
def test_two_builds_by_the_cost_model_are_equal(name: str, tmp_path: Path) -> None:
    make = SOURCES[name]
    assert saved(make(), tmp_path / "1.gie") == saved(make(), tmp_path / "2.gie")


BUILD = """\
import sys, gie_core
source, path, cache = sys.argv[1:]
gie_core.build(source, timing=bool(cache), timing_cache=cache or None).save(path)
"""


@pytest.mark.parametrize("timed", [True, False])
def test_other_processes_build_the_same(timed: bool, tmp_path: Path) -> None:
    """Sets and dicts of strings have another order in each."""
    cache = tmp_path / "cache"
    contents = {saved(DIGITS, tmp_path / "here.gie", cache if timed else None)}
    for seed in ("0", "1", "77"):
        path = tmp_path / f"{seed}.gie"
        arguments = [str(DIGITS), str(path), str(cache) if timed else ""]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", BUILD, *arguments], check=True, env=environment)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_merged_caches_serve_both_networks(tmp_path: Path) -> None:
    makes = [SOURCES["cnn"], SOURCES["digits"]]
    caches = [tmp_path / "0", tmp_path / "1"]
    alone = [
        saved(make(), tmp_path / "a.gie", cache) for make, cache in zip(makes, caches, strict=True)
    ]
    first, second = map(TimingCache.load, caches)
    merged = merge(first, second)
    assert merged.to_bytes() == merge(second, first).to_bytes()
    assert len(merged) == len(first) + len(second), "the networks have no node in common"
    both = tmp_path / "both"
    merged.save(both)
    assert [saved(make(), tmp_path / "b.gie", both) for make in makes] == alone
    assert TimingCache.load(both) == merged, "there was nothing to time"
