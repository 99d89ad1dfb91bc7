"""The rooms of GIE import only what lies before them on the way of the data.

Bans that hold for a whole distribution are lint rules in ``pyproject.toml``. Here are those between
rooms, each with its reason. An import under ``if TYPE_CHECKING`` does not run and is not counted.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Rule:
    """Files under ``where``, but not ``but``, import nothing of ``banned`` but ``allowed``."""

    where: str
    banned: tuple[str, ...]
    reason: str
    but: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def core(*rooms: str) -> tuple[str, ...]:
    return tuple(f"gie_core.{room}" for room in rooms)


OUTSIDE = core("loading", "executors", "testing", "cli")
"""What only the user's side of GIE knows."""
TARGET = core("runtime.target")
"""The name of a machine, which those who have kernels for it must know."""

RULES = [
    Rule("gie_core/errors.py", ("gie_core",), "everything raises these errors"),
    Rule(
        "gie_core/ir",
        (*core("ops", "plugin", "kernels", "builder", "engine", "runtime"), *OUTSIDE),
        "the IR is what all rooms speak of, so it knows none of them",
    ),
    Rule(
        "gie_core/ops",
        (*core("plugin", "kernels", "builder", "engine", "runtime"), *OUTSIDE),
        "an op is a declaration: who optimizes or runs it is not its business",
    ),
    Rule(
        "gie_core/plugin",
        (*core("kernels", "builder", "engine", "runtime"), *OUTSIDE),
        "a hook passes on declarations: those who use them come later",
    ),
    Rule(
        "gie_core/kernels",
        (*core("plugin", "builder", "engine", "runtime"), *OUTSIDE),
        "what a kernel offers and needs does not depend on who chooses it and who runs it",
        allowed=TARGET,
    ),
    Rule(
        "gie_core/engine",
        (*core("plugin", "builder", "runtime"), *OUTSIDE),
        "an engine file is data: reading it needs nobody who made it or runs it",
    ),
    Rule(
        "gie_core/runtime",
        (*core("builder"), *OUTSIDE),
        "running an engine loads only what the engine names, and never the builder",
    ),
    Rule(
        "gie_core/runtime/target.py",
        core("ir", "ops", "plugin", "kernels", "engine", "runtime"),
        "all who have kernels for a target import its name, so the name imports nothing",
    ),
    Rule(
        "gie_core/builder",
        core("loading", "testing", "cli"),
        "building serves the command line, not the other way round",
    ),
    Rule(
        "gie_core/loading.py",
        core("testing", "cli"),
        "a library does not need its tests or its command line",
    ),
    Rule(
        "gie_core/executors.py",
        core("loading", "testing", "cli"),
        "what runs an engine does not depend on where the engine comes from",
    ),
    Rule(
        "gie_core",
        ("click", "rich"),
        "a library leaves the terminal to the command line",
        but=("gie_core/cli",),
    ),
    Rule(
        "gie_core",
        ("hypothesis", "pytest"),
        "test tools are not installed where GIE runs",
        but=("gie_core/testing",),
    ),
    Rule(
        "plugins/importers",
        ("gie_adapter", "gie_kernels", "gie_passes"),
        "an importer ends at the graph: passes and kernels are the host's choice",
    ),
    Rule(
        "plugins/passes",
        ("gie_adapter", "gie_importer", "gie_kernels", "onnx"),
        "a pass sees graphs, whichever framework they come from and whatever runs them",
    ),
    Rule(
        "plugins/passes",
        core("kernels", "engine", "runtime", "loading", "executors", "cli"),
        "a pass rewrites for whatever runs the graph, and for kernels nobody has written yet",
    ),
    Rule(
        "plugins/kernels",
        core("builder", "engine", "runtime", "loading", "executors", "cli"),
        "a kernel is run by engines from files, where no builder is, in memory that it is given",
        allowed=TARGET,
    ),
    Rule(
        "plugins/kernels",
        ("gie_adapter", "gie_importer", "gie_passes", "onnx"),
        "a kernel sees nodes, whichever framework and passes they come from",
    ),
    Rule(
        "adapters",
        ("gie_kernels", "gie_passes"),
        "an adapter calls the host, which picks passes and kernels",
    ),
]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of each imported module or member, wherever in the file it stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif not is_type_checking(node):
            yield from imports(node)


def is_under(name: str, banned: str) -> bool:
    """``gie_core.ir.op`` is under ``gie_core.ir``, ``gie_kernels_cpu`` is under ``gie_kernels``."""
    return name == banned or name.startswith((f"{banned}.", f"{banned}_"))


def violations(rule: Rule, path: Path, source: str) -> list[str]:
    return [
        f"{path}:{line}: imports {name}, but {rule.reason}"
        for line, name in imports(ast.parse(source))
        if any(is_under(name, banned) for banned in rule.banned)
        and not any(is_under(name, allowed) for allowed in rule.allowed)
    ]


def files(rule: Rule) -> list[Path]:
    start = ROOT / rule.where
    found = [start] if start.is_file() else sorted(start.rglob("*.py"))
    paths = [path.relative_to(ROOT) for path in found]
    return [p for p in paths if not any(p.is_relative_to(room) for room in rule.but)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.where}: {', '.join(rule.banned)}")
def test_layer(rule: Rule) -> None:
    found = [
        line
        for path in files(rule)
        for line in violations(rule, path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import gie_core.ops", 1),
        ("from gie_core import ops", 1),
        ("from gie_core.ops.conv import Conv", 1),
        ("def f():\n    import gie_core.ops.conv", 1),
        ("if TYPE_CHECKING:\n    import gie_core.ops", 0),
        ("import gie_core.opsets", 0),
        ("import gie_core.ir.op", 0),
        ("from gie_core.ops.names import Name", 0),
        ("from gie_core.ops import names", 0),
    ],
)
def test_a_rule_finds_what_it_bans(source: str, count: int) -> None:
    rule = Rule("gie_core/ir", ("gie_core.ops",), "of this test", allowed=("gie_core.ops.names",))
    assert len(violations(rule, Path("a.py"), source)) == count


def modules(package: str) -> list[str]:
    """Every module of gie_core under ``package``, by name."""
    paths = (path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))
    return sorted(".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in paths)


def loaded_by(names: list[str]) -> set[str]:
    """The top-level modules that a fresh Python has loaded after importing ``names``."""
    script = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
    script += "print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if run.returncode:
        pytest.fail(run.stderr)
    return set(run.stdout.split())


NOT_LOADED = [
    *("PIL", "click", "cupy", "numba", "onnx", "onnxruntime", "rich", "scipy", "torch"),
    *("gie_adapter", "gie_importer", "gie_kernels", "gie_passes"),
]


def test_importing_gie_core_loads_no_heavy_library_and_no_plugin() -> None:
    library = [name for name in modules("gie_core") if not name.startswith(core("cli", "testing"))]
    loaded = loaded_by(library)
    assert "gie_core" in loaded
    assert not [name for name in loaded if any(is_under(name, heavy) for heavy in NOT_LOADED)]
