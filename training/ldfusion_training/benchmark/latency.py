"""How fast an engine runs the frame graph on this machine, and how far that is from what the machine can do."""

import os
import platform
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ldfusion_models.engines import Engine, create_engine
from ldfusion_models.engines.stages import Staged
from ldfusion_models.graph.manifest import read_initializers, read_manifest
from ldfusion_training.benchmark.agreement import measure_agreement
from ldfusion_training.benchmark.graph_profile import Layer, count_gflop, milliseconds_by_stage, profile_layers
from ldfusion_training.benchmark.machine_rates import MachineRates, measure_cpu, measure_cuda

LONGEST_BUILD_S = 3600.0
FRAMES_STAGED = 5
PEERS_TIMED = ('DenseFuse', 'SeAFusion', 'IFCNN')


@dataclass(frozen=True, kw_only=True)
class TimingConfig:
    """How frames are timed.

    Attributes:
        threads, precision: as for ``create_engine``.
        width, height: size of the images.
        runs: frames that are timed.
        warm_up: frames before them.
    """

    threads: int = 0
    precision: str = 'auto'
    width: int = 640
    height: int = 480
    runs: int = 100
    warm_up: int = 5


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(TimingConfig):
    """What to measure.

    Attributes:
        engine, weights: as for ``create_engine``.
        peers: also time published networks, in ONNX Runtime.
        layers: how many of the slowest layers to list, as ONNX Runtime runs them.
        pairs: visible and thermal images on which results are compared with ONNX Runtime's; None: they aren't.
    """

    engine: str = 'auto'
    weights: Path | None = None
    peers: bool = False
    pairs: tuple[Path, Path] | None = None
    layers: int = 0


def run_benchmark(config: BenchmarkConfig) -> dict[str, Any]:
    """Measure; progress goes to stderr.

    Returns:
        Plain values, ready for JSON; times in milliseconds unless the name says otherwise.

    Raises:
        InputError: the engine or the weights can't be used.
    """
    start = time.perf_counter()
    engine = create_engine(config.engine, config.weights, config.threads, config.precision)
    load_s = time.perf_counter() - start
    inputs = made_inputs(config.width, config.height, engine.info.text_dim)
    first_run = _time_frame(engine, inputs)
    wait_for_build(engine, inputs)
    for _ in range(config.warm_up):
        engine.run(**inputs)
    times = [
        _time_frame(engine, inputs) for _ in tqdm(range(config.runs), desc=engine.name, unit='frame', disable=None)
    ]
    # Before the profile and the rates, which need memory of their own.
    peak_memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    p50, p95, p99 = np.percentile(times, (50, 95, 99))
    peers = {name: time_peer(name, config) for name in PEERS_TIMED} if config.peers else {}
    layers = profile_layers(config.weights, inputs, config.threads)
    rates = measure_cuda() if engine.device == 'cuda' else measure_cpu(config.threads)
    return {
        'engine': engine.name,
        'device': engine.device,
        'precision': engine.precision,
        'reason': engine.reason,
        'weights': engine.info.weights_id,
        'machine': machine(),
        'width': config.width,
        'height': config.height,
        'threads': config.threads,
        'runs': config.runs,
        'parameters': count_parameters(config.weights),
        'gflop': count_gflop(config.weights, inputs),
        'load_s': load_s,
        'first_run': first_run,
        'latency': {'p50': p50, 'p95': p95, 'p99': p99, 'mean': float(np.mean(times))},
        'frames_per_s': 1e3 / float(np.mean(times)),
        'peak_memory_mib': peak_memory_mib,
        'stages': stages_of(engine, inputs, layers),
        'layers': slowest(layers, config.layers),
        'roofline': roofline(layers, rates, p50) if rates else None,
        'peers_p50': peers,
        'proof': engine.proof,
        'agreement': agreement_on(config.pairs, engine, config.weights) if config.pairs else None,
    }


def agreement_on(pairs: tuple[Path, Path], engine: Engine, weights: Path | None) -> dict[str, Any]:
    """How far the engine is from ONNX Runtime on images, in numbers and in words."""
    deviation = measure_agreement(engine, *pairs, weights)
    return {**asdict(deviation), 'agrees': deviation.is_tolerable, 'words': str(deviation)}


