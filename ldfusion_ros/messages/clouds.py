"""Organised point clouds from depth, colour and thermal values."""

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from ldfusion_models.camera.lens import Intrinsics, rays
from ldfusion_ros.messages.conversions import writable_data

FIELDS = ('x', 'y', 'z', 'rgb', 'thermal')
POINT_STEP = 4 * len(FIELDS)


class CloudBuilder:
    """Fills one PointCloud2 message again and again; rays are computed anew only when camera or stride changes."""

    def __init__(self) -> None:
        self.message = PointCloud2(point_step=POINT_STEP, is_bigendian=False)
        self.message.fields = [
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate(FIELDS)
        ]
        self._view: tuple[Intrinsics, int] | None = None
        self._directions = np.empty((2, 0, 0), np.float32)

    def fill(
        self,
        depth: npt.NDArray[np.float32],
        colour: npt.NDArray[np.uint8],
        thermal: npt.NDArray[np.float32],
        camera: Intrinsics,
        header: Header,
        stride: int = 1,
    ) -> PointCloud2:
        """Write a cloud of every ``stride``-th pixel into the message and return it.

        Args:
            depth: (H, W) metres; NaN gives a point of NaN.
            colour: (H, W, 3) RGB, stored as PCL does: 0x00RRGGBB in the bits of ``rgb``.
            thermal: (H, W) value of the field ``thermal``.
            camera: of that size.
            header: stamp and optical frame.
            stride: step between pixels in both axes, at least 1.
        """
        depth, thermal = depth[::stride, ::stride], thermal[::stride, ::stride]
        colour = np.ascontiguousarray(colour[::stride, ::stride])
        x, y = self._directions_of(camera, stride)
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
        message.is_dense = bool(np.isfinite(depth).all())
        return message

    def _directions_of(self, camera: Intrinsics, stride: int) -> npt.NDArray[np.float32]:
        if self._view != (camera, stride):
            # Two planes, each in one piece: a third of the time of reading every third number.
            self._directions = np.ascontiguousarray(np.moveaxis(rays(camera)[::stride, ::stride, :2], 2, 0))
            self._view = (camera, stride)
        return self._directions


def within_range(depth: npt.NDArray[np.float32], minimum: float, maximum: float) -> npt.NDArray[np.float32]:
    """Depth (H, W) with NaN below ``minimum`` and beyond ``maximum`` metres; 0 is no limit."""
    if minimum <= 0 and maximum <= 0:
        return depth
    inside = depth >= minimum
    if maximum > 0:
        inside &= depth <= maximum
    return np.where(inside, depth, np.float32(np.nan))
