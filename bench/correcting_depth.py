"""What a published depth network costs beside the frames: ``python -m bench.correcting_depth`` prints JSON.

Depth Anything V2 Small at its full size, with random weights: as an exported graph beside transformers' own pipeline,
image by image in turn; and as ``correcting_depth`` of fusion_node, which gets more pairs than it can fuse, in turn with
it and without. What else the machine does falls on both alike.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lifecycle_msgs.msg import Transition

from bench.soak import START_SECONDS, Soak
from ldfusion_models.engines.onnxruntime_engine import session_options
from ldfusion_models.errors import InputError
from ldfusion_models.graph.published_depth_graph import DepthInGraph
from ldfusion_models.networks.published_depth import PublishedDepth
from ldfusion_models.rig.pipeline import size_of_inference
from ldfusion_ros.node.programs import run
from ldfusion_training.benchmark.published_cost import read_architectures
from ldfusion_training.cli import main as ldfusion

# Of the images that the network sees, and that it reads at 518x392.
LONGEST = 518
# With random weights it says about half of it everywhere: near enough to the package's own depth to correct it.
FARTHEST = 5
# Frames under way while the node changes its state belong to neither.
SETTLE_SECONDS = 2.0


def write_network(folder: Path) -> None:
    """The network and its processor as the hub has them."""
    from transformers import DPTImageProcessor

    torch.manual_seed(0)
    small = next(each for each in read_architectures() if 'Small' in each.models[0])
    replace(small, config={**small.config, 'max_depth': FARTHEST}).make().save_pretrained(folder)
    size = {'height': LONGEST, 'width': LONGEST}
    DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)


def compare_export(folder: Path, size: tuple[int, int], threads: int, images: int) -> dict[str, float]:
    """Medians of an image of ``size``, exported in ONNX Runtime and by transformers' pipeline: milliseconds, and those
    of all threads together."""
    import onnxruntime
    from PIL import Image
    from transformers import pipeline

    torch.set_num_threads(threads)
    width, height = size
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    planes = torch.from_numpy(levels.transpose(2, 0, 1)[None].astype(np.float32))
    graph = DepthInGraph(PublishedDepth.load(str(folder)), size)
    file = str(folder / 'depth.onnx')
    with warnings.catch_warnings():
        # The tracer warns of every shape it reads.
        warnings.simplefilter('ignore')
        torch.onnx.export(graph, (planes,), file, input_names=['image'], opset_version=17, dynamo=False)
    session = onnxruntime.InferenceSession(file, session_options(threads))
    estimate, picture = pipeline('depth-estimation', model=str(folder)), Image.fromarray(levels)
    ways: dict[str, Callable[[], Any]] = {
        'onnxruntime': lambda: session.run(None, {'image': planes.numpy()}),
        'transformers': lambda: estimate(picture),
    }
    times = np.zeros((images + 1, len(ways), 2))
    for row in times:
        for cell, way in zip(row, ways.values(), strict=True):
            start, processor = time.perf_counter(), time.process_time()
            way()
            cell[:] = time.perf_counter() - start, time.process_time() - processor
    of_clock, of_processor = np.median(times[1:], axis=0).T * 1e3
    return {
        **{f'{name}_ms': round(value, 1) for name, value in zip(ways, of_clock, strict=True)},
        **{f'{name}_processor_ms': round(value, 1) for name, value in zip(ways, of_processor, strict=True)},
        'ratio': round(of_clock[0] / of_clock[1], 3),
        'processor_ratio': round(of_processor[0] / of_processor[1], 3),
    }


def compare_rates(soak: Soak, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Frames per second of the node without and with the network beside it, and per second of its processor time."""
    soak.plug_in(arguments.rate)
    frames, used = (dict.fromkeys(('without', 'with'), 0.0) for _ in range(2))
    ages: list[str] = []
    for _ in range(arguments.rounds):
        for mode in frames:
            soak.set('correcting_depth', str(folder) if mode == 'with' else '')
            soak.change(Transition.TRANSITION_CONFIGURE)
            soak.change(Transition.TRANSITION_ACTIVATE)
            if not soak.spin_until_fused(1, START_SECONDS):
                raise InputError('no fused frame from fusion_node')
            soak.spin(SETTLE_SECONDS)
            soak.observed.latencies.clear()
            before = soak.processor_seconds
            soak.spin(arguments.seconds)
            frames[mode] += len(soak.observed.latencies)
            used[mode] += soak.processor_seconds - before
            if mode == 'with':
                ages.append(soak.observed.values.get('correcting depth', '').rpartition(': ')[2])
            soak.change(Transition.TRANSITION_DEACTIVATE)
            soak.change(Transition.TRANSITION_CLEANUP)
    seconds = dict.fromkeys(frames, arguments.rounds * arguments.seconds)
    report: dict[str, Any] = {}
    for prefix, each in (('', seconds), ('processor_', used)):
        rates = {mode: count / each[mode] for mode, count in frames.items()}
        report[f'fused_per_{prefix}second'] = {mode: round(rate, 3) for mode, rate in rates.items()}
        report[f'{prefix}ratio'] = round(rates['with'] / rates['without'], 3)
    return {**report, 'age_at_the_end_of_turns': ages}


def make_parser() -> argparse.ArgumentParser:
    """Arguments of the program."""
    parser = argparse.ArgumentParser('correcting_depth', description=__doc__)
    parser.add_argument('--images', type=int, default=5, help='of the comparison with transformers; 0: none')
    parser.add_argument('--rounds', type=int, default=4, help='turns of the node; 0: none')
    parser.add_argument('--seconds', type=float, default=15.0, help='of each turn')
    parser.add_argument('--rate', type=float, default=20.0, help='pairs per second, more than the node can fuse')
    parser.add_argument('--width', type=int, default=640, help='of the images, in pixels')
    parser.add_argument('--height', type=int, default=480, help='of the images, in pixels')
    parser.add_argument('--threads', type=int, default=2, help='of both engines of the comparison, and of the node')
    parser.set_defaults(engine='onnxruntime', cycles=1)
    return parser


def main() -> int:
    """Run and print the report."""
    report: dict[str, Any] = {}

    def work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
        size = size_of_inference(arguments.width, arguments.height, LONGEST)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / 'network'
            write_network(folder)
            if arguments.images:
                report['export'] = compare_export(folder, size, arguments.threads, arguments.images)
                print(json.dumps(report['export']), file=sys.stderr)
            if not arguments.rounds:
                return
            if ldfusion(['models', 'prepare', str(folder), '--size', f'{size[0]}x{size[1]}']):
                raise InputError('the network cannot be prepared')
            soak = Soak(arguments, stopped)
            try:
                report['node'] = compare_rates(soak, folder, arguments)
            finally:
                soak.close()

    if code := run('correcting_depth', make_parser(), work):
        return code
    print(json.dumps(report, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
