"""The strategy's 0/1 program: what a problem's rules are as rows, and a solution as variables."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np

from gie_core.builder.binary_program import BinaryProgram
from gie_core.builder.strategy_problem import (
    Option,
    Problem,
    Reformat,
    Solution,
    Stored,
    tie_weight,
)
from gie_core.ir.types import Array

__all__ = ["StrategyProgram"]


class StrategyProgram:
    """A problem as a 0/1 program.

    Its variables are the options, then the reformats, then the alias groups, each in an order
    that does not depend on the problem's. Two rules say badly as rows: that no options wait for
    each other, and that the error stays within the budget by less than the solver's tolerance.
    An answer that breaks one is forbidden by a new row, and the program solved again.

    Args:
        problem: its options are not looked at.
        options: those to choose from.
        reformats: likewise.
    """

    def __init__(
        self, problem: Problem, options: Iterable[Option], reformats: Iterable[Reformat]
    ) -> None:
        self._problem = problem
        self._options = sorted(options, key=lambda option: option.key)
        self._reformats = sorted(reformats, key=lambda r: (r.value, r.target, r.source))
        self._choices = [*self._options, *self._reformats]
        times = self._each(lambda choice: choice.time)
        ties = self._each(tie_weight) if problem.budget is None else None
        self._rows = BinaryProgram(times, ties)
        self._add_covers()
        self._add_formats()
        self._add_aliases()
        self._add_budget()

    def next_best(self) -> Solution | None:
        """The best solution whose options are not those of one returned before, if any."""
        while (ones := self._rows.minimize()) is not None:
            chosen = [int(index) for index in ones if index < len(self._choices)]
            options = [index for index in chosen if index < len(self._options)]
            solution = self._solution(chosen)
            if cycle := self._cycle(options):
                self._forbid(cycle)
            elif self._problem.budget is not None and solution.error > self._problem.budget**2:
                self._forbid(chosen)
            else:
                self._forbid(options)
                return solution
        return None

    # ── Rows ────────────────────────────────────────────────────────────────────────

    def _add_covers(self) -> None:
        covering: dict[int, list[int]] = {node: [] for node in range(self._problem.nodes)}
        for index, option in enumerate(self._options):
            for node in option.covers:
                covering[node].append(index)
        for options in covering.values():
            self._rows.add(options, high=1, equal=True)

    def _add_formats(self) -> None:
        """What is read or wanted is given, written, or reformatted from what is."""
        writers = self._index(lambda option: option.writes)
        readers = self._index(lambda option: option.reads)
        arriving: dict[Stored, list[int]] = defaultdict(list)
        for index, reformat in enumerate(self._reformats, len(self._options)):
            arriving[reformat.value, reformat.target].append(index)
            source = reformat.value, reformat.source
            if source not in self._problem.given:
                self._rows.add([index], writers.get(source, ()), high=0)
        for stored, options in readers.items():
            if stored not in self._problem.given:
                providers = [*writers.get(stored, ()), *arriving.get(stored, ())]
                for rivals in self._rivals(options):
                    self._rows.add(rivals, providers, high=0)
        for stored in sorted(self._problem.wanted - self._problem.given):
            providers = [*writers.get(stored, ()), *arriving.get(stored, ())]
            self._rows.add((), providers, high=-1)

    def _add_aliases(self) -> None:
        numbers = sorted(group.number for group in self._problem.aliases)
        for variable, group in enumerate(numbers, len(self._choices)):
            options = list(enumerate(self._options))
            for rivals in self._rivals([i for i, option in options if group in option.needs]):
                self._rows.add(rivals, [variable], high=0)
            for rivals in self._rivals([i for i, option in options if group in option.excludes]):
                self._rows.add([*rivals, variable], high=1)

    def _add_budget(self) -> None:
        budget = self._problem.budget
        if budget:  # of 0, what has an error is not among the options
            self._rows.add_weighted(self._each(lambda choice: choice.error / budget**2), 1)

    def _rivals(self, options: Sequence[int]) -> list[list[int]]:
        """The options in sets that cover a common node, so that one of a set is chosen at most.

        A row for such a set says more than a row for each member: the relaxation of the program
        to fractions has fewer solutions that are none.
        """
        count = Counter(node for index in options for node in self._options[index].covers)
        common = {
            min(self._options[index].covers, key=lambda node: (-count[node], node))
            for index in options
        }
        return [
            [index for index in options if node in self._options[index].covers]
            for node in sorted(common)
        ]

    def _forbid(self, together: Sequence[int]) -> None:
        self._rows.add(together, high=len(together) - 1)

    # ── Variables ───────────────────────────────────────────────────────────────────

    def _each(self, price: Callable[[Option | Reformat], float]) -> Array:
        """A price of every variable; alias groups cost nothing."""
        prices = np.zeros(len(self._choices) + len(self._problem.aliases))
        prices[: len(self._choices)] = [price(choice) for choice in self._choices]
        return prices

    def _index(self, places: Callable[[Option], Sequence[Stored]]) -> dict[Stored, list[int]]:
        """The options that each (value, format) occurs in."""
        found: dict[Stored, list[int]] = defaultdict(list)
        for index, option in enumerate(self._options):
            for stored in dict.fromkeys(places(option)):
                found[stored].append(index)
        return found

    def _solution(self, chosen: Sequence[int]) -> Solution:
        options = [self._options[i] for i in chosen if i < len(self._options)]
        options.sort(key=lambda option: min(option.covers))
        choices = [self._choices[i] for i in chosen]
        return Solution(
            options=tuple(option.key for option in options),
            reformats=tuple(choice for choice in choices if isinstance(choice, Reformat)),
            aliases=frozenset[int]().union(*(option.needs for option in options)),
            time=sum(choice.time for choice in choices),
            error=math.fsum(choice.error for choice in choices),
        )

    def _cycle(self, options: Sequence[int]) -> list[int]:
        """Options that wait for each other; empty if all can run in some order."""
        writers: dict[int, list[int]] = defaultdict(list)
        for index in options:
            for value in dict.fromkeys(value for value, _ in self._options[index].writes):
                writers[value].append(index)
        sorter = TopologicalSorter(
            {
                index: [w for value, _ in self._options[index].reads for w in writers[value]]
                for index in options
            }
        )
        try:
            sorter.prepare()
        except CycleError as error:
            return error.args[1][1:]  # the first is the last again
        return []
