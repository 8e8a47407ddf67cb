"""What sensor_msgs/PointCloud2, LaserScan and Range have measured, whatever library made the message."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError

Points = npt.NDArray[np.float32]
# sensor_msgs/PointField: types of its values by number.
VALUE_TYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}


class PointCloud2(Protocol):
    """The message; its fields have name, offset, datatype and count."""

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


class Range(Protocol):
    """The message; a cone of ``field_of_view`` radians around x."""

    field_of_view: float
    min_range: float
    max_range: float
    range: float


def structured_points(message: PointCloud2) -> npt.NDArray[Any]:
    """The points (H, W) with the message's own field names; a view of its bytes.

    Raises:
        InputError: unknown types, or data that don't fit the size of points and cloud.
    """
    size = len(message.data)
    if message.row_step < message.point_step * message.width or size < message.row_step * message.height:
        raise InputError(f'{message.width}x{message.height} points do not fit {size} bytes')
    order = '>' if message.is_bigendian else '<'
    try:
        layout = np.dtype(
            {
                'names': [field.name for field in message.fields],
                'formats': [_format(field, order) for field in message.fields],
                'offsets': [field.offset for field in message.fields],
                'itemsize': message.point_step,
            }
        )
    except (KeyError, ValueError) as error:
        raise InputError(f'points of {message.point_step} bytes do not hold the fields they promise') from error
    strides = message.row_step, message.point_step
    points: npt.NDArray[Any] = np.ndarray((message.height, message.width), layout, message.data, strides=strides)
    return points


def _format(field: Any, order: str) -> str:
    count = field.count if field.count > 1 else ''
    return f'{count}{order}{VALUE_TYPES[field.datatype]}'


def points_of_cloud(message: PointCloud2) -> Points:
    """Points (N, 3) in metres in the frame of the message; NaN stays.

    Raises:
        InputError: no x, y and z, or as :func:`structured_points`.
    """
    points = structured_points(message)
    names = points.dtype.names or ()
    if not {'x', 'y', 'z'} <= {name for name in names if not points.dtype[name].shape}:
        raise InputError(f'points with fields {", ".join(names) or "none"}; x, y and z, one value each, are needed')
    return np.stack([points[axis].reshape(-1) for axis in 'xyz'], axis=1).astype(np.float32)


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


def cone_of_range(message: Range) -> tuple[float, float]:
    """Metres to the nearest thing in the cone, and half of the cone's angle in radians.

    The distance is NaN where nothing was met within the limits: by REP 117 too near is -inf, nothing in sight inf, and
    an error NaN.

    Raises:
        InputError: a field of view that can't be.
    """
    if not 0 <= message.field_of_view < math.pi:
        raise InputError(
            f'field_of_view of {message.field_of_view:g} rad; below {math.pi:.2f} is needed, see its driver'
        )
    is_met = math.isfinite(message.range) and message.min_range <= message.range <= message.max_range
    return message.range if is_met and message.range > 0 else math.nan, message.field_of_view / 2
