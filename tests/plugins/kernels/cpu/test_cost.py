"""The estimates put candidates in order."""

from __future__ import annotations

import pytest

from gie_core.kernels.candidate import Candidate, Work
from gie_kernels_cpu.cost import elementwise, matrix_products, ranked, seconds, total


def candidate(name: str, work: Work) -> Candidate:
    return Candidate(name, (), (), work=work)


def test_the_fastest_comes_first_and_narrow_storage_last() -> None:
    slow, fast = elementwise(1e9), elementwise(1e6)
    names = {"a": slow, "b": fast, "c f16": fast, "d bf16 weights": slow, "e": fast}
    found = ranked(candidate(name, work) for name, work in names.items())
    assert [c.name for c in found] == ["b", "e", "a", "c f16", "d bf16 weights"]


# products of weights [m, k] and matrices [k, n], and microseconds on the machine of the rates
MEASURED = [
    (36, 256, 256, 49, 1420),
    (36, 512, 512, 16, 3300),
    (36, 128, 128, 196, 826),
    (36, 64, 64, 784, 810),
    (1, 128, 512, 784, 256),
    (1, 512, 2048, 49, 456),
    (1, 96, 16, 12544, 130),
]


@pytest.mark.parametrize(("count", "m", "k", "n", "measured"), MEASURED)
def test_matrix_products(count: int, m: int, k: int, n: int, measured: float) -> None:
    assert seconds(matrix_products(count, m, k, n)) == pytest.approx(measured * 1e-6, rel=0.3)


def test_total() -> None:
    work = total(Work(1, 2, 3, 4), Work(10, 20, 30, 40))
    assert work == Work(11, 22, 33, 44)
