"""The frame graph for images of one size: all that depends on sizes alone is computed beforehand."""

import tempfile
from pathlib import Path

from ldfusion_models.errors import InputError


def static_graph(content: bytes, size: tuple[int, int]) -> bytes:
    """Fold an ONNX frame graph for images of ``size`` (width, height).

    What remains are standard operators with constant parameters: TensorRT's parser wants axes, pads and the like to
    be initializers. ONNX Runtime does the folding.

    Raises:
        InputError: ``content`` is not a readable graph, or one for images of another size.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for name, length in zip(('width', 'height'), size, strict=True):
        options.add_free_dimension_override_by_name(name, length)
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / 'folded.onnx'
        options.optimized_model_filepath = str(folded)
        try:
            session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
        except Exception as error:  # ONNX Runtime raises its own kinds, which it does not name
            raise InputError(f'the graph cannot be folded for {size[0]}x{size[1]} ({error})') from error
        height, width = session.get_inputs()[0].shape[1:3]
        if (width, height) != size:
            raise InputError(f'the graph takes images of {width}x{height} only, not {size[0]}x{size[1]}')
        return folded.read_bytes()
