"""The frame graph in TensorRT or TensorRT for RTX on NVIDIA GPUs; docs/gpu.md says what was run where.

Building is apart from running: TensorRT for RTX needs no GPU for it.
"""

import hashlib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines import plan_cache
from ldfusion_models.engines.base import OUTPUTS, EngineFailedError, FrameOutput, chosen_precision
from ldfusion_models.engines.built_engine import Report, Size
from ldfusion_models.engines.cuda_buffers import Buffer, Gpu, NoGpuError, Stream
from ldfusion_models.engines.plan_cache import PlanKey
from ldfusion_models.engines.stages import TRANSFERS, no_time, stage_of
from ldfusion_models.engines.tensorrt_library import TensorRT, load_library
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import complete_graph
from ldfusion_models.graph.mixed_precision import mixed_precision
from ldfusion_models.graph.static_graph import products_as_convolutions, static_graph

log = logging.getLogger(__name__)
PRECISIONS = ('mixed', 'fp32')


class Recipe:
    """Graph, weights and precision, ready to be built for any size; needs no GPU."""

    def __init__(self, weights: Path | None, precision: str = 'auto', folder: Path | None = None) -> None:
        """Read the graph.

        Args:
            weights: folder of weights, or an exported ``.onnx`` file; None for those that came with the package.
            precision: mixed if it is ``auto``.
            folder: where engines are kept; None for the user's cache.

        Raises:
            InputError: weights missing, damaged, or of another version.
            EngineFailedError: the library is not installed, or does not load.
        """
        self.library = load_library()
        self.precision = chosen_precision(precision, 'tensorrt', PRECISIONS)
        self._content, self.info = complete_graph(weights)
        self._digest = hashlib.sha256(self._content).hexdigest()
        self.folder = folder or plan_cache.default_folder()

    def key(self, size: Size, capabilities: tuple[str, ...], gpu: str = '') -> PlanKey:
        """The key of an engine for images of ``size``."""
        return PlanKey(self._digest, self.library.title, capabilities, gpu, self.precision, f'{size[0]}x{size[1]}')

    def build(self, size: Size, capabilities: tuple[str, ...], report: Report) -> bytes:
        """An engine for images of ``size`` and these compute capabilities; ``report`` takes a line now and then.

        Raises:
            InputError: a capability that the library does not build for, or a graph for images of another size.
            EngineFailedError: the library can't read the graph, or not build it.
        """
        content = products_as_convolutions(static_graph(self._content, size))
        return build_plan(
            self.library,
            content if self.precision == 'fp32' else mixed_precision(content),
            capabilities,
            self.folder,
            report,
        )


def build_plan(library: TensorRT, content: bytes, capabilities: tuple[str, ...], folder: Path, report: Report) -> bytes:
    """An ONNX graph of one size as a serialized engine.

    Args:
        library: which builds it.
        content: the graph.
        capabilities: that the engine shall run on.
        folder: of what shortens builds.
        report: takes a line on how far the build is, now and then.

    Raises:
        InputError: a capability that the library does not build for.
        EngineFailedError: with the library's words, why it can't read the graph, or not build it.
    """
    progress = _Progress(report)
    # In a thread: a KeyboardInterrupt would be raised in one of the library's calls of ours, which swallow it.
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(_build, library, content, capabilities, folder, progress)
        try:
            return building.result()
        finally:
            progress.goes_on = False


def _build(
    library: TensorRT, content: bytes, capabilities: tuple[str, ...], folder: Path, progress: '_Progress'
) -> bytes:
    api = library.api
    library.errors()
    builder = api.Builder(library.logger)
    network = builder.create_network(library.network_flags())
    parser = api.OnnxParser(network, library.logger)
    if not parser.parse(content):
        words = '; '.join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise EngineFailedError(f'{library.title} cannot read the graph: {words or library.errors()}')
    config = builder.create_builder_config()
    library.configure(config, capabilities, folder)
    config.progress_monitor = _progress_monitor(api, progress)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineFailedError(f'{library.title} cannot build the engine: {library.errors()}')
    library.keep(config, capabilities, folder)
    return bytes(plan)


