"""The frame graph in TensorRT (10 and later) on NVIDIA GPUs: Jetson and desktop.

Written against NVIDIA's documentation and type stubs; see docs/jetson.md for what was run.
"""

import hashlib
import logging
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorrt as trt

from ldfusion_models.engines import plan_cache
from ldfusion_models.engines.base import EngineFailedError, FrameOutput, chosen_precision
from ldfusion_models.engines.built_engine import Report, Size
from ldfusion_models.engines.cuda_buffers import Buffer, Gpu, Stream
from ldfusion_models.engines.plan_cache import PlanKey
from ldfusion_models.engines.stages import TRANSFERS, no_time, stage_of
from ldfusion_models.graph.export import complete_graph
from ldfusion_models.graph.mixed_precision import mixed_precision
from ldfusion_models.graph.static_graph import static_graph

log = logging.getLogger(__name__)


class Plans:
    """Serialized engines of one graph on this GPU, from the cache folder or newly built."""

    name = 'tensorrt'
    device = 'cuda'

    def __init__(self, weights: Path | None, precision: str = 'auto', folder: Path | None = None) -> None:
        """Read the graph and ask for the GPU.

        Args:
            weights: folder of weights, or an exported ``.onnx`` file; None for those that came with the package.
            precision: mixed if it is ``auto`` and the graph is not quantised.
            folder: of the cache; None for the user's.

        Raises:
            InputError: weights missing, damaged, or of another version.
            EngineFailedError: there is no GPU.
        """
        self._content, self.info = complete_graph(weights)
        self.precision = chosen_precision(precision, 'mixed', 'tensorrt', self.info, ('mixed', 'fp32'))
        self._digest = hashlib.sha256(self._content).hexdigest()
        self._gpu = Gpu.current()
        self._folder = folder or plan_cache.default_folder()
        # Engines need their runtime, and that its logger, as long as they live.
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)

    def load(self, size: Size) -> 'RunningPlan | None':
        """The engine from the cache folder, ready to run; None if it must be built.

        Raises:
            EngineFailedError: the GPU has not enough memory, or failed.
        """
        content = plan_cache.load(self._folder, self._key(size))
        if content is None:
            return None
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            log.warning('TensorRT refuses the cached engine for %dx%d; it is built anew', *size)
            return None
        return RunningPlan(engine, size, self.info.text_dim)

    def build(self, size: Size, report: Report) -> Path:
        """Build the engine, which takes minutes, and write it into the cache folder.

        Args:
            size: width and height.
            report: takes a line on how far the build is, now and then.

        Raises:
            EngineFailedError: TensorRT can't build it.
            InputError: the folder can't be written.
        """
        key = self._key(size)
        log.warning('TensorRT builds an engine for %dx%d; this takes minutes and happens once', *size)
        builder = trt.Builder(self._logger)
        # TensorRT 11 knows no other networks: precision is what the graph says.
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self._logger)
        content = static_graph(self._content, size)
        if not parser.parse(content if self.precision == 'fp32' else mixed_precision(content)):
            errors = '; '.join(parser.get_error(index).desc() for index in range(parser.num_errors))
            raise EngineFailedError(f'TensorRT cannot read the graph: {errors}')
        config = builder.create_builder_config()
        timings = config.create_timing_cache(plan_cache.load(self._folder, key.for_timings()) or b'')
        config.set_timing_cache(timings, ignore_mismatch=False)
        config.progress_monitor = _progress_monitor(report)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineFailedError(f'TensorRT could not build an engine for {key.size}')
        plan_cache.store(self._folder, key.for_timings(), bytes(config.get_timing_cache().serialize()))
        path = plan_cache.store(self._folder, key, bytes(plan))
        log.warning('TensorRT engine for %s is ready', key.size)
        return path

    def _key(self, size: Size) -> PlanKey:
        gpu, (width, height) = self._gpu, size
        return PlanKey(
            self._digest, trt.__version__, gpu.name, gpu.compute_capability, self.precision, f'{width}x{height}'
        )


class RunningPlan:
    """An engine with its buffers for one size."""

    def __init__(self, engine: trt.ICudaEngine, size: Size, text_dim: int) -> None:
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineFailedError('the GPU has not enough memory for the engine')
        self._stream = Stream()
        self._inputs: dict[str, Buffer] = {}
        for name, shape in _input_shapes(size, text_dim).items():
            self._inputs[name] = Buffer(shape, np.float32 if name == 'text' else np.uint8)
        width, height = size
        self._outputs = {
            'fused': Buffer((1, height, width, 3), np.uint8),
            'depth': Buffer((1, height, width), np.float32),
        }
        for name, buffer in (self._inputs | self._outputs).items():
            self._context.set_tensor_address(name, buffer.address)

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        for name, value in (('visible', visible), ('thermal', thermal), ('text', text)):
            self._inputs[name].to_device(value, self._stream)
        if not self._context.execute_async_v3(int(self._stream.handle)):
            raise EngineFailedError('TensorRT could not run the frame')
        for buffer in self._outputs.values():
            buffer.to_host(self._stream)
        self._stream.wait()
        return FrameOutput(self._outputs['fused'].host.copy(), self._outputs['depth'].host.copy())

    def stage_times(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> dict[str, float]:
        """Milliseconds of one frame by stage, as TensorRT's profiler reports its layers."""
        context, times = self._engine.create_execution_context(), no_time()
        if context is None:
            raise EngineFailedError('the GPU has not enough memory to profile the engine')
        for name, buffer in (self._inputs | self._outputs).items():
            context.set_tensor_address(name, buffer.address)
        context.profiler = _layer_times(times)
        start = time.perf_counter()
        for name, value in (('visible', visible), ('thermal', thermal), ('text', text)):
            self._inputs[name].to_device(value, self._stream)
        self._stream.wait()
        copied_in = time.perf_counter()
        if not context.execute_async_v3(int(self._stream.handle)):
            raise EngineFailedError('TensorRT could not run the frame')
        self._stream.wait()
        computed = time.perf_counter()
        for buffer in self._outputs.values():
            buffer.to_host(self._stream)
        self._stream.wait()
        times[TRANSFERS] = (copied_in - start + time.perf_counter() - computed) * 1e3
        return times


def _input_shapes(size: Size, text_dim: int) -> dict[str, tuple[int, ...]]:
    width, height = size
    return {'visible': (1, height, width, 3), 'thermal': (1, height, width, 1), 'text': (1, text_dim)}


def _layer_times(times: dict[str, float]) -> trt.IProfiler:
    class Profiler(trt.IProfiler):
        """Adds up the milliseconds of layers by stage."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times[stage_of(layer_name)] += ms

    return Profiler()


def _progress_monitor(report: Report) -> trt.IProgressMonitor:
    class Monitor(trt.IProgressMonitor):
        """Reports the share of steps done in the phase that TensorRT is in; may be called by several threads."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            report(f'{phase_name}, {100 * (step + 1) // self._steps.get(phase_name, step + 1)} %')
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
