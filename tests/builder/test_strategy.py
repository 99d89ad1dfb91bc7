"""The strategy against trying out everything, and what it says where there is no solution."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gie_core.builder.strategy import (
    AliasGroup,
    Option,
    Problem,
    Reformat,
    Solution,
    StrategyError,
    solve,
)
from gie_core.builder.strategy_problem import tie_weight

T = TypeVar("T")


# ── An oracle that tries out everything ─────────────────────────────────────────────


def subsets(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    for size in range(len(items) + 1):
        yield from itertools.combinations(items, size)


def can_run(problem: Problem, options: Sequence[Option], reformats: Sequence[Reformat]) -> bool:
    """Plays it through: runs what can run until nothing more can."""
    stored, waiting = set(problem.given), list(options)
    written = stored.union(*(option.writes for option in options))
    while True:
        copied = {(r.value, r.target) for r in reformats if (r.value, r.source) in stored}
        missing = {value for option in waiting for value, _ in option.writes}
        ready = [
            option
            for option in waiting
            if stored | copied >= set(option.reads)
            and not missing & {value for value, _ in option.reads}
        ]
        if not ready:
            break
        stored.update(*(option.writes for option in ready))
        waiting = [option for option in waiting if option not in ready]
    from_produced = all((r.value, r.source) in written for r in reformats)
    return not waiting and from_produced and stored | copied >= problem.wanted


def is_allowed(problem: Problem, options: Sequence[Option], reformats: Sequence[Reformat]) -> bool:
    covered = sorted(node for option in options for node in option.covers)
    on = {group for option in options for group in option.needs}
    off = {group for option in options for group in option.excludes}
    error = math.fsum(choice.error for choice in (*options, *reformats))
    return (
        covered == list(range(problem.nodes))
        and not on & off
        and all(option.workspace <= (problem.workspace or 0) for option in options)
        and error <= (math.inf if problem.budget is None else problem.budget**2)
        and math.isfinite(error)
        and can_run(problem, options, reformats)
    )


def brute_force(problem: Problem, best: int) -> list[tuple[int, int, set[str]]]:
    """Time, tie weight and options of each choice of options, the best first."""
    found: list[tuple[int, int, set[str]]] = []
    for options in subsets(problem.options):
        if sorted(n for o in options for n in o.covers) != list(range(problem.nodes)):
            continue
        prices = [
            (sum(c.time for c in chosen), sum(tie_weight(c) for c in chosen))
            for reformats in subsets(problem.reformats)
            if is_allowed(problem, options, reformats)
            for chosen in [(*options, *reformats)]
        ]
        if prices:
            found.append((*min(prices), {option.key for option in options}))
    return sorted(found, key=lambda choice: choice[:2])[:best]


# ── Problems ────────────────────────────────────────────────────────────────────────


def chain(times: Sequence[Sequence[int]], **rest: Any) -> Problem:
    """Node i makes value i + 1 of value i, in each format by an option "i/format"."""
    options = tuple(
        Option(f"{i}/{f}", frozenset([i]), time, ((i, f),), ((i + 1, f),))
        for i, formats in enumerate(times)
        for f, time in enumerate(formats)
    )
    usual: dict[str, Any] = {"given": frozenset([(0, 0)]), "wanted": frozenset([(len(times), 0)])}
    return Problem(len(times), options, **(usual | rest))


def copies(time: int, values: int, formats: int = 2) -> tuple[Reformat, ...]:
    pairs = list(itertools.permutations(range(formats), 2))
    return tuple(Reformat(v, a, b, time) for v in range(values) for a, b in pairs)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small ones of all kinds: groups, forks, joins, alias groups, cycles, limits."""
    nodes, formats = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 2, 3]))
    a_format = st.sampled_from([0, *range(formats)])
    a_set = st.frozensets(st.integers(0, 1), max_size=1)
    an_error = st.sampled_from([0.0, 1 / 64, 3 / 64, 1 / 8, math.inf])
    a_time = st.integers(0, 4)

    def option(index: int) -> Option:
        """The first ones run a node each, in order and without conditions, mostly in one format."""
        covers = draw(st.frozensets(st.integers(0, nodes - 1), min_size=1, max_size=2))
        operands = draw(st.frozensets(st.integers(0, nodes), max_size=2))
        if index < 2 * nodes:
            covers = frozenset([index % nodes])
            operands = frozenset([draw(st.integers(0, min(covers)))])
        reads = tuple((v, draw(a_format)) for v in sorted(operands - {n + 1 for n in covers}))
        writes = tuple((n + 1, draw(a_format)) for n in sorted(covers))
        if index < nodes:
            return Option(f"o{index}", covers, draw(a_time), reads, writes)
        needs = draw(a_set)
        return Option(
            key=f"o{index}",
            covers=covers,
            time=draw(a_time),
            reads=reads,
            writes=writes,
            workspace=draw(st.sampled_from([0, 0, 0, 9])),
            error=draw(an_error),
            needs=needs,
            excludes=draw(a_set) - needs,
        )

    pairs = list(itertools.permutations(range(formats), 2))
    triples = [(v, a, b) for v in range(nodes + 1) for a, b in pairs]
    chosen = (
        draw(st.lists(st.sampled_from(triples), unique=True, min_size=2, max_size=6))
        if triples
        else []
    )
    return Problem(
        nodes,
        tuple(option(index) for index in range(draw(st.integers(nodes, 3 * nodes + 2)))),
        tuple(Reformat(v, a, b, draw(a_time), draw(an_error)) for v, a, b in chosen),
        (AliasGroup(0), AliasGroup(1)),
        given=frozenset([(0, 0)]),
        wanted=frozenset([(draw(st.integers(1, nodes)), draw(a_format))]),
        workspace=draw(st.sampled_from([4, 9])),
        budget=draw(st.sampled_from([None, None, 0.0, 0.125, 0.25, 0.5])),
    )


