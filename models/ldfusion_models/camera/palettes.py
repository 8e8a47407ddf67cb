"""False colours of thermal images back to grey: each colour's place in the palette that it was made with."""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

PALETTES = {
    'jet': cv2.COLORMAP_JET,
    'inferno': cv2.COLORMAP_INFERNO,
    'magma': cv2.COLORMAP_MAGMA,
    'plasma': cv2.COLORMAP_PLASMA,
    'hot': cv2.COLORMAP_HOT,
    'turbo': cv2.COLORMAP_TURBO,
    'rainbow': cv2.COLORMAP_RAINBOW,
    'viridis': cv2.COLORMAP_VIRIDIS,
}
# Channels of a grey image differ by this at most on average; JPEG leaves traces of colour.
GREY_SPREAD = 6.0
# Mean distance, in grey levels, of an image's colours from those of its palette; JPEG moves them.
FIT = 12.0
# Colours are looked up by this many bits of each channel.
BITS = 6
SAMPLES = 1024


def is_coloured(image: npt.NDArray[np.uint8]) -> bool:
    """Whether an image (H, W, 3) has colours, so that its grey values need not rise with temperature."""
    some = _some(image).astype(np.int16)
    return float((some.max(axis=1) - some.min(axis=1)).mean()) > GREY_SPREAD


def palette_of(image: npt.NDArray[np.uint8], first: str = '') -> str:
    """Name of the palette that an image (H, W, 3) RGB was made with, ``first`` if it fits; empty if none does."""
    some = _some(image)
    if first and _misfit(some, first) <= FIT:
        return first
    misfits = {name: _misfit(some, name) for name in PALETTES}
    best = min(misfits, key=misfits.__getitem__)
    return best if misfits[best] <= FIT else ''


def invert(image: npt.NDArray[np.uint8], palette: str) -> npt.NDArray[np.uint8]:
    """Grey (H, W): where in the palette the colour nearest to each pixel of (H, W, 3) RGB lies."""
    return np.asarray(_places(palette)[_keys(image)], np.uint8)


def _some(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    pixels = image.reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // SAMPLES)]


def _misfit(colours: npt.NDArray[np.uint8], palette: str) -> float:
    nearest = _colours(palette)[_places(palette)[_keys(colours)]].astype(np.float32)
    return float(np.linalg.norm(nearest - colours, axis=1).mean())


def _keys(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    red, green, blue = np.moveaxis(colours >> (8 - BITS), -1, 0).astype(np.int32)
    return np.asarray((red << 2 * BITS) | (green << BITS) | blue, np.int32)


@lru_cache(maxsize=len(PALETTES))
def _colours(palette: str) -> npt.NDArray[np.uint8]:
    """RGB (256, 3) of a palette, cold to hot."""
    levels = np.arange(256, dtype=np.uint8)[:, None]
    return np.asarray(cv2.applyColorMap(levels, PALETTES[palette])[:, 0, ::-1], np.uint8)


@lru_cache(maxsize=len(PALETTES))
def _places(palette: str) -> npt.NDArray[np.uint8]:
    """Place in the palette of the colour nearest to each coarse colour, by its key."""
    steps = (np.arange(1 << BITS, dtype=np.float32) + 0.5) * (256 >> BITS) - 0.5
    colours = _colours(palette).astype(np.float32)
    norms = (colours**2).sum(axis=1)
    grid = np.stack(np.meshgrid(steps, steps, indexing='ij'), axis=-1).reshape(-1, 2)
    places = []
    for red in steps:
        coarse = np.column_stack([np.full(len(grid), red, np.float32), grid])
        places.append(np.argmin(norms - 2 * coarse @ colours.T, axis=1))
    return np.concatenate(places).astype(np.uint8)
