"""The frame graph in OpenVINO: the fastest on CPUs, most of all on those that compute with bfloat16."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import FrameOutput, chosen_precision
from ldfusion_models.errors import InputError
from ldfusion_models.export import complete_graph

if TYPE_CHECKING:
    import openvino

# The fused image in [0, 1], which the depth branches read.
FUSED_PLANES = '/Clip_output_0'
HINTS = {'fp32': 'f32', 'mixed': 'bf16'}


class OpenVinoEngine:
    """Runs the frame graph on the CPU as two models, for OpenVINO sets the precision of a model as a whole."""

    name = 'openvino'
    device = 'cpu'
    reason = ''

    def __init__(self, weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> None:
        """Load a folder of weights, or one exported ``.onnx`` file; precision is fp32 if it is ``auto``.

        Raises:
            InputError: a file is missing, damaged, or not of this version, or OpenVINO can't read the graph.
        """
        import openvino

        self.precision = chosen_precision(precision, 'fp32', self.name)
        content, self.info = complete_graph(weights)
        core = openvino.Core()
        try:
            fusion, depth = split_at_fused(core.read_model(content))
        except RuntimeError as error:
            raise InputError(f'{weights}: OpenVINO does not read this graph ({error})') from error

        def compile_model(model: 'openvino.Model', hint: str) -> Any:
            settings = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': hint}
            if threads:
                settings['INFERENCE_NUM_THREADS'] = str(threads)
            return core.compile_model(model, 'CPU', settings).create_infer_request()

        self._fusion = compile_model(fusion, HINTS[self.precision])
        self._depth = compile_model(depth, HINTS['fp32'])

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        fused = self._fusion.infer({'visible': visible, 'thermal': thermal, 'text': text}, share_inputs=True)
        inputs = {'visible': visible, FUSED_PLANES: self._fusion.get_tensor(FUSED_PLANES)}
        depth = self._depth.infer(inputs, share_inputs=True)
        # Results lie in the requests' own memory, which the next frame overwrites.
        return FrameOutput(fused['fused'].copy(), depth['depth'].copy())


def split_at_fused(model: 'openvino.Model') -> 'tuple[openvino.Model, openvino.Model]':
    """Cut the frame graph between fusion and depth.

    Returns:
        Images and text to ``fused`` and the fused planes; ``visible`` (for its size) and the planes to ``depth``.
    """
    import openvino
    from openvino import opset13

    depth = model.clone()
    planes = _planes(depth)
    parameter = opset13.parameter(planes.get_partial_shape(), np.float32, name=FUSED_PLANES)
    for consumer in planes.get_target_inputs():
        consumer.replace_source_output(parameter.output(0))
    parameter.output(0).get_tensor().set_names({FUSED_PLANES})
    results = [model.output('fused').get_node(), opset13.result(_planes(model))]
    return (
        openvino.Model(results, model.get_parameters(), 'fusion'),
        openvino.Model([depth.output('depth').get_node()], [depth.input('visible').get_node(), parameter], 'depth'),
    )


def _planes(model: 'openvino.Model') -> Any:
    outputs = (output for operation in model.get_ordered_ops() for output in operation.outputs())
    return next(output for output in outputs if FUSED_PLANES in output.get_names())
