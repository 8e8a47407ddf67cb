"""Engines and weights side by side, frame by frame in turn: on a machine whose speed changes, only that compares."""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ldfusion_models.engines import create_engine
from ldfusion_training.benchmark.latency import TimingConfig, machine, made_inputs, wait_for_build

# After a frame an engine's threads look for work for a while; that would be at the cost of whose turn is next.
PAUSE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class TurnsConfig(TimingConfig):
    """What to compare: each engine with each of the weights."""

    engines: tuple[str, ...]
    weights: tuple[Path | None, ...]


def run_turns(config: TurnsConfig) -> dict[str, Any]:
    """Time all of them; progress goes to stderr.

    Returns:
        Plain values, ready for JSON. Each of ``contenders`` has ``latency`` (milliseconds, ``p50`` and ``p95``), the
        median ``processor`` time of all its threads (milliseconds), and both medians relative to the first contender's.

    Raises:
        InputError: an engine or weights can't be used.
    """
    pairs = list(itertools.product(config.engines, config.weights))
    engines = [create_engine(name, weights, config.threads, config.precision) for name, weights in pairs]
    inputs = made_inputs(config.width, config.height, engines[0].info.text_dim)
    for engine in engines:
        wait_for_build(engine, inputs)
    times = np.zeros((config.warm_up + config.runs, len(engines), 2))
    for row in tqdm(times, desc='in turn', unit='frame', disable=None):
        for engine, cell in zip(engines, row, strict=True):
            time.sleep(PAUSE_S)
            start, processor = time.perf_counter(), time.process_time()
            engine.run(**inputs)
            cell[:] = time.perf_counter() - start, time.process_time() - processor
    measured = times[config.warm_up :] * 1e3
    p50, p95 = np.percentile(measured, (50, 95), axis=0)
    contenders = [
        {
            'engine': engine.name,
            'library': engine.library,
            'weights': str(weights) if weights else 'of the package',
            'weights_id': engine.info.weights_id,
            'latency': {'p50': float(p50[index, 0]), 'p95': float(p95[index, 0])},
            'processor': float(p50[index, 1]),
            'relative_latency': float(p50[index, 0] / p50[0, 0]),
            'relative_processor': float(p50[index, 1] / p50[0, 1]),
        }
        for index, (engine, (_, weights)) in enumerate(zip(engines, pairs, strict=True))
    ]
    size = {'width': config.width, 'height': config.height}
    return {'machine': machine(), **size, 'threads': config.threads, 'runs': config.runs, 'contenders': contenders}


def summary(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f'{result["width"]}x{result["height"]}, {result["runs"]} frames in turn: {result["machine"]}']
    for each in result['contenders']:
        latency = each['latency']
        lines.append(
            f'{each["library"]}, weights {each["weights"]} ({each["weights_id"]}): p50 {latency["p50"]:.1f} ms, '
            f'p95 {latency["p95"]:.1f}, processor {each["processor"]:.1f} ms; relative to the first '
            f'{each["relative_latency"]:.3f}, processor {each["relative_processor"]:.3f}'
        )
    return '\n'.join(lines)
