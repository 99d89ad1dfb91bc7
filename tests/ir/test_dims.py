"""Dimensions: canonical forms, text, and agreement with integer arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.dims import (
    Dim,
    SymInt,
    ceil_div,
    certainly_differ,
    dim_max,
    dim_min,
    evaluate_dim,
    format_dim,
    free_symbols,
    parse_dim,
    product,
    substitute_dim,
    symbol,
)

CANONICAL = [
    ("n + 2 - 1", "n + 1"),
    ("2*n + 1 - n - n", "1"),
    ("(2*n + 4) // 2", "n + 2"),
    ("(n + 5) // 2", "(n + 1) // 2 + 2"),
    ("(n // 2) // 3", "n // 6"),
    ("((n + 1) // 2 + 1) // 2", "(n + 3) // 4"),
    ("(4*n + 2*m) // 8", "(m + 2*n) // 4"),
    ("n*m // n", "m"),
    ("n // n", "1"),
    ("mod(4*n + 3, 2)", "1"),
    ("mod(n*m, m)", "0"),
    ("max(n, n)", "n"),
    ("max(n + 1, n)", "n + 1"),
    ("min(n + 1, n)", "n"),
    ("max(m, n)", "max(m, n)"),
    ("max(n, m)", "max(m, n)"),
    ("3 - n // 2", "-(n // 2) + 3"),
    ("2*(n // 2)", "2*(n // 2)"),
    ("n*n", "n*n"),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_equal_dimensions_have_one_form(text: str, canonical: str) -> None:
    assert format_dim(parse_dim(text)) == canonical
    assert parse_dim(text) == parse_dim(canonical)


@pytest.mark.parametrize(
    "text", ["", "n +", "n ** 2", "n / 2", "f(n)", "n.m", "1.5", "True", "n // 0", "max(n)", "'n'"]
)
def test_text_that_is_no_dimension_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a dimension"):
        parse_dim(text)


def test_deep_nesting_is_rejected_not_fatal() -> None:
    with pytest.raises(ValueError, match="is not a dimension"):
        parse_dim("(" * 100_000 + "n" + ")" * 100_000)


@pytest.mark.parametrize("name", ["", "1n", "a b", "min", "mod", "größe", "lambda", "True"])
def test_symbols_are_identifiers(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a dimension"):
        symbol(name)


LARGE = [
    "*".join(["(a + b + c + d + e + f + g + h + i + j)"] * 14),
    "max(n, m + 1 + " * 90 + "n" + ")" * 90,
    "n" + " // m" * 150,
    "9" * 5000,
    "9" * 100,
    "*".join(["n"] + ["9" * 18] * 10),
    " - ".join(["1"] * 10_000),
]


@pytest.mark.parametrize("text", LARGE, ids=lambda text: text[:20])
def test_very_large_expressions_are_rejected_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="is not a dimension") as error:
        parse_dim(text)
    assert len(str(error.value)) < 200


def test_growing_without_bound_is_stopped() -> None:
    def grow(dim: Dim, times: int) -> Dim:
        return grow(dim_max(dim // 2, dim + symbol("m")), times - 1) if times else dim

    with pytest.raises(ValueError, match="too many terms"):
        grow(symbol("n"), 100)


def test_dimensions_of_many_terms_are_fine() -> None:
    dim = sum((symbol(f"length_of_sequence_{i}") * 2 for i in range(250)), start=symbol("n") + 1)
    assert parse_dim(format_dim(dim)) == dim


DIFFERENCES = [("n", "n + 1", True), ("n", "m", False), ("n", "3", False), ("2", "3", True)]


@pytest.mark.parametrize(("a", "b", "expected"), DIFFERENCES)
def test_certainly_differ(a: str, b: str, expected: bool) -> None:
    assert certainly_differ(parse_dim(a), parse_dim(b)) is expected


def test_int_results_stay_ints() -> None:
    n = symbol("n")
    assert isinstance(n - n, int)
    assert isinstance(7 // symbol("n") * 0, int)
    assert product([]) == 1
    assert product([2, n, 3]) == 6 * n


def test_free_symbols_looks_into_atoms() -> None:
    assert free_symbols(parse_dim("max(n, m // k)"), 3) == {"n", "m", "k"}


def test_evaluate_names_what_is_missing() -> None:
    with pytest.raises(KeyError, match="m"):
        evaluate_dim(parse_dim("n + m"), {"n": 1})


def test_substitution_by_expressions() -> None:
    assert substitute_dim(parse_dim("n // 2"), {"n": 4 * symbol("k")}) == 2 * symbol("k")


# An expression as a tree, so that the test can evaluate it by itself.
Tree = int | str | tuple[str, "Tree", "Tree"]
trees = st.recursive(
    st.integers(0, 9) | st.sampled_from(["n", "m"]),
    lambda inner: st.tuples(
        st.sampled_from(["+", "-", "*", "//", "mod", "min", "max", "ceil"]), inner, inner
    ),
    max_leaves=8,
)


def build(tree: Tree) -> Dim:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return symbol(tree)
    function, a, b = tree[0], build(tree[1]), build(tree[2])
    match function:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "//":
            return a // b
        case "mod":
            return a % b
        case "ceil":
            return ceil_div(a, b)
        case "min":
            return dim_min(a, b)
        case _:
            return dim_max(a, b)


def compute(tree: Tree, values: dict[str, int]) -> int:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return values[tree]
    function, a, b = tree[0], compute(tree[1], values), compute(tree[2], values)
    return {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "//": lambda: a // b,
        "mod": lambda: a % b,
        "ceil": lambda: -(-a // b),
        "min": lambda: min(a, b),
        "max": lambda: max(a, b),
    }[function]()


@given(trees, st.integers(1, 20), st.integers(1, 20))
def test_expressions_agree_with_integers(tree: Tree, n: int, m: int) -> None:
    values = {"n": n, "m": m}
    try:
        expected = compute(tree, values)
        dim = build(tree)
    except ZeroDivisionError:
        return
    try:
        assert evaluate_dim(dim, values) == expected
    except ZeroDivisionError:
        pytest.fail(f"{dim} divides by zero where {tree} does not")


@given(trees)
def test_text_round_trips(tree: Tree) -> None:
    try:
        dim = build(tree)
    except ZeroDivisionError:
        return
    assert parse_dim(format_dim(dim)) == dim
    assert isinstance(dim, (int, SymInt))
