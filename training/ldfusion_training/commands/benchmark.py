"""``ldfusion benchmark``: latency, throughput, memory and the roofline of an engine on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from ldfusion_training.commands.options import EngineName, Precision, Size


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Time an engine on this machine.

    Prints operations, parameters, load time, latency, throughput, memory, time by stage, and how far from what the
    machine can do that is. Let nothing else run meanwhile.

    Several engines or weights are compared instead, frame by frame in turn, which needs no quiet machine.
    """

    engine: tuple[EngineName, ...] = ('auto',)
    weights: tuple[Path, ...] = ()
    """folders of weights or exported graphs; default: of the package"""
    precision: Precision = 'auto'
    threads: int = 0
    """of the processor; 0 lets the engine choose"""
    size: Size = (640, 480)
    """of the images"""
    runs: int = 100
    """frames that are timed"""
    peers: bool = False
    """also time DenseFuse, SeAFusion and IFCNN (needs PyTorch)"""
    layers: int = 0
    """list so many of the slowest layers in ONNX Runtime"""
    pairs: tuple[Path, Path] | None = None
    """folders of visible and thermal images on which results are compared with ONNX Runtime's"""
    gpu: bool = False
    """instead: all that is to be known of an NVIDIA GPU"""
    json: Path | None = None
    """write the result as JSON too"""


DEFAULTS = Benchmark()


def run(options: Benchmark = DEFAULTS) -> int:
    """Measure, print, and write what was asked for."""
    from ldfusion_models.camera.images import MINIMUM_SIZE
    from ldfusion_models.errors import InputError
    from ldfusion_training.benchmark.latency import BenchmarkConfig, run_benchmark, summary
    from ldfusion_training.report.tables import write_json

    if options.runs < 1:
        raise InputError(f'--runs {options.runs}: at least 1')
    if options.gpu:
        return _run_on_gpu(options)
    width, height = options.size
    if min(width, height) < MINIMUM_SIZE:
        raise InputError(f'--size {width}x{height}: at least {MINIMUM_SIZE} pixels each way')
    if options.layers < 0:
        raise InputError(f'--layers {options.layers}: at least 0')
    if options.threads < 0:
        raise InputError(f'--threads {options.threads}: at least 0')
    weights = options.weights or (None,)
    if len(options.engine) * len(weights) > 1:
        return _compare(options, weights)
    config = BenchmarkConfig(
        engine=options.engine[0],
        weights=weights[0],
        peers=options.peers,
        layers=options.layers,
        pairs=options.pairs,
        **_timing(options),
    )
    result = run_benchmark(config)
    if options.json:
        write_json(options.json, result)
    print(summary(result))
    return 0


def _timing(options: Benchmark) -> dict[str, Any]:
    width, height = options.size
    return {
        'threads': options.threads,
        'precision': options.precision,
        'width': width,
        'height': height,
        'runs': options.runs,
    }


def _compare(options: Benchmark, weights: tuple[Path | None, ...]) -> int:
    from ldfusion_models.errors import InputError
    from ldfusion_training.benchmark.turns import TurnsConfig, run_turns, summary
    from ldfusion_training.report.tables import write_json

    if options.peers or options.layers or options.pairs:
        raise InputError('--peers, --layers, --pairs: with one engine and one folder of weights only')
    result = run_turns(TurnsConfig(engines=options.engine, weights=weights, **_timing(options)))
    if options.json:
        write_json(options.json, result)
    print(summary(result))
    return 0


def _run_on_gpu(options: Benchmark) -> int:
    from ldfusion_training.benchmark.gpu import GpuConfig, benchmark_gpu, summary
    from ldfusion_training.report.tables import write_json

    result = benchmark_gpu(GpuConfig(runs=options.runs))
    if options.json:
        write_json(options.json, result)
    print(summary(result))
    return 0
