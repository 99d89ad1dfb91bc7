"""One set of inputs: files where they are given, random arrays elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gie_core.cli.feeds import Given
from gie_core.engine.engine import TensorInfo
from gie_core.errors import GieError
from gie_core.ir.dims import symbol
from gie_core.ir.types import DType, TensorType

N = symbol("n")
A, B = (TensorInfo(name, TensorType(DType.F32, (N, 2))) for name in "ab")
ONES = np.ones((1, 2), np.float32)


@pytest.fixture(autouse=True)
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("one.npy", ONES)
    np.save("two.npy", 2 * ONES)
    np.savez("both.npz", a=ONES, b=2 * ONES)


def given(*files: str, seed: int = 0, dims: tuple[str, ...] = ()) -> Given:
    return Given(files, "", seed, dims)


@pytest.mark.parametrize(
    ("files", "a", "b"),
    [
        (("one.npy", "two.npy"), 1, 2),
        (("b=one.npy", "two.npy"), 2, 1),
        (("both.npz",), 1, 2),
        (("a=one.npy",), 1, None),
        (("b=two.npy",), None, 2),
        ((), None, None),
    ],
)
def test_files_feed_inputs_and_the_rest_is_random(
    files: tuple[str, ...], a: float | None, b: float | None
) -> None:
    given(*files).check()
    feed = given(*files).feed([A, B])
    assert list(feed) == ["a", "b"]
    for name, value in (("a", a), ("b", b)):
        if value is None:
            assert feed[name].shape == (1, 2)
            assert len(np.unique(feed[name])) == 2
        else:
            np.testing.assert_array_equal(feed[name], value * ONES)


def test_random_inputs_follow_seed_and_sizes() -> None:
    one, same, other = (given(seed=seed, dims=("n=3",)).feed([A])["a"] for seed in (1, 1, 2))
    assert one.shape == (3, 2)
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (given("a=gone.npy"), "there is no input file gone.npy"),
        (given("one.npy"), r"1 file for 2 inputs \(a, b\): write NAME=FILE"),
        (given("c=one.npy"), "there is no input 'c'; the inputs are a, b"),
        (given("both.npz", "both.npz"), "one set of inputs is needed, but these files make 2"),
        (given(dims=("m=3",)), "there is no dimension 'm'; the dimensions are n"),
        (given(dims=("m",)), "--dim m must read NAME=N"),
        (given("both.npz", dims=("n=3",)), "--dim gives sizes to random inputs, but all have"),
        (Given((), "nope", 0, ()), "preprocess: there is no step 'nope'"),
    ],
)
def test_mistakes(asked: Given, error: str) -> None:
    with pytest.raises(GieError, match=error):  # noqa: PT012 - either may say it
        asked.check()
        asked.feed([A, B])
