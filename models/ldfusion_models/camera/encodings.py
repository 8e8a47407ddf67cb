"""Images as drivers and recordings store them (encoding, row step, byte order) to arrays."""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError


class Layout(NamedTuple):
    """Type and number of the channels of one pixel."""

    dtype: type[np.generic]
    channels: int


# The names of sensor_msgs/image_encodings.hpp.
LAYOUTS = {
    'rgb8': Layout(np.uint8, 3),
    'bgr8': Layout(np.uint8, 3),
    'rgba8': Layout(np.uint8, 4),
    'bgra8': Layout(np.uint8, 4),
    'mono8': Layout(np.uint8, 1),
    '8UC1': Layout(np.uint8, 1),
    '8UC3': Layout(np.uint8, 3),
    'mono16': Layout(np.uint16, 1),
    '16UC1': Layout(np.uint16, 1),
    '32FC1': Layout(np.float32, 1),
}
# 8UC3 names no order; OpenCV, where it comes from, stores BGR.
TO_RGB = {
    'bgr8': cv2.COLOR_BGR2RGB,
    '8UC3': cv2.COLOR_BGR2RGB,
    'rgba8': cv2.COLOR_RGBA2RGB,
    'bgra8': cv2.COLOR_BGRA2RGB,
}


def decode_raw(
    encoding: str, height: int, width: int, step: int, data: Any, big_endian: bool = False
) -> npt.NDArray[Any]:
    """Decode an uncompressed image.

    Args:
        encoding: one of ``LAYOUTS``.
        step: bytes from one row to the next; at least what the pixels need.
        data: the bytes, as anything with a buffer.

    Returns:
        (H, W, 3) RGB uint8, or (H, W) uint8, uint16 or float32; a view of ``data`` where nothing had to be converted.

    Raises:
        InputError: an unknown encoding, or a size, step and data that don't fit each other.
    """
    layout = LAYOUTS.get(encoding)
    if layout is None:
        raise InputError(f'encoding {encoding!r} is not supported; use one of {", ".join(LAYOUTS)}')
    dtype = np.dtype(layout.dtype).newbyteorder('>' if big_endian else '<')
    row = width * layout.channels * dtype.itemsize
    stored = np.frombuffer(data, np.uint8)
    needed = step * (height - 1) + row
    if height < 1 or width < 1:
        raise InputError(f'image of {width}x{height} pixels is empty')
    if step < row:
        raise InputError(f'image step of {step} bytes is too short for {width} pixels of {encoding}')
    if stored.size < needed:
        raise InputError(f'image data is truncated: {stored.size} bytes instead of {needed}')
    strides = (step, layout.channels * dtype.itemsize, dtype.itemsize)
    pixels: npt.NDArray[Any] = np.ndarray((height, width, layout.channels), dtype, stored, strides=strides)
    if encoding in TO_RGB:
        return cv2.cvtColor(np.ascontiguousarray(pixels), TO_RGB[encoding])
    native = pixels if dtype.isnative else pixels.astype(layout.dtype)
    return native[..., 0] if layout.channels == 1 else native


def decode_compressed(data: Any) -> npt.NDArray[Any]:
    """Decode JPEG, PNG or TIFF bytes to (H, W, 3) RGB uint8, or (H, W) uint8 or uint16.

    Raises:
        InputError: not an image, or larger than OpenCV allows.
    """
    stored = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED) if stored.size else None
    except cv2.error:  # a header that promises more pixels than allowed, or none
        image = None
    if image is None:
        raise InputError(f'compressed image of {stored.size} bytes cannot be decoded')
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
