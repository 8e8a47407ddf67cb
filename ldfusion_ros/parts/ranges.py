"""Ranges that a robot measures beside its cameras: they correct the estimated depth."""

from functools import partial
from typing import Any, TypeAlias

from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2, Range

from ldfusion_models.camera.registration import Matrix
from ldfusion_models.errors import InputError
from ldfusion_models.rig.ground import height_above
from ldfusion_models.rig.measured import Gathered, Measured, Sweep, Sweeps
from ldfusion_models.rig.rig import Frame, Rig
from ldfusion_models.rig.streams import Moment
from ldfusion_ros.messages.conversions import nanoseconds
from ldfusion_ros.messages.transforms import Transforms
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.inputs import Inputs, sensor_data, type_name
from ldfusion_ros.node.lifecycle import ManagedNode, Part

RangeMessage: TypeAlias = PointCloud2 | LaserScan | Range
TOPICS: dict[str, type] = {'ranges/points': PointCloud2, 'ranges/scan': LaserScan, 'ranges/range': Range}
REMEDY = 'or write visible_T_ranges into the registration file, or send ranges in the frame of the camera'


class Ranges(Part):
    """Keeps the last sweeps and finds those that belong to a moment; read in the worker's thread."""

    def __init__(self, node: ManagedNode[Any], rig: Rig) -> None:
        self._node, self._rig = node, rig
        self._inputs = Inputs(node)
        self._sweeps = Sweeps()
        self._transforms: Transforms | None = None
        self._gathered = Gathered()
        self._problem = self._height_problem = ''
        self._status = ''

    def start(self) -> None:
        """Subscribe."""
        self._sweeps = Sweeps()
        self._problem = self._status = ''
        for topic, kind in TOPICS.items():
            self._inputs.subscribe(kind, topic, partial(self._on_sweep, topic), sensor_data())

    def stop(self) -> None:
        """Unsubscribe."""
        self._inputs.release()

    def release(self) -> None:
        """Stop listening to TF."""
        if self._transforms:
            self._transforms.release()

    def of(self, moment: Moment[Image | CompressedImage]) -> Measured | None:
        """What was measured at a moment, in the frame of the camera that leads; None if nothing can be used."""
        tolerance = self._node.parameters.ranges_tolerance
        self._gathered = self._sweeps.at(moment.stamp_ns, tolerance, partial(self._locate, moment))
        return self._gathered.measured

    def height(self, moment: Moment[Image | CompressedImage]) -> float:
        """Metres of the camera that leads above the ground, by TF; 0 if no frame on the ground is named, or unknown."""
        frame = self._node.parameters.ground_frame
        self._height_problem = ''
        if not frame:
            return 0.0
        try:
            return height_above(frame, self._lookup(frame, moment.leading.header.frame_id, 'or set camera_height'))
        except InputError as error:
            self._height_problem = str(error)
            return 0.0

    def tell(self, frame: Frame, problem: str) -> None:
        """Take note of what became of a frame; says once why depth is not corrected by what was to correct it."""
        correction = frame.correction
        self._status = ''
        if correction is not None:
            is_measured = self._gathered.measured is not None and correction.source.startswith('ranges/')
            late = f', {self._gathered.apart_s:.2f} s apart' if is_measured else ''
            self._status = f'{correction.source}: {correction.used} points, scale {correction.scale:.2f}{late}'
        self._problem = '; '.join(filter(None, (self._gathered.problem, problem, self._height_problem)))
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

    def _locate(self, moment: Moment[Image | CompressedImage], frame: str) -> Matrix | None:
        camera = moment.leading.header.frame_id
        if frame == camera:
            return None
        if self._rig.asked is not None:
            known = self._rig.asked.ranges_to('thermal' if moment.visible is None else 'visible', frame)
            if known is not None:
                return known
        return self._lookup(camera, frame, REMEDY)

    def _lookup(self, target: str, source: str, remedy: str) -> Matrix:
        if self._transforms is None:
            self._transforms = Transforms(self._node)
        return self._transforms.lookup(target, source, remedy)

    def _on_sweep(self, topic: str, message: RangeMessage) -> None:
        self._node.statistics.count(f'{topic} in')
        self._sweeps.add(Sweep(topic, type_name(TOPICS[topic]), nanoseconds(message.header.stamp), message))
