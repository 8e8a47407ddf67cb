"""``ldfusion benchmark``: latency, throughput, memory and the roofline of an engine on this machine."""

from pathlib import Path
from typing import Any

from ldfusion_models.choices import MINIMUM_SIZE
from ldfusion_models.errors import InputError
from ldfusion_training.benchmark import gpu, latency, turns
from ldfusion_training.options.benchmark import Benchmark
from ldfusion_training.report.tables import show_report


def run_benchmark(options: Benchmark) -> int:
    """Measure, print, and write what was asked for."""
    if options.runs < 1:
        raise InputError(f'--runs {options.runs}: at least 1')
    if options.gpu:
        result = gpu.benchmark_gpu(gpu.GpuConfig(runs=options.runs))
        show_report(gpu.summary(result), result, options.json)
        return 0
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
    config = latency.BenchmarkConfig(
        engine=options.engine[0],
        weights=weights[0],
        peers=options.peers,
        layers=options.layers,
        pairs=options.pairs,
        **_timing(options),
    )
    result = latency.run_benchmark(config)
    show_report(latency.summary(result), result, options.json)
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
    if options.peers or options.layers or options.pairs:
        raise InputError('--peers, --layers, --pairs: with one engine and one folder of weights only')
    result = turns.run_turns(turns.TurnsConfig(engines=options.engine, weights=weights, **_timing(options)))
    show_report(turns.summary(result), result, options.json)
    return 0
