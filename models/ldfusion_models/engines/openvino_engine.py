"""The frame graph in OpenVINO on the CPU: asked for by name, it is faster there than ONNX Runtime; needs no PyTorch."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import OUTPUTS, EngineFailedError, FrameOutput, chosen_precision
from ldfusion_models.engines.stages import no_time, stage_of
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
        self._core = _core()
        # Left to itself it rounds to bfloat16 where the processor has it, and pins its threads.
        self._settings = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': 'f32',
            'INFERENCE_NUM_THREADS': threads or len(os.sched_getaffinity(0)),
            'ENABLE_CPU_PINNING': False,
        }
        # With and without times of layers, which cost time themselves: the shape of the images, and what runs them.
        self._compiled: dict[bool, tuple[tuple[int, ...], Any]] = {}

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`. The first of each size takes a second longer."""
        inputs: dict[str, npt.NDArray[Any]] = {'visible': visible, 'thermal': thermal, 'text': text}
        try:
            results = self._request_for(inputs, is_timed=False).infer(inputs)
            return FrameOutput(*(results[name] for name in OUTPUTS))
        except RuntimeError as error:  # what OpenVINO raises
            raise EngineFailedError(str(error).strip().splitlines()[-1]) from error

    def stage_times(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> dict[str, float]:
        """Milliseconds of one frame by stage, as OpenVINO counts its layers."""
        inputs: dict[str, npt.NDArray[Any]] = {'visible': visible, 'thermal': thermal, 'text': text}
        request = self._request_for(inputs, is_timed=True)
        request.infer(inputs)
        layers = request.get_compiled_model().get_runtime_model().get_ops()
        # Layers that were merged have new names.
        names = {layer.get_friendly_name(): layer.get_rt_info()['originalLayersNames'].astype(str) for layer in layers}
        times = no_time()
        for layer in request.get_profiling_info():
            times[stage_of(names.get(layer.node_name, layer.node_name))] += layer.real_time.total_seconds() * 1e3
        return times

    def _request_for(self, inputs: dict[str, npt.NDArray[Any]], is_timed: bool) -> Any:
        shape, request = self._compiled.get(is_timed, ((), None))
        if shape != inputs['visible'].shape:
            model = self._core.read_model(self._content)
            model.reshape({name: list(value.shape) for name, value in inputs.items()})
            # One at a time: a camera keeps its size.
            settings = {**self._settings, 'PERF_COUNT': is_timed}
            request = self._core.compile_model(model, 'CPU', settings).create_infer_request()
            self._compiled[is_timed] = inputs['visible'].shape, request
        return request


@lru_cache(maxsize=1)
def _core() -> Any:
    """OpenVINO's runtime, one for the process.

    Each brings the thread a stack for its signals; of several, one that is freed stays registered, and the next Ctrl-C
    ends the process with a segmentation fault.
    """
    import openvino

    return openvino.Core()
