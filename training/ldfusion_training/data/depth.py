"""Images with measured or simulated depth and the camera that took them: one sample, and the files that hold it.

A camera file holds width, height, fx, fy, cx, cy in pixels. In depth images 0 means unknown, in arrays NaN.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.depth_files import BEYOND, UNKNOWN, depth_to_units, read_float_depth
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.pairs import Image8, as_thermal8

Modality = Literal['visible', 'thermal']
Depth = npt.NDArray[np.float32]

SAMPLE_FOLDERS: dict[Modality, str] = {'visible': 'vi', 'thermal': 'ir'}
KITTI_UNITS_PER_METRE = 256.0
MILLIMETRES_PER_METRE = 1000.0
FLOAT_ENDINGS = ('.npy', '.npz', '.tif', '.tiff')
# Outside of this, the median of a depth map is a wrong unit, not a scene that a robot meets.
PLAUSIBLE_MEDIAN = (0.1, 500.0)


@dataclass(frozen=True)
class DepthSample:
    """One image with depth.

    Attributes:
        image: visible (H, W, 3) RGB uint8, or thermal (H, W) uint8.
        depth: (H, W) float32, metres along the optical axis; NaN = unknown.
        camera: intrinsics at this size.
    """

    image: Image8
    depth: Depth
    camera: Intrinsics


@dataclass(frozen=True)
class DepthSource:
    """The files of one sample; ``name`` is unique within its data set."""

    name: str
    modality: Modality
    image: Path
    depth: Path
    camera: Intrinsics
    units_per_metre: float

    def read(self) -> DepthSample:
        """Decode image and depth.

        Raises:
            InputError: unreadable, or image, depth and camera of different sizes, or depth that ``read_depth`` refuses.
        """
        stored = read_image(self.image)
        image = as_rgb8(stored) if self.modality == 'visible' else as_thermal8(stored)
        depth = read_depth(self.depth, self.units_per_metre)
        size = (image.shape[1], image.shape[0])
        if depth.shape != image.shape[:2]:
            raise InputError(
                f'{self.depth}: {depth.shape[1]}x{depth.shape[0]} pixels, but {self.image} has {size[0]}x{size[1]}'
            )
        if size != (self.camera.width, self.camera.height):
            raise InputError(
                f'{self.image}: {size[0]}x{size[1]} pixels, but its camera is calibrated for '
                f'{self.camera.width}x{self.camera.height}'
            )
        return DepthSample(image, depth, self.camera)


def read_depth(path: Path, units_per_metre: float) -> Depth:
    """Read depth (H, W) in metres, NaN where unknown, from a 16-bit image or a file of floats (always metres).

    Raises:
        InputError: unreadable, not one channel, not 16 bits, not floats, nothing known, or an implausible scale.
    """
    depth = read_float_depth(path) if path.suffix in FLOAT_ENDINGS else _read_depth_image(path, units_per_metre)
    known = depth[np.isfinite(depth)]
    if known.size == 0:
        raise InputError(f'{path}: holds no known depth')
    median = float(np.median(known))
    if not PLAUSIBLE_MEDIAN[0] <= median <= PLAUSIBLE_MEDIAN[1]:
        raise InputError(f'{path}: median depth of {median:g} m; is the file in another unit or scale?')
    return depth


def depth_to_kitti(depth: Depth) -> npt.NDArray[np.uint16]:
    """Depth (H, W) in metres to KITTI's 16 bits, metres x 256; unknown, or 256 m and beyond, becomes 0."""
    return depth_to_units(depth, KITTI_UNITS_PER_METRE, UNKNOWN)


def read_camera(path: Path) -> Intrinsics:
    """Read a camera file (JSON).

    Raises:
        InputError: missing, not JSON, or without the six values.
    """
    return camera_from(read_json(path), path)


def camera_from(values: Any, path: Path) -> Intrinsics:
    """The camera in a mapping that was read from ``path`` (named in errors).

    Raises:
        InputError: a value is missing or not a number.
    """
    try:
        size = int(values['width']), int(values['height'])
        return Intrinsics(*size, *(float(values[name]) for name in ('fx', 'fy', 'cx', 'cy')))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: needs numbers width, height, fx, fy, cx, cy of the camera ({error})') from error


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: missing, or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file') from error
    except (OSError, ValueError) as error:
        raise InputError(f'{path}: not readable JSON ({error})') from error


def _read_depth_image(path: Path, units_per_metre: float) -> Depth:
    stored = read_image(path)
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise InputError(f'{path}: {stored.dtype} of shape {stored.shape}; depth images are grey with 16 bits')
    depth: Depth = stored.astype(np.float32) / np.float32(units_per_metre)
    depth[(stored == UNKNOWN) | (stored == BEYOND)] = np.nan
    return depth
