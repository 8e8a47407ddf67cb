"""Which engine runs here: by name, or the best there is, with the reason."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import Engine, EngineFailedError, FrameOutput
from ldfusion_models.engines.built_engine import BuiltEngine
from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo

if TYPE_CHECKING:
    from ldfusion_models.engines.tensorrt_engine import Plans

Create = Callable[[Path | None, int, str], Engine]


@dataclass(frozen=True)
class Candidate:
    """An engine that may run here.

    Attributes:
        create: makes it from weights, threads and precision.
        obstacle: says why it can't run these weights here, and the remedy; empty if it can.
        drawback: says why ``auto`` passes over it although it can run; empty if it doesn't.
        can_fail: whether its device may fail while the program runs.
    """

    create: Create
    obstacle: Callable[[Path | None], str]
    drawback: Callable[[], str] = str
    can_fail: bool = False


def create_engine(name: str = 'auto', weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> Engine:
    """Load the frame graph into the engine called ``name``.

    Args:
        name: one of ``ENGINES``, or ``auto`` for the best that is available here.
        weights: folder of weights or exported ``.onnx`` file; None for the weights that came with the package.
        threads: CPU threads; 0 lets the engine choose.
        precision: one of ``PRECISIONS``, or ``auto`` for what the engine does best with these weights.

    Raises:
        InputError: an engine that is unknown or can't run here, or weights that are missing or damaged.
    """
    if name == 'auto':
        return _best_engine(weights, threads, precision)
    if name not in CANDIDATES:
        raise InputError(f'engine {name!r} is unknown; choose one of auto, {", ".join(CANDIDATES)}')
    if obstacle := obstacle_to(name, weights):
        raise InputError(obstacle)
    try:
        return _guarded(name, weights, threads, precision)
    except EngineFailedError as error:
        raise InputError(f'engine {name!r} cannot run here: {error}') from error


def build_tensorrt(weights: Path | None, precision: str, size: tuple[int, int], report: Callable[[str], None]) -> Path:
    """Build TensorRT's engine for images of ``size`` (width, height) into the cache folder.

    Args:
        weights, precision: as for ``create_engine``.
        size: of the images.
        report: takes a line on how far the build is, now and then.

    Raises:
        InputError: TensorRT can't run here, or the weights can't be used.
        EngineFailedError: there is no GPU, or the build failed.
    """
    if obstacle := obstacle_to('tensorrt', weights):
        raise InputError(obstacle)
    return _plans(weights, precision).build(size, report)


def obstacle_to(name: str, weights: Path | None) -> str:
    """Why the engine ``name`` can't run these weights here, and the remedy; empty if it can, or is ``auto``."""
    obstacle = '' if name == 'auto' else CANDIDATES[name].obstacle(weights)
    return f'engine {name!r} cannot run here: {obstacle}' if obstacle else ''


def prepare_engine(
    name: str, weights: Path | None, precision: str, size: tuple[int, int], report: Callable[[str], None]
) -> None:
    """Do now what an engine would do while a stand-in serves its first frames: build TensorRT's for images of ``size``.

    Arguments and errors are those of :func:`build_tensorrt`; nothing is done for other engines, or where it is built.
    """
    if name == 'auto' and not CANDIDATES['tensorrt'].obstacle(weights):
        try:
            prepare_engine('tensorrt', weights, precision, size, report)
        except EngineFailedError:
            return  # then auto passes over it
    elif name == 'tensorrt' and not obstacle_to(name, weights):
        plans = _plans(weights, precision)
        size = plans.info.size or size
        if plans.load(size) is None:
            plans.build(size, report)


def _best_engine(weights: Path | None, threads: int, precision: str) -> Engine:
    passed_over: list[str] = []
    for name, candidate in CANDIDATES.items():
        obstacle = candidate.obstacle(weights) or candidate.drawback()
        if not obstacle:
            try:
                engine = _guarded(name, weights, threads, precision)
            except EngineFailedError as error:
                obstacle = str(error)
            else:
                engine.reason = '; '.join(('best engine here', *passed_over))
                return engine
        passed_over.append(f'no {name}: {obstacle}')
    raise InputError(f'no engine can run here ({"; ".join(passed_over)})')


