"""Which engine runs here: by name, or the best there is, with the reason."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.engines.base import Engine, EngineFailedError
from ldfusion_models.engines.built_engine import BuiltEngine, Report, Size
from ldfusion_models.engines.guarded_engine import GuardedEngine
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.engines.proof import Reference
from ldfusion_models.engines.tensorrt_library import MISSING, MODULES, loading
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.graph.export import data_of
from ldfusion_models.graph.info import DEPTH_SOURCES
from ldfusion_models.published.store import graph_of

if TYPE_CHECKING:
    from ldfusion_models.engines.openvino_engine import OpenVinoEngine
    from ldfusion_models.engines.torch_engine import TorchEngine

# The size of a session that only shows whether there is a GPU.
SMALL = (64, 64)
LARGE = 'it takes no graph above 2 GB; onnxruntime and torch do'
NO_DRIVER = 'no driver of a GPU is installed'
Create = Callable[[Path | None, int, str], Engine]


@dataclass(frozen=True)
class Candidate:
    """An engine that may run here.

    Attributes:
        create: makes it from weights, threads and precision.
        obstacle: says why it can't run these weights here, and the remedy; empty if it can.
        drawback: says why ``auto`` takes it only where nothing else runs; empty if there is none.
        can_fail: whether its device may fail while the program runs.
    """

    create: Create
    obstacle: Callable[[Path | None], str]
    drawback: Callable[[], str] = str
    can_fail: bool = False


def create_engine(name: str = 'auto', weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> Engine:
    """Load the frame graph into the engine called ``name``; it has proved itself on the reference pair.

    Args:
        name: a ``choices.EngineName``; ``auto`` for the best that is available here.
        weights: folder of weights or exported ``.onnx`` file; None for the weights that came with the package.
        threads: CPU threads; 0 lets the engine choose.
        precision: a ``choices.Precision``.

    Raises:
        InputError: an engine that is unknown or can't run here, or weights that are missing or damaged.
    """
    if name == 'auto':
        return _best_engine(tuple(CANDIDATES), weights, threads, precision)
    if name not in CANDIDATES:
        raise InputError(f'engine {name!r} is unknown; choose one of auto, {", ".join(CANDIDATES)}')
    if obstacle := obstacle_to(name, weights):
        raise InputError(obstacle)
    try:
        return _create_guarded(name, weights, threads, precision)
    except EngineFailedError as error:
        raise InputError(f'engine {name!r} cannot run here: {error}') from error


def obstacle_to(name: str, weights: Path | None) -> str:
    """Why the engine ``name`` can't run these weights here, and the remedy; empty if it can, or is ``auto``."""
    obstacle = '' if name == 'auto' else CANDIDATES[name].obstacle(weights)
    return f'engine {name!r} cannot run here: {obstacle}' if obstacle else ''


def prepare_engine(name: str, weights: Path | None, precision: str, size: Size, report: Report) -> None:
    """Do now what an engine would do while a stand-in serves its first frames: build TensorRT's for images of ``size``.

    Args:
        name, weights, precision: as for ``create_engine``.
        size: width and height.
        report: takes a line on how far the build is, now and then.

    Raises:
        InputError: the weights can't be used.
        EngineFailedError: TensorRT was asked for and can't run here, or the build failed.
    """
    if name == 'auto' and not CANDIDATES['tensorrt'].obstacle(weights):
        try:
            prepare_engine('tensorrt', weights, precision, size, report)
        except EngineFailedError:
            return  # then auto passes over it
    elif name == 'tensorrt' and not obstacle_to(name, weights):
        with loading():
            from ldfusion_models.engines.tensorrt_engine import Plans
        plans = Plans(weights, precision)
        size = plans.info.size or size
        if plans.load(size) is None:
            plans.build(size, report)


def build_ahead(
    weights: Path | None, precision: str, size: Size, capabilities: tuple[str, ...], folder: Path | None, report: Report
) -> Path:
    """Build TensorRT's engine to a file; see :func:`ldfusion_models.engines.tensorrt_engine.build_ahead`.

    Raises:
        InputError: what is missing, or weights, a capability or a folder that can't be used.
        EngineFailedError: the library fails, or there is no GPU where it needs one.
    """
    if obstacle := obstacle_to('tensorrt', weights):
        raise InputError(obstacle)
    with loading():
        from ldfusion_models.engines import tensorrt_engine
    return tensorrt_engine.build_ahead(weights, precision, size, capabilities, folder, report)


def _best_engine(names: Sequence[str], weights: Path | None, threads: int, precision: str) -> Engine:
    passed_over: dict[str, str] = {}

    def engine_called(name: str) -> Engine | None:
        try:
            engine = _create_guarded(name, weights, threads, precision)
        except EngineFailedError as error:
            passed_over[name] = str(error)
            return None
        others = (f'no {other}: {why}' for other, why in passed_over.items() if other != name)
        engine.reason = '; '.join(('best engine here', *others))
        return engine

    slow = []
    for name in names:
        obstacle = CANDIDATES[name].obstacle(weights)
        drawback = '' if obstacle else CANDIDATES[name].drawback()
        if obstacle or drawback:
            passed_over[name] = obstacle or drawback
            slow += [name] * bool(drawback)
        elif engine := engine_called(name):
            return engine
    # Better slow than not at all.
    for name in slow:
        if engine := engine_called(name):
            return engine
    raise InputError(f'no engine can run here ({"; ".join(f"no {name}: {why}" for name, why in passed_over.items())})')


def _create_guarded(name: str, weights: Path | None, threads: int, precision: str) -> Engine:
    candidate = CANDIDATES[name]
    engine = candidate.create(weights, threads, precision)
    if not candidate.can_fail:
        return engine
    return GuardedEngine(engine, lambda: _onnxruntime(weights, threads, 'auto'))