# ── The best, and all of them ───────────────────────────────────────────────────────


def check_solution(problem: Problem, solution: Solution) -> None:
    options = [option for option in problem.options if option.key in solution.options]
    assert is_allowed(problem, options, solution.reformats)
    assert len({(r.value, r.target) for r in solution.reformats}) == len(solution.reformats)
    chosen = *options, *solution.reformats
    assert solution.time == sum(choice.time for choice in chosen)
    assert solution.error == pytest.approx(sum(choice.error for choice in chosen))
    assert solution.aliases == {group for option in options for group in option.needs}


@settings(max_examples=250)
@given(problems(), st.integers(1, 4))
def test_equals_trying_out_everything(problem: Problem, best: int) -> None:
    expected = brute_force(problem, best)
    try:
        found = solve(problem, best)
    except StrategyError:
        found = []
    for solution in found:
        check_solution(problem, solution)
    assert [s.time for s in found] == [time for time, _, _ in expected]
    if problem.budget is None:
        assert [set(s.options) for s in found] == [options for _, _, options in expected]
    else:
        assert len({s.options for s in found}) == len(found)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(problem: Problem, rng: random.Random) -> None:
    def shuffled(items: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(rng.sample(items, len(items)))

    other = replace(
        problem,
        options=shuffled(problem.options),
        reformats=shuffled(problem.reformats),
        aliases=shuffled(problem.aliases),
    )
    assert answer(problem) == answer(other)


def answer(problem: Problem) -> list[Solution] | str:
    try:
        return solve(problem, best=3)
    except StrategyError as error:
        return str(error)


@pytest.mark.parametrize(
    ("copy", "options", "time"),
    [
        (1, ("0/0", "1/1", "2/1", "3/0"), 18),  # two copies buy the two fast kernels
        (7, ("0/0", "1/1", "2/1", "3/0"), 30),
        (9, ("0/0", "1/0", "2/0", "3/0"), 32),
    ],
)
def test_a_format_is_changed_where_it_pays(copy: int, options: tuple[str, ...], time: int) -> None:
    problem = chain([(5, 9), (8, 2), (14, 4), (5, 9)], reformats=copies(copy, 5))
    (solution,) = solve(problem)
    assert (solution.options, solution.time) == (options, time)


def test_one_copy_serves_all_readers() -> None:
    readers = [Option(f"{n}", frozenset([n]), 1, ((0, 1),), ((n + 1, 1),)) for n in range(3)]
    problem = Problem(3, tuple(readers), copies(5, 1), given=frozenset([(0, 0)]))
    assert solve(problem)[0].time == 3 + 5


def test_a_copy_starts_from_what_was_written() -> None:
    """Not from what another option would have written, nor from another copy."""
    copies = Reformat(1, 0, 2, 5), Reformat(1, 0, 1, 1), Reformat(1, 1, 2, 1)
    reader = Option("reader", frozenset([1]), 1, ((1, 2),), ((2, 0),))
    writers = [Option(f"{f}", frozenset([0]), (2, 9)[f], (), ((1, f),)) for f in range(2)]
    (first, second) = solve(Problem(2, (*writers, reader), copies), best=9)
    assert (first.options, first.reformats, first.time) == (("0", "reader"), copies[:1], 8)
    assert (second.options, second.reformats, second.time) == (("1", "reader"), copies[2:], 11)


def test_a_group_runs_whole_in_part_or_apart() -> None:
    single = chain([(4,), (3,), (3,)])
    whole = Option("whole", frozenset([0, 1, 2]), 7, ((0, 0),), ((3, 0),))
    part = Option("part", frozenset([0, 1]), 5, ((0, 0),), ((2, 0),))
    found = solve(replace(single, options=(*single.options, whole, part)), best=9)
    assert [(s.options, s.time) for s in found] == [
        (("whole",), 7),
        (("part", "2/0"), 8),
        (("0/0", "1/0", "2/0"), 10),
    ]


def test_a_group_that_hides_a_value_does_not_serve_its_other_reader() -> None:
    single = chain([(4,), (4,)], wanted=frozenset([(1, 0), (2, 0)]))
    group = Option("group", frozenset([0, 1]), 1, ((0, 0),), ((2, 0),))
    assert solve(replace(single, options=(*single.options, group)))[0].time == 8


def test_an_alias_group_is_on_for_all_or_off_for_all() -> None:
    group = frozenset([7])
    # Where it is on, the branches run slower, but their concatenation costs nothing.
    on = [Option(f"{n}/on", frozenset([n]), time, needs=group) for n, time in enumerate((9, 9, 0))]
    off = [
        Option(f"{n}/off", frozenset([n]), time, excludes=group) for n, time in enumerate((6, 6, 5))
    ]
    found = solve(Problem(3, (*on, *off), aliases=(AliasGroup(7),)), best=9)
    assert [(s.time, s.aliases) for s in found] == [(17, frozenset()), (18, frozenset([7]))]


def test_a_budget_buys_speed() -> None:
    problem = chain([(8, 4), (8, 4), (8, 4)], reformats=copies(0, 4))
    errors = {"0/1": 9e-6, "1/1": 4e-6, "2/1": 4e-6}
    options = tuple(replace(o, error=errors.get(o.key, 0.0)) for o in problem.options)
    problem = replace(problem, options=options)
    times = {None: 12, 4e-3: 16, 3e-3: 16, 2.9e-3: 16, 2e-3: 20, 1e-3: 24}
    found = {budget: solve(replace(problem, budget=budget))[0] for budget in times}
    assert {budget: solution.time for budget, solution in found.items()} == times
    assert found[2.9e-3].error == pytest.approx(8e-6)


def test_a_budget_holds_beyond_the_tolerance_of_the_solver() -> None:
    problem = chain([(8, 4), (8, 4)], reformats=copies(0, 3))
    errors = {"0/1": 1 / 8, "1/1": 1 / 8 + 1e-12}
    options = tuple(replace(o, error=errors.get(o.key, 0.0)) for o in problem.options)
    assert solve(replace(problem, options=options, budget=0.5))[0].time == 12


def test_options_that_wait_for_each_other_are_not_chosen_together() -> None:
    """{0, 3} makes what {1, 2} reads, and reads what it makes."""
    apart = [Option(f"{n}", frozenset([n]), 5, (), ((n, 0),)) for n in range(4)]
    outer = Option("outer", frozenset([0, 3]), 1, ((2, 0),), ((0, 0), (3, 0)))
    inner = Option("inner", frozenset([1, 2]), 1, ((0, 0),), ((1, 0), (2, 0)))
    found = solve(Problem(4, (*apart, outer, inner)), best=9)
    assert [set(s.options) for s in found][:2] in (
        [{"outer", "1", "2"}, {"0", "3", "inner"}],
        [{"0", "3", "inner"}, {"outer", "1", "2"}],
    )
    assert [s.time for s in found] == [11, 11, 20]


def test_an_empty_graph_needs_only_its_copies() -> None:
    problem = Problem(0, (), copies(3, 1), (), frozenset([(0, 0)]), frozenset([(0, 1)]))
    assert solve(problem) == [Solution((), (Reformat(0, 0, 1, 3),), frozenset(), 3, 0.0)]
    assert solve(Problem(0, ())) == [Solution((), (), frozenset(), 0, 0.0)]


def test_a_network_of_hundreds_of_nodes() -> None:
    """400 nodes in residual blocks, 12 options each, 4 formats."""
    rng = random.Random(0)
    reads = [
        operands
        for block in range(0, 400, 4)
        for operands in ([block], [block + 1], [block + 2], [block + 3, block])
    ]
    options = [
        Option(
            f"{n}/{k}",
            frozenset([n]),
            rng.randint(1000, 9000),
            tuple((value, k % 4) for value in operands),
            ((n + 1, k % 4),),
        )
        for n, operands in enumerate(reads)
        for k in range(12)
    ]
    problem = Problem(
        400,
        tuple(options),
        copies(3000, 401, formats=4),
        given=frozenset([(0, 0)]),
        wanted=frozenset([(400, 0)]),
    )
    first, second = solve(problem, best=2)
    check_solution(problem, first)
    check_solution(problem, second)
    assert first.time <= second.time
    in_one_format = [
        min(o.time for o in options if n in o.covers and o.reads[0][1] == 0) for n in range(400)
    ]
    assert first.time < sum(in_one_format)


# ── No solution ─────────────────────────────────────────────────────────────────────

GROUP = frozenset([0])


def options_of(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, options=tuple(replace(o, **changes) for o in problem.options))


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (replace(chain([(1,)]), nodes=2), "node 1 cannot run: there is no kernel for it"),
        (
            replace(chain([(1,)]), nodes=2, node_names={1: "%y = conv"}),
            "%y = conv cannot run: there is no kernel for it",
        ),
        (
            options_of(chain([(1, 1)], workspace=64), workspace=65),
            "node 0 cannot run: its kernels need 65 bytes of workspace or more, but only 64 are "
            "allowed; allow more",
        ),
        (
            options_of(chain([(1,)]), error=math.inf),
            "node 0 cannot run: all its kernels overflow; allow wider element types",
        ),
        (
            options_of(chain([(1,)], budget=1e-3), error=4e-6),
            "node 0 cannot run: its kernels add an error of 0.002 or more, but only 0.001 is "
            "allowed; allow more, or wider element types",
        ),
        (
            options_of(chain([(1,)] * 4, budget=3e-3), error=4e-6),
            "no choice of kernels keeps the error within 0.003: the least is 0.004; allow more, "
            "or wider element types",
        ),
        (
            chain([(1,), (1,)], given=frozenset([(0, 1)])),
            "node 0 cannot run: nothing provides value 0 in format 0",
        ),
        (
            chain([(1,)], given=frozenset(), value_names={0: "%x"}, format_names={0: "f32 NHWC"}),
            "node 0 cannot run: nothing provides %x in f32 NHWC",
        ),
        (
            chain([(1,)], wanted=frozenset([(1, 3)])),
            "nothing provides the output value 1 in format 3",
        ),
        (
            Problem(
                2,
                (
                    Option("a", frozenset([0]), 1, needs=GROUP),
                    Option("b", frozenset([1]), 1, excludes=GROUP),
                ),
                aliases=(AliasGroup(0, "concat %y"),),
            ),
            "what the kernels ask of the alias groups contradicts itself: concat %y",
        ),
        (
            Problem(
                3,
                tuple(Option(str(n), frozenset([n, (n + 1) % 3]), 1) for n in range(3)),
            ),
            "no choice of kernels runs every node once in formats that fit together; allow more "
            "reformats or kernels",
        ),
    ],
)
def test_says_why_there_is_no_solution(problem: Problem, message: str) -> None:
    with pytest.raises(StrategyError) as caught:
        solve(problem)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Option("a", frozenset(), 1), "option 'a' covers no node"),
        (lambda: Option("a", frozenset([0]), -1), "no number from 0 up"),
        (lambda: Option("a", frozenset([0]), 1, error=math.nan), "no number from 0 up"),
        (lambda: Option("a", frozenset([0]), 1, ((0, 0),), ((0, 1),)), "reads a value that it wri"),
        (
            lambda: Option("a", frozenset([0]), 1, needs=GROUP, excludes=GROUP),
            "needs an alias group that",
        ),
        (lambda: Reformat(0, 1, 1, 1), "changes nothing"),
        (lambda: Problem(1, (Option("a", frozenset([1]), 1),)), "covers a node that does not"),
        (lambda: Problem(1, (Option("a", frozenset([0]), 1),) * 2), "one key of an option twice"),
        (lambda: Problem(0, (), copies(1, 1) * 2), "one reformat twice"),
        (lambda: Problem(0, (), (), (AliasGroup(0),) * 2), "one alias group twice"),
        (
            lambda: Problem(1, (Option("a", frozenset([0]), 1, needs=GROUP),)),
            "names an alias group",
        ),
        (
            lambda: chain([(1,)], given=frozenset([(0, 0), (1, 1)])),
            "option '0/0' writes a value that is given",
        ),
    ],
)
def test_refuses_what_is_no_problem(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
