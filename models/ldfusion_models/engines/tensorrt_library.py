"""NVIDIA's two TensorRT libraries behind one face: what differs between them stands here and nowhere else.

TensorRT comes with JetPack and for data-centre cards, and builds for the GPU at hand. TensorRT for RTX comes from PyPI
for GeForce and RTX cards from Turing on: it builds on any machine for the compute capabilities that it lists, and
compiles kernels when an engine is first loaded.
"""

import contextlib
import logging
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from ldfusion_models.engines import plan_cache
from ldfusion_models.engines.base import EngineFailedError
from ldfusion_models.errors import InputError, how_to_install

log = logging.getLogger(__name__)
MODULES = ('tensorrt', 'tensorrt_rtx')


class TensorRT:
    """What both libraries have, and TensorRT's own way where they differ.

    Attributes:
        api: the module.
        title: name and version.
        capabilities: compute capabilities that it builds for without a GPU; empty: for the GPU at hand only.
    """

    name = 'TensorRT'
    needs: tuple[str, ...] = (
        'ILogger.Severity.INTERNAL_ERROR',
        'IProgressMonitor',
        'OnnxParser.parse',
        'NetworkDefinitionCreationFlag.STRONGLY_TYPED',
        'IBuilderConfig.progress_monitor',
        'IExecutionContext.execute_async_v3',
        'IExecutionContext.set_tensor_address',
        'IExecutionContext.profiler',
    )

    def __init__(self, api: Any) -> None:
        """Take over the module; raises EngineFailedError if it lacks something that is needed."""
        self.api = api
        self.title = f'{self.name} {api.__version__}'
        for name in self.needs:
            try:
                attrgetter(name)(api)
            except AttributeError as error:
                raise EngineFailedError(f'{self.title} has no {name}; install a newer one') from error
        self.capabilities: tuple[str, ...] = ()
        self._errors: list[str] = []
        # One for the whole process: the library keeps the first it is given, whatever comes later.
        self.logger = _logger(api, self._errors)

    def network_flags(self) -> int:
        """For a network whose precision is what the graph says; TensorRT 11 knows no other."""
        return 1 << int(self.api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def configure(self, config: Any, capabilities: tuple[str, ...], folder: Path) -> None:
        """Prepare a build for ``capabilities``, with what ``folder`` keeps of earlier ones."""
        timings = plan_cache.load_side(folder, self._side('timings', capabilities)) or b''
        config.set_timing_cache(config.create_timing_cache(timings), ignore_mismatch=False)

    def keep(self, config: Any, capabilities: tuple[str, ...], folder: Path) -> None:
        """Keep in ``folder`` what shortens the next build."""
        timings = bytes(config.get_timing_cache().serialize())
        plan_cache.store_side(folder, self._side('timings', capabilities), timings)

    def settings(self, engine: Any, plan: str, folder: Path) -> Any:
        """How ``engine`` shall run, with kernels that ``folder`` keeps for ``plan``; None where there is no choice."""

    def context(self, engine: Any, settings: Any) -> Any:
        """An execution context of ``engine``, None if memory is short; ``settings`` must live as long."""
        del settings
        return engine.create_execution_context()

    def keep_kernels(self, settings: Any, plan: str, folder: Path) -> None:
        """Keep in ``folder`` what was compiled when ``plan`` ran first."""

    def errors(self) -> str:
        """What the library has complained of since the last time, in its own words."""
        words = '; '.join(dict.fromkeys(self._errors))
        self._errors.clear()
        return words

    def _side(self, kind: str, capabilities: tuple[str, ...]) -> str:
        return f'{kind} of {self.title} for {"+".join(capabilities)}'


class TensorRTForRTX(TensorRT):
    """TensorRT for RTX: strongly typed only, no timings, builds for capabilities, compiles kernels at run time."""

    name = 'TensorRT for RTX'
    needs = (
        *TensorRT.needs,
        'ComputeCapability',
        'IBuilderConfig.set_compute_capability',
        'IBuilderConfig.num_compute_capabilities',
        'ICudaEngine.create_runtime_config',
        'IRuntimeConfig.create_runtime_cache',
        'IRuntimeConfig.set_runtime_cache',
        'IRuntimeCache.serialize',
        'IRuntimeCache.deserialize',
        'CudaGraphStrategy.WHOLE_GRAPH_CAPTURE',
    )

    def __init__(self, api: Any) -> None:
        super().__init__(api)
        self._listed = {
            f'{int(member) // 10}.{int(member) % 10}': member
            for name, member in api.ComputeCapability.__members__.items()
            if name.startswith('SM')
        }
        self.capabilities = tuple(self._listed)

    def network_flags(self) -> int:
        """None: there are no other networks."""
        return 0

    def configure(self, config: Any, capabilities: tuple[str, ...], folder: Path) -> None:
        """Prepare a build for ``capabilities``.

        Raises:
            InputError: one that the library does not build for.
        """
        for capability in capabilities:
            if capability not in self._listed:
                raise InputError(
                    f'compute capability {capability}: {self.title} builds for {", ".join(self.capabilities)}'
                )
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(self._listed[capability], index)

    def keep(self, config: Any, capabilities: tuple[str, ...], folder: Path) -> None:
        """Nothing: there are no timings."""

    def settings(self, engine: Any, plan: str, folder: Path) -> '_Settings':
        """The whole frame is launched as one CUDA graph, with kernels compiled at an earlier start."""
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = self.api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        kernels = config.create_runtime_cache()
        # The library itself refuses those of another GPU, driver or version; then it compiles them anew.
        if content := plan_cache.load_side(folder, f'kernels of {plan}'):
            kernels.deserialize(content)
        config.set_runtime_cache(kernels)
        return _Settings(config, kernels)

    def context(self, engine: Any, settings: '_Settings') -> Any:
        """An execution context with ``settings``."""
        return engine.create_execution_context(settings.config)

    def keep_kernels(self, settings: '_Settings', plan: str, folder: Path) -> None:
        """Keep the kernels that were compiled."""
        plan_cache.store_side(folder, f'kernels of {plan}', bytes(settings.kernels.serialize()))


class _Settings(NamedTuple):
    config: Any
    kernels: Any


@cache
def load_library() -> TensorRT:
    """The library that is installed; of both TensorRT, which has timed its kernels on this GPU.

    Raises:
        EngineFailedError: none is installed, or what is does not load or is too old.
    """
    for module in MODULES:
        # Without an origin it is no more than a folder, such as one of type stubs.
        if (found := find_spec(module)) and found.origin:
            with loading():
                return (TensorRT if module == 'tensorrt' else TensorRTForRTX)(import_module(module))
    raise EngineFailedError(MISSING)


MISSING = (
    'neither tensorrt nor tensorrt_rtx is installed; the one comes with JetPack, the other for RTX cards with '
    f'{how_to_install("rtx")}'
)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Turn what imports raise, where a shared library is missing, into EngineFailedError."""
    try:
        yield
    except (ImportError, OSError) as error:
        raise EngineFailedError(f'it is installed, but does not load ({error})') from error


def _logger(api: Any, errors: list[str]) -> Any:
    class Logger(api.ILogger):
        """Keeps errors for who asks why something failed; the rest goes to Python's log."""

        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR):
                errors.append(' '.join(message.split()))
            elif severity == api.ILogger.Severity.WARNING:
                log.info('%s: %s', api.__name__, message)

    return Logger()
