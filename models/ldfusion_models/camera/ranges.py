"""Measured points from the fields of sensor_msgs/PointCloud2 and LaserScan, whatever library made the message."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError

Points = npt.NDArray[np.float32]
# sensor_msgs/PointField: FLOAT32, FLOAT64.
FLOATS = {7: 'f4', 8: 'f8'}


class PointCloud2(Protocol):
    """The message; its fields have name, offset and datatype."""

    width: int
    height: int
    fields: Sequence[Any]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any


class LaserScan(Protocol):
    """The message; angles in radians around z, from x towards y."""

    angle_min: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: Any


def points_of_cloud(message: PointCloud2) -> Points:
    """Points (N, 3) in metres in the frame of the message; NaN stays.

    Raises:
        InputError: no floats x, y and z, or fewer bytes than it promises.
    """
    fields = {field.name: field for field in message.fields}
    if any(name not in fields or fields[name].datatype not in FLOATS for name in 'xyz'):
        raise InputError(f'cloud with fields {", ".join(fields) or "none"}; x, y and z as floats are needed')
    row_bytes = message.width * message.point_step
    data = np.frombuffer(message.data, np.uint8)
    if message.row_step < row_bytes or len(data) < message.height * message.row_step:
        raise InputError(
            f'cloud of {message.width}x{message.height} points promises more than its {len(data)} bytes hold'
        )
    rows = data[: message.height * message.row_step].reshape(message.height, message.row_step)[:, :row_bytes]
    try:
        layout = np.dtype(
            {
                'names': ['x', 'y', 'z'],
                'formats': [('>' if message.is_bigendian else '<') + FLOATS[fields[name].datatype] for name in 'xyz'],
                'offsets': [fields[name].offset for name in 'xyz'],
                'itemsize': message.point_step,
            }
        )
    except ValueError as error:
        raise InputError(f'cloud whose points of {message.point_step} bytes do not hold x, y and z') from error
    points = np.ascontiguousarray(rows).view(layout).ravel()
    return np.stack([points[name].astype(np.float32) for name in 'xyz'], axis=1)


def points_of_scan(message: LaserScan) -> Points:
    """Points (N, 3) in metres in the frame of the scan; NaN where a ray met nothing within its limits (REP 117).

    Raises:
        InputError: angles that are not finite.
    """
    ranges = np.asarray(message.ranges, np.float32)
    if not np.isfinite([message.angle_min, message.angle_increment]).all():
        raise InputError('scan whose angles are not finite; correct its driver')
    angles = message.angle_min + message.angle_increment * np.arange(len(ranges))
    with np.errstate(invalid='ignore'):
        ranges = np.where((ranges >= message.range_min) & (ranges <= message.range_max), ranges, np.float32(np.nan))
    return np.stack([ranges * np.cos(angles), ranges * np.sin(angles), np.where(ranges > 0, 0, np.nan)], 1).astype(
        np.float32
    )
