"""ONNX's backend interface over GIE: ``prepare``, ``run_model``, ``run_node``, ``supports_device``.

See ``onnx.backend.base.Backend``, of which the module's functions are the methods.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

import gie_core
from gie_core.engine.engine import Engine

__all__ = [
    "GieBackend",
    "GieBackendRep",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]


class GieBackendRep(BackendRep):
    """A model that is built and ready to run.

    Attributes:
        engine: GIE's engine.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the model.

        Args:
            inputs: arrays in the order of the model's inputs, one array, or a dict by name.

        Returns:
            The outputs in order, as a named tuple where their names allow one.
        """
        if isinstance(inputs, Mapping):
            feed = dict(cast("Mapping[str, Any]", inputs))
        else:
            arrays = (
                list(cast("Sequence[Any]", inputs))
                if isinstance(inputs, (list, tuple))
                else [inputs]
            )
            feed = {info.name: a for info, a in zip(self.engine.inputs, arrays, strict=True)}
        outputs = self.engine.run(feed)
        return _named_tuple(list(outputs), list(outputs.values()))


class GieBackend(Backend):
    """GIE as an ONNX backend."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether GIE can build the model for the device."""
        if not cls.supports_device(device):
            return False
        try:
            cls.prepare(model, device, **kwargs)
        except gie_core.GieError:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> GieBackendRep:
        """Build the model; ``kwargs`` are those of ``gie_core.build``.

        Raises:
            GieError: the model can't be built, or the device isn't there.
        """
        if not cls.supports_device(device):
            raise gie_core.GieError(f"there is no device {device!r}; use 'CPU'")
        return GieBackendRep(gie_core.build(model, target="host", **kwargs))

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """Build the model and run it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(  # pyright: ignore[reportIncompatibleMethodOverride] - the base class leaves the types open
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node on arrays.

        Args:
            node: the node; its absent optional inputs take no array.
            inputs: one array per present input.
            device: as in ``prepare``.
            outputs_info: (dtype, shape) of the outputs; not needed.
            **kwargs: ``opset_version`` (default: the newest), and those of ``gie_core.build``.
        """
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        names = [name for name in dict.fromkeys(node.input) if name]
        arrays = [np.asarray(array) for array in inputs]
        model = _one_node_model(node, names, arrays, opset)
        return cls.run_model(model, dict(zip(names, arrays, strict=True)), device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models can run there: "CPU"."""
        try:
            return Device(device).type == DeviceType.CPU
        except (AttributeError, ValueError, KeyError):
            return False


def _one_node_model(
    node: onnx.NodeProto, names: list[str], arrays: list[np.ndarray[Any, Any]], opset: int
) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape)
        )
        for name, array in zip(names, arrays, strict=True)
    ]
    # Outputs without a type: the importer infers them.
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "node", inputs, outputs)
    domains = {"": opset, node.domain: opset if node.domain in ("", "ai.onnx") else 1}
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return onnx.helper.make_model(graph, opset_imports=imports)


def _named_tuple(names: list[str], values: list[Any]) -> tuple[Any, ...]:
    try:
        return namedtuple("Outputs", names)(*values)  # pyright: ignore[reportUntypedNamedTuple] - the names are the model's
    except ValueError:  # names that are no identifiers
        return tuple(values)


is_compatible = GieBackend.is_compatible
prepare = GieBackend.prepare
run_model = GieBackend.run_model
run_node = GieBackend.run_node
supports_device = GieBackend.supports_device
