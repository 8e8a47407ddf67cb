"""Fusion that needs no learning: what every result must beat. Grey (H, W) uint8 of visible and thermal in, grey out."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.metrics import Image8

PYRAMID_LEVELS = 4


def average(visible: Image8, thermal: Image8) -> Image8:
    """The mean of both, rounded up at halves."""
    return ((visible.astype(np.uint16) + thermal + 1) // 2).astype(np.uint8)


def laplacian_pyramid(visible: Image8, thermal: Image8) -> Image8:
    """The larger coefficient of both Laplacian pyramids at each place (Burt and Adelson), its base included."""
    chosen = [
        np.where(np.abs(first) >= np.abs(second), first, second)
        for first, second in zip(_pyramid(visible), _pyramid(thermal), strict=True)
    ]
    image = chosen.pop()
    while chosen:
        detail = chosen.pop()
        image = _enlarge(image, detail) + detail
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


SOURCES = ('visible', 'thermal')
BASELINES: dict[str, Callable[[Image8, Image8], Image8]] = {
    'visible': lambda visible, thermal: visible,
    'thermal': lambda visible, thermal: thermal,
    'average': average,
    'maximum': np.maximum,
    'Laplacian pyramid': laplacian_pyramid,
}


def _pyramid(image: Image8) -> list[npt.NDArray[np.float32]]:
    """The differences of ``PYRAMID_LEVELS`` levels, finest first, then the base."""
    levels = []
    current = image.astype(np.float32)
    for _ in range(PYRAMID_LEVELS):
        smaller = np.asarray(cv2.pyrDown(current), np.float32)
        levels.append(current - _enlarge(smaller, current))
        current = smaller
    return [*levels, current]


def _enlarge(image: npt.NDArray[np.float32], like: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.pyrUp(image, dstsize=like.shape[::-1]), np.float32)
