"""``InferenceSession`` with the calling convention of ONNX Runtime."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gie_core
from gie_core.engine.engine import Engine, TensorInfo
from gie_core.errors import GieError
from gie_core.ir.types import DType, OptionalType, SequenceType, TensorType, Type

__all__ = [
    "GraphOptimizationLevel",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "RunOptions",
    "SessionOptions",
    "get_available_providers",
    "get_device",
]

# ONNX's names of the element types, where they are not those of NumPy.
_TYPE_NAMES = {
    DType.F16: "float16",
    DType.F32: "float",
    DType.F64: "double",
    DType.STR: "string",
    DType.F8E4M3: "float8e4m3fn",
    DType.F8E4M3UZ: "float8e4m3fnuz",
    DType.F8E5M2: "float8e5m2",
    DType.F8E5M2UZ: "float8e5m2fnuz",
    DType.F8E8M0: "float8e8m0",
    DType.F4E2M1: "float4e2m1",
}
_PROVIDERS = {"CPUExecutionProvider": "host"}


class GraphOptimizationLevel(enum.IntEnum):
    """How much to optimize. GIE's passes run at every level but ``ORT_DISABLE_ALL``."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_ALL = 99


@dataclass
class SessionOptions:
    """Options of a session.

    Attributes:
        graph_optimization_level: obeyed.
        intra_op_num_threads, inter_op_num_threads, log_severity_level: accepted, so that
            code need not change; the host executor takes its threads from BLAS.
    """

    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL
    intra_op_num_threads: int = 0
    inter_op_num_threads: int = 0
    log_severity_level: int = 2


@dataclass
class RunOptions:
    """Options of one run; accepted, so that code need not change."""

    log_severity_level: int = 2


@dataclass(frozen=True)
class NodeArg:
    """An input or output: its name, extents (symbolic ones as text) and type as ONNX writes it."""

    name: str
    shape: list[int | str] | None
    type: str


@dataclass(frozen=True)
class ModelMetadata:
    """What the model says of itself."""

    producer_name: str = ""
    graph_name: str = ""
    custom_metadata_map: dict[str, str] = field(default_factory=dict[str, str])


class InferenceSession:
    """A model that is built and ready to run.

    Args:
        path_or_bytes: a path, the bytes of a model, or an ``onnx.ModelProto``.
        sess_options: see ``SessionOptions``.
        providers: names, or (name, options) pairs, in order of preference; the first
            that GIE has is used. ``None`` for the best there is.
        provider_options: accepted beside ``providers``.

    Raises:
        GieError: the model can't be read, or none of the providers exists.
    """

    def __init__(
        self,
        path_or_bytes: str | bytes | os.PathLike[str] | Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        options = sess_options or SessionOptions()
        source = path_or_bytes
        if isinstance(path_or_bytes, (str, os.PathLike)):
            source = Path(cast("str | os.PathLike[str]", path_or_bytes))
        self._options = options
        self._engine: Engine = gie_core.build(
            source,
            target=_target(providers),
            optimized=options.graph_optimization_level > GraphOptimizationLevel.ORT_DISABLE_ALL,
            **kwargs,
        )

    def run(
        self,
        output_names: Iterable[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Run the model.

        Args:
            output_names: which outputs to return, in which order; ``None`` for all.
            input_feed: arrays by input name.
            run_options: accepted.

        Raises:
            GieError: an output does not exist, or an input is missing or does not fit.
        """
        outputs = self._engine.run(input_feed)
        names = list(outputs) if output_names is None else list(output_names)
        unknown = [name for name in names if name not in outputs]
        if unknown:
            raise GieError(
                f"there is no output {unknown[0]!r}; the outputs are {', '.join(outputs)}"
            )
        return [outputs[name] for name in names]

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that must be fed, in order."""
        return [_node_arg(info) for info in self._engine.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs, in order."""
        return [_node_arg(info) for info in self._engine.outputs]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """None: initializers are constants."""
        return []

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says of itself."""
        metadata = dict(self._engine.graph.metadata)
        return ModelMetadata(metadata.get("producer", ""), self._engine.graph.name, metadata)

    def get_providers(self) -> list[str]:
        """The execution provider in use."""
        return [name for name, target in _PROVIDERS.items() if target == self._engine.target]

    def get_session_options(self) -> SessionOptions:
        """The options that the session was made with."""
        return self._options

    @property
    def engine(self) -> Engine:
        """GIE's engine behind the session."""
        return self._engine


def get_available_providers() -> list[str]:
    """Names of the execution providers that GIE can stand in for."""
    return list(_PROVIDERS)


def get_device() -> str:
    """The kind of device that sessions run on by default."""
    return "CPU"


def _target(providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None) -> str:
    if providers is None:
        return "auto"
    names = [p if isinstance(p, str) else p[0] for p in providers]
    for name in names:
        if name in _PROVIDERS:
            return _PROVIDERS[name]
    raise GieError(
        f"none of the providers {names} exists here; use one of {list(_PROVIDERS)}, or None"
    )


def _node_arg(info: TensorInfo) -> NodeArg:
    shape = info.shape
    return NodeArg(info.name, None if shape is None else list(shape), _type_text(info.type))


def _type_text(type_: Type) -> str:
    match type_:
        case TensorType():
            return f"tensor({_TYPE_NAMES.get(type_.dtype, type_.dtype.numpy.name)})"
        case SequenceType():
            return f"seq({_type_text(type_.item)})"
        case OptionalType():
            return f"optional({_type_text(type_.item)})"
