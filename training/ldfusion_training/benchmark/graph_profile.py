"""What the frame graph costs, layer by layer: ONNX Runtime's own profile of a few frames on the CPU."""

import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.onnxruntime_engine import open_session
from ldfusion_models.engines.stages import no_time, stage_of

MOVES_NOTHING = frozenset({'Shape', 'Reshape', 'Squeeze', 'Unsqueeze', 'Gather'})


@dataclass(frozen=True)
class Layer:
    """One layer of the graph that ran.

    Attributes:
        name, operator: as ONNX Runtime calls it.
        stage: features, fusion, depth, or images and layouts.
        milliseconds: median over the frames.
        flop: operations of convolutions and matrix products, 2 per multiply-add; 0 for everything else.
        bytes: inputs, weights and outputs, each once.
    """

    name: str
    operator: str
    stage: str
    milliseconds: float
    flop: int
    bytes: int


def profile_layers(weights: Path | None, inputs: dict[str, npt.NDArray[Any]], threads: int) -> list[Layer]:
    """Profile five frames after one to warm up, as the engine ``onnxruntime`` runs them.

    Raises:
        InputError: weights missing or damaged.
    """
    import onnxruntime

    return _profile(weights, inputs, threads, 5, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)


def count_gflop(weights: Path | None, inputs: dict[str, npt.NDArray[Any]]) -> float:
    """Billions of operations of convolutions and matrix products per frame, 2 per multiply-add.

    Counted from the shapes that a frame has on its way through the graph as it was traced: optimized, ONNX
    Runtime computes a few per cent more, for it fills channels up to the processor's vector length.

    Raises:
        InputError: weights missing or damaged.
    """
    import onnxruntime

    layers = _profile(weights, inputs, 0, 1, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return sum(layer.flop for layer in layers) / 1e9


def milliseconds_by_stage(layers: Iterable[Layer]) -> dict[str, float]:
    """Time per frame and stage."""
    times = no_time()
    for layer in layers:
        times[layer.stage] += layer.milliseconds
    return times


def _profile(
    weights: Path | None, inputs: dict[str, npt.NDArray[Any]], threads: int, frames: int, level: Any
) -> list[Layer]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        options.graph_optimization_level = level
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / 'profile')
        session, _ = open_session(weights, options)
        for _ in range(frames + 1):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text())
    runs = defaultdict(list)
    for event in events:
        if event.get('cat') == 'Node' and event['name'].endswith('_kernel_time'):
            runs[event['args']['node_index']].append(event)
    return [_layer(events_of_node[1:]) for events_of_node in runs.values()]


def _layer(events: list[dict[str, Any]]) -> Layer:
    event = events[0]
    described = event['args']
    operator = described['op_name']
    moved = sum(int(described[size]) for size in ('activation_size', 'parameter_size', 'output_size'))
    return Layer(
        name=str(event['name']).removesuffix('_kernel_time'),
        operator=operator,
        stage=stage_of(event['name']),
        milliseconds=float(np.median([event['dur'] for event in events])) / 1e3,
        flop=_flop(operator, _shapes(described['input_type_shape']), _shapes(described['output_type_shape'])),
        bytes=0 if operator in MOVES_NOTHING else moved,
    )


def _shapes(described: list[dict[str, list[int]]]) -> list[list[int]]:
    return [shape for entry in described for shape in entry.values()]


def _flop(operator: str, inputs: list[list[int]], outputs: list[list[int]]) -> int:
    if operator in ('Conv', 'FusedConv'):
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if operator in ('Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul'):
        return 2 * math.prod(outputs[0]) * inputs[0][-1]
    return 0
