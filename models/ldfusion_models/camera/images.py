"""Images of any type and channels to what the networks take: RGB or grey of 8 bits."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.thermal import GainControl, as_counts
from ldfusion_models.choices import MINIMUM_SIZE
from ldfusion_models.errors import InputError

# Thermal images are grey (8 bits), counts (16 bits, with or without sign) or kelvin (floats).
AnyImage = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.int16] | npt.NDArray[np.float32]
VISIBLE_TYPES = ('uint8', 'uint16')
THERMAL_TYPES = (*VISIBLE_TYPES, 'int16', 'float32')


def as_uint8(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The same values as uint8."""
    return np.asarray(values, np.uint8)


def as_image(values: Any) -> AnyImage:
    """What OpenCV made of an image."""
    image: AnyImage = values
    return image


def as_grey(image: AnyImage) -> AnyImage:
    """RGB (H, W, 3), one channel or grey to grey (H, W) of the same type."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[..., 0]
    return as_image(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def as_grey8(
    thermal: AnyImage, gain: GainControl, coverage: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    """Thermal image of one or three channels to grey (H, W) uint8; all but 8 bits go through ``gain``.

    Pixels where ``coverage`` (H, W) is 0 have no say in the gain.
    """
    _check(thermal, 'thermal', THERMAL_TYPES)
    grey = as_grey(thermal)
    if grey.dtype == np.uint8:
        return np.ascontiguousarray(grey, np.uint8)
    return gain(as_counts(grey), coverage)


def as_rgb8(image: AnyImage) -> npt.NDArray[np.uint8]:
    """Grey or RGB of 8 or 16 bits to RGB (H, W, 3) uint8."""
    _check(image, 'visible', VISIBLE_TYPES)
    check_size(image)
    if image.dtype == np.uint16:
        image = np.asarray(np.right_shift(np.asarray(image, np.uint16), 8), np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2).astype(np.uint8)
    return np.ascontiguousarray(image, np.uint8)


def check_size(image: AnyImage) -> None:
    """Refuse what is smaller than the networks can see; a thermal image beside a larger visible one is enlarged."""
    if min(image.shape[:2]) < MINIMUM_SIZE:
        raise InputError(f'image of {image.shape[1]}x{image.shape[0]}: at least {MINIMUM_SIZE} pixels each way')


def _check(image: AnyImage, name: str, types: tuple[str, ...]) -> None:
    if image.dtype.name not in types or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
        raise InputError(
            f'{name} image of {image.dtype} and shape {image.shape}: grey or RGB of type {", ".join(types)} is needed'
        )
    if not image.size:
        raise InputError(f'{name} image is empty')
