"""The cameras' calibrations as they come in, and the intrinsics of an image of any size."""

from sensor_msgs.msg import CameraInfo

from ldfusion_models.camera.camera_info import intrinsics_from_message, lens_from_message
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.errors import InputError
from ldfusion_ros.node.diagnostics import Announcer


class Calibrations:
    """Keeps the last good camera_info of each camera, and says once what is missing or does not fit.

    Attributes:
        undistorts: whether somebody removes the distortion of the lenses.
    """

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._known: dict[str, tuple[CameraInfo, Intrinsics]] = {}
        self._lenses: dict[str, Lens] = {}
        self.undistorts = False

    def take(self, camera: str, info: CameraInfo) -> None:
        """Keep a camera_info.

        Raises:
            InputError: it is not a calibration; the last good one stays.
        """
        self._known[camera] = (info, intrinsics_from_message(info))
        self._announcer.over(f'{camera} without camera_info')
        self._take_lens(camera, info)
        if any(info.d) and not self.undistorts:
            self._announcer.once(
                f'{camera} distorted',
                f'{camera} camera_info has distortion; for exact geometry feed rectified images, '
                'or set registration_file to a file that says undistort: true',
            )

    def __contains__(self, camera: str) -> bool:
        return camera in self._known

    def lens(self, camera: str) -> Lens | None:
        """The camera with its lens; None if unknown."""
        return self._lenses.get(camera)

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

    def _take_lens(self, camera: str, info: CameraInfo) -> None:
        try:
            self._lenses[camera] = lens_from_message(info)
        except InputError as error:
            self._lenses.pop(camera, None)
            self._announcer.once(f'{camera} lens', f'{camera} camera_info: {error}; its lens stays unknown')
