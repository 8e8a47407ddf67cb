"""Scans of a laser scanner, projected into a camera: measured depth for images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_yaml
from ldfusion_training.data.depth import Depth, camera_from

SCAN_SUFFIXES = ('.bin', '.npy')
# Nearer returns come from the vehicle itself.
NEAREST = 0.5


@dataclass(frozen=True)
class Mounting:
    """A camera and where it is: ``camera_T_scanner`` (4, 4) takes scanner points to the optical frame, in metres."""

    camera: Intrinsics
    camera_T_scanner: npt.NDArray[np.float64]  # noqa: N815 (frames' usual notation)


def read_mounting(path: Path, camera: str) -> Mounting:
    """Read the mounting of the named camera from a calibration file (YAML).

    The file has a section per camera (``visible``, ``thermal``) with width, height, fx, fy, cx, cy of the rectified
    camera in pixels and ``camera_T_scanner``, four rows of four numbers.

    Raises:
        InputError: unreadable, no such section, values missing, or no rigid transform.
    """
    try:
        section = read_yaml(path)[camera]
        transform = np.array(section['camera_T_scanner'], np.float64).reshape(4, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: needs the section {camera} with camera_T_scanner, four rows of four') from error
    rotation = transform[:3, :3]
    is_rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    if not is_rigid or not np.allclose(transform[3], (0, 0, 0, 1)):
        raise InputError(f'{path}: camera_T_scanner of {camera} is no rotation and translation')
    return Mounting(camera_from(section, path), transform)


def read_scan(path: Path) -> npt.NDArray[np.float32]:
    """Points (N, 3) in metres from KITTI's ``.bin`` (float32 x, y, z, reflectance) or ``.npy`` (N, 3 or more).

    Raises:
        InputError: unreadable, of another form, or without points.
    """
    try:
        stored = np.load(path, allow_pickle=False) if path.suffix == '.npy' else np.fromfile(path, np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f'{path}: not a readable scan') from error
    if path.suffix != '.npy':
        if stored.size % 4:
            raise InputError(f'{path}: {stored.size} numbers; a scan has four for each point (x, y, z, reflectance)')
        stored = stored.reshape(-1, 4)
    if stored.ndim != 2 or stored.shape[1] < 3:
        raise InputError(f'{path}: shape {stored.shape}; points are (N, 3) or wider')
    points = stored[:, :3].astype(np.float32)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        raise InputError(f'{path}: holds no points')
    return points


def project_scan(points: npt.NDArray[np.float32], mounting: Mounting) -> Depth:
    """Depth (H, W) in metres along the optical axis, NaN where no point falls; of several points the nearest stays.

    A scanner beside the camera also sees what is hidden from the camera; such points stay, as they do in KITTI's
    single scans.

    Args:
        points: (N, 3) in the scanner's frame.

    Raises:
        InputError: no point falls into the image.
    """
    camera, transform = mounting.camera, mounting.camera_T_scanner
    x, y, z = (points.astype(np.float64) @ transform[:3, :3].T + transform[:3, 3]).T
    ahead = z > NEAREST
    x, y, z = x[ahead], y[ahead], z[ahead]
    columns = np.round(camera.fx * x / z + camera.cx).astype(np.int64)
    rows = np.round(camera.fy * y / z + camera.cy).astype(np.int64)
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    if not inside.any():
        raise InputError(f'none of {len(points)} points falls into the image; check camera_T_scanner and the camera')
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    np.minimum.at(depth, (rows[inside], columns[inside]), z[inside].astype(np.float32))
    return np.where(np.isinf(depth), np.float32(np.nan), depth)
