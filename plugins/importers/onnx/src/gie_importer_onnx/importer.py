"""The importer: from an ONNX model to a graph, as a table of contents."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, TypeGuard, cast

from onnx import ModelProto

from gie_core.builder.importing import Imported, ModelError
from gie_core.builder.report import ImportReport
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_importer_onnx.functions import check_functions, functions_of
from gie_importer_onnx.graphs import import_main
from gie_importer_onnx.reading import ONNX_DOMAIN, Model, looks_like_model, read_model
from gie_importer_onnx.scope import Session
from gie_importer_onnx.symbols import ShapeOption

__all__ = ["OnnxImporter"]

OPTIONS = ("shapes", "keep_initializer_inputs")
EXAMPLE = '{"x": [1, 3, 224, 224]}'
LONGEST_TEXT = 200


class OnnxImporter:
    """Reads ONNX models of opset 7 to the newest, and many older ones."""

    def accepts(self, source: object) -> bool:
        """Whether the source is a ``ModelProto``, or a file or bytes that may hold one."""
        if isinstance(source, Path):
            return source.suffix == ".onnx" or (
                source.is_file() and looks_like_model(_first_bytes(source))
            )
        return isinstance(source, ModelProto) or (
            isinstance(source, bytes) and looks_like_model(source)
        )

    def load(self, source: object, **options: Any) -> Imported:
        """Read a model.

        Args:
            source: a ``Path``, ``bytes`` or a ``ModelProto``, which is not changed.
            **options: ``shapes``: shapes of inputs by name, such as ``{"x": (1, 3, 224, 224)}``,
                which replace the model's symbolic dimensions (``None`` keeps one).
                ``keep_initializer_inputs``: inputs that have an initializer stay inputs, to be
                fed by every caller. By default they become constants, as most models mean it.

        Raises:
            ModelError: the model is damaged, or can't be represented; names the node.
            GieError: an option is unknown, of the wrong type, or does not fit the model.
        """
        shapes, keep = _options(options)
        model = read_model(source)
        report = ImportReport(f"ONNX opset {model.opsets[ONNX_DOMAIN]}")
        session = Session(report, model.folder, functions=functions_of(model.proto))
        try:
            check_functions(model.proto)
            graph = import_main(model.proto.graph, session, model.opsets, shapes, keep)
        except ModelError as error:
            # Names in a message may hold line breaks.
            raise ModelError(f"{model.name}: {' '.join(str(error).split())}") from error
        _describe(graph, model)
        _note_constants(model, keep, report)
        return Imported(graph, report)


def _options(options: dict[str, Any]) -> tuple[ShapeOption, bool]:
    for name in options:
        if name not in OPTIONS:
            close = difflib.get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {' and '.join(OPTIONS)}"
            raise GieError(f"the ONNX importer has no option {name!r}; {hint}")
    return _shapes(options.get("shapes")), _keep(options.get("keep_initializer_inputs", False))


def _shapes(given: object) -> ShapeOption:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise GieError(f"shapes must be shapes by input, such as {EXAMPLE}, not {given!r}")
    shapes = cast("Mapping[object, object]", given)
    return {str(name): _shape(name, shape) for name, shape in shapes.items()}


def _shape(name: object, given: object) -> tuple[int | None, ...]:
    if not _is_shape(given):
        raise GieError(
            f"shapes gives {name!r} {given!r}, but must give a list of extents, such as {EXAMPLE}"
        )
    return tuple(extent if extent is None else int(extent) for extent in given)


def _is_shape(given: object) -> TypeGuard[Sequence[int | None]]:
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        return False
    return all(extent is None or _is_extent(extent) for extent in cast("Sequence[object]", given))


def _is_extent(extent: object) -> bool:
    # NumPy's integers are Integral too; so are Booleans, which nobody means as an extent.
    return not isinstance(extent, bool) and isinstance(extent, Integral) and int(extent) >= 0


def _keep(given: object) -> bool:
    if not isinstance(given, bool):
        raise GieError(f"keep_initializer_inputs must be true or false, not {given!r}")
    return given


def _describe(graph: Graph, model: Model) -> None:
    proto = model.proto
    described = {
        "producer": f"{proto.producer_name} {proto.producer_version}".strip(),
        "opset": ", ".join(f"{domain} {version}" for domain, version in model.opsets.items()),
        "ir_version": str(proto.ir_version),
        "description": " ".join(proto.doc_string.split())[:LONGEST_TEXT],
    }
    described.update((f"onnx.{entry.key}", entry.value) for entry in proto.metadata_props)
    graph.metadata.update((key, text) for key, text in described.items() if text)


def _note_constants(model: Model, keep: bool, report: ImportReport) -> None:
    if keep:
        return
    names = {tensor.name for tensor in model.proto.graph.initializer}
    optional = [value.name for value in model.proto.graph.input if value.name in names]
    if optional:
        became = "input is a constant" if len(optional) == 1 else "inputs are constants"
        report.notes.append(
            f"{len(optional)} {became} because of an initializer ({optional[0]!r} first); "
            "keep_initializer_inputs=True, or -O keep_initializer_inputs=true on the command "
            "line, leaves inputs what they are"
        )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
