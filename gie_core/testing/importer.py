"""Is a plugin's importer fit for use? One line says so.

::

    def test_my_importer():
        check_importer(MyImporter(), [Path("tests/lenet.model")], answers_of_my_framework)
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from gie_core.builder.importing import Imported, Importer
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.text import format_graph
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ir.verify import Stage, verify
from gie_core.ops.run import run_graph
from gie_core.testing.comparing import Tolerance, compare
from gie_core.testing.inputs import random_inputs

__all__ = ["Oracle", "check_importer"]

Oracle = Callable[[Any, Mapping[str, Array]], Mapping[str, Array]]
"""What the model's own framework says: outputs by name, given the model and inputs by name."""

_SHOWN = 3
_NO_OPTION = "no_such_option_of_any_importer"


def check_importer(
    importer: Importer,
    models: Sequence[object] | Mapping[str, object],
    oracle: Oracle | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    inputs: Callable[[Graph, np.random.Generator], Sequence[Array]] = random_inputs,
    run: Callable[[Graph, Sequence[Array]], Sequence[Any]] = run_graph,
    tolerance: Tolerance = 1e-5,
    damages: int = 40,
) -> None:
    """Check an importer's contract on models that it must be able to read.

    It accepts each of them; the same model gives the same graph twice, which is valid, whose nodes
    say where they come from, and whose answers are the oracle's; an unknown option is refused. What
    is damaged, or no model at all, gives a valid graph or a ``GieError`` of one sentence.

    Args:
        importer: what to check.
        models: paths, bytes or live objects; with names for messages, if it is a mapping.
        oracle: without it no answers are compared.
        options: of ``load``.
        inputs: makes the graph's inputs, in order.
        run: runs a graph; for models with ``foreign`` nodes, which have no reference.
        tolerance: relative error of the answers in the Frobenius norm, one for all or by type.
        damages: how many damaged copies of each model are tried.

    Raises:
        AssertionError: something is wrong; names all that is, with the model.
    """
    named = dict(models) if isinstance(models, Mapping) else {_name(m): m for m in models}
    assert named, "there is no model to check the importer with"
    found: list[str] = []
    for name, model in named.items():
        checks: dict[str, Callable[[], None]] = {
            "accepts": lambda model=model: _check_accepts(importer, model),
            "load": lambda model=model: _check_graph(importer, model, options or {}),
            "options": lambda model=model: _check_options(importer, model, options or {}),
        }
        if oracle is not None:
            checks["answers"] = lambda model=model: _check_answers(
                _load(importer, model, options or {}), model, oracle, inputs, run, tolerance
            )
        found += [f"{name}: {text}" for text in _failures(checks)]
        damaged = [
            f"{name}, {what}: {text}"
            for what, source in _damaged(importer, model, damages)
            for text in _failures({"load": lambda source=source: _check_junk(importer, source)})
        ]
        found += damaged[:_SHOWN]
        if len(damaged) > _SHOWN:
            found.append(f"{name}: and {len(damaged) - _SHOWN} more that are damaged")
    assert not found, "\n".join(found)


def _check_accepts(importer: Importer, model: object) -> None:
    assert importer.accepts(model) is True, "accepts() does not say True"
    assert importer.accepts(object()) is False, "accepts() does not say False to an object()"


def _check_graph(importer: Importer, model: object, options: Mapping[str, Any]) -> None:
    before = model.read_bytes() if isinstance(model, Path) and model.is_file() else None
    graph = _load(importer, model, options)
    again = _load(importer, model, options)
    assert format_graph(graph) == format_graph(again), "a second import gives another graph"
    if before is not None and isinstance(model, Path):
        assert model.read_bytes() == before, "load() changed the file"
    verify(graph, Stage.IMPORTED)
    assert graph.outputs, "the graph has no outputs"
    assert all(graph.output_names), "an output has no name"
    for node in graph.nodes:
        assert node.sources, f"a node does not say which one of the model it comes from: {node}"


