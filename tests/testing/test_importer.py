"""The suite for importers finds each kind of wrong importer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gie_core.builder.importing import Imported, ModelError
from gie_core.builder.report import ImportReport
from gie_core.ir.graph import Graph
from gie_core.ir.types import Array
from gie_core.ops.arithmetic import Mul, Neg
from gie_core.testing.importer import check_importer
from gie_core.testing.ops import tensor_type

MODEL = json.dumps({"factor": 3, "extent": 4}).encode()


class Importer:
    """Reads ``{"factor": number, "extent": count}``: a product with a constant."""

    sources = ("product",)

    def accepts(self, source: object) -> bool:
        return isinstance(source, bytes) and source[:1] == b"{"

    def load(self, source: object, **options: Any) -> Imported:
        for name in options:
            raise ModelError(f"there is no option {name!r}")
        factor, extent = self.read(source)
        graph = Graph("product")
        x = graph.add_input("x", tensor_type(f"f32[{extent}]"))
        c = graph.add_constant(np.asarray(factor, np.float32))
        y = graph.add(Mul(), x, c, names=["y"], sources=self.sources).result
        graph.set_outputs([("y", y)])
        return Imported(graph, ImportReport("JSON 1"))

    def read(self, source: object) -> tuple[float, int]:
        assert isinstance(source, bytes)
        try:
            return self.numbers(json.loads(source))
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"this is no product: {reason or type(error).__name__}") from error

    def numbers(self, read: Any) -> tuple[float, int]:
        return float(read["factor"]), int(read["extent"])


def triple(model: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": inputs["x"] * np.float32(3)}


class FromPaths(Importer):
    """Reads files only."""

    def accepts(self, source: object) -> bool:
        return isinstance(source, Path)

    def read(self, source: object) -> tuple[float, int]:
        assert isinstance(source, Path)
        return super().read(source.read_bytes())


def test_right_importer(tmp_path: Path) -> None:
    check_importer(Importer(), [MODEL], triple)
    path = tmp_path / "model.json"
    path.write_bytes(MODEL)
    check_importer(FromPaths(), {"product": path}, triple)


class AcceptsNothing(Importer):
    def accepts(self, source: object) -> bool:
        return False


class AcceptsAll(Importer):
    def accepts(self, source: object) -> bool:
        return True


class TakesAnyOption(Importer):
    def load(self, source: object, **options: Any) -> Imported:
        return super().load(source)


class CountsImports(Importer):
    def __init__(self) -> None:
        self.imports = count()

    def numbers(self, read: Any) -> tuple[float, int]:
        return super().numbers(read)[0] + next(self.imports), 4


class ForgetsSources(Importer):
    sources = ()


class LetsErrorsOut(Importer):
    def read(self, source: object) -> tuple[float, int]:
        assert isinstance(source, bytes)
        return self.numbers(json.loads(source))


class WritesLines(Importer):
    def read(self, source: object) -> tuple[float, int]:
        try:
            return super().read(source)
        except ModelError as error:
            raise ModelError(f"no!\n{error}") from error


class ReturnsGraphs(Importer):
    def load(self, source: object, **options: Any) -> Any:
        return super().load(source, **options).graph


class IsInvalid(Importer):
    def load(self, source: object, **options: Any) -> Imported:
        imported = super().load(source, **options)
        (node,) = imported.graph.nodes
        node.result.type = tensor_type("f32[7]")
        return imported


class Negates(Importer):
    def load(self, source: object, **options: Any) -> Imported:
        imported = super().load(source, **options)
        y = imported.graph.add(Neg(), imported.graph.outputs[0], sources=["product"]).result
        imported.graph.set_outputs([("y", y)])
        return imported


class NamesOtherwise(Importer):
    def load(self, source: object, **options: Any) -> Imported:
        imported = super().load(source, **options)
        imported.graph.set_outputs([("z", imported.graph.outputs[0])])
        return imported


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (AcceptsNothing, r"^product: accepts\(\) does not say True"),
        (AcceptsAll, "does not say False to an object"),
        (TakesAnyOption, "takes an option that it can't know"),
        (CountsImports, "a second import gives another graph"),
        (ForgetsSources, "a node does not say which one of the model it comes from"),
        (LetsErrorsOut, "product, zeros: load raises JSONDecodeError"),
        (WritesLines, r"product, nothing: the error has several lines"),
        (ReturnsGraphs, r"load\(\) returns a Graph"),
        (IsInvalid, "is not valid"),
        (Negates, "output 'y' has relative error 2"),
        (NamesOtherwise, r"outputs \['z'\], not \['y'\]"),
    ],
)
def test_wrong_importer(kind: type[Importer], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_importer(kind(), {"product": MODEL}, triple)
