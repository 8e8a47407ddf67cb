"""Images as drivers and recordings store them (encoding, row step, byte order) to arrays."""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError


class Layout(NamedTuple):
    """How pixels are stored.

    Attributes:
        dtype: of one value.
        channels: values of one pixel.
        to_rgb: OpenCV's conversion to RGB; None where nothing is to be converted.
        rows: stored rows for each row of the image; half the colours of ``nv12`` lie below the brightness.
    """

    dtype: type[np.generic]
    channels: int
    to_rgb: int | None = None
    rows: float = 1


# The names of sensor_msgs/image_encodings.hpp, and nv12, which cameras send as well. 8UC3 and 8UC4 name no order;
# OpenCV, where they come from, stores BGR.
LAYOUTS = {
    'rgb8': Layout(np.uint8, 3),
    'bgr8': Layout(np.uint8, 3, cv2.COLOR_BGR2RGB),
    'rgba8': Layout(np.uint8, 4, cv2.COLOR_RGBA2RGB),
    'bgra8': Layout(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    'mono8': Layout(np.uint8, 1),
    '8UC1': Layout(np.uint8, 1),
    '8UC3': Layout(np.uint8, 3, cv2.COLOR_BGR2RGB),
    '8UC4': Layout(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    'rgb16': Layout(np.uint16, 3),
    'bgr16': Layout(np.uint16, 3, cv2.COLOR_BGR2RGB),
    'rgba16': Layout(np.uint16, 4, cv2.COLOR_RGBA2RGB),
    'bgra16': Layout(np.uint16, 4, cv2.COLOR_BGRA2RGB),
    'mono16': Layout(np.uint16, 1),
    '16UC1': Layout(np.uint16, 1),
    '16SC1': Layout(np.int16, 1),
    '32FC1': Layout(np.float32, 1),
    'yuv422': Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2),
    'nv12': Layout(np.uint8, 1, cv2.COLOR_YUV2RGB_NV12, 1.5),
    'nv21': Layout(np.uint8, 1, cv2.COLOR_YUV2RGB_NV21, 1.5),
} | {
    f'bayer_{order}{bits}': Layout(dtype, 1, conversion)
    for order, conversion in (
        ('rggb', cv2.COLOR_BayerRGGB2RGB),
        ('bggr', cv2.COLOR_BayerBGGR2RGB),
        ('gbrg', cv2.COLOR_BayerGBRG2RGB),
        ('grbg', cv2.COLOR_BayerGRBG2RGB),
    )
    for bits, dtype in ((8, np.uint8), (16, np.uint16))
}
# Two bytes for each pixel, whatever a driver calls them: counts of a camera that says it sends colours.
COUNTS = '16UC1'
# compressed_depth_image_transport writes its settings before the PNG.
DEPTH_HEADER, PNG = 12, b'\x89PNG'


def decode_raw(
    encoding: str, height: int, width: int, step: int, data: Any, big_endian: bool = False
) -> npt.NDArray[Any]:
    """Decode an uncompressed image.

    Args:
        encoding: one of ``LAYOUTS``.
        step: bytes from one row to the next; at least what the pixels need.
        data: the bytes, as anything with a buffer.

    Returns:
        (H, W, 3) RGB uint8 or uint16, or (H, W) uint8, uint16, int16 or float32; a view of ``data`` where nothing had
        to be converted.

    Raises:
        InputError: an unknown encoding, or a size, step and data that don't fit each other or the encoding.
    """
    layout = LAYOUTS.get(encoding)
    if layout is None:
        raise InputError(f'encoding {encoding!r} is not supported; use one of {", ".join(LAYOUTS)}')
    dtype = np.dtype(layout.dtype).newbyteorder('>' if big_endian else '<')
    row = width * layout.channels * dtype.itemsize
    rows = int(height * layout.rows)
    stored = np.frombuffer(data, np.uint8)
    needed = step * (rows - 1) + row
    if height < 1 or width < 1:
        raise InputError(f'image of {width}x{height} pixels is empty')
    if step < row:
        raise InputError(f'image step of {step} bytes is too short for {width} pixels of {encoding}')
    if stored.size < needed:
        raise InputError(f'image data is truncated: {stored.size} bytes instead of {needed}')
    strides = (step, layout.channels * dtype.itemsize, dtype.itemsize)
    pixels: npt.NDArray[Any] = np.ndarray((rows, width, layout.channels), dtype, stored, strides=strides)
    native = pixels if dtype.isnative else pixels.astype(layout.dtype)
    if layout.to_rgb is not None:
        return _converted(native, encoding, layout.to_rgb, width, height)
    return native[..., 0] if layout.channels == 1 else native


def _converted(pixels: npt.NDArray[Any], encoding: str, conversion: int, width: int, height: int) -> npt.NDArray[Any]:
    """RGB (H, W, 3). What two or four pixels share needs as many."""
    halves = encoding.startswith(('yuv', 'uyvy', 'yuyv', 'nv', 'bayer'))
    if halves and (width % 2 or width < 2 or (encoding.startswith(('nv', 'bayer')) and (height % 2 or height < 2))):
        raise InputError(f'image of {width}x{height} pixels can not be {encoding}, whose pixels share their colours')
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion))


def decode_compressed(data: Any, said: str = '') -> npt.NDArray[Any]:
    """Decode JPEG, PNG or TIFF bytes to (H, W, 3) RGB, or (H, W), of the types that :func:`decode_raw` gives.

    Args:
        data: the bytes, also with the header that ``compressedDepth`` puts before them.
        said: the message's ``format``, which is believed only where the bytes can't tell.

    Raises:
        InputError: not an image, of other types, larger than OpenCV allows, or temperatures that were kept as depth.
    """
    stored = np.frombuffer(data, np.uint8)
    if stored[DEPTH_HEADER : DEPTH_HEADER + len(PNG)].tobytes() == PNG:
        if said.startswith('32FC1'):
            raise InputError('compressedDepth keeps floats as depth, to 10 m; send temperatures raw, or counts')
        stored = stored[DEPTH_HEADER:]
    try:
        image = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED) if stored.size else None
    except cv2.error:  # a header that promises more pixels than allowed, or none
        image = None
    if image is None:
        raise InputError(f'compressed image of {stored.size} bytes cannot be decoded')
    types = ('uint8', 'uint16') if image.ndim == 3 else ('uint8', 'uint16', 'int16', 'float32')
    if image.dtype.name not in types:
        raise InputError(f'compressed image of {image.dtype} and shape {image.shape}: {", ".join(types)} can be read')
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
