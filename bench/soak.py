"""Lets fusion_node run for long and measures it from outside: ``python -m bench.soak`` prints JSON.

The node and the cameras are processes of their own; the cameras are killed and started again now and then. With
``--overload`` they send at five times the rate that the engine manages, then at half of it. ``--cycles`` leads the node
through its lifecycle instead. Exit code 1 if a limit is not kept.
"""

import argparse
import json
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from tqdm import tqdm

from ldfusion_models.errors import InputError
from ldfusion_ros.node.inputs import sensor_data
from ldfusion_ros.node.programs import run

NAMESPACE = '/soak'
NODE = f'{NAMESPACE}/fusion_node'
START_SECONDS = 120.0
OVERLOAD = 5.0
PAUSE_SECONDS = 1.0
# After an overload: until its last frame, unless the engine is slower.
RECOVERY_SECONDS = 2.0
GROWTH_MB = 5.0
# Memory is as large as it gets after about so many cycles.
CYCLES_BEFORE = 20


@dataclass(frozen=True)
class Memory:
    """Megabytes of a process: its own, and all that it sees, shared memory of the middleware included."""

    own: float
    all: float

    @classmethod
    def of(cls, pid: int) -> 'Memory':
        """What a running process uses now."""
        used = psutil.Process(pid).memory_info()
        return cls((used.rss - used.shared) / 2**20, used.rss / 2**20)


@dataclass
class Observed:
    """What a listener sees of the node."""

    latencies: list[float] = field(default_factory=list)
    last_stamp_s: float = 0.0
    values: dict[str, str] = field(default_factory=dict)
    memory: list[Memory] = field(default_factory=list)
    outages: list[float | None] = field(default_factory=list)


