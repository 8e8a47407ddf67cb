"""What guidance_node costs fusion_node: ``python -m bench.guidance_cost`` prints JSON.

Cameras, fusion_node and guidance_node are processes of their own here. guidance_node is active and inactive in
turn, many times in one run, so that what else the machine does falls on both alike. Latency is from the stamp of a
pair to its fused image here.
"""

import argparse
import json
import signal
import sys
import threading
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from std_msgs.msg import String
from tqdm import tqdm

from bench.soak import NAMESPACE, NODE, START_SECONDS, Soak, start_program
from ldfusion_models.errors import InputError
from ldfusion_ros.node.inputs import latched
from ldfusion_ros.node.programs import run

GUIDANCE = f'{NAMESPACE}/guidance_node'
# Frames under way while guidance_node changes its state belong to neither.
SETTLE_SECONDS = 1.0


def measure(soak: Soak, arguments: argparse.Namespace, stopped: threading.Event) -> dict[str, Any]:
    """Take turns; returns the latencies with and without guidance."""
    captions: list[str] = []
    soak.listen(String, f'{GUIDANCE}/caption', lambda message: captions.append(message.data), latched())
    soak.plug_in(arguments.rate)
    if not soak.spin_until_fused(1, START_SECONDS):
        raise InputError('no fused frame from fusion_node')
    soak.change(Transition.TRANSITION_CONFIGURE, GUIDANCE)
    soak.spin(arguments.warm_up)
    latencies: dict[str, list[float]] = {'without': [], 'with': []}
    turns = [(round_, mode) for round_ in range(arguments.rounds) for mode in latencies]
    for round_, mode in tqdm(turns, desc='guidance', unit='turn', disable=None):
        if mode == 'with':
            soak.change(Transition.TRANSITION_ACTIVATE, GUIDANCE)
        elif round_ > 0:
            soak.change(Transition.TRANSITION_DEACTIVATE, GUIDANCE)
        soak.spin(SETTLE_SECONDS)
        soak.observed.latencies.clear()
        if not soak.spin(arguments.seconds) and stopped.is_set():
            raise InputError('stopped before its end')
        latencies[mode] += soak.observed.latencies
    return {
        'pairs_per_second': arguments.rate,
        'rounds': arguments.rounds,
        'seconds_per_turn': arguments.seconds,
        'captions': len([text for text in captions if text]),
        **{f'{mode}_guidance': summary(values) for mode, values in latencies.items()},
    }


def summary(latencies: list[float]) -> dict[str, float]:
    """Frames, and percentiles of their latency in milliseconds."""
    values = {f'p{q}_ms': round(1e3 * float(np.percentile(latencies or [np.nan], q)), 1) for q in (50, 95, 99)}
    return {'frames': len(latencies), **values}


def make_parser() -> argparse.ArgumentParser:
    """Arguments of the program."""
    parser = argparse.ArgumentParser('guidance_cost', description=__doc__)
    parser.add_argument('--rounds', type=int, default=6, help='turns with and without guidance')
    parser.add_argument('--seconds', type=float, default=15.0, help='of each turn')
    parser.add_argument('--warm-up', type=float, default=10.0, help='seconds before')
    parser.add_argument('--rate', type=float, default=3.0, help='pairs per second')
    parser.add_argument('--width', type=int, default=640, help='of the images, in pixels')
    parser.add_argument('--height', type=int, default=480, help='of the images, in pixels')
    parser.add_argument('--engine', default='auto', help='of fusion_node')
    parser.add_argument('--threads', type=int, default=0, help='of the engine; 0 lets it choose')
    parser.add_argument('--weights', default='', help='of guidance_node; default: those of the package')
    parser.set_defaults(cycles=0)
    return parser


def main() -> int:
    """Run and print the report."""
    report: dict[str, Any] = {}

    def work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
        soak = Soak(arguments, stopped)
        remapping = ('-r', f'__ns:={NAMESPACE}', '-r', f'~/text_embedding:={NODE}/text_embedding')
        settings = ['-p', 'autostart:=false']
        if arguments.weights:
            settings += ['-p', f'weights:={arguments.weights}']
        guidance = start_program(
            'ldfusion_ros.guidance_node', '--ros-args', *remapping, '--log-level', 'warn', *settings
        )
        try:
            report.update(measure(soak, arguments, stopped))
        finally:
            guidance.send_signal(signal.SIGKILL)
            guidance.wait()
            soak.close()

    if code := run('guidance_cost', make_parser(), work):
        return code
    print(json.dumps(report, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
