"""The frame graph for images of one size: all that depends on sizes alone is computed beforehand."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_models.errors import InputError
from ldfusion_models.graph.mixed_precision import replace_nodes


def static_graph(content: bytes, size: tuple[int, int]) -> bytes:
    """Fold an ONNX frame graph for images of ``size`` (width, height).

    What remains are standard operators with constant parameters: TensorRT's parser wants axes, pads and the like to
    be initializers. ONNX Runtime does the folding.

    Raises:
        InputError: ``content`` is not a readable graph, or one for images of another size.
        OSError: the disk is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, folded = Path(folder) / 'source.onnx', Path(folder) / 'folded.onnx'
        source.write_bytes(content)
        fold(source, folded, size)
        return folded.read_bytes()


def fold(source: Path, folded: Path, size: tuple[int, int], data: str = '') -> None:
    """The same from file to file; ``data`` names a file beside ``folded`` for the weights, which one of ONNX can't hold
    above 2 GB."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    if data:
        options.add_session_config_entry('session.optimized_model_external_initializers_file_name', data)
    for name, length in zip(('width', 'height'), size, strict=True):
        options.add_free_dimension_override_by_name(name, length)
    try:
        session = onnxruntime.InferenceSession(str(source), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime raises its own kinds, which it does not name
        # Nor does it say why it could not write.
        if shutil.disk_usage(folded.parent).free < source.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folded)) from error
        raise InputError(f'the graph cannot be folded for {size[0]}x{size[1]} ({error})') from error
    height, width = session.get_inputs()[0].shape[1:3]
    if (width, height) != size:
        raise InputError(f'the graph takes images of {width}x{height} only, not {size[0]}x{size[1]}')


def products_as_convolutions(content: bytes) -> bytes:
    """The same static graph with every product of a row and a matrix of weights written as a 1x1 convolution.

    TensorRT for RTX has no products in float32 for Turing (compute capability 7.5), but convolutions it has.
    """
    import onnx
    from onnx import helper, numpy_helper, shape_inference

    model = shape_inference.infer_shapes(onnx.load_from_string(content))
    graph = model.graph
    # Products of more than one row, as those of transformers, have no convolution of their shape.
    rows = {info.name for info in graph.value_info if len(info.type.tensor_type.shape.dim) == 2}
    rows |= {info.name for info in graph.input}
    fixed = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        is_product = node.op_type in ('MatMul', 'Gemm') and node.input[0] in rows and node.input[1] in fixed
        if not is_product:
            nodes.append(node)
            continue
        settings = {item.name: item.i for item in node.attribute}
        matrix = fixed[node.input[1]]
        kernel = (matrix if settings.get('transB') else matrix.T)[:, :, None, None].copy()
        names = {part: f'{node.name}/{part}' for part in ('axes', 'kernel', 'pixel', 'product')}
        graph.initializer.append(numpy_helper.from_array(kernel, names['kernel']))
        graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), names['axes']))
        parameters = [names['pixel'], names['kernel'], *node.input[2:]]
        nodes += [
            helper.make_node('Unsqueeze', [node.input[0], names['axes']], [names['pixel']], f'{node.name}/Unsqueeze'),
            helper.make_node('Conv', parameters, [names['product']], node.name),
            helper.make_node('Squeeze', [names['product'], names['axes']], list(node.output), f'{node.name}/Squeeze'),
        ]
    replace_nodes(graph, nodes)
    del graph.value_info[:]
    result: bytes = model.SerializeToString()
    return result