class Soak:
    """A node, cameras in front of it, and this process as listener behind it."""

    def __init__(self, arguments: argparse.Namespace, stopped: threading.Event) -> None:
        self._arguments = arguments
        self._stopped = stopped
        self.observed = Observed()
        self._listener: Node = rclpy.create_node('listener', namespace=NAMESPACE)
        for kind, topic in ((Image, 'fused/image'), (Image, 'depth/image'), (PointCloud2, 'points')):
            listen = self._on_fused if topic == 'fused/image' else lambda _: None
            self._listener.create_subscription(kind, f'{NODE}/{topic}', listen, sensor_data(), raw=True)
        self._listener.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._listener)
        size = ('warm_up_width', arguments.width), ('warm_up_height', arguments.height)
        settings = [
            *size,
            ('engine', arguments.engine),
            ('threads', arguments.threads),
            ('autostart', str(not arguments.cycles).lower()),
        ]
        values = [word for name, value in settings for word in ('-p', f'{name}:={value}')]
        self._node = start_program(
            'ldfusion_ros.fusion_node', '--ros-args', '-r', f'__ns:={NAMESPACE}', '--log-level', 'warn', *values
        )
        self._cameras: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End what was started."""
        self.unplug()
        self._node.send_signal(signal.SIGINT)
        try:
            self._node.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._node.kill()
            self._node.wait()
        self._executor.shutdown()
        self._listener.destroy_node()

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile) -> None:
        """Subscribe to one more topic."""
        self._listener.create_subscription(kind, topic, callback, qos)

    def plug_in(self, rate: float) -> None:
        """Start the cameras."""
        size = ('--width', str(self._arguments.width), '--height', str(self._arguments.height))
        namespace = ('--ros-args', '-r', f'__ns:={NAMESPACE}')
        self._cameras = start_program('bench.artificial_cameras', '--rate', str(rate), *size, *namespace)

    def unplug(self) -> None:
        """Kill the cameras: they take leave of nobody."""
        if self._cameras:
            self._cameras.kill()
            self._cameras.wait()
            self._cameras = None

    def spin(self, seconds: float, until: Callable[[], bool] = bool) -> bool:
        """Listen until a condition holds; returns whether it did within ``seconds``.

        Raises:
            InputError: the node has ended.
        """
        end = time.monotonic() + seconds
        while not self._stopped.is_set() and not until():
            if (left := end - time.monotonic()) <= 0:
                return False
            if self._node.poll() is not None:
                raise InputError(f'fusion_node has ended with exit code {self._node.returncode}')
            self._executor.spin_once(timeout_sec=min(left, 0.1))
        return not self._stopped.is_set()

    def spin_until_fused(self, frames: int, seconds: float) -> bool:
        """Listen until so many more frames have come; returns whether they have within ``seconds``."""
        wanted = len(self.observed.latencies) + frames
        return self.spin(seconds, lambda: len(self.observed.latencies) >= wanted)

    def spin_until_stamped_after(self, stamp_s: float, seconds: float) -> bool:
        """Listen until a frame of a later stamp has come; returns whether it has within ``seconds``."""
        return self.spin(seconds, lambda: self.observed.last_stamp_s > stamp_s)

    def counted(self) -> dict[str, int]:
        """What the node has counted up to now, of all that was sent before."""
        self.observed.values = {}
        self.spin(START_SECONDS, lambda: bool(self.observed.values))
        return {name: int(self.observed.values.get(f'count {name}', 0)) for name in ('visible in', 'pairs')}

    @property
    def processor_seconds(self) -> float:
        """What all threads of the node have used up to now."""
        times = psutil.Process(self._node.pid).cpu_times()
        return float(times.user + times.system)

    def remember_memory(self) -> None:
        """Note what the node uses now."""
        self.observed.memory.append(Memory.of(self._node.pid))

    def change(self, transition: int, node: str = NODE) -> None:
        """Ask a node for a transition and wait for it.

        Raises:
            InputError: it did not succeed.
        """
        result = self._ask(
            ChangeState, f'{node}/change_state', ChangeState.Request(transition=Transition(id=transition))
        )
        if not self._stopped.is_set() and not (result and result.success):
            raise InputError(f'transition {transition} of {node} failed')

    def set(self, name: str, value: str) -> None:
        """Set a parameter of the node; raises InputError if it refuses."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self._ask(SetParameters, f'{NODE}/set_parameters', request)
        if not self._stopped.is_set() and not (result and result.results[0].successful):
            raise InputError(f'{name} of {NODE}: {result.results[0].reason if result else "no answer"}')

    def _ask(self, kind: Any, service: str, request: Any) -> Any:
        """The answer to a request; None if there is none in time."""
        client: Any = self._listener.create_client(kind, service)
        if not client.wait_for_service(START_SECONDS):
            raise InputError(f'{service} is not there')
        future: Any = client.call_async(request)
        answered = self.spin(START_SECONDS, future.done)
        self._listener.destroy_client(client)
        return future.result() if answered else None

    def _on_fused(self, data: bytes) -> None:
        seconds, nanoseconds = struct.unpack_from('<iI', data, 4)
        self.observed.last_stamp_s = seconds + 1e-9 * nanoseconds
        self.observed.latencies.append(time.time() - self.observed.last_stamp_s)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(NODE):
                self.observed.values = {item.key: item.value for item in status.values}


def run_steadily(soak: Soak, arguments: argparse.Namespace, stopped: threading.Event) -> dict[str, Any]:
    """Warm up, then run for the time asked for, with restarts of the cameras; returns the report."""
    rate = arguments.rate
    soak.plug_in(1.0 if arguments.overload else rate)
    if not soak.spin_until_fused(1, START_SECONDS):
        raise InputError('no fused frame from fusion_node')
    if arguments.overload:
        soak.spin(arguments.warm_up)
        rate = OVERLOAD * 1e3 / float(soak.observed.values['engine p50 [ms]'])
        soak.unplug()
        soak.plug_in(rate)
    soak.spin(arguments.warm_up)
    observed = soak.observed
    observed.latencies.clear()
    start = time.monotonic()
    restart_s = start + arguments.restart_every
    with tqdm(total=round(arguments.seconds), desc='soak', unit='s', disable=None) as bar:
        while (passed := time.monotonic() - start) < arguments.seconds and not stopped.is_set():
            bar.update(round(passed) - bar.n)
            soak.remember_memory()
            soak.spin(1.0)
            if time.monotonic() > restart_s:
                restart_s += arguments.restart_every
                soak.unplug()
                soak.spin(PAUSE_SECONDS)
                began_s = time.time()
                soak.plug_in(rate)
                is_back = soak.spin_until_stamped_after(began_s, START_SECONDS)
                observed.outages.append(round(time.time() - began_s, 1) if is_back else None)
    report = steady_report(observed, rate, time.monotonic() - start)
    return report | overload_report(soak, report, arguments.calm) if arguments.overload else report


