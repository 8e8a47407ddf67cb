"""The frame graph with 8-bit convolutions: ranges by calibration on frames, then explicit quantisation.

TensorRT from version 11 on takes precision from the graph alone, so QuantizeLinear and DequantizeLinear stand before
every convolution of denoiser and fusion that is wide enough. Activations have one scale each, weights one per output
channel; all are symmetric, as TensorRT wants them. The depth branches would multiply the error and keep their
precision.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.graph.mixed_precision import HALF_PARTS, replace_nodes

Frame = Mapping[str, npt.NDArray[Any]]

# From this opset on scales may be float16.
OPSET = 19
# Fewer channels are images, their pyramids and maps of weights: little work, and every level counts.
FEWEST_CHANNELS = 16
LEVELS = 127
# The smallest normal float16: mixed precision rounds scales to it.
SMALLEST_SCALE = 2.0**-14


def calibrate(content: bytes, frames: Iterable[Frame]) -> dict[str, float]:
    """The largest magnitudes that the inputs of the convolutions to be quantised have on ``frames``, by tensor.

    Args:
        content: a float32 frame graph.
        frames: inputs of the graph; what the camera will see.
    """
    import onnx
    import onnxruntime

    model = onnx.load_from_string(content)
    names = sorted({node.input[0] for node in _wide_convolutions(model)})
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    peaks = np.zeros(len(names))
    for frame in frames:
        # Clipping what is rare costs more than it gains: with the least square error, or without the highest 0.01 % of
        # the values, the fused image was further off.
        peaks = np.maximum(peaks, [np.abs(value).max() for value in session.run(names, dict(frame))])
    return dict(zip(names, peaks.tolist(), strict=True))


def quantised(content: bytes, peaks: Mapping[str, float]) -> bytes:
    """A float32 frame graph with 8-bit convolutions in denoiser and fusion.

    Args:
        content: as for ``calibrate``.
        peaks: from ``calibrate``.
    """
    import onnx
    from onnx import helper, numpy_helper, version_converter

    model = version_converter.convert_version(onnx.load_from_string(content), OPSET)
    graph = model.graph
    fixed = {initializer.name: initializer for initializer in graph.initializer}
    convolutions = {node.name for node in _wide_convolutions(model)}
    zero = numpy_helper.from_array(np.zeros((), np.int8), 'quantisation/zero')
    graph.initializer.append(zero)
    nodes: list[Any] = []
    copies: dict[str, str] = {}
    for node in graph.node:
        if node.name in convolutions:
            source = node.input[0]
            if source not in copies:
                copies[source] = f'{source}/dequantised'
                scale = numpy_helper.from_array(np.float32(_scale(peaks[source])), f'{source}/scale')
                graph.initializer.append(scale)
                rounded = f'{source}/quantised'
                nodes += [
                    helper.make_node('QuantizeLinear', [source, scale.name, zero.name], [rounded], f'{node.name}/Q'),
                    helper.make_node(
                        'DequantizeLinear', [rounded, scale.name, zero.name], [copies[source]], f'{node.name}/DQ'
                    ),
                ]
            weights = node.input[1]
            if weights not in copies:
                copies[weights] = f'{weights}/dequantised'
                nodes.append(_dequantised_weights(graph, fixed[weights], copies[weights], f'{node.name}/weights/DQ'))
            node.input[:2] = copies[source], copies[weights]
        nodes.append(node)
    replace_nodes(graph, nodes)
    result: bytes = model.SerializeToString()
    return result


def _dequantised_weights(graph: Any, initializer: Any, output: str, name: str) -> Any:
    """Put the weights of a convolution into ``graph`` with 8 bits; returns the node ``name`` that gives them back."""
    from onnx import helper, numpy_helper

    weights = numpy_helper.to_array(initializer)
    scales = np.array([_scale(np.abs(kernel).max()) for kernel in weights], np.float32)
    levels = np.clip(np.round(weights / scales[:, None, None, None]), -LEVELS, LEVELS).astype(np.int8)
    parts: dict[str, npt.NDArray[Any]] = {'levels': levels, 'scales': scales, 'zeros': np.zeros(len(weights), np.int8)}
    names = [f'{initializer.name}/{part}' for part in parts]
    graph.initializer.extend(map(numpy_helper.from_array, parts.values(), names))
    return helper.make_node('DequantizeLinear', names, [output], name, axis=0)


def _wide_convolutions(model: Any) -> list[Any]:
    """Convolutions of denoiser and fusion that have enough channels on both sides.

    Raises:
        InputError: there are none, so this is no frame graph.
    """
    shapes = {initializer.name: tuple(initializer.dims) for initializer in model.graph.initializer}
    found = [
        node
        for node in model.graph.node
        if node.op_type == 'Conv'
        and node.name.startswith(HALF_PARTS)
        and min(shapes.get(node.input[1], (0, 0))[:2]) >= FEWEST_CHANNELS
    ]
    if not found:
        raise InputError('the graph has no convolutions that could be quantised')
    return found


def _scale(peak: float) -> float:
    return max(float(peak) / LEVELS, SMALLEST_SCALE)
