"""What a text names, and how much of it a fused image shows: contrast of the named things, nothing else changed.

A thing stands out by the difference of its brightness from what is around it, whichever sign that has.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.scenery.things import CLASSES

# What the words of prompts and captions mean in the simulator's classes; other classes mean themselves.
PARTS_OF = {
    'lamp post': ('lamp post', 'lamp'),
    'tree': ('tree', 'bush'),
    'road': ('road',),
    'road markings': ('road',),
    'pavement': ('pavement', 'kerb'),
    'asphalt': ('road', 'ground'),
    'grass': ('grass',),
    'floor': ('ground',),
    'wall': ('wall', 'pillar'),
}
# Surfaces reach to the borders of the image: what counts is the contrast within them.
SURFACES = ('road', 'road markings', 'pavement', 'asphalt', 'grass', 'floor', 'wall')
# Smaller things tell more of noise than of contrast.
FEWEST_PIXELS = 40
RING = 9
Mask = npt.NDArray[np.bool_]
Luminance = npt.NDArray[np.float32]


def classes_named(names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of the simulator's classes (classes,) the named ones mean."""
    parts = {part for name in names for part in PARTS_OF.get(name, (name,))}
    return np.array([name in parts for name in CLASSES])


def mask_of(names: Sequence[str], classes: npt.NDArray[np.uint8]) -> Mask:
    """Pixels (H, W) of the named classes in a class image (H, W)."""
    mask: Mask = classes_named(names)[classes]
    return mask


def blur(image: Luminance, deviation: float) -> Luminance:
    """Gaussian with a standard deviation in pixels, borders repeated."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE), np.float32)


def contrast_of_things(luma: Luminance, things: npt.NDArray[np.int32], excluded: Mask) -> list[float]:
    """Contrast of each thing with a ring around it: |inside - ring| / (inside + ring), 0 to 1.

    Args:
        luma: (H, W) in [0, 1].
        things: (H, W) number of the thing that a pixel belongs to; 0: none.
        excluded: (H, W) pixels that belong to no ring, such as other things of the kind.
    """
    contrasts = []
    for inside, ring, window in _things_with_rings(things, excluded):
        own, other = float(luma[window][inside].mean()), float(luma[window][ring].mean())
        contrasts.append(abs(own - other) / max(own + other, 1e-3))
    return contrasts


def contrast_within(luma: Luminance, surface: Mask) -> list[float]:
    """Contrast within a surface: standard deviation of its local brightness around the local mean, relative to it."""
    if surface.sum() < FEWEST_PIXELS:
        return []
    weight = surface.astype(np.float32)
    count: Luminance = np.maximum(blur(weight, RING), np.float32(1e-6))
    mean: Luminance = blur(luma * weight, RING) / count
    variance = blur(np.square(luma - mean) * weight, RING) / count
    return [float((np.sqrt(variance[surface]) / np.maximum(mean[surface], 0.02)).mean())]


def _things_with_rings(
    things: npt.NDArray[np.int32], excluded: Mask
) -> Iterator[tuple[Mask, Mask, tuple[slice, slice]]]:
    numbers, counts = np.unique(things, return_counts=True)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING + 1, 2 * RING + 1))
    for number in numbers[(numbers > 0) & (counts >= FEWEST_PIXELS)]:
        mask = (things == number).astype(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        window = (
            slice(max(0, top - RING), top + height + RING),
            slice(max(0, left - RING), left + width + RING),
        )
        inside = mask[window].astype(bool)
        ring = cv2.dilate(mask[window], kernel).astype(bool) & ~inside & ~excluded[window]
        if ring.sum() >= FEWEST_PIXELS:
            yield inside, ring, window
