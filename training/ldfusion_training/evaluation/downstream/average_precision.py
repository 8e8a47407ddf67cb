"""Average precision and recall of boxes, as COCO counts them, and how sure both are when images are drawn anew.

Detections are matched image by image, surest first, each to the free thing that it overlaps most, at an IoU of at least
a half. What hits a difficult thing only, or lies in a region to ignore, counts neither for nor against.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_OVERLAP = 0.5
RECALLS = np.linspace(0.0, 1.0, 101)
RESAMPLES = 500
CONFIDENCE = 95.0
SEED = 0
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ImageMatches:
    """One class in one image: score of each detection that counts, whether it hits, and how many things there are."""

    scores: Values
    hits: npt.NDArray[np.bool_]
    things: int


def match_boxes(found: Values, scores: Values, truth: Values, difficult: Values, ignored: Values) -> ImageMatches:
    """Match detections of one class in one image.

    Args:
        found: (N, 4) xmin, ymin, xmax, ymax.
        scores: (N,) of these.
        truth: (M, 4) things to find.
        difficult: (D, 4) things that need not be found.
        ignored: (I, 4) regions; a detection with at least half of its area in one is left out unless it hits.
    """
    of_truth, of_difficult = overlaps(found, truth), overlaps(found, difficult)
    inside = overlaps(found, ignored, of_first=True).max(axis=1, initial=0.0) >= LEAST_OVERLAP
    kept, hits = [], []
    for index in np.argsort(-scores, kind='stable'):
        hit = _take_best(of_truth, index)
        if hit or not (inside[index] or _take_best(of_difficult, index)):
            kept.append(index)
            hits.append(hit)
    return ImageMatches(scores[kept], np.array(hits, bool), len(truth))


def overlaps(first: Values, second: Values, of_first: bool = False) -> Values:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), or over the area of the first."""
    corner = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = corner.clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    whole = areas[0][:, None] + (0.0 if of_first else areas[1][None] - shared)
    return np.asarray(shared / np.maximum(whole, 1e-9))


def average_precision(images: Sequence[ImageMatches], weights: Values) -> float:
    """Mean precision at 101 recalls; image ``i`` counts ``weights[i]`` times. NaN where there is nothing to find."""
    things = float(weights @ [image.things for image in images])
    if not things:
        return math.nan
    scores = np.concatenate([image.scores for image in images])
    order = np.argsort(-scores, kind='stable')
    hits = np.concatenate([image.hits for image in images])[order]
    counts = np.repeat(weights, [len(image.scores) for image in images])[order]
    right, all_found = np.cumsum(counts * hits), np.cumsum(counts)
    precision = right / np.maximum(all_found, 1e-9)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / things, RECALLS - 1e-9)
    return float(np.append(best_from_here, 0.0)[places].mean())


def recall(images: Sequence[ImageMatches], weights: Values, least: float) -> float:
    """Part of the things that detections with a score of at least ``least`` hit; NaN where there are none."""
    things = float(weights @ [image.things for image in images])
    found = float(weights @ [int((image.hits & (image.scores >= least)).sum()) for image in images])
    return found / things if things else math.nan


def bootstrap(count: int, measure: Callable[[Values], float]) -> tuple[float, float]:
    """The 95 % interval of a measure of ``count`` images, given how often each is drawn; the draws are always the same.

    So the interval of a difference is that of a paired comparison. NaN where no draw has a value.
    """
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)
    # Of few images the same draw comes many times.
    distinct, which = np.unique(drawn, axis=0, return_inverse=True)
    values = np.array([measure(weights) for weights in distinct])[which.ravel()]
    known = values[np.isfinite(values)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.percentile(known, (50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2)).tolist()
    return low, high


def _take_best(table: Values, row: int) -> bool:
    """Whether a detection overlaps something that is still free; that is taken then."""
    best = int(table[row].argmax()) if table.shape[1] else -1
    if best < 0 or table[row, best] < LEAST_OVERLAP:
        return False
    table[:, best] = 0.0
    return True
