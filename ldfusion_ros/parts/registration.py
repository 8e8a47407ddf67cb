"""What registration needs of a robot: transforms between the cameras, and a look at how well it fits."""

import math
import time
from typing import Any

import cv2
from sensor_msgs.msg import CompressedImage, Image

from ldfusion_models.camera.alignment import DriftMonitor, Shift
from ldfusion_models.camera.images import as_uint8
from ldfusion_models.camera.registration import Matrix
from ldfusion_models.errors import InputError
from ldfusion_models.rig.rig import Rig, View
from ldfusion_models.rig.streams import Moment
from ldfusion_ros.messages.transforms import Transforms
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.node.worker import LatestWorker


class Extrinsics(Part):
    """How the cameras lie to each other, from TF where the registration file leaves it to TF."""

    def __init__(self, node: ManagedNode[Any], rig: Rig) -> None:
        self._node, self._rig = node, rig
        self._transforms = Transforms(node) if rig.wants_transform else None
        self._found: dict[tuple[str, str], Matrix] = {}
        self._missing = ''

    def release(self) -> None:
        """Stop listening."""
        if self._transforms:
            self._transforms.release()

    def of(self, moment: Moment[Image | CompressedImage]) -> Matrix | None:
        """The transform (4, 4) from the visible to the thermal camera; once found it stays, for rigs are rigid."""
        if self._transforms is None:
            return None
        if moment.visible is None or moment.thermal is None:
            return next(iter(self._found.values()), None)
        frames = (moment.thermal.header.frame_id, moment.visible.header.frame_id)
        if frames not in self._found:
            try:
                self._found = {frames: self._transforms.lookup(*frames)}
            except InputError as error:
                self._missing = str(error)
                return None
        self._missing = ''
        return self._found[frames]

    def announce(self) -> None:
        """Say once what keeps the registration from being applied."""
        if problem := self._problem():
            self._node.announcer.once('registration', f'{problem}; until then, images are taken as aligned')
        else:
            self._node.announcer.end('registration')

    def report(self, health: Health) -> None:
        """How the images are brought together, and what is in the way."""
        health.facts['registration'] = self._rig.registration
        if health.is_active and (problem := self._problem()):
            health.warn(f'not registered: {problem}')

    def _problem(self) -> str:
        problem = self._rig.registration_problem
        return self._missing if problem and self._missing else problem


class DriftWatch(Part):
    """Looks from time to time, in a thread of its own, how far the registered images are apart.

    Attributes:
        shift: where the thermal image belongs, in pixels of the visible image; None before the first look.
    """

    def __init__(self, node: ManagedNode[Any]) -> None:
        self.shift: Shift | None = None
        self._node = node
        self._last_s = -math.inf
        self._monitor = DriftMonitor()
        self._worker = LatestWorker(self._look, self._on_failure)

    def start(self) -> None:
        """Start the thread."""
        self.shift = None
        self._worker.start()

    def stop(self) -> None:
        """Finish the look in hand and end the thread."""
        self._worker.stop()

    def offer(self, view: View) -> None:
        """Look at this pair, if it is time to."""
        now, period = time.monotonic(), self._node.parameters.drift_period
        if period > 0 and now - self._last_s >= period:
            self._last_s = now
            self._worker.submit(view)

    def report(self, health: Health) -> None:
        """How far the images are apart, if anybody has looked."""
        if (shift := self.shift) is None:
            return
        x, y = f'{shift.x:.1f} right', f'{shift.y:.1f} down'
        health.facts['registration drift [px]'] = f'{x}, {y}' if shift.is_certain else 'unknown'
        if health.is_active and shift.is_certain and shift.length > self._node.parameters.drift_warning:
            health.warn(
                f'thermal image is off by {shift.length:.0f} pixels: it belongs {shift.x:.0f} to the right and '
                f'{shift.y:.0f} down; ldfusion calibrate estimates it anew'
            )

    def _look(self, view: View) -> None:
        thermal = view.thermal
        if thermal.shape != view.visible.shape[:2]:
            size = view.visible.shape[1], view.visible.shape[0]
            thermal = as_uint8(cv2.resize(thermal, size, interpolation=cv2.INTER_LINEAR))
        self.shift = self._monitor(view.visible, thermal, view.coverage)

    def _on_failure(self, error: Exception) -> None:
        text = f'alignment not looked at: {type(error).__name__}: {error}'
        self._node.announcer.now_and_then('drift', text)
