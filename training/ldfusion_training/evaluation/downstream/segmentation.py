"""How plainly the classes of labelled masks stand out: edges along their borders, contrast with what is around them.

This is what any segmenter lives on. No segmenter itself: none in the package knows these classes, and one that is
taught on one kind of image favours that kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.pairs import Image8, PairSource, images_by_name
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.evaluation.fusion import Method
from ldfusion_training.language.prompt_effect import FEWEST_PIXELS, contrast_of_things
from ldfusion_training.metrics import to_grey
from ldfusion_training.report.tables import markdown_table, require_distinct

# Grey levels per pixel that make an edge, and how far from the border it may lie.
EDGE, REACH = 4.0, 1
# Classes by method: (pairs, 2) border and contrast of each pair.
Measured = dict[str, dict[str, list[tuple[float, float]]]]


@dataclass(frozen=True)
class MaskedPair:
    """A pair, and what each of its pixels shows: (H, W) uint8, index into the names of classes."""

    source: PairSource
    mask: Callable[[], Image8]


def simulated_pairs(frames: Sequence[SimulatedFrame]) -> list[MaskedPair]:
    """Aligned simulated frames with their classes."""
    return [MaskedPair(frame.pair_source(), frame.read_classes) for frame in frames if frame.is_aligned]


def masked_pairs(sources: Sequence[PairSource], folder: Path) -> list[MaskedPair]:
    """Pairs with masks of the same names in a folder; raises InputError where one is missing."""
    files = images_by_name(folder)
    if missing := [each.name for each in sources if each.name not in files]:
        raise InputError(f'{folder}: no mask {missing[0]} ({len(missing)} of {len(sources)} missing)')

    def reader(file: Path) -> Callable[[], Image8]:
        return lambda: np.asarray(read_image(file), np.uint8)

    return [MaskedPair(each, reader(files[each.name])) for each in sources]


def measure(pairs: Sequence[MaskedPair], methods: Sequence[Method], names: Sequence[str]) -> Measured:
    """Each class in each method's image; raises InputError for unreadable images, or masks of another size."""
    require_distinct([method.name for method in methods])
    measured: Measured = {method.name: {} for method in methods}
    for labelled in pairs:
        pair, classes = labelled.source.read(), labelled.mask()
        if classes.shape != pair.thermal.shape:
            raise InputError(f'{labelled.source.name}: mask of {classes.shape}, images of {pair.thermal.shape}')
        masks = {name: classes == number for number, name in enumerate(names)}
        for method in methods:
            grey = to_grey(method.fused(labelled.source.name, pair))
            for name, mask in masks.items():
                if mask.sum() >= FEWEST_PIXELS:
                    contrast = contrast_of_things(grey / np.float32(255), mask.astype(np.int32), mask)
                    value = border_seen(grey, mask), float(np.mean(contrast)) if contrast else np.nan
                    measured[method.name].setdefault(name, []).append(value)
    return measured


def border_seen(grey: Image8, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Part of the border of a mask (H, W) along which the image (H, W) has an edge; NaN without a border."""
    near = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    own = mask.astype(np.uint8)
    border = cv2.dilate(own, np.ones((3, 3), np.uint8)) > own
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *order) / 8 for order in ((1, 0), (0, 1)))
    strongest = cv2.dilate(cv2.magnitude(x, y), near)
    return float((strongest[border] >= EDGE).mean()) if border.any() else float('nan')


def report(measured: Measured) -> str:
    """A Markdown table for each measure, one row a method."""
    names = list(dict.fromkeys(name for classes in measured.values() for name in classes))
    parts = []
    for number, title in enumerate(('edges along borders', 'contrast')):
        rows: list[list[str | float]] = [
            [method, *(float(np.nanmean(np.array(classes[name])[:, number])) for name in names)]
            for method, classes in measured.items()
        ]
        parts += [f'### {title}', markdown_table(['method', *names], rows)]
    return '\n\n'.join(parts)