def build_ahead(
    weights: Path | None, precision: str, size: Size, capabilities: tuple[str, ...], folder: Path | None, report: Report
) -> Path:
    """Build an engine into ``folder`` on this machine, for a robot that has one of the compute capabilities.

    Args:
        weights, precision, folder: as for :class:`Recipe`.
        size: of the images.
        capabilities: ``all`` for those that the library lists; none for the GPU of this machine.
        report: takes a line on how far the build is, now and then.

    Raises:
        InputError: weights, a capability or a folder that can't be used.
        EngineFailedError: the library is not there or fails, or there is no GPU where it needs one.
    """
    recipe = Recipe(weights, precision, folder)
    library = recipe.library
    if not capabilities:
        try:
            return Plans(weights, precision, folder).build_to_file(size, report)
        except NoGpuError as error:
            remedy = "; name the robot's with --compute-capability" if library.capabilities else ''
            raise EngineFailedError(f'{error}{remedy}') from error
    if not library.capabilities:
        raise InputError(f'compute capability: {library.title} builds for the GPU of this machine only; leave it out')
    chosen = library.capabilities if capabilities == ('all',) else tuple(dict.fromkeys(capabilities))
    plan = recipe.build(size, chosen, report)
    return plan_cache.store(recipe.folder, recipe.key(size, chosen), plan)


class Plans:
    """Engines of one recipe on the GPU of this machine, from the cache folder or newly built."""

    name = 'tensorrt'
    device = 'cuda'

    def __init__(self, weights: Path | None, precision: str = 'auto', folder: Path | None = None) -> None:
        """Load the library, ask for the GPU, then read the graph; arguments are those of :class:`Recipe`.

        Raises:
            InputError: weights missing, damaged, or of another version.
            EngineFailedError: no GPU that can be used (NoGpuError), or not one that the library builds for.
        """
        load_library()
        self._gpu = Gpu.current()
        recipe = self._recipe = Recipe(weights, precision, folder)
        self.library, self.precision, self.info = recipe.library.title, recipe.precision, recipe.info
        listed = recipe.library.capabilities
        if listed and self._gpu.compute_capability not in listed:
            raise EngineFailedError(
                f'{self.library} serves compute capability {", ".join(listed)}; {self._gpu.name} has '
                f'{self._gpu.compute_capability}'
            )
        # Engines need their runtime as long as they live.
        self._runtime = recipe.library.api.Runtime(recipe.library.logger)

    def load(self, size: Size) -> 'RunningPlan | None':
        """The engine from the cache folder, ready to run; None if it must be built.

        Raises:
            EngineFailedError: the GPU has not enough memory, or failed.
        """
        plan = plan_cache.find(self._recipe.folder, self._key(size))
        if plan is None:
            return None
        try:
            return self._running(plan, size)
        except PlanRefusedError as error:
            log.warning('%s; it is built anew', error)
            return None

    def build(self, size: Size, report: Report) -> 'RunningPlan':
        """Build the engine, which takes minutes in TensorRT, keep it if the disk allows, and load it.

        Args:
            size: width and height.
            report: takes a line on how far the build is, now and then.

        Raises:
            EngineFailedError: it can't be built, or the GPU can't run it.
        """
        plan = self._recipe.build(size, (self._gpu.compute_capability,), report)
        try:
            plan_cache.store(self._recipe.folder, self._key(size), plan)
        except InputError as error:
            log.warning('%s; the engine serves, but is built anew at every start', error)
        return self._running(plan, size)

    def build_to_file(self, size: Size, report: Report) -> Path:
        """Build the engine into the cache folder; raises as ``build``, and InputError if it can't be written."""
        plan = self._recipe.build(size, (self._gpu.compute_capability,), report)
        return plan_cache.store(self._recipe.folder, self._key(size), plan)

    def _key(self, size: Size) -> PlanKey:
        # An engine of TensorRT for RTX runs on every GPU of its capabilities; TensorRT has timed kernels on this one.
        gpu = '' if self._recipe.library.capabilities else self._gpu.name
        return self._recipe.key(size, (self._gpu.compute_capability,), gpu)

    def _running(self, plan: bytes, size: Size) -> 'RunningPlan':
        library = self._recipe.library
        engine = deserialize(library, self._runtime, plan)
        name, folder = self._key(size).file_name, self._recipe.folder
        settings = library.settings(engine, name, folder)
        running = RunningPlan(library, engine, settings, size, self.info.text_dim)
        running.warm_up()
        library.keep_kernels(settings, name, folder)
        return running


