"""The frame graph in mixed precision: features and fusion with 16 bits, depth with 32.

Rounded to float16, the fused image moves by no more than a grey level; the depth branches would multiply such errors
(docs/decisions.md has the measurements). TensorRT from version 11 on takes precision from the graph alone, so it
is written into the graph here.
"""

from typing import Any

from ldfusion_models.errors import InputError

HALF_PARTS = ('/extractor/', '/student/', '/fusion/')


def mixed_precision(content: bytes) -> bytes:
    """A float32 ONNX frame graph with features and fusion in float16; inputs and outputs stay as they are.

    Args:
        content: what ``static_graph`` made, so that there is nothing left in it but images and weights.

    Raises:
        InputError: the package onnx is not installed.
    """
    try:
        import onnx
        from onnx import shape_inference
    except ImportError as error:
        raise InputError('mixed precision needs the Python package onnx; pip install onnx') from error
    model = shape_inference.infer_shapes(onnx.load_from_string(content))
    graph = model.graph
    _Rounding(graph).apply()
    del graph.value_info[:]
    result: bytes = model.SerializeToString()
    return result


def replace_nodes(graph: Any, nodes: list[Any]) -> None:
    """Give an ONNX graph other nodes, and only those of its initializers that they use, or that are its outputs."""
    used = {name for node in nodes for name in node.input} | {info.name for info in graph.output}
    initializers = [initializer for initializer in graph.initializer if initializer.name in used]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)


class _Rounding:
    """Puts casts where float tensors cross between 16 and 32 bits; weights are rounded beforehand."""

    def __init__(self, graph: Any) -> None:
        from onnx import TensorProto, numpy_helper

        self._graph = graph
        self._floats = {
            info.name
            for info in (*graph.value_info, *graph.input, *graph.output)
            if info.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        # Resize takes its factors in float32 only, whatever the image's type.
        self._factors = {name for node in graph.node if node.op_type == 'Resize' for name in node.input[1:]}
        self._half = {name for node in graph.node if self._is_half(node) for name in node.output}
        self._fixed = {initializer.name: numpy_helper.to_array(initializer) for initializer in graph.initializer}
        self._nodes: list[Any] = []
        self._copies: dict[tuple[str, bool], str] = {}

    def apply(self) -> None:
        for node in self._graph.node:
            wants_half = self._is_half(node)
            for index, name in enumerate(node.input):
                if name not in self._factors:
                    node.input[index] = self._as(name, wants_half)
            self._nodes.append(node)
        replace_nodes(self._graph, self._nodes)

    def _is_half(self, node: Any) -> bool:
        return str(node.name).startswith(HALF_PARTS)

    def _as(self, name: str, wants_half: bool) -> str:
        """The name under which the tensor is to be had in the wanted precision."""
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper

        if name in self._fixed:
            value = self._fixed[name]
            if not wants_half or value.dtype != np.float32:
                return name
        elif name not in self._floats or (name in self._half) == wants_half:
            return name
        copy = self._copies.get((name, wants_half))
        if copy is None:
            copy = self._copies[name, wants_half] = f'{name}_as_{"float16" if wants_half else "float32"}'
            if name in self._fixed:
                rounded = numpy_helper.from_array(self._fixed[name].astype(np.float16), copy)
                self._graph.initializer.append(rounded)
            else:
                kind = TensorProto.FLOAT16 if wants_half else TensorProto.FLOAT
                self._nodes.append(helper.make_node('Cast', [name], [copy], name=f'{copy}/Cast', to=kind))
        return copy
