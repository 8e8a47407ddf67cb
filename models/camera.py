"""The pinhole camera: intrinsics, their scaling, and depth to points."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError


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
        """The same camera seen at another image size, each axis scaled by itself."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )


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