def overload_report(soak: Soak, report: dict[str, Any], calm_seconds: float) -> dict[str, Any]:
    """Whether frames were late under overload, and what is left of it when cameras are slow enough again."""
    observed, not_kept = soak.observed, list(report['not_kept'])
    limit = round(2 * report['engine_ms']['p95'] + 1e3 / report['pairs_per_second'], 1)
    if not (late := report['node_latency_ms']['p95']) <= limit:
        not_kept.append(f'latency p95 of {late} ms; at most {limit} ms under overload')
    ended_s = time.time()
    soak.unplug()
    soak.spin(2 * RECOVERY_SECONDS)
    seconds = round(max(0.0, observed.last_stamp_s + observed.latencies[-1] - ended_s), 2)
    if seconds > max(RECOVERY_SECONDS, limit / 1e3):
        not_kept.append(f'frames for {seconds} s after the overload')
    before = soak.counted()
    observed.latencies.clear()
    soak.plug_in(0.5e3 / report['engine_ms']['p50'])
    if not soak.spin_until_fused(1, START_SECONDS):
        raise InputError('no fused frame after the overload')
    soak.spin(calm_seconds)
    soak.unplug()
    calm = {name: count - before[name] for name, count in soak.counted().items()}
    # Cameras may be killed between the two images of their last pair.
    if calm['pairs'] < calm['visible in'] - 1:
        not_kept.append(f'{calm["visible in"] - calm["pairs"]} pairs were lost after the overload')
    after = {
        'seconds_to_last_frame': seconds,
        'received': calm['visible in'],
        'paired': calm['pairs'],
        'first_latency_ms': round(1e3 * observed.latencies[0], 1),
        'latency_ms': quantiles(observed.latencies),
    }
    return {'latency_limit_ms': limit, 'after': after, 'not_kept': not_kept}


def run_cycles(soak: Soak, arguments: argparse.Namespace, stopped: threading.Event) -> dict[str, Any]:
    """Configure, activate, fuse a frame, deactivate and clean up, as often as asked for; returns the report."""
    soak.plug_in(arguments.rate)
    start = time.monotonic()
    for cycle in tqdm(range(CYCLES_BEFORE + arguments.cycles), desc='soak', unit='cycle', disable=None):
        soak.change(Transition.TRANSITION_CONFIGURE)
        soak.change(Transition.TRANSITION_ACTIVATE)
        if not soak.spin_until_fused(1, START_SECONDS):
            raise InputError('no fused frame from fusion_node')
        soak.change(Transition.TRANSITION_DEACTIVATE)
        soak.change(Transition.TRANSITION_CLEANUP)
        if stopped.is_set():
            raise InputError('stopped before its end')
        if cycle >= CYCLES_BEFORE:
            soak.remember_memory()
    seconds = time.monotonic() - start
    memory = memory_report(soak.observed.memory)
    return {
        'cycles': arguments.cycles,
        'seconds_per_cycle': round(seconds / (CYCLES_BEFORE + arguments.cycles), 2),
        'memory_mb': memory,
        'not_kept': growth_not_kept(memory),
    }


