"""Images of any depth and channels to what the networks take: RGB or grey of 8 bits."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.errors import InputError

MINIMUM_SIZE = 32
AnyImage = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def as_uint8(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The same values as uint8."""
    return np.asarray(values, np.uint8)


def as_grey(image: AnyImage) -> AnyImage:
    """RGB (H, W, 3), one channel or grey to grey (H, W) of the same type."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[..., 0]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint16 if image.dtype == np.uint16 else np.uint8)


def as_grey8(
    thermal: AnyImage, gain: GainControl, coverage: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    """Thermal image of 8 or 16 bits, one or three channels, to grey (H, W) uint8; 16 bits go through ``gain``.

    Pixels where ``coverage`` (H, W) is 0 have no say in the gain.
    """
    _check(thermal, 'thermal')
    grey = as_grey(thermal)
    if grey.dtype == np.uint16:
        return gain(np.asarray(grey, np.uint16), coverage)
    return np.ascontiguousarray(grey, np.uint8)


def as_rgb8(image: AnyImage) -> npt.NDArray[np.uint8]:
    """Grey or RGB of 8 or 16 bits to RGB (H, W, 3) uint8."""
    _check(image, 'visible')
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2).astype(np.uint8)
    return np.ascontiguousarray(image, np.uint8)


def _check(image: AnyImage, name: str) -> None:
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
        raise InputError(f'{name} image of shape {image.shape} and type {image.dtype}; grey or RGB, 8 or 16 bits')
    if min(image.shape[:2]) < MINIMUM_SIZE:
        raise InputError(f'{name} image of {image.shape[1]}x{image.shape[0]}: at least {MINIMUM_SIZE} pixels each way')
