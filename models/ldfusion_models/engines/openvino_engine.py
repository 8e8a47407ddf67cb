"""The frame graph in OpenVINO on the CPU: asked for by name, it is faster there than ONNX Runtime; needs no PyTorch."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import OUTPUTS, EngineFailedError, FrameOutput, chosen_precision
from ldfusion_models.graph.export import complete_graph


class OpenVinoEngine:
    """Runs the frame graph, compiled for the size of the images: for any size it would take half as long again."""

    name = 'openvino'
    device = 'cpu'
    reason = proof = ''

    def __init__(self, weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> None:
        """Load a folder of weights, or one exported ``.onnx`` file.

        Raises:
            InputError: a file is missing, damaged, or not of this version.
        """
        import openvino

        self.library = f'OpenVINO {openvino.__version__.partition("-")[0]}'
        self.precision = chosen_precision(precision, self.name, ('fp32',))
        self._content, self.info = complete_graph(weights)
        self._core: Any = openvino.Core()
        # Left to itself it rounds to bfloat16 where the processor has it, and pins its threads.
        self._settings = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': 'f32',
            'INFERENCE_NUM_THREADS': threads or len(os.sched_getaffinity(0)),
            'ENABLE_CPU_PINNING': False,
        }
        self._shape: tuple[int, ...] = ()
        self._request: Any = None

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`. The first of each size takes a second longer."""
        inputs: dict[str, npt.NDArray[Any]] = {'visible': visible, 'thermal': thermal, 'text': text}
        try:
            if self._shape != visible.shape:
                model = self._core.read_model(self._content)
                model.reshape({name: list(value.shape) for name, value in inputs.items()})
                # One at a time: a camera keeps its size.
                self._request = self._core.compile_model(model, 'CPU', self._settings).create_infer_request()
                self._shape = visible.shape
            results = self._request.infer(inputs)
            return FrameOutput(*(results[name] for name in OUTPUTS))
        except RuntimeError as error:  # what OpenVINO raises
            raise EngineFailedError(str(error).strip().splitlines()[-1]) from error