def steady_report(observed: Observed, rate: float, seconds: float) -> dict[str, Any]:
    """What was measured, and which limits were not kept."""
    values = observed.values
    engine, node = (
        {name: float(values.get(f'{stage} {name} [ms]', 'nan')) for name in ('p50', 'p95')}
        for stage in ('engine', 'latency')
    )
    memory = memory_report(observed.memory)
    not_kept = growth_not_kept(memory)
    if None in observed.outages:
        not_kept.append(f'{observed.outages.count(None)} restarts of the cameras were missed')
    return {
        'seconds': round(seconds),
        'pairs_per_second': round(rate, 2),
        'fused': len(observed.latencies),
        'fused_per_second': round(len(observed.latencies) / seconds, 2),
        'latency_ms': quantiles(observed.latencies),
        'node_latency_ms': node,
        'engine_ms': engine,
        'memory_mb': memory,
        'restarts': {'of_cameras': len(observed.outages), 'seconds_to_next_frame': observed.outages},
        'dropped': {key.removeprefix('dropped '): int(n) for key, n in values.items() if key.startswith('dropped ')},
        'not_kept': not_kept,
    }


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds: the middle, what few exceed, and the longest."""
    return {f'p{part}': round(1e3 * float(np.percentile(seconds or [np.nan], part)), 1) for part in (50, 95, 99, 100)}


def memory_report(samples: Sequence[Memory]) -> dict[str, float]:
    """Megabytes at the beginning (median of the first fifth) and the end (of the last), and how much they grew."""
    fifth = max(1, len(samples) // 5)
    first, last = samples[:fifth], samples[-fifth:]
    begin, end = (median(sample.own for sample in part) for part in (first, last))
    return {
        'begin': round(begin, 1),
        'end': round(end, 1),
        'growth': round(end - begin, 1),
        'highest': round(max(sample.own for sample in samples), 1),
        'highest_with_shared': round(max(sample.all for sample in samples), 1),
    }


def growth_not_kept(memory: dict[str, float]) -> list[str]:
    """The limit on growth, in words, if it is not kept."""
    return [f'memory grew by {memory["growth"]} MB'] if memory['growth'] > GROWTH_MB else []


def start_program(module: str, *arguments: str) -> 'subprocess.Popen[bytes]':
    """A module as a process of its own."""
    return subprocess.Popen([sys.executable, '-m', module, *arguments], stdout=subprocess.DEVNULL)


def make_parser() -> argparse.ArgumentParser:
    """Arguments of the program."""
    parser = argparse.ArgumentParser('soak', description=__doc__)
    parser.add_argument('--seconds', type=float, default=3600.0, help='to measure, after the warm-up')
    parser.add_argument('--warm-up', type=float, default=20.0, help='seconds before')
    parser.add_argument('--rate', type=float, default=5.0, help='pairs per second')
    parser.add_argument('--overload', action='store_true', help='send at five times the rate of the engine')
    parser.add_argument('--calm', type=float, default=20.0, help='seconds at half that rate after an overload')
    parser.add_argument(
        '--cycles',
        type=int,
        default=0,
        help='of the lifecycle to measure, after 20 others, instead of running steadily',
    )
    parser.add_argument('--restart-every', type=float, default=60.0, help='seconds between restarts of the cameras')
    parser.add_argument('--width', type=int, default=640, help='of the images, in pixels')
    parser.add_argument('--height', type=int, default=480, help='of the images, in pixels')
    parser.add_argument('--engine', default='auto', help='of the node')
    parser.add_argument('--threads', type=int, default=0, help='of the engine; 0 lets it choose')
    return parser


def main() -> int:
    """Run and print the report."""
    report: dict[str, Any] = {}

    def work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
        soak = Soak(arguments, stopped)
        try:
            report.update((run_cycles if arguments.cycles else run_steadily)(soak, arguments, stopped))
        finally:
            soak.close()

    if code := run('soak', make_parser(), work):
        return code
    print(json.dumps(report, indent=2))
    return 1 if report['not_kept'] else 0


if __name__ == '__main__':
    sys.exit(main())
