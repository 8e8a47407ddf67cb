"""The cameras' calibrations as they come in."""

from sensor_msgs.msg import CameraInfo

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.rig.settings import StreamSettings
from ldfusion_ros.node.diagnostics import Announcer


class Calibrations:
    """Keeps the last good camera_info of each camera, and says once what is missing or does not fit.

    Attributes:
        known: by camera; exchanged as a whole, so that it can be read from another thread.
        infos: the messages they were read from.
    """

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self.known: dict[str, Calibration] = {}
        self.infos: dict[str, CameraInfo] = {}

    def take(self, camera: str, info: CameraInfo) -> None:
        """Keep a camera_info.

        Raises:
            InputError: it is not a calibration; the last good one stays.
        """
        calibration = Calibration.from_message(info)
        self.infos = {**self.infos, camera: info}
        self.known = {**self.known, camera: calibration}
        self._announcer.end(f'{camera} without camera_info')
        if calibration.problem:
            self._announcer.once(
                f'{camera} lens', f'{camera} camera_info: {calibration.problem}; its lens stays unknown'
            )

    def intrinsics(self, camera: str, width: int, height: int, settings: StreamSettings) -> Intrinsics | None:
        """Intrinsics for an image of this size, rows cut; an unknown camera may have a fallback field of view."""
        known = self.known.get(camera)
        if known is None:
            self._announcer.once(
                f'{camera} without camera_info',
                f'no {camera} camera_info yet: depth is not metric and there are no points; '
                'publish it or set fallback_field_of_view',
            )
            degrees = settings.fallback_field_of_view
            return Intrinsics.from_field_of_view(width, height, degrees) if degrees > 0 else None
        size = known.camera.width, known.camera.height
        cut = settings.thermal_cut_top + settings.thermal_cut_bottom if camera == 'thermal' else 0
        if size not in ((width, height), (width, height + cut)):
            is_turned = size == (height, width)
            what = 'swapped, so K is taken as it is' if is_turned else 'taken to be resized'
            self._announcer.once(
                f'{camera} {width}x{height}',
                f'{camera} images are {width}x{height} but camera_info is for {size[0]}x{size[1]}; {what}',
            )
        return known.camera.scaled(width, height)