def time_peer(name: str, config: BenchmarkConfig) -> float:
    """Median time of a frame of a published network in ONNX Runtime, in milliseconds; fusion of luminance alone."""
    import onnxruntime

    from ldfusion_training.benchmark.peers import onnx_of_peer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.threads or len(os.sched_getaffinity(0))
    content = onnx_of_peer(name, config.width, config.height)
    session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    image = np.random.default_rng(0).random((1, 1, config.height, config.width), np.float32)
    times = []
    for _ in tqdm(range(1 + max(1, config.runs // 5)), desc=name, unit='frame', disable=None):
        start = time.perf_counter()
        session.run(None, {'visible': image, 'thermal': image})
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times[1:]))


def stages_of(engine: Engine, inputs: dict[str, npt.NDArray[Any]], layers: list[Layer]) -> dict[str, float]:
    """Milliseconds by stage: what the engine itself says, or the profile of ONNX Runtime (``layers``)."""
    serving: object = engine
    while hasattr(serving, 'serving'):
        serving = serving.serving
    if not isinstance(serving, Staged):
        return milliseconds_by_stage(layers)
    frames = [serving.stage_times(**inputs) for _ in range(FRAMES_STAGED + 1)][1:]
    return {stage: float(np.median([frame[stage] for frame in frames])) for stage in frames[0]}


def slowest(layers: list[Layer], count: int) -> list[dict[str, Any]]:
    """The ``count`` layers that take longest, and their rate of arithmetic: 0 but for convolutions and products."""
    ordered = sorted(layers, key=lambda layer: -layer.milliseconds)[:count]
    return [
        {
            'name': layer.name,
            'operator': layer.operator,
            'milliseconds': layer.milliseconds,
            'gflop_per_s': layer.flop / layer.milliseconds / 1e6,
        }
        for layer in ordered
    ]


def roofline(layers: list[Layer], rates: MachineRates, latency: float) -> dict[str, Any]:
    """The time that arithmetic and memory traffic need at the machine's measured rates.

    Args:
        layers: of one frame.
        rates: of the machine.
        latency: measured, in milliseconds.

    Returns:
        ``arithmetic`` and ``traffic`` in milliseconds, the latter as if no layer found its input in a cache; ``floor``:
        the longer of both; ``times_floor``: the measured latency over it.
    """
    arithmetic = sum(layer.flop for layer in layers) / rates.gflop_per_s / 1e6
    traffic = sum(layer.bytes for layer in layers) / rates.gb_per_s / 1e6
    floor = max(arithmetic, traffic)
    return {
        **asdict(rates),
        'arithmetic': arithmetic,
        'traffic': traffic,
        'floor': floor,
        'times_floor': latency / floor,
    }


def count_parameters(weights: Path | None) -> int | None:
    """Numbers that the frame graph is made of; None for an exported file."""
    if weights is not None and weights.suffix == '.onnx':
        return None
    return sum(value.size for value in read_initializers(read_manifest(weights)).values())


def machine() -> str:
    """Processor and operating system in a few words."""
    lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').is_file() else []
    model = next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), '')
    return f'{model or platform.machine()}, {platform.system()} {platform.release()}'


def summary(result: dict[str, Any]) -> str:
    """The result for people."""
    latency, line = result['latency'], result['roofline']
    stages = ', '.join(f'{stage} {time:.2f}' for stage, time in result['stages'].items())
    parameters = f'{result["parameters"] / 1e6:.2f} M parameters, ' if result['parameters'] else ''
    lines = [f'{name}, fusion alone, in ONNX Runtime: p50 {p50:.1f} ms' for name, p50 in result['peers_p50'].items()]
    lines += [
        '{milliseconds:7.2f} ms {gflop_per_s:5.0f} GFLOP/s  {operator} {name}'.format(**layer)
        for layer in result['layers']
    ]
    if result['agreement']:
        lines.append(f'beside ONNX Runtime: {result["agreement"]["words"]}')
    return '\n'.join(
        (
            f'{result["engine"]} ({result["precision"]}) on {result["device"]}: {result["machine"]}',
            f'{result["width"]}x{result["height"]}: {parameters}{result["gflop"]:.1f} GFLOP',
            f'load {result["load_s"]:.2f} s, first frame {result["first_run"]:.1f} ms',
            result['proof'] or 'not proved: an exported file',
            f'latency p50 {latency["p50"]:.1f} ms, p95 {latency["p95"]:.1f}, p99 {latency["p99"]:.1f} '
            f'over {result["runs"]} frames; {result["frames_per_s"]:.1f} frames/s',
            f'peak memory {result["peak_memory_mib"]:.0f} MiB',
            f'stages, ms: {stages}',
            _roofline_in_words(line) if line else 'no roofline: it needs PyTorch on this device',
            *lines,
        )
    )


def _roofline_in_words(line: dict[str, Any]) -> str:
    return (
        f'roofline: {line["gflop_per_s"]:.0f} GFLOP/s, {line["gb_per_s"]:.1f} GB/s ({line["method"]}): arithmetic '
        f'{line["arithmetic"]:.1f} ms, traffic {line["traffic"]:.1f} ms, floor {line["floor"]:.1f} ms; '
        f'measured {line["times_floor"]:.2f} times the floor'
    )


def made_inputs(width: int, height: int, text_dim: int) -> dict[str, npt.NDArray[Any]]:
    """Noise without text for an engine."""
    generator = np.random.default_rng(0)
    return {
        'visible': generator.integers(0, 256, (1, height, width, 3), np.uint8),
        'thermal': generator.integers(0, 256, (1, height, width, 1), np.uint8),
        'text': np.zeros((1, text_dim), np.float32),
    }


def _time_frame(engine: Engine, inputs: dict[str, npt.NDArray[Any]]) -> float:
    start = time.perf_counter()
    engine.run(**inputs)
    return (time.perf_counter() - start) * 1e3


def wait_for_build(engine: Engine, inputs: dict[str, npt.NDArray[Any]]) -> None:
    """TensorRT builds in the background while another engine stands in; measure what comes after."""
    deadline = time.monotonic() + LONGEST_BUILD_S
    while 'is being built' in engine.reason and time.monotonic() < deadline:
        time.sleep(1.0)
        engine.run(**inputs)