def _check_options(importer: Importer, model: object, options: Mapping[str, Any]) -> None:
    """Whoever takes any keyword must refuse unknown ones; for the others the host does."""
    parameters = inspect.signature(importer.load).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    error = _error_of(lambda: importer.load(model, **{**options, _NO_OPTION: 1}))
    assert error is not None, "load() takes an option that it can't know"
    assert _NO_OPTION in error, f"the error does not name the unknown option: {error}"


def _check_answers(
    graph: Graph,
    model: object,
    oracle: Oracle,
    inputs: Callable[[Graph, np.random.Generator], Sequence[Array]],
    run: Callable[[Graph, Sequence[Array]], Sequence[Any]],
    tolerance: Tolerance,
) -> None:
    for seed in range(2):
        arrays = list(inputs(graph, np.random.default_rng(seed)))
        answers = dict(zip(graph.output_names, run(graph, arrays), strict=True))
        names = [value.name for value in graph.inputs]
        right = oracle(model, dict(zip(names, arrays, strict=True)))
        assert set(answers) == set(right), f"outputs {sorted(answers)}, not {sorted(right)}"
        for name, value in zip(graph.output_names, graph.outputs, strict=True):
            expected = np.asarray(right[name])
            if isinstance(value.type, TensorType):
                own = value.type.dtype
                assert own is DType.of(expected.dtype), f"{name!r} is {own}, not {expected.dtype}"
            compare(f"output {name!r}", np.asarray(answers[name]), expected, tolerance)


def _check_junk(importer: Importer, source: object) -> None:
    accepted = importer.accepts(source)
    assert isinstance(accepted, bool), f"accepts() returns a {type(accepted).__name__}"
    graphs: list[Graph] = []
    error = _error_of(lambda: graphs.append(_load(importer, source, {})))
    if error is None:
        verify(graphs[0], Stage.IMPORTED)
        return
    assert error.strip(), "the error has no message"
    assert "\n" not in error, f"the error has several lines: {error}"


def _error_of(action: Callable[[], object]) -> str | None:
    try:
        action()
    except GieError as error:
        return str(error)
    return None


def _load(importer: Importer, model: object, options: Mapping[str, Any]) -> Graph:
    imported = cast("object", importer.load(model, **options))
    assert isinstance(imported, Imported), f"load() returns a {type(imported).__name__}"
    return imported.graph


def _damaged(importer: Importer, model: object, count: int) -> Iterator[tuple[str, object]]:
    """Junk and damaged copies, as bytes where the importer reads bytes, else as files."""
    if isinstance(model, Path) and model.is_file():
        data, suffix = model.read_bytes(), model.suffix
    elif isinstance(model, bytes):
        data, suffix = model, ""
    else:
        return
    as_bytes = importer.accepts(data)
    with tempfile.TemporaryDirectory() as folder:
        for what, damaged in _damages(data, count):
            path = Path(folder) / f"damaged{suffix}"
            if not as_bytes:
                path.write_bytes(damaged)
            yield what, damaged if as_bytes else path


def _damages(data: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    yield "nothing", b""
    yield "zeros", bytes(64)
    yield "text", b"this is no model\n" * 9
    yield "noise", rng.bytes(256)
    yield "written twice", data + data
    for number in range(count):
        position = int(rng.integers(0, len(data)))
        if number % 2:
            yield f"cut after {position} bytes", data[:position]
        else:
            value = int(rng.integers(1, 256)) ^ data[position]
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            yield f"byte {position} is {value}", changed


def _failures(checks: Mapping[str, Callable[[], None]]) -> Iterator[str]:
    for name, check in checks.items():
        try:
            check()
        except AssertionError as error:
            yield str(error)
        except Exception as error:  # noqa: BLE001 - whatever an importer raises is wrong with it
            yield f"{name} raises {type(error).__name__}: {error}"


def _name(model: object) -> str:
    match model:
        case Path():
            return model.name
        case bytes():
            return f"{len(model)} bytes"
        case _:
            return f"a {type(model).__name__}"