def _guarded(name: str, weights: Path | None, threads: int, precision: str) -> Engine:
    candidate = CANDIDATES[name]
    engine = candidate.create(weights, threads, precision)
    if not candidate.can_fail:
        return engine
    return GuardedEngine(engine, lambda: _onnxruntime(weights, threads, 'auto'))


class GuardedEngine:
    """Runs an engine until its device fails, and a stand-in from then on."""

    def __init__(self, engine: Engine, make_stand_in: Callable[[], Engine]) -> None:
        self._engine = engine
        self._make_stand_in = make_stand_in

    @property
    def serving(self) -> Engine:
        """The engine that runs now."""
        return self._engine

    @property
    def name(self) -> str:
        """Its name."""
        return self._engine.name

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """What it rounds to."""
        return self._engine.precision

    @property
    def reason(self) -> str:
        """Why it runs."""
        return self._engine.reason

    @reason.setter
    def reason(self, words: str) -> None:
        self._engine.reason = words

    @property
    def info(self) -> GraphInfo:
        """Facts about the graph."""
        return self._engine.info

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        try:
            return self._engine.run(visible, thermal, text)
        except EngineFailedError as error:
            words = f'{self.name} failed: {error}'
            self._engine = self._make_stand_in()
            self.reason = words
            logging.getLogger(__name__).warning('%s; %s takes over', self.reason, self._engine.name)
            return self._engine.run(visible, thermal, text)


def _onnxruntime(weights: Path | None, threads: int, precision: str) -> Engine:
    from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(weights, threads, precision)


def _torch(weights: Path | None, threads: int, precision: str) -> Engine:
    with _loading():
        from ldfusion_models.engines.torch_engine import TorchEngine

    return TorchEngine(weights, threads, precision)


def _tensorrt(weights: Path | None, threads: int, precision: str) -> Engine:
    # First what fails where there is no GPU.
    plans = _plans(weights, precision)
    return BuiltEngine(plans, _stand_in_for_tensorrt(weights, threads))


def _plans(weights: Path | None, precision: str) -> 'Plans':
    with _loading():
        from ldfusion_models.engines.tensorrt_engine import Plans

    return Plans(weights, precision)


def _stand_in_for_tensorrt(weights: Path | None, threads: int) -> Engine:
    is_torch_better = not (_no_torch(weights) or _no_cuda_in_torch())
    return (_torch if is_torch_better else _onnxruntime)(weights, threads, 'auto')


def _no_tensorrt(_: Path | None) -> str:
    return (
        _missing('tensorrt', 'it comes with JetPack, and elsewhere from NVIDIA')
        or _missing('cuda.bindings', "pip install 'ldfusion_ros[tensorrt]'")
        or _missing('onnx', "pip install 'ldfusion_ros[tensorrt]'")
    )


def _no_torch(weights: Path | None) -> str:
    if weights is not None and weights.suffix == '.onnx':
        return 'PyTorch takes a folder of weights, not an exported graph'
    return _missing('torch', "pip install 'ldfusion_ros[torch]'")


def _no_cuda_in_torch() -> str:
    try:
        with _loading():
            import torch
    except EngineFailedError as error:
        return str(error)
    return '' if torch.cuda.is_available() else 'PyTorch finds no CUDA device'


def _no_onnxruntime(_: Path | None) -> str:
    return _missing('onnxruntime', 'pip install onnxruntime')


def _missing(package: str, remedy: str) -> str:
    try:
        found = find_spec(package)
    except ModuleNotFoundError:
        found = None
    # Without an origin it is no more than a folder, such as one of type stubs.
    return '' if found and found.origin else f'the Python package {package} is not installed; {remedy}'


@contextmanager
def _loading() -> Iterator[None]:
    """Turn what imports raise, where a shared library is missing, into EngineFailedError."""
    try:
        yield
    except (ImportError, OSError) as error:
        raise EngineFailedError(f'it is installed, but does not load ({error})') from error


# In the order of preference.
CANDIDATES = {
    'tensorrt': Candidate(_tensorrt, _no_tensorrt, can_fail=True),
    'torch': Candidate(_torch, _no_torch, _no_cuda_in_torch, can_fail=True),
    'onnxruntime': Candidate(_onnxruntime, _no_onnxruntime),
}
ENGINES = tuple(CANDIDATES)
