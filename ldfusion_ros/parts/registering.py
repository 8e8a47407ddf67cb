"""Registration inside the node: file, calibrations and transforms as they come; drift is watched on the side."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from ldfusion_models.camera.alignment import DriftMonitor, Shift
from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.camera.registration import Matrix, Registrar
from ldfusion_models.camera.registration_file import read_registration
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.errors import InputError
from ldfusion_ros.messages.calibrations import Calibrations
from ldfusion_ros.messages.transforms import Transforms
from ldfusion_ros.node.diagnostics import Announcer
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.frames import InputImages, Job, as_grey
from ldfusion_ros.parts.fusion_parameters import FusionParameters

Depth = npt.NDArray[np.float32]
Coverage = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A job's images in the pixels of the camera that gives the outputs their frame.

    Attributes:
        visible: (H, W) or (H, W, 3); thermal: what goes to the networks with it.
        counts: thermal values for the cloud; None if there are none.
        coverage: (H, W) weight of the thermal image; None for 1.
        camera: intrinsics of these images; None if unknown.
        info: the camera_info they came with, if it still holds.
    """

    visible: AnyImage
    thermal: AnyImage
    counts: AnyImage | None
    coverage: Coverage | None
    camera: Intrinsics | None
    info: CameraInfo | None


class Registering:
    """Applies the registration file of a node, as far as calibrations and transforms allow.

    Attributes:
        status: the method, or in words why the images are taken as aligned all the same.
        problem: what keeps the registration from being applied; empty if nothing does.
    """

    def __init__(
        self, node: Node, calibrations: Calibrations, announcer: Announcer, settings: FusionParameters
    ) -> None:
        """Read the file that the parameters name.

        Raises:
            InputError: it can't be read, or says something that can't be.
        """
        self._calibrations = calibrations
        self._announcer = announcer
        self._asked = (
            read_registration(Path(settings.registration_file).expanduser()) if settings.registration_file else None
        )
        self._registrar: Registrar | None = None
        self._extrinsics: dict[tuple[str, str], Matrix] = {}
        self._transforms: Transforms | None = None
        if self._asked and self._asked.method == 'cameras' and self._asked.thermal_T_visible is None:
            self._transforms = Transforms(node)
        calibrations.undistorts = self._asked is not None and self._asked.undistort
        self.problem = ''

    def release(self) -> None:
        """Stop listening to transforms."""
        if self._transforms:
            self._transforms.release()

    @property
    def status(self) -> str:
        """For the diagnostics."""
        if self._asked is None:
            return 'none: images are taken as aligned'
        words = f'{self._asked.method}{", undistorted" if self._asked.undistort else ""}'
        return f'{words}; not applied' if self.problem else words

    def __call__(self, job: Job, images: InputImages, settings: FusionParameters, depth: Depth | None) -> View:
        """Bring a decoded job into one camera's pixels.

        Args:
            job: the messages.
            images: what they hold.
            settings: of the node.
            depth: the map of the last frame, for a registration by depth.
        """
        registrar = self._current(job, settings) if self._asked else None
        if registrar is None:
            camera, info = self._calibration(job, images, settings)
            return View(images.visible, images.thermal, images.counts, None, camera, info)
        if not job.visible:
            view = self._alone('thermal', images, registrar)
        elif not job.thermal:
            view = self._alone('visible', images, registrar)
        else:
            pair = registrar(images.visible, images.thermal, depth)
            view = View(pair.visible, pair.thermal, pair.thermal, pair.coverage, pair.camera, None)
        if view.camera is None or not registrar.registration.undistort:
            camera, info = self._calibration(job, images, settings)
            view = replace(view, camera=camera, info=info)
        return view

    def _alone(self, camera: str, images: InputImages, registrar: Registrar) -> View:
        visible, intrinsics = registrar.alone(camera, images.visible)
        counts = None if images.counts is None else registrar.alone(camera, images.counts)[0]
        return View(visible, as_grey(as_rgb8(visible)), counts, None, intrinsics, None)

    def _calibration(
        self, job: Job, images: InputImages, settings: FusionParameters
    ) -> tuple[Intrinsics | None, CameraInfo | None]:
        height, width = images.visible.shape[:2]
        leading = 'visible' if job.visible else 'thermal'
        info, camera = self._calibrations.of(leading, width, height, settings.fallback_field_of_view)
        return camera, info

    def _current(self, job: Job, settings: FusionParameters) -> Registrar | None:
        """What can be applied: made anew when a calibration or the distance changes, None while parts are missing."""
        assert self._asked is not None
        wanted = self._asked
        if settings.registration_distance > 0:
            wanted = replace(wanted, distance=settings.registration_distance)
        try:
            wanted = wanted.completed(
                self._calibrations.lens('visible'), self._calibrations.lens('thermal'), self._extrinsic(job)
            )
            if self._registrar is None or self._registrar.registration != wanted:
                self._registrar = Registrar(wanted)
        except InputError as error:
            self.problem = str(error)
            self._announcer.once('registration', f'{error}; until then, images are taken as aligned')
            return None
        self.problem = ''
        self._announcer.over('registration')
        return self._registrar

    def _extrinsic(self, job: Job) -> Matrix | None:
        """From TF, if the file leaves it to TF; once found it stays, since cameras of a rig don't move."""
        if self._transforms is None:
            return None
        if job.visible is None or job.thermal is None:
            return next(iter(self._extrinsics.values()), None)
        frames = (job.thermal.message.header.frame_id, job.visible.message.header.frame_id)
        if frames not in self._extrinsics:
            self._extrinsics = {frames: self._transforms.lookup(*frames)}
        return self._extrinsics[frames]


class DriftWatch:
    """Looks from time to time, in a thread of its own, how far the registered images are apart.

    Attributes:
        shift: where the thermal image belongs, in pixels of the visible image; None before the first look.
    """

    def __init__(self, period: float, on_error: Callable[[Exception], None]) -> None:
        """Look every so many seconds, 0 for never; ``on_error`` is told what goes wrong."""
        self.shift: Shift | None = None
        self._period = period
        self._last_s = -math.inf
        self._monitor = DriftMonitor()
        self._gain = GainControl(GainConfig(smoothing=0.0))
        self._worker: LatestWorker[View] | None = LatestWorker(self._look, on_error) if period > 0 else None

    def offer(self, view: View) -> None:
        """Look at this pair, if it is time to."""
        now = time.monotonic()
        if self._worker and now - self._last_s >= self._period:
            self._last_s = now
            self._worker.submit(view)

    def stop(self) -> None:
        """Finish the look in hand and end the thread."""
        if self._worker:
            self._worker.stop()

    def _look(self, view: View) -> None:
        thermal = as_grey8(view.thermal, self._gain, view.coverage)
        visible = as_rgb8(view.visible)
        if thermal.shape != visible.shape[:2]:
            size = visible.shape[1], visible.shape[0]
            thermal = np.asarray(cv2.resize(thermal, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        self.shift = self._monitor(visible, thermal, view.coverage)
