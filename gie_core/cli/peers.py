"""Other engines to stand beside GIE: onnxruntime, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gie_core.cli.model import is_engine
from gie_core.errors import GieError

__all__ = ["ONNXRUNTIME", "OnnxRuntime", "check_onnxruntime"]

ONNXRUNTIME = "onnxruntime"
T = TypeVar("T")


def check_onnxruntime(model: Path) -> None:
    """See before the work whether onnxruntime is there, and has a model to read.

    Raises:
        GieError: it is not installed, or the file is an engine of GIE's.
    """
    _check_installed(ONNXRUNTIME)
    if is_engine(model):
        raise GieError(
            f"onnxruntime reads models, and {model} is an engine; give its model instead"
        )


class OnnxRuntime:
    """A model in onnxruntime, on the processor.

    Args:
        source: an ONNX file, or one in memory.
        threads: that work on one node.
        values: also the values inside, of these names, become outputs. Nodes are then run as
            the model has them.

    Raises:
        GieError: onnxruntime is not installed, or can't run the model.
    """

    def __init__(
        self, source: Path | bytes, *, threads: int, values: Iterable[str] | None = None
    ) -> None:
        runtime = _load(ONNXRUNTIME)
        self.version = str(runtime.__version__)
        self._title = str(source) if isinstance(source, Path) else "the model"
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what matters is raised
        if values is not None:
            source = self._said(lambda: _with_outputs(source, set(values)))
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = str(source) if isinstance(source, Path) else source
        providers = ["CPUExecutionProvider"]
        self._session: Any = self._said(
            lambda: runtime.InferenceSession(model, options, providers=providers)
        )
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs()]

    def run(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        """Run it once; inputs and outputs by name.

        Raises:
            GieError: the inputs do not fit, or a node failed.
        """
        known = {name: array for name, array in feed.items() if name in self._inputs}
        found = self._said(lambda: self._session.run(None, known))
        return dict(zip(self._outputs, found, strict=True))

    def _said(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # its errors have no common type
            said = " ".join(str(error).split())
            raise GieError(f"onnxruntime does not run {self._title}: {said}") from error


def _check_installed(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise GieError(f"{package} is not installed; `pip install {package}` does that")


def _load(package: str) -> Any:
    _check_installed(package)
    # By name: the core depends on no framework, and this one is a guest of two commands.
    return importlib.import_module(package)


def _with_outputs(source: Path | bytes, values: set[str]) -> bytes:
    """The model with these values of its main graph as outputs too."""
    onnx = _load("onnx")
    model = onnx.load(source) if isinstance(source, Path) else onnx.load_from_string(source)
    graph = model.graph
    values -= {each.name for each in graph.output}
    named = [name for node in graph.node for name in node.output if name in values]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in named)
    return model.SerializeToString()