class PlanRefusedError(EngineFailedError):
    """The library does not take a serialized engine."""


def deserialize(library: TensorRT, runtime: Any, plan: bytes) -> Any:
    """The engine that a plan holds.

    Raises:
        PlanRefusedError: with the library's words, why it can't be loaded here.
    """
    library.errors()
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise PlanRefusedError(f'{library.title} does not load the engine: {library.errors()}')
    return engine


class RunningPlan:
    """An engine with its buffers for one size."""

    def __init__(self, library: TensorRT, engine: Any, settings: Any, size: Size, text_dim: int) -> None:
        self._api, self._engine, self._settings = library.api, engine, settings
        self._context = library.context(engine, settings)
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
            'uncertainty': Buffer((1, height, width), np.float32),
        }
        for name, buffer in (self._inputs | self._outputs).items():
            self._context.set_tensor_address(name, buffer.address)

    def warm_up(self) -> None:
        """Run what lies in the buffers, so that kernels are compiled and the GPU's memory is there.

        Raises:
            EngineFailedError: the GPU failed.
        """
        self._execute(self._context)
        self._stream.wait()

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        for name, value in (('visible', visible), ('thermal', thermal), ('text', text)):
            self._inputs[name].to_device(value, self._stream)
        self._execute(self._context)
        for buffer in self._outputs.values():
            buffer.to_host(self._stream)
        self._stream.wait()
        return FrameOutput(*(self._outputs[name].host.copy() for name in OUTPUTS))

    def stage_times(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> dict[str, float]:
        """Milliseconds of one frame by stage, as TensorRT's profiler reports its layers."""
        context, times = self._engine.create_execution_context(), no_time()
        if context is None:
            raise EngineFailedError('the GPU has not enough memory to profile the engine')
        for name, buffer in (self._inputs | self._outputs).items():
            context.set_tensor_address(name, buffer.address)
        context.profiler = _layer_times(self._api, times)
        start = time.perf_counter()
        for name, value in (('visible', visible), ('thermal', thermal), ('text', text)):
            self._inputs[name].to_device(value, self._stream)
        self._stream.wait()
        copied_in = time.perf_counter()
        self._execute(context)
        self._stream.wait()
        computed = time.perf_counter()
        for buffer in self._outputs.values():
            buffer.to_host(self._stream)
        self._stream.wait()
        times[TRANSFERS] = (copied_in - start + time.perf_counter() - computed) * 1e3
        return times

    def _execute(self, context: Any) -> None:
        if not context.execute_async_v3(int(self._stream.handle)):
            raise EngineFailedError('TensorRT could not run the frame')


def _input_shapes(size: Size, text_dim: int) -> dict[str, tuple[int, ...]]:
    width, height = size
    return {'visible': (1, height, width, 3), 'thermal': (1, height, width, 1), 'text': (1, text_dim)}


def _layer_times(api: Any, times: dict[str, float]) -> Any:
    class Profiler(api.IProfiler):
        """Adds up the milliseconds of layers by stage."""

        def __init__(self) -> None:
            api.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times[stage_of(layer_name)] += ms

    return Profiler()


@dataclass
class _Progress:
    """Who is told how far a build is, and whether it shall go on."""

    report: Report
    goes_on: bool = True


def _progress_monitor(api: Any, progress: _Progress) -> Any:
    class Monitor(api.IProgressMonitor):
        """Reports the share of steps done; may be called by several threads."""

        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            # Phases within phases are too many to be told.
            if parent_phase is None:
                self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                progress.report(f'{phase_name}, {100 * (step + 1) // self._steps[phase_name]} %')
            return progress.goes_on

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