def _onnxruntime(weights: Path | None, threads: int, precision: str) -> Engine:
    return _prove(OnnxRuntimeEngine(weights, threads, precision), weights)


def _torch(weights: Path | None, threads: int, precision: str) -> Engine:
    with loading():
        from ldfusion_models.engines.torch_engine import TorchEngine

    return _prove(TorchEngine(weights, threads, precision), weights)


def _openvino(weights: Path | None, threads: int, precision: str) -> Engine:
    with loading():
        from ldfusion_models.engines.openvino_engine import OpenVinoEngine

        engine = OpenVinoEngine(weights, threads, precision)
    return _prove(engine, weights)


def _onnxruntime_cuda(weights: Path | None, threads: int, precision: str) -> Engine:
    from ldfusion_models.engines.onnxruntime_cuda import Sessions

    sessions = Sessions(weights, precision)
    # First what fails where there is no GPU.
    sessions.load(sessions.info.size or SMALL)
    stand_in = _onnxruntime(weights, threads, 'auto')
    return BuiltEngine(sessions, stand_in, lambda size: Reference.compute(stand_in, size))


def _tensorrt(weights: Path | None, threads: int, precision: str) -> Engine:
    with loading():
        from ldfusion_models.engines.tensorrt_engine import Plans
    # First what fails where there is no GPU.
    plans = Plans(weights, precision)
    stand_in = _best_engine([name for name in CANDIDATES if name != 'tensorrt'], weights, threads, 'auto')
    return BuiltEngine(plans, stand_in, lambda size: Reference.compute(_onnxruntime(weights, threads, 'auto'), size))


def _prove(engine: 'OnnxRuntimeEngine | OpenVinoEngine | TorchEngine', weights: Path | None) -> Engine:
    """The engine, unless a pair shows that it is wrong (EngineFailedError): the one beside the weights, or for an
    exported graph or a profile what ONNX Runtime makes of it, which is the measure itself."""
    if weights is None or (weights / 'manifest.yaml').is_file():
        engine.proof = Reference.read(weights).prove(engine, engine.library)
    elif not isinstance(engine, OnnxRuntimeEngine):
        reference = Reference.compute(OnnxRuntimeEngine(weights), engine.info.size)
        engine.proof = reference.prove(engine, engine.library)
    return engine


def _no_tensorrt(weights: Path | None) -> str:
    if _is_large(weights):
        return LARGE
    remedy = how_to_install('tensorrt')
    if all(_missing(module, '') for module in MODULES):
        return MISSING
    return _missing('cuda.bindings', remedy) or _missing('onnx', remedy)


def _no_onnxruntime_cuda(weights: Path | None) -> str:
    if obstacle := _no_onnxruntime(weights):
        return obstacle
    if _is_large(weights):
        return LARGE
    import onnxruntime

    from ldfusion_models.engines.onnxruntime_cuda import PROVIDER

    if PROVIDER not in onnxruntime.get_available_providers():
        return 'this ONNX Runtime has no CUDA; install onnxruntime-gpu in place of onnxruntime'
    return _missing('onnx', 'pip install onnx')


def _no_torch(weights: Path | None) -> str:
    if weights is not None and _is_export(weights):
        if weights.name not in {graph_of(weights, source).name for source in DEPTH_SOURCES}:
            return 'PyTorch takes a folder of weights, or what ldfusion models prepare wrote, not an exported graph'
        if missing := _missing('transformers', how_to_install('language')):
            return missing
    return _missing('torch', how_to_install('torch'))


def _no_cuda_in_torch() -> str:
    # Only to be told that it finds no device, a program would load PyTorch: seconds, and hundreds of megabytes.
    if not _has_driver():
        return NO_DRIVER
    try:
        with loading():
            import torch
    except EngineFailedError as error:
        return str(error)
    return '' if torch.cuda.is_available() else 'PyTorch finds no CUDA device'


def _has_driver() -> bool:
    """Whether NVIDIA's driver is installed, or AMD's, whose devices PyTorch calls CUDA as well."""
    try:
        ctypes.CDLL('libcuda.so.1')
    except OSError:
        return Path('/dev/kfd').exists()
    return True


def _no_openvino(weights: Path | None) -> str:
    if _is_large(weights):
        return LARGE
    remedy = how_to_install('openvino')
    return _missing('openvino', remedy) or _missing('onnx', remedy)


def _no_onnxruntime(_: Path | None) -> str:
    return _missing('onnxruntime', 'pip install onnxruntime')


def _is_export(weights: Path | None) -> bool:
    return weights is not None and weights.suffix == '.onnx'


def _is_large(weights: Path | None) -> bool:
    return weights is not None and data_of(weights).is_file()


def _missing(package: str, remedy: str) -> str:
    try:
        found = find_spec(package)
    except ModuleNotFoundError:
        found = None
    # Without an origin it is no more than a folder, such as one of type stubs.
    return '' if found and found.origin else f'the Python package {package} is not installed; {remedy}'


# In the order of preference.
CANDIDATES = {
    'tensorrt': Candidate(_tensorrt, _no_tensorrt, can_fail=True),
    'torch': Candidate(_torch, _no_torch, _no_cuda_in_torch, can_fail=True),
    'onnxruntime-cuda': Candidate(_onnxruntime_cuda, _no_onnxruntime_cuda, can_fail=True),
    'onnxruntime': Candidate(_onnxruntime, _no_onnxruntime),
    'openvino': Candidate(_openvino, _no_openvino, can_fail=True),
}
