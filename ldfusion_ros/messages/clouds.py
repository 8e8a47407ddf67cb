"""Organised point clouds from depth, colour and thermal values."""

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from ldfusion_models.camera.lens import without_flying_points
from ldfusion_models.errors import InputError
from ldfusion_models.rig.rig import Frame
from ldfusion_ros.messages.conversions import writable_data

FIELDS = ('x', 'y', 'z', 'rgb', 'thermal')
POINT_STEP = 4 * len(FIELDS)


def stride_within(limit: int, width: int, height: int, stride: int) -> int:
    """The smallest step from ``stride`` on with which an image makes at most ``limit`` points (0: no limit)."""
    while 0 < limit < -(-width // stride) * -(-height // stride):
        stride += 1
    return stride


class CloudBuilder:
    """Fills one PointCloud2 message again and again; rays are computed anew only when camera or stride changes."""

    def __init__(self) -> None:
        self.message = PointCloud2(point_step=POINT_STEP, is_bigendian=False)
        self.message.fields = [
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate(FIELDS)
        ]
        self._view: tuple[object, ...] = ()
        self._directions = np.empty((2, 0, 0), np.float32)

    def fill(self, frame: Frame, header: Header, stride: int = 1, flying_points: float = 0.0) -> PointCloud2:
        """Write a cloud of every ``stride``-th pixel into the message and return it.

        Args:
            frame: with a known camera; depth that is NaN gives a point of NaN, ``thermal_values`` the field
                ``thermal``, and colours are stored as PCL does: 0x00RRGGBB in the bits of ``rgb``.
            header: stamp and optical frame.
            stride: step between pixels in both axes, at least 1.
            flying_points: depth that changes between neighbours by more than this part of itself is left out; 0: none.

        Raises:
            InputError: the camera is not known.
        """
        depth = without_flying_points(frame.depth, flying_points) if flying_points > 0 else frame.depth
        depth, thermal = depth[::stride, ::stride], frame.thermal_values[::stride, ::stride]
        colour = np.ascontiguousarray(frame.fused[::stride, ::stride])
        x, y = self._directions_of(frame, stride)
        height, width = depth.shape
        message = self.message
        message.header = header
        message.height, message.width = height, width
        message.row_step = width * POINT_STEP
        buffer = writable_data(message, height * message.row_step)
        points = buffer.view('<f4').reshape(height, width, len(FIELDS))
        np.multiply(depth, x, out=points[..., 0])
        np.multiply(depth, y, out=points[..., 1])
        points[..., 2] = depth
        packed = cv2.cvtColor(colour, cv2.COLOR_RGB2BGRA).view('<u4')[..., 0]
        np.bitwise_and(packed, 0x00FFFFFF, out=points.view('<u4')[..., 3])
        points[..., 4] = thermal
        message.is_dense = bool(np.isfinite(points[..., 0]).all())
        return message

    def _directions_of(self, frame: Frame, stride: int) -> npt.NDArray[np.float32]:
        view = (frame.camera, frame.calibration, stride)
        if self._view != view:
            rays = frame.rays(stride)
            if rays is None:
                raise InputError('a cloud needs the camera; publish camera_info or set fallback_field_of_view')
            # Two planes, each in one piece: a third of the time of reading every third number.
            self._directions = np.ascontiguousarray(np.moveaxis(rays[..., :2], 2, 0))
            self._view = view
        return self._directions
