"""Hard inputs made of good pairs, all by a stated rule. The fused image is measured against the good pair."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.data.pairs import Image8, Pair

Change = Callable[[Pair, np.random.Generator], Pair]


def _noise(pair: Pair, generator: np.random.Generator) -> Pair:
    """Gaussian noise of 20 grey levels in the visible image and 8 in the thermal one."""
    return Pair(_noisy(pair.visible, 20.0, generator), _noisy(pair.thermal, 8.0, generator))


def _low_light(pair: Pair, generator: np.random.Generator) -> Pair:
    """A seventh of the visible light, with noise of 3 grey levels."""
    return Pair(_noisy(pair.visible / 7.0, 3.0, generator), pair.thermal)


def _blur(pair: Pair, _: np.random.Generator) -> Pair:
    """The visible image out of focus: a Gaussian of 2 pixels."""
    return Pair(np.asarray(cv2.GaussianBlur(pair.visible, (0, 0), 2.0), np.uint8), pair.thermal)


def _dead_rows(pair: Pair, generator: np.random.Generator) -> Pair:
    """Every twentieth row of the thermal image, drawn at random, is black."""
    thermal = pair.thermal.copy()
    thermal[generator.permutation(len(thermal))[: max(1, len(thermal) // 20)]] = 0
    return Pair(pair.visible, thermal)


def _glare(pair: Pair, generator: np.random.Generator) -> Pair:
    """A lamp somewhere in the visible image, its halo a Gaussian of a quarter of the height."""
    height, width = pair.thermal.shape
    row, column = generator.uniform(0, height), generator.uniform(0, width)
    y, x = np.ogrid[:height, :width]
    halo = 255.0 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * (height / 4) ** 2))
    return Pair(_levels(pair.visible + halo[..., None]), pair.thermal)


def _low_contrast(pair: Pair, _: np.random.Generator) -> Pair:
    """A sixth of the thermal contrast, as on a humid day without gain control."""
    mean = pair.thermal.mean()
    return Pair(pair.visible, _levels(mean + (pair.thermal - mean) / 6.0))


def _misaligned(pair: Pair, generator: np.random.Generator) -> Pair:
    """The thermal image 2 pixels off, in any direction."""
    angle = generator.uniform(0, 2 * np.pi)
    matrix = np.array([[1, 0, 2 * np.cos(angle)], [0, 1, 2 * np.sin(angle)]])
    size = pair.thermal.shape[::-1]
    moved = cv2.warpAffine(pair.thermal, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Pair(pair.visible, np.asarray(moved, np.uint8))


HARD: Mapping[str, Change] = {
    'noise': _noise,
    'low light': _low_light,
    'blur': _blur,
    'dead rows': _dead_rows,
    'glare': _glare,
    'low-contrast thermal': _low_contrast,
    'misaligned by 2 px': _misaligned,
}


def _noisy(values: npt.NDArray[Any], deviation: float, generator: np.random.Generator) -> Image8:
    return _levels(values + generator.normal(0.0, deviation, values.shape))


def _levels(values: npt.NDArray[Any]) -> Image8:
    levels: Image8 = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return levels
