"""How raw camera drivers store colours: a plain transcription of each format, without OpenCV."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
COLOURS = np.array([(200, 40, 30), (40, 180, 60), (50, 60, 210), (128, 128, 128), (230, 220, 40), (16, 16, 16)], float)


def patches() -> Pixels:
    """(64, 96, 3) RGB: patches of one colour each, so that neighbours share what subsampled formats share."""
    picture = np.repeat(np.repeat(COLOURS.reshape(2, 3, 3), 32, axis=0), 32, axis=1)
    return picture.astype(np.uint8)


def as_yuv(rgb: Pixels) -> npt.NDArray[np.float64]:
    """BT.601, limited range, by its definition."""
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = 0.564 * (blue - luma), 0.713 * (red - luma)
    return np.stack([16 + luma * 219 / 255, 128 + u * 224 / 255, 128 + v * 224 / 255], axis=-1).round()


def as_yuv422(rgb: Pixels, order: str) -> bytes:
    """Two pixels in four bytes, such as ``uyvy``."""
    yuv = as_yuv(rgb).astype(np.uint8)
    planes = {'u': iter([yuv[:, ::2, 1]]), 'v': iter([yuv[:, ::2, 2]]), 'y': iter([yuv[:, ::2, 0], yuv[:, 1::2, 0]])}
    return np.stack([next(planes[name]) for name in order], axis=-1).tobytes()


def as_nv(rgb: Pixels, order: str) -> bytes:
    """Brightness of all pixels, then ``uv`` or ``vu`` of every fourth."""
    yuv = as_yuv(rgb).astype(np.uint8)
    return yuv[..., 0].tobytes() + np.stack([yuv[::2, ::2, 'yuv'.index(name)] for name in order], axis=-1).tobytes()


def as_bayer(rgb: npt.NDArray[np.generic], order: str) -> bytes:
    """One channel of each pixel, in the order of the upper left two by two."""
    mosaic = np.empty(rgb.shape[:2], rgb.dtype)
    for place, name in enumerate(order):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        mosaic[rows, columns] = rgb[rows, columns, 'rgb'.index(name)]
    return mosaic.tobytes()


# Bytes of a pixel in a row, and how (H, W, 3) RGB is stored.
STORED: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    'yuv422': (2, lambda rgb: as_yuv422(rgb, 'uyvy')),
    'uyvy': (2, lambda rgb: as_yuv422(rgb, 'uyvy')),
    'yuv422_yuy2': (2, lambda rgb: as_yuv422(rgb, 'yuyv')),
    'yuyv': (2, lambda rgb: as_yuv422(rgb, 'yuyv')),
    'nv12': (1, lambda rgb: as_nv(rgb, 'uv')),
    'nv21': (1, lambda rgb: as_nv(rgb, 'vu')),
    '8UC4': (4, lambda rgb: np.dstack([rgb[..., ::-1], rgb[..., :1]]).tobytes()),
    **{f'bayer_{order}8': (1, lambda rgb, o=order: as_bayer(rgb, o)) for order in ('rggb', 'bggr', 'gbrg', 'grbg')},
}
DEEP: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    'rgb16': (6, lambda rgb: rgb.tobytes()),
    'bgr16': (6, lambda rgb: rgb[..., ::-1].tobytes()),
    'rgba16': (8, lambda rgb: np.dstack([rgb, rgb[..., :1]]).tobytes()),
    'bgra16': (8, lambda rgb: np.dstack([rgb[..., ::-1], rgb[..., :1]]).tobytes()),
    **{f'bayer_{order}16': (2, lambda rgb, o=order: as_bayer(rgb, o)) for order in ('rggb', 'bggr', 'gbrg', 'grbg')},
}
