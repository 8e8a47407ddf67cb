"""The pinhole camera: intrinsics, their scaling, depth to points; and the lens in front of it."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError

# Distortion models of sensor_msgs/CameraInfo, and how many coefficients each may have.
DISTORTION_MODELS = {'plumb_bob': (0, 4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}
# The rays of a lens lead back to their pixels to this many pixels.
RAY_TOLERANCE = 0.01
RAY_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)


@dataclass(frozen=True)
class Intrinsics:
    """A rectified pinhole camera; all values in pixels, centres of pixels at whole numbers.

    Raises:
        InputError: not finite, focal length not positive, or size not positive.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f'camera size {self.width}x{self.height}: both must be positive')
        if not all(math.isfinite(value) for value in (self.fx, self.fy, self.cx, self.cy)):
            raise InputError(f'camera intrinsics {self}: not finite; calibrate the camera')
        if self.fx <= 0 or self.fy <= 0:
            raise InputError(f'camera focal length ({self.fx}, {self.fy}) must be positive; calibrate the camera')

    @classmethod
    def from_field_of_view(cls, width: int, height: int, horizontal_degrees: float) -> 'Intrinsics':
        """A camera with square pixels, a centred optical axis and the given horizontal field of view."""
        focal = width / 2 / math.tan(math.radians(horizontal_degrees) / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    def scaled(self, width: int, height: int) -> 'Intrinsics':
        """The same camera seen at another image size, each axis scaled by itself.

        Its own size with width and height swapped is a slip of whoever wrote it down: the numbers stay.
        """
        sx, sy = width / self.width, height / self.height
        if (width, height) == (self.height, self.width):
            sx = sy = 1.0
        return Intrinsics(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )

    def rows(self, top: int, height: int) -> 'Intrinsics':
        """The same camera seen in ``height`` rows of its image, from row ``top`` on."""
        return replace(self, height=height, cy=self.cy - top)


def rays(camera: Intrinsics) -> npt.NDArray[np.float32]:
    """Directions (H, W, 3) with z = 1 in the optical frame (REP 103: x right, y down, z forward)."""
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy
    directions = np.ones((camera.height, camera.width, 3), np.float32)
    directions[..., 0] = x
    directions[..., 1] = y[:, None]
    return directions


def points_from_depth(depth: npt.NDArray[np.float32], camera: Intrinsics) -> npt.NDArray[np.float32]:
    """Points (H, W, 3) in metres in the optical frame from depth (H, W) along z; NaN stays NaN.

    Raises:
        InputError: the depth map's size is not the camera's.
    """
    if depth.shape != (camera.height, camera.width):
        raise InputError(f'depth {depth.shape[::-1]} does not fit camera {camera.width}x{camera.height}')
    return rays(camera) * depth[..., None]


@dataclass(frozen=True)
class Lens:
    """A camera whose images nobody has rectified.

    Attributes:
        camera: the matrix K.
        model: ``plumb_bob`` (k1, k2, p1, p2, k3), ``rational_polynomial`` (and k4, k5, k6) or ``equidistant`` (k1 to
            k4), as OpenCV and CameraInfo define them.
        coefficients: of that model; empty or zeros for none.
        rectified: the pinhole camera that undistorted images are made for; None for ``camera``.

    Raises:
        InputError: unknown model, or coefficients that don't fit it.
    """

    camera: Intrinsics
    model: str = 'plumb_bob'
    coefficients: tuple[float, ...] = ()
    rectified: Intrinsics | None = None

    def __post_init__(self) -> None:
        if self.model not in DISTORTION_MODELS:
            raise InputError(f'distortion model {self.model!r}: choose one of {", ".join(DISTORTION_MODELS)}')
        counts = DISTORTION_MODELS[self.model]
        if len(self.coefficients) not in counts or not all(math.isfinite(value) for value in self.coefficients):
            raise InputError(
                f'distortion {self.coefficients}: {" or ".join(map(str, counts))} finite numbers for {self.model}'
            )

    @property
    def is_distorted(self) -> bool:
        """Whether straight lines are not straight in its images; the equidistant model bends them even with zeros."""
        return self.model == 'equidistant' or any(self.coefficients)

    @property
    def pinhole(self) -> Intrinsics:
        """The camera of its undistorted images."""
        return self.rectified or self.camera

    def scaled(self, width: int, height: int) -> 'Lens':
        """The same camera and lens seen at another image size."""
        rectified = self.rectified and self.rectified.scaled(width, height)
        return replace(self, camera=self.camera.scaled(width, height), rectified=rectified)

    def rows(self, top: int, height: int) -> 'Lens':
        """As :meth:`Intrinsics.rows`."""
        rectified = self.rectified and self.rectified.rows(top, height)
        return replace(self, camera=self.camera.rows(top, height), rectified=rectified)

    def rays(self) -> npt.NDArray[np.float32]:
        """Directions (H, W, 3) with z = 1 of the pixels of its distorted images; NaN where none leads there."""
        if not self.is_distorted:
            return rays(self.camera)
        camera = self.camera
        grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1).astype(np.float64)
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        coefficients = np.array(self.coefficients)
        points = grid.reshape(-1, 1, 2)
        if self.model == 'equidistant':
            found = cv2.fisheye.undistortPoints(points, matrix, coefficients)
        else:
            found = cv2.undistortPoints(points, matrix, coefficients, None, None, None, RAY_CRITERIA)
        directions = np.ones((*grid.shape[:2], 3), np.float32)
        directions[..., :2] = found.reshape(grid.shape)
        with np.errstate(invalid='ignore'):
            hits = np.abs(self.project(directions) - grid).max(axis=-1) < RAY_TOLERANCE
        return np.where(hits[..., None], directions, np.float32(np.nan))

    def project(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Where points (..., 3) of the optical frame fall in the distorted image: pixels (..., 2).

        NaN for what lies behind the camera, or so far to the side that the model folds it back into the image.
        """
        ahead = points[..., 2] > 0
        z = np.where(ahead, points[..., 2], np.float32(1))
        x: npt.NDArray[Any] = points[..., 0] / z
        y: npt.NDArray[Any] = points[..., 1] / z
        if self.is_distorted:
            ahead &= x * x + y * y < _reach(self.model, self.coefficients) ** 2
            x, y = _bent(x, y, self.model, self.coefficients)
        pixels = np.stack((x * self.camera.fx + self.camera.cx, y * self.camera.fy + self.camera.cy), axis=-1)
        return np.where(ahead[..., None], pixels, np.nan).astype(np.float32)


def _bent(
    x: npt.NDArray[Any], y: npt.NDArray[Any], model: str, coefficients: tuple[float, ...]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Normalised coordinates behind the lens."""
    square = x * x + y * y
    scale = _stretch(square, model, coefficients)
    if model == 'equidistant':
        return x * scale, y * scale
    p1, p2 = (*coefficients, 0.0, 0.0, 0.0, 0.0)[2:4]
    return (
        x * scale + 2 * p1 * x * y + p2 * (square + 2 * x * x),
        y * scale + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
    )


def _stretch(square: npt.NDArray[Any], model: str, coefficients: tuple[float, ...]) -> npt.NDArray[Any]:
    """By how much the lens stretches what lies at the squared normalised radius."""
    if model == 'equidistant':
        radius = np.sqrt(np.maximum(square, 1e-12))
        angle = np.arctan(radius)
        k1, k2, k3, k4 = coefficients
        turned = angle * angle
        return np.asarray(angle * (1 + turned * (k1 + turned * (k2 + turned * (k3 + turned * k4)))) / radius)
    k1, k2, _, _, k3, k4, k5, k6 = (*coefficients, *(0.0,) * 8)[:8]
    upper = 1 + square * (k1 + square * (k2 + square * k3))
    lower = 1 + square * (k4 + square * (k5 + square * k6))
    return np.asarray(upper / lower)


@lru_cache(maxsize=16)
def _reach(model: str, coefficients: tuple[float, ...]) -> float:
    """The normalised radius up to which a point farther out also falls farther out in the image."""
    radius = np.linspace(0, 10, 10_001)
    with np.errstate(all='ignore'):
        grows = np.diff(radius * _stretch(radius * radius, model, coefficients)) > 0
    return float(radius[-1] if grows.all() else radius[np.argmin(grows)])


def without_flying_points(depth: npt.NDArray[np.float32], relative_step: float) -> npt.NDArray[np.float32]:
    """Depth (H, W) with NaN where it changes between neighbours by more than ``relative_step`` of itself.

    Networks blur depth over the edges of objects; there points would hang in the air between the surfaces.
    """
    window = np.ones((3, 3), np.uint8)
    lowest = highest = depth
    if not np.isfinite(depth).all():
        # A neighbour without depth must remove nothing: it is farthest for the minimum and nearest for the maximum.
        lowest, highest = np.nan_to_num(depth, nan=np.inf), np.nan_to_num(depth, nan=-np.inf)
    step = cv2.subtract(
        cv2.dilate(highest, window, borderType=cv2.BORDER_REPLICATE),
        cv2.erode(lowest, window, borderType=cv2.BORDER_REPLICATE),
    )
    return np.where(step > np.float32(relative_step) * depth, np.float32(np.nan), depth)
