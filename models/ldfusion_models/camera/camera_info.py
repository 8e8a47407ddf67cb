"""Cameras from the fields of a sensor_msgs/CameraInfo, whatever library made the message."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.errors import InputError

# Names by which drivers call the models of ``Lens``.
MODEL_NAMES = {'': 'plumb_bob', 'none': 'plumb_bob', 'fisheye': 'equidistant'}


class CameraInfo(Protocol):
    """The message; ``roi`` has x_offset, y_offset, width and height, and a width or height of 0 is the whole one."""

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: Any


@dataclass(frozen=True)
class Calibration:
    """What a CameraInfo says of the images that it comes with.

    Attributes:
        camera: the matrix K, region of interest and binning applied.
        lens: the camera with its lens; None where the distortion model is not known here.
        problem: why there is no lens; empty if there is one.
        model, coefficients: the distortion as the message says it.
    """

    camera: Intrinsics
    lens: Lens | None = None
    problem: str = ''
    model: str = ''
    coefficients: tuple[float, ...] = ()

    @classmethod
    def from_message(cls, info: CameraInfo) -> 'Calibration':
        """Read a message.

        Raises:
            InputError: the camera is not calibrated, or a value is not finite or not positive.
        """
        known = cls(
            intrinsics_from_message(info),
            model=info.distortion_model,
            coefficients=tuple(float(value) for value in info.d),
        )
        try:
            return replace(known, lens=lens_from_message(info))
        except InputError as error:
            return replace(known, problem=str(error))

    @classmethod
    def of_lens(cls, lens: Lens) -> 'Calibration':
        """A camera that is known from elsewhere."""
        return cls(lens.camera, lens, model=lens.model, coefficients=lens.coefficients)

    def scaled(self, width: int, height: int) -> 'Calibration':
        """The same camera seen at another image size."""
        return replace(
            self, camera=self.camera.scaled(width, height), lens=self.lens and self.lens.scaled(width, height)
        )

    def rows(self, width: int, height: int, top: int, left: int) -> 'Calibration':
        """The same camera seen in the ``left`` rows from ``top`` on that are left of images of ``width`` x ``height``.

        One whose shape is nearer to that of what is left was made for it, and stays.
        """
        own = self.camera.height * width / self.camera.width
        if abs(own - left) <= abs(own - height):
            return self
        whole = self.scaled(width, height)
        return replace(whole, camera=whole.camera.rows(top, left), lens=whole.lens and whole.lens.rows(top, left))


def intrinsics_from_message(info: CameraInfo) -> Intrinsics:
    """The pinhole camera of the image that a calibration came with, its region of interest and binning applied.

    Raises:
        InputError: the camera is not calibrated, or a value is not finite or not positive.
    """
    return _camera_of(info, float(info.k[0]), float(info.k[4]), float(info.k[2]), float(info.k[5]))


def lens_from_message(info: CameraInfo) -> Lens:
    """Camera and lens of a calibration; images are undistorted for the camera of P where it has one, else of K.

    Raises:
        InputError: as :func:`intrinsics_from_message`, or a distortion that is not known here.
    """
    model = MODEL_NAMES.get(info.distortion_model, info.distortion_model)
    coefficients = tuple(float(value) for value in info.d)
    if model == 'rational_polynomial' and not any(coefficients[8:]):
        coefficients = coefficients[:8]
    if not any(coefficients) and model != 'equidistant':
        model, coefficients = 'plumb_bob', ()
    rectified = _camera_of(info, *(float(info.p[index]) for index in (0, 5, 2, 6))) if info.p[0] > 0 else None
    return Lens(intrinsics_from_message(info), model, coefficients, rectified)


def _camera_of(info: CameraInfo, fx: float, fy: float, cx: float, cy: float) -> Intrinsics:
    """A camera of the full sensor as it is in the image: region of interest, then binning."""
    roi = info.roi
    whole = Intrinsics(roi.width or info.width, roi.height or info.height, fx, fy, cx - roi.x_offset, cy - roi.y_offset)
    if max(info.binning_x, info.binning_y) <= 1:
        return whole
    return whole.scaled(whole.width // max(info.binning_x, 1), whole.height // max(info.binning_y, 1))
