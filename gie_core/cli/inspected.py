"""What there is to see of a model or an engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from gie_core.builder.pipeline import import_graph, optimize
from gie_core.builder.planner import plan_graph
from gie_core.builder.profiles import check_runnable, likely_sizes, profile_sizes
from gie_core.builder.report import BuildReport, PassRecord, PlanRecord
from gie_core.cli.console import progress
from gie_core.cli.html.sketch import Sketch, sketch
from gie_core.cli.model import Source, in_flags, report_of
from gie_core.cli.report_tables import explained
from gie_core.engine.file import EngineFileError, Package, ProviderVersion, load_package
from gie_core.engine.plan import Plan
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.text import format_graph
from gie_core.kernels.provider import KernelError
from gie_core.plugin.host import PluginHost
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.target import find_target

__all__ = ["Inspected", "PassWatch", "inspect_engine", "inspect_model"]

PassWatch = Callable[[PassRecord, Graph], None]
"""Called after each pass with its record and the graph as it then is."""


@dataclass
class Inspected:
    """A model after everything that a build does to it, or an engine.

    Attributes:
        graph: optimized.
        target: what it is built for.
        imported: the text of the graph as it was imported; "" if it is gone or nobody wants it.
        before: what a page shows of that graph; ``None`` if it is gone.
        report: of the build.
        problem: of a model, why no kernels could be chosen; of an engine, why it can't run
            here; "" if there is none.
        passes: the report's records of passes, explained while the graph was at hand.
        plans: one for each of the report's.
        package: the content of the engine file; ``None`` of a model.
    """

    graph: Graph
    target: str
    imported: str = ""
    before: Sketch | None = None
    report: BuildReport = field(default_factory=BuildReport)
    problem: str = ""
    passes: list[PassRecord] = field(default_factory=list[PassRecord])
    plans: list[Plan] = field(default_factory=list[Plan])
    package: Package | None = None

    def planned(self) -> list[tuple[Plan, PlanRecord | None]]:
        """Each plan with its record, if the report has one that fits."""
        records = self.report.plans if len(self.report.plans) == len(self.plans) else ()
        if not records:
            return [(plan, None) for plan in self.plans]
        return [
            (plan, record if len(record.steps) == len(plan.steps) else None)
            for plan, record in zip(self.plans, records, strict=True)
        ]


def inspect_model(
    model: Path,
    host: PluginHost,
    source: Source,
    watch: PassWatch | None = None,
    *,
    imported_text: bool = False,
) -> Inspected:
    """Do as ``build`` does, but keep what it would stumble over.

    Args:
        model: the file.
        host: where plugins are found.
        source: target and importer options.
        watch: sees the graph after each pass.
        imported_text: keep the text of the graph as it was imported, which takes a while where
            there are many weights.

    Raises:
        GieError: the model can't be imported, or the passes fail.
    """
    goal = find_target(source.target)
    options = source.importer_options()
    # A spinner would stand between the lines that ``watch`` prints.
    with progress() if watch is None else nullcontext(_ignore) as say:
        say("importing")
        graph, imported = import_graph(model, host, **options)
        text = format_graph(graph) if imported_text else ""
        found = Inspected(graph, str(goal), text, sketch(graph))
        found.report.imported, found.report.nodes_before = imported, len(graph)
        say("optimizing")

        def observe(record: PassRecord, graph: Graph) -> None:
            found.passes.append(explained(record, graph))
            if watch is not None:
                watch(record, graph)

        found.report.passes = optimize(graph, host, observe)
        say("choosing kernels")
        try:
            _plan(found, host)
        except KernelError as error:
            found.problem = str(error)
    found.report.nodes_after = len(found.report.choices) or len(graph)
    found.report.failed_plugins = host.failures()
    return found


def _ignore(stage: str) -> None:
    """Progress that nobody sees."""


def _plan(found: Inspected, host: PluginHost) -> None:
    """Plan as a build without shapes and timing does."""
    goal = find_target(found.target)
    providers = kernel_providers(host, goal)
    check_runnable(found.graph, goal, providers)
    likely = likely_sizes(found.graph)
    for sizes in profile_sizes(found.graph, None) or ([] if likely is None else [likely]):
        planned = plan_graph(found.graph, sizes, goal, providers)
        found.plans.append(planned.plan)
        found.report.plans.append(planned.record)
        found.report.choices = list(planned.choices)


def inspect_engine(path: Path, host: PluginHost, source: Source) -> Inspected:
    """Read an engine file, also one that can't run here; nothing in it is executed.

    Args:
        path: the file.
        host: where plugins are found.
        source: with ``rebuild`` the engine is planned again first.

    Raises:
        GieError: it can't be read.
    """
    source.check_engine(path)
    if source.rebuild:
        engine = source.open(path)
        package, report, problem = engine.package, report_of(engine), ""
    else:
        from gie_core.cli.html.record import read_report

        with progress() as say:
            say("loading")
            package = _read(path, host)
        report, problem = read_report(package.report), _problem(package, path, host)
    return Inspected(
        graph=package.graph,
        target=package.target,
        imported="" if package.source is None else format_graph(package.source),
        before=None if package.source is None else sketch(package.source),
        report=report,
        problem=problem,
        passes=report.passes,
        plans=list(package.plans),
        package=package,
    )


def _read(path: Path, host: PluginHost) -> Package:
    try:
        return load_package(path, host.ops(), native=False)
    except EngineFileError as error:
        raise GieError(in_flags(error)) from error


def _problem(package: Package, path: Path, host: PluginHost) -> str:
    providers = kernel_providers(host, find_target("host"))
    installed = [ProviderVersion(p.name, p.plugin, p.version) for p in providers if p.plugin]
    try:
        package.check_usable(path, "host", installed)
    except EngineFileError as error:
        return in_flags(error)
    return ""
