"""Ranges that a robot measures beside its cameras: they correct the estimated depth."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2

from ldfusion_models.camera.ranges import points_of_cloud, points_of_scan
from ldfusion_models.errors import InputError
from ldfusion_models.rig.references import MeasuredPoints
from ldfusion_models.rig.rig import Frame
from ldfusion_models.rig.streams import Moment
from ldfusion_ros.messages.conversions import nanoseconds
from ldfusion_ros.messages.transforms import Transforms
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.inputs import Inputs, sensor_data
from ldfusion_ros.node.lifecycle import ManagedNode, Part

RangeMessage: TypeAlias = PointCloud2 | LaserScan
TOPICS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    'ranges/points': (PointCloud2, points_of_cloud),
    'ranges/scan': (LaserScan, points_of_scan),
}
KEPT = 20
REMEDY = 'or send ranges in the frame of the camera'


@dataclass(frozen=True)
class Sweep:
    """A message of measured ranges, as it came."""

    topic: str
    stamp_ns: int
    message: RangeMessage


class Ranges(Part):
    """Keeps the last sweeps and finds the one that belongs to a moment; read in the worker's thread."""

    def __init__(self, node: ManagedNode[Any]) -> None:
        self._node = node
        self._inputs = Inputs(node)
        self._sweeps: deque[Sweep] = deque(maxlen=KEPT)
        self._transforms: Transforms | None = None
        self._problem = ''
        self._status = ''
        self._apart_s = 0.0

    def start(self) -> None:
        """Subscribe."""
        self._sweeps.clear()
        self._problem = self._status = ''
        for topic, (kind, _) in TOPICS.items():
            self._inputs.subscribe(kind, topic, partial(self._on_sweep, topic), sensor_data())

    def stop(self) -> None:
        """Unsubscribe."""
        self._inputs.release()

    def release(self) -> None:
        """Stop listening to TF."""
        if self._transforms:
            self._transforms.release()

    def of(self, moment: Moment[Image | CompressedImage]) -> MeasuredPoints | None:
        """What was measured at a moment, in the frame of the camera that leads; None if nothing can be used."""
        self._problem = ''
        sweeps = list(self._sweeps)
        if not sweeps:
            return None
        sweep = min(sweeps, key=lambda each: abs(each.stamp_ns - moment.stamp_ns))
        self._apart_s = abs(sweep.stamp_ns - moment.stamp_ns) / 1e9
        tolerance = self._node.parameters.ranges_tolerance
        if self._apart_s > tolerance:
            self._problem = (
                f'{sweep.topic}: the nearest message is {self._apart_s:.2f} s away, ranges_tolerance is {tolerance:g}'
            )
            return None
        try:
            return self._points(sweep, moment.leading.header.frame_id)
        except InputError as error:
            self._problem = f'{sweep.topic}: {error}'
            return None

    def tell(self, frame: Frame, problem: str) -> None:
        """Take note of what became of a frame; says once why depth is not corrected by what was to correct it."""
        correction = frame.correction
        self._status = ''
        if correction is not None:
            late = f', {self._apart_s:.2f} s apart' if correction.source in TOPICS else ''
            self._status = f'{correction.source}: {correction.used} points, scale {correction.scale:.2f}{late}'
        self._problem = self._problem or problem
        if self._problem:
            rest = f'corrected by {correction.source}' if correction is not None else 'not corrected'
            self._node.announcer.once('ranges', f'{self._problem}; depth is {rest}')
        else:
            self._node.announcer.end('ranges')

    def report(self, health: Health) -> None:
        """What corrects depth, and what keeps it from being corrected."""
        health.facts['depth corrected by'] = self._status or 'nothing'
        if not health.is_active:
            return
        for problem in self._inputs.problems():
            health.warn(problem)
        if self._problem:
            health.warn(f'depth not corrected as asked: {self._problem}')

    def _points(self, sweep: Sweep, camera: str) -> MeasuredPoints:
        _, read = TOPICS[sweep.topic]
        measured = MeasuredPoints(read(sweep.message), sweep.topic)
        frame = sweep.message.header.frame_id
        if frame == camera:
            return measured
        if self._transforms is None:
            self._transforms = Transforms(self._node)
        return measured.moved(self._transforms.lookup(camera, frame, REMEDY))

    def _on_sweep(self, topic: str, message: RangeMessage) -> None:
        self._node.statistics.count(f'{topic} in')
        self._sweeps.append(Sweep(topic, nanoseconds(message.header.stamp), message))
