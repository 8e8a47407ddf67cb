"""All that is to be measured where there is a GPU, in one run of under 5 minutes: ``ldfusion benchmark --gpu``.

Our engines and three published networks with random weights, each as one CUDA graph with copies of the images in and
out, frame by frame on a clock at the host; and whether TensorRT for RTX takes the card, in its own words. What is not
installed, or fails, is said and does not end the run.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_models.engines import EngineFailedError, create_engine
from ldfusion_models.engines.proof import Reference
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_training.benchmark.latency import made_inputs

WARM_UP_RUNS = 10
Size = tuple[int, int]


@dataclass(frozen=True)
class GpuConfig:
    """What to measure.

    Attributes:
        sizes: width and height of the images.
        runs: frames that are timed, of each network and size.
        engines: ours that are timed.
        device: cuda; cpu goes the same way, slowly, without CUDA graphs.
    """

    sizes: tuple[Size, ...] = ((320, 256), (640, 480), (1280, 1024))
    runs: int = 100
    engines: tuple[str, ...] = ('torch', 'onnxruntime-cuda')
    device: str = 'cuda'


def benchmark_gpu(config: GpuConfig) -> dict[str, Any]:
    """Measure.

    Returns:
        Plain values, ready for JSON: ``gpu``, ``proofs`` by engine, ``milliseconds`` by network and size (``p50`` and
        ``p95``, or why there are none), and the answers of TensorRT for RTX.

    Raises:
        InputError: PyTorch is not installed, or finds no GPU.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(f'PyTorch is not installed; {how_to_install("torch")}') from error
    if config.device == 'cuda' and not torch.cuda.is_available():
        raise InputError('PyTorch finds no CUDA device')
    from ldfusion_training.benchmark.peers import PEERS

    start = time.perf_counter()
    proofs, times = {}, {}
    for name in config.engines:
        proofs[name], times[name] = _time_engine(name, config)
    for name in PEERS:
        times[name] = {_title(size): _attempt(partial(_time_peer, name, size, config)) for size in config.sizes}
    return {
        'gpu': torch.cuda.get_device_name() if config.device == 'cuda' else 'none',
        'torch': torch.__version__,
        'proofs': proofs,
        'milliseconds': times,
        'tensorrt_rtx': answers_of_rtx(config),
        'seconds': time.perf_counter() - start,
    }


def answers_of_rtx(config: GpuConfig) -> dict[str, Any]:
    """What TensorRT for RTX says to this card: an engine for its own capability, for all listed ones, and for none."""
    try:
        from ldfusion_models.engines.cuda_buffers import Gpu
        from ldfusion_models.engines.tensorrt_library import load_library

        library = load_library()
    except (ImportError, EngineFailedError) as error:
        return {'library': str(error)}
    try:
        own: tuple[str, ...] = (Gpu.current().compute_capability,)
    except EngineFailedError as error:
        own = ('none',)
        answer = {'gpu': str(error)}
    else:
        answer = {'gpu': own[0]}
    chosen = {'its own capability': own, 'all that are listed': library.capabilities, 'none named': ()}
    answers = {name: _attempt(partial(_time_rtx, capabilities, config)) for name, capabilities in chosen.items()}
    return {'library': library.title, **answer, **answers}


def summary(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f'{result["gpu"]}, PyTorch {result["torch"]}, {result["seconds"]:.0f} s']
    lines += [f'{name}: {proof}' for name, proof in result['proofs'].items()]
    for name, sizes in result['milliseconds'].items():
        lines += [f'{name} {size}: {_in_words(times)}' for size, times in sizes.items()]
    lines += [f'TensorRT for RTX, {name}: {_in_words(answer)}' for name, answer in result['tensorrt_rtx'].items()]
    return '\n'.join(lines)


def _in_words(times: Any) -> str:
    return f'p50 {times["p50"]:.2f} ms, p95 {times["p95"]:.2f}' if isinstance(times, dict) else str(times)


def _time_engine(name: str, config: GpuConfig) -> tuple[str, dict[str, Any]]:
    try:
        engine = create_engine(name)
    except InputError as error:
        return str(error), {}

    def time_at(size: Size) -> dict[str, float]:
        inputs = made_inputs(*size, engine.info.text_dim)
        times = _timed(lambda: engine.run(**inputs), config.runs)
        if engine.name != name:
            raise EngineFailedError(engine.reason)
        return times

    times = {_title(size): _attempt(partial(time_at, size)) for size in config.sizes}
    return engine.proof, times


def _time_peer(name: str, size: Size, config: GpuConfig) -> dict[str, float]:
    import torch

    from ldfusion_models.engines.torch_engine import CapturedGraph
    from ldfusion_training.benchmark.peers import PEERS

    network = PEERS[name]().eval()
    image = torch.rand((1, 1, size[1], size[0]))
    with torch.inference_mode():
        if config.device == 'cpu':
            return _timed(lambda: network(image, image), config.runs)
        half = network.half().cuda().to(memory_format=torch.channels_last)
        inputs = image.half(), image.half()
        graph = CapturedGraph.of(lambda *images: (half(*images),), inputs)
        return _timed(lambda: list(graph.run(inputs)), config.runs)


def _time_rtx(capabilities: tuple[str, ...], config: GpuConfig) -> dict[str, float]:
    from ldfusion_models.engines.tensorrt_engine import Recipe, RunningPlan, deserialize

    size = config.sizes[0]
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(None, folder=Path(folder))
        library = recipe.library
        plan = recipe.build(size, capabilities, lambda _: None)
        engine = deserialize(library, library.api.Runtime(library.logger), plan)
        running = RunningPlan(library, engine, library.settings(engine, '', Path(folder)), size, recipe.info.text_dim)
        Reference.compute(create_engine('onnxruntime'), size).prove(running, library.title)
        inputs = made_inputs(*size, recipe.info.text_dim)
        return _timed(lambda: running.run(**inputs), config.runs)


def _attempt(measure: Callable[[], dict[str, float]]) -> dict[str, float] | str:
    """What ``measure`` gives, or why it can't, so that the rest is measured all the same."""
    try:
        return measure()
    except Exception as error:
        return str(error).partition('\n')[0] or type(error).__name__


def _timed(work: Callable[[], object], runs: int) -> dict[str, float]:
    times = []
    for _ in range(min(WARM_UP_RUNS, runs) + runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    p50, p95 = np.percentile(times[-runs:], (50, 95))
    return {'p50': float(p50), 'p95': float(p95)}


def _title(size: Size) -> str:
    return f'{size[0]}x{size[1]}'
