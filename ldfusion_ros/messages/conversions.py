"""Messages to arrays and back: images, compressed images, camera calibrations and text embeddings.

Outgoing messages are filled in place and meant to be kept from frame to frame: a message's buffer is an
``array.array`` that NumPy writes into, so that a frame is copied once and never checked element by element.
"""

import array

import cv2
import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float32MultiArray, Header, MultiArrayDimension

from ldfusion_models.camera.encodings import decode_compressed, decode_raw
from ldfusion_models.camera.images import AnyImage
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo

LABEL_SHOWN = 100


def image_from_message(message: Image, encoding: str = '') -> AnyImage:
    """The image of a message as ``decode_raw`` gives it; a view of the message if it can be.

    Args:
        message: as a driver sent it.
        encoding: in place of the message's own, if it is not empty.

    Raises:
        InputError: no pixels, data that is shorter than its description, or an encoding that is no image of a camera.
    """
    return decode_raw(
        encoding or message.encoding,
        message.height,
        message.width,
        message.step,
        message.data,
        bool(message.is_bigendian),
    )


def image_from_compressed(message: CompressedImage) -> AnyImage:
    """The image of a compressed message (JPEG, PNG, ...), as :func:`image_from_message` gives it.

    Raises:
        InputError: empty or damaged data.
    """
    return decode_compressed(message.data, message.format)


def writable_data(message: Image, size: int) -> npt.NDArray[np.uint8]:
    """The message's own buffer as an array of ``size`` bytes; made anew only when the size changes."""
    if len(message.data) != size:
        message.data = array.array('B', bytes(size))
    return np.frombuffer(message.data, np.uint8)


def nanoseconds(stamp: Time) -> int:
    """A message's stamp as one number."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def fill_image(
    message: Image, image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32], header: Header
) -> Image:
    """Write an image into a message: uint8 becomes rgb8 or mono8, uint16 16UC1, float32 32FC1.

    Args:
        message: filled in place and returned.
        image: (H, W, 3) RGB uint8, or (H, W) of any of the three types.
        header: stamp and frame.
    """
    height, width = image.shape[:2]
    grey = {'uint8': 'mono8', 'uint16': '16UC1', 'float32': '32FC1'}
    message.header = header
    message.height, message.width = height, width
    message.encoding = 'rgb8' if image.ndim == 3 else grey[image.dtype.name]
    message.is_bigendian = 0
    message.step = image.nbytes // height
    buffer = writable_data(message, image.nbytes)
    np.copyto(buffer.view(image.dtype.newbyteorder('<')).reshape(image.shape), image)
    return message


def compressed_from_image(image: npt.NDArray[np.uint8], header: Header) -> CompressedImage:
    """A JPEG of an image (H, W, 3) RGB, named as ``image_transport`` names it."""
    _, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    message = CompressedImage(header=header, format='rgb8; jpeg compressed bgr8')
    message.data = array.array('B', data.tobytes())
    return message


def moved_camera_info(info: CameraInfo, camera: Intrinsics, header: Header) -> CameraInfo:
    """The calibration of a message for what became of its camera, with nothing left to apply.

    Pixels of the whole sensor go where ``camera`` has them, in P as in K: scaled, cut, binned, or a region of interest.
    Distortion and rectification do not depend on that. A P of zeros, as some drivers send it, becomes K.
    """
    moved = CameraInfo(header=header, width=camera.width, height=camera.height, distortion_model=info.distortion_model)
    moved.d, moved.r = info.d, info.r
    moved.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    p = np.array(info.p, np.float64).reshape(3, 4)
    if not p[0, 0] > 0:
        p[:, :3] = np.reshape(info.k, (3, 3))
    for axis, (focal, centre) in enumerate(((camera.fx, camera.cx), (camera.fy, camera.cy))):
        scale = focal / float(info.k[4 * axis])
        p[axis] = scale * p[axis] + (centre - scale * float(info.k[3 * axis + 2])) * p[2]
    moved.p = p.ravel()
    return moved


def camera_info_from_intrinsics(camera: Intrinsics, header: Header) -> CameraInfo:
    """A calibration without distortion for a pinhole camera."""
    info = CameraInfo(header=header, width=camera.width, height=camera.height, distortion_model='plumb_bob')
    info.d = [0.0] * 5
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    info.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def message_from_embedding(embedding: npt.NDArray[np.float32], encoder: str) -> Float32MultiArray:
    """A text embedding (D,) as a message whose dimension is labelled with the encoder's name."""
    message = Float32MultiArray()
    message.layout.dim = [MultiArrayDimension(label=encoder, size=len(embedding), stride=len(embedding))]
    message.data = array.array('f', embedding.tobytes())
    return message


def embedding_from_message(message: Float32MultiArray, graph: GraphInfo) -> npt.NDArray[np.float32]:
    """The text embedding (D,) of a message whose first dimension is labelled with the encoder's name.

    Raises:
        InputError: another encoder or length than the weights were trained for, or values that are not finite.
    """
    encoder = message.layout.dim[0].label if message.layout.dim else ''
    if encoder != graph.text_encoder or len(message.data) != graph.text_dim:
        raise InputError(
            f'text embedding of encoder {encoder[:LABEL_SHOWN]!r} and length {len(message.data)}; '
            f'these weights need {graph.text_encoder!r} and {graph.text_dim}'
        )
    embedding = np.array(message.data, np.float32)
    if not np.isfinite(embedding).all():
        raise InputError(f'text embedding of encoder {encoder!r} holds values that are not finite')
    return embedding
