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


def decode(moment: Moment[Image | CompressedImage]) -> tuple[AnyImage | None, AnyImage | None]:
    """The visible and the thermal image as they came; None for a camera that is lost.

    Raises:
        BadFrameError: a message that can't be used.
    """
    return _decode(moment.visible, 'visible'), _decode(moment.thermal, 'thermal')


def _decode(message: Image | CompressedImage | None, camera: str) -> AnyImage | None:
    if message is None:
        return None
    try:
        return image_from_compressed(message) if isinstance(message, CompressedImage) else image_from_message(message)
    except InputError as error:
        raise BadFrameError(camera, str(error)) from error
