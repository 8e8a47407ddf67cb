"""Both cameras of a node: images and calibrations come in, moments go out."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ldfusion_models.errors import InputError
from ldfusion_models.rig.streams import Moment, Streams
from ldfusion_ros.messages.conversions import nanoseconds
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.inputs import Inputs, latched, sensor_data
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.node.programs import offered_quality, steady_timer

CAMERAS = ('visible', 'thermal')
# How often it is looked whether a calibration that has not come lies ready with its publisher.
LATE_LOOK_SECONDS = 1.0
ImageMessage: TypeAlias = Image | CompressedImage


class Cameras(Part):
    """Subscribes to two cameras; nothing is decoded here.

    Attributes:
        streams: that bring their images together.
    """

    def __init__(self, node: ManagedNode[Any], on_moment: Callable[[Moment[ImageMessage]], None]) -> None:
        self._node = node
        self._on_moment = on_moment
        self._inputs = Inputs(node)
        self._late_look: Timer | None = None
        self._asked: set[str] = set()
        self._make_streams()

    def _make_streams(self) -> None:
        self.streams: Streams[ImageMessage] = Streams(self._node.parameters, time.monotonic())

    def start(self) -> None:
        """Subscribe to images and calibrations."""
        self._make_streams()
        self._asked.clear()
        for camera in CAMERAS:
            transport = getattr(self._node.parameters, f'{camera}_transport')
            self._inputs.subscribe_image(f'{camera}/image_raw', transport, partial(self._on_image, camera))
            on_info = partial(self._on_camera_info, camera)
            self._inputs.subscribe(CameraInfo, f'{camera}/camera_info', on_info, sensor_data())
        self._late_look = steady_timer(self._node, LATE_LOOK_SECONDS, self._ask_for_the_past)

    def stop(self) -> None:
        """Unsubscribe."""
        if self._late_look:
            self._node.destroy_timer(self._late_look)
        self._late_look = None
        self._inputs.release()

    def adjust(self) -> None:
        """Take over how images are paired; those that wait stay."""
        self.streams.adjust(self._node.parameters)

    def silence(self) -> dict[str, float]:
        """Seconds since each camera's last image."""
        return {camera: self.streams.silence(camera, time.monotonic()) for camera in CAMERAS}

    def report(self, health: Health) -> None:
        """Topics that stay empty, cameras that are silent, and how far their stamps are apart."""
        if (offset := self.streams.offset()) is not None:
            health.facts['time offset [ms]'] = f'{1e3 * offset:.1f}'
        if not health.is_active:
            return
        for problem in self._inputs.problems():
            health.warn(problem)
        for camera, seconds in self.silence().items():
            if seconds > self._node.parameters.stale_after:
                health.warn(f'no {camera} image for {seconds:.1f} s')

    def stamps_apart(self) -> str:
        """What to do where both cameras send and nothing pairs; empty if that is not so."""
        settings, offset = self._node.parameters, self.streams.offset()
        are_alive = max(self.silence().values()) < settings.stale_after
        if not are_alive or offset is None or abs(offset) <= settings.sync_tolerance:
            return ''
        return f'; stamps are {offset:.3f} s apart, so raise sync_tolerance or set clock_offset'

    def _on_image(self, camera: str, message: ImageMessage) -> None:
        self._node.statistics.count(f'{camera} in')
        for moment in self.streams.add(camera, nanoseconds(message.header.stamp), time.monotonic(), message):
            self._on_moment(moment)
        for cause, count in self.streams.new_drops().items():
            self._node.statistics.drop(cause, count)

    def _ask_for_the_past(self) -> None:
        """Subscribe once more to a calibration that somebody has published once, for those who come late, and keeps."""
        for camera in CAMERAS:
            topic = self._node.resolve_topic_name(f'{camera}/camera_info')
            is_kept = self._node.count_publishers(topic) > 0 and offered_quality(self._node, topic)[1]
            if is_kept and camera not in self._node.calibrations.known and camera not in self._asked:
                self._asked.add(camera)
                self._inputs.subscribe(CameraInfo, topic, partial(self._on_camera_info, camera), latched(), None)

    def _on_camera_info(self, camera: str, info: CameraInfo) -> None:
        try:
            self._node.calibrations.take(camera, info)
        except InputError as error:
            self._node.drop(f'{camera}_camera_info', error)
