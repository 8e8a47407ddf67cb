"""The cameras' calibrations as they come in, and the intrinsics of an image of any size."""

from sensor_msgs.msg import CameraInfo

from ldfusion_models.camera import Intrinsics
from ldfusion_ros.conversions import intrinsics_from_message
from ldfusion_ros.diagnostics import Announcer


class Calibrations:
    """Keeps the last good camera_info of each camera, and says once what is missing or does not fit."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._known: dict[str, tuple[CameraInfo, Intrinsics]] = {}

    def take(self, camera: str, info: CameraInfo) -> None:
        """Keep a camera_info.

        Raises:
            InputError: it is not a calibration; the last good one stays.
        """
        self._known[camera] = (info, intrinsics_from_message(info))
        self._announcer.over(f'{camera} without camera_info')
        if any(info.d):
            self._announcer.once(
                f'{camera} distorted', f'{camera} camera_info has distortion; feed rectified images for exact geometry'
            )

    def __contains__(self, camera: str) -> bool:
        return camera in self._known

    def of(
        self, camera: str, width: int, height: int, fallback_degrees: float
    ) -> tuple[CameraInfo | None, Intrinsics | None]:
        """Calibration and intrinsics for an image of this size; an unknown camera may have a fallback field of view."""
        if camera not in self._known:
            self._announcer.once(
                f'{camera} without camera_info',
                f'no {camera} camera_info yet: depth is not metric and there are no points; '
                'publish it or set fallback_field_of_view',
            )
            if fallback_degrees > 0:
                return None, Intrinsics.from_field_of_view(width, height, fallback_degrees)
            return None, None
        info, intrinsics = self._known[camera]
        if (intrinsics.width, intrinsics.height) != (width, height):
            self._announcer.once(
                f'{camera} {width}x{height}',
                f'{camera} images are {width}x{height} but camera_info is for {intrinsics.width}x{intrinsics.height}; '
                'taken to be resized',
            )
        return info, intrinsics.scaled(width, height)
