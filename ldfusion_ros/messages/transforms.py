"""Where one frame is in another, from TF."""

from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from ldfusion_models.camera.registration import Matrix, as_matrix
from ldfusion_models.errors import InputError

REMEDY = 'or write thermal_T_visible into the registration file'


class Transforms:
    """Listens to TF, where tf2_ros is installed; a robot's ROS distribution brings it, PyPI does not."""

    def __init__(self, node: Node) -> None:
        self._buffer: Any = None
        self._listener: Any = None
        try:
            import tf2_ros
        except ImportError:
            return
        self._unavailable: type[Exception] = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, remedy: str = REMEDY) -> Matrix:
        """The transform (4, 4) from points of ``source`` to points of ``target``, the latest there is.

        Args:
            target, source: frames.
            remedy: what else helps, for the error's text.

        Raises:
            InputError: there is none; the message says what to do.
        """
        if not target or not source:
            raise InputError(f'messages without frame_id cannot be looked up in TF; set it in the driver, {remedy}')
        if self._buffer is None:
            raise InputError(
                f'no TF: tf2_ros is not installed; install package tf2_ros_py of your ROS distribution, {remedy}'
            )
        try:
            # tf2 knows no leading slash, which drivers from ROS 1's days still send.
            found = self._buffer.lookup_transform(target.lstrip('/'), source.lstrip('/'), Time())
        except self._unavailable as error:
            raise InputError(f'no transform from {source} to {target} ({error}); publish it, {remedy}') from error
        place, turn = found.transform.translation, found.transform.rotation
        return matrix_from((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))

    def release(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
        self._buffer = self._listener = None


def matrix_from(translation: tuple[float, float, float], quaternion: tuple[float, float, float, float]) -> Matrix:
    """The transform (4, 4) of a translation and a quaternion (x, y, z, w), which need not be of unit length.

    Raises:
        InputError: the quaternion is zero.
    """
    length = float(np.linalg.norm(quaternion))
    if not length > 0:
        raise InputError('transform with a quaternion of zeros; correct its publisher')
    x, y, z, w = (value / length for value in quaternion)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return as_matrix(matrix)
