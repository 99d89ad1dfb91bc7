"""The strategy: which option runs which nodes, in which formats, so that the time is least.

A 0/1 program over the options, the reformats and the alias groups, solved exactly:

- every node is covered by exactly one chosen option;
- what an option reads is given, or written in that format by a chosen option, or the target of a
  chosen reformat whose source is given or written;
- an alias group is on or off for all options that need or exclude it;
- Σσ² stays within the error budget;
- the sum of times is least.

**Ties.** Of solutions with equal time, the one with the least sum of ``tie_weight`` wins. That is a
second program, with the least time as a row: both stay exact in float64. Random weights below 2²⁴
have one minimum over n tied choices but for a probability of n/2²⁴ (the isolation lemma:
K. Mulmuley, U. Vazirani, V. Vazirani, "Matching is as easy as matrix inversion", 1987, lemma 1), so
the choice depends neither on the order of the input nor on the solver. With an error budget the
second program would take longer than the first; there the solver decides, and since it gets the
options in one order whatever the input's is, it decides alike until its version changes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from gie_core.builder.strategy_problem import (
    AliasGroup,
    Option,
    Problem,
    Reformat,
    Solution,
    Stored,
    StrategyError,
    tie_weight,
)
from gie_core.builder.strategy_program import StrategyProgram

Choice = TypeVar("Choice", Option, Reformat)

__all__ = [
    "AliasGroup",
    "Option",
    "Problem",
    "Reformat",
    "Solution",
    "Stored",
    "StrategyError",
    "solve",
]


def solve(problem: Problem, best: int = 1) -> list[Solution]:
    """The best choices of options, with the best reformats for each.

    Args:
        problem: in any order; the answer is the same.
        best: how many solutions to look for. No two have the same options.

    Returns:
        One to ``best`` solutions, the fastest first; fewer if there are no more.

    Raises:
        StrategyError: there is none; says why, as far as it can be told.
        SolverError: the solver gave up.
    """
    options = _usable_options(problem)
    reformats = _usable_reformats(problem, options)
    program = StrategyProgram(problem, _undominated(problem, options, best), reformats)
    solutions: list[Solution] = []
    while len(solutions) < best and (solution := program.next_best()) is not None:
        solutions.append(solution)
    if not solutions:
        raise StrategyError(_reason(problem))
    return solutions


# ── What can be chosen at all ───────────────────────────────────────────────────────


def _usable_options(problem: Problem) -> list[Option]:
    """The options that fit the limits by themselves, and whose operands can be provided.

    Raises:
        StrategyError: a node has none, or nothing provides what is wanted.
    """
    options = list(problem.options)
    _check_covered(problem, options, options, lambda _: "there is no kernel for it")
    options = _within_workspace(problem, options)
    options = _within_budget(problem, options)
    return _provided(problem, options)


def _within_workspace(problem: Problem, options: list[Option]) -> list[Option]:
    if (limit := problem.workspace) is None:
        return options
    kept = [option for option in options if option.workspace <= limit]
    _check_covered(
        problem,
        options,
        kept,
        lambda rejected: (
            f"its kernels need {min(option.workspace for option in rejected)} bytes of workspace "
            f"or more, but only {limit} are allowed; allow more"
        ),
    )
    return kept


def _within_budget(problem: Problem, options: list[Option]) -> list[Option]:
    def why(rejected: list[Option]) -> str:
        least = min(option.error for option in rejected)
        if math.isinf(least):
            return "all its kernels overflow; allow wider element types"
        return (
            f"its kernels add an error of {math.sqrt(least):.3g} or more, but only "
            f"{problem.budget} is allowed; allow more, or wider element types"
        )

    kept = [option for option in options if _is_allowed(problem, option)]
    _check_covered(problem, options, kept, why)
    return kept


def _provided(problem: Problem, options: list[Option]) -> list[Option]:
    """Without the options that read what nothing provides, what only those provide, and so on."""
    while True:
        stored = problem.given.union(*(option.writes for option in options))
        stored |= {(r.value, r.target) for r in _usable_reformats(problem, options)}
        kept = [option for option in options if stored.issuperset(option.reads)]
        _check_covered(problem, options, kept, partial(_unprovided, problem, stored))
        if len(kept) == len(options):
            break
        options = kept
    for wanted in sorted(problem.wanted - stored):
        raise StrategyError(f"nothing provides the output {problem.stored(wanted)}")
    return options


def _unprovided(problem: Problem, stored: frozenset[Stored], rejected: list[Option]) -> str:
    missing = {place for option in rejected for place in option.reads} - stored
    return f"nothing provides {' or '.join(map(problem.stored, sorted(missing)))}"


def _check_covered(
    problem: Problem,
    options: list[Option],
    kept: list[Option],
    why: Callable[[list[Option]], str],
) -> None:
    """Every node has an option left.

    Raises:
        StrategyError: a node has none; ``why`` says what was wrong with those that it had.
    """
    covered = frozenset[int]().union(*(option.covers for option in kept))
    for node in range(problem.nodes):
        if node not in covered:
            rejected = [option for option in options if node in option.covers]
            raise StrategyError(f"{problem.node(node)} cannot run: {why(rejected)}")


def _usable_reformats(problem: Problem, options: Iterable[Option]) -> list[Reformat]:
    """Those of what may exist into what may be asked for."""
    sources = problem.given.union(*(option.writes for option in options))
    targets = problem.wanted.union(*(option.reads for option in options))
    return [
        reformat
        for reformat in problem.reformats
        if (reformat.value, reformat.source) in sources
        and (reformat.value, reformat.target) in targets
        and _is_allowed(problem, reformat)
    ]


def _is_allowed(problem: Problem, choice: Option | Reformat) -> bool:
    limit = math.inf if problem.budget is None else problem.budget**2
    return choice.error <= limit and not math.isinf(choice.error)


def _undominated(problem: Problem, options: Iterable[Option], best: int) -> list[Option]:
    """The options that can occur in one of the ``best`` solutions.

    An option is dominated by another that can stand wherever it can, and is as good in every
    respect. With ``best`` of these, each solution that has it is worse than ``best`` others.
    """
    alike: dict[object, list[Option]] = defaultdict(list)
    for o in options:
        key = o.covers, frozenset(o.reads), frozenset(o.writes), o.needs, o.excludes
        alike[key].append(o)
    kept: list[Option] = []
    for rivals in alike.values():
        rivals.sort(key=lambda option: (option.time, tie_weight(option)))
        for index, option in enumerate(rivals):
            better = rivals[:index]
            if problem.budget is not None:
                better = [other for other in better if other.error <= option.error]
            if len(better) < best:
                kept.append(option)
    return kept


# ── Why there is no solution ────────────────────────────────────────────────────────


def _reason(problem: Problem) -> str:
    """What has to be given up so that there is a solution."""
    if problem.budget is not None:
        exact = _program(_timed_by_error(problem)).next_best()
        if exact is not None and exact.error > problem.budget**2:
            return (
                f"no choice of kernels keeps the error within {problem.budget}: the least is "
                f"{math.sqrt(exact.error):.3g}; allow more, or wider element types"
            )
    if problem.aliases and _program(_without_aliases(problem)).next_best():
        groups = sorted(problem.aliases, key=lambda group: group.number)
        names = ", ".join(group.name or str(group.number) for group in groups)
        return f"what the kernels ask of the alias groups contradicts itself: {names}"
    return (
        "no choice of kernels runs every node once in formats that fit together; "
        "allow more reformats or kernels"
    )


def _program(problem: Problem) -> StrategyProgram:
    options = _usable_options(problem)
    return StrategyProgram(problem, options, _usable_reformats(problem, options))


def _timed_by_error(problem: Problem) -> Problem:
    """The same without a budget, and with times in proportion to the errors."""
    choices = [*problem.options, *problem.reformats]
    finite = [choice.error for choice in choices if math.isfinite(choice.error)]
    unit = max(finite, default=0) / 2**30 or 1.0

    def timed(choice: Choice) -> Choice:
        return replace(choice, time=round(min(choice.error / unit, 2**30)))

    return replace(
        problem,
        options=tuple(map(timed, problem.options)),
        reformats=tuple(map(timed, problem.reformats)),
        budget=None,
    )


def _without_aliases(problem: Problem) -> Problem:
    none = frozenset[int]()
    options = tuple(replace(option, needs=none, excludes=none) for option in problem.options)
    return replace(problem, options=options, aliases=())
