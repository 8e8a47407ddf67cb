"""Image messages of a moment to arrays."""

from sensor_msgs.msg import CompressedImage, Image

from ldfusion_models.camera.images import AnyImage
from ldfusion_models.errors import InputError
from ldfusion_models.rig.streams import Moment
from ldfusion_ros.messages.conversions import image_from_compressed, image_from_message


class BadFrameError(InputError):
    """A message that can't be used; ``camera`` says whose."""

    def __init__(self, camera: str, reason: str) -> None:
        super().__init__(f'{camera}: {reason}')
        self.camera = camera


def decode(
    moment: Moment[Image | CompressedImage], thermal_encoding: str = ''
) -> tuple[AnyImage | None, AnyImage | None]:
    """The visible and the thermal image as they came; None for a camera that is lost.

    Raw thermal images are of ``thermal_encoding``, whatever the message says, if it is not empty.

    Raises:
        BadFrameError: a message that can't be used.
    """
    return _decode(moment.visible, 'visible'), _decode(moment.thermal, 'thermal', thermal_encoding)


def _decode(message: Image | CompressedImage | None, camera: str, encoding: str = '') -> AnyImage | None:
    if message is None:
        return None
    try:
        if isinstance(message, CompressedImage):
            return image_from_compressed(message)
        return image_from_message(message, encoding)
    except InputError as error:
        raise BadFrameError(camera, str(error)) from error
