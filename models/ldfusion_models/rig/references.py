"""Depth brought to what a robot has measured: ranges of a laser, or the height of its camera above the ground.

Works on residuals, the logarithm of measured over estimated depth, so that all ranges count alike. First a scale and a
slope for the whole image, robustly; then a smooth field of what is left. The field lives in a bilateral grid (Chen,
Paris, Durand 2007) whose third axis is log depth, so that it keeps the edges of the estimate: what was measured on a
thing says little about what lies behind it.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.errors import InputError

Depth = npt.NDArray[np.float32]
Values = npt.NDArray[np.float32]

# Fewer say nothing about a whole image.
FEWEST = 8
# References farther than this off the others (in log depth) are another surface or wrong.
OUTLIER = 0.7
# A part of them must agree within this, or they contradict each other.
AGREEING_PART = 0.5
# Estimates are never wrong by a larger factor than this; references that say so are.
LARGEST_FACTOR = 10.0
# The slope of log depth is held to 1 as by so many references.
SLOPE_PRIOR = 20.0
# Of the field: width of its Gaussian as a part of the image's, and in log depth; weight of "nothing is left".
FIELD_WIDTH = 1 / 20
FIELD_DEPTH = 0.25
FIELD_PRIOR = 0.05
CELLS_PER_WIDTH = 3
# Points in one of this many cells across the image may hide each other.
CELLS = 160


class Measured(Protocol):
    """Measured depth, wherever it comes from."""

    def seen_by(
        self, width: int, height: int, camera: Intrinsics | None, calibration: Calibration | None
    ) -> 'References':
        """Where it is in an image; arguments as :class:`~ldfusion_models.rig.rig.View` has them.

        Raises:
            InputError: it can't be told.
        """
        ...


@dataclass(frozen=True)
class References:
    """Measured depth at some pixels of an image.

    Attributes:
        columns, rows: (N,) float32 pixel coordinates, centres at whole numbers.
        depth: (N,) float32 metres along the optical axis.
        source: what measured it, for people.
        width, height: of the image in pixels.
    """

    columns: Values
    rows: Values
    depth: Values
    source: str
    width: int
    height: int

    @classmethod
    def of_map(cls, depth: Depth, source: str) -> 'References':
        """Those of a sparse depth map (H, W), NaN or 0 where nothing was measured."""
        rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
        height, width = depth.shape
        return cls(columns.astype(np.float32), rows.astype(np.float32), depth[rows, columns], source, width, height)

    def seen_by(
        self, width: int, height: int, camera: Intrinsics | None, calibration: Calibration | None
    ) -> 'References':
        """The same at another image size."""
        sx, sy = width / self.width, height / self.height
        columns, rows = (self.columns + 0.5) * sx - 0.5, (self.rows + 0.5) * sy - 0.5
        return References(columns.astype(np.float32), rows.astype(np.float32), self.depth, self.source, width, height)


@dataclass(frozen=True)
class MeasuredPoints:
    """Points (N, 3) in metres, for a shot in the optical frame of the camera that leads; NaN for rays without echo."""

    points: Values
    source: str

    def moved(self, matrix: npt.ArrayLike) -> 'MeasuredPoints':
        """In the frame to which ``matrix`` (4, 4) takes that of these points."""
        rotation, translation = np.split(np.asarray(matrix, np.float32)[:3], [3], axis=1)
        return replace(self, points=self.points @ rotation.T + translation[:, 0])

    def seen_by(
        self, width: int, height: int, camera: Intrinsics | None, calibration: Calibration | None
    ) -> References:
        """Those that fall into the image; of several in one small cell the nearest, for it may hide the others.

        Raises:
            InputError: the camera is not known.
        """
        if camera is None:
            raise InputError(f'{self.source}: without camera_info measured points have no place in the image')
        ahead = self.points[np.isfinite(self.points).all(axis=1)]
        pixels = _lens(camera, calibration).project(ahead)
        with np.errstate(invalid='ignore'):
            seen = ((pixels > -0.5) & (pixels < (width - 0.5, height - 0.5))).all(axis=1)
        ahead, pixels = ahead[seen], pixels[seen]
        order = np.argsort(ahead[:, 2], kind='stable')
        _, first = np.unique(pixels[order] // max(2.0, width / CELLS), axis=0, return_index=True)
        nearest = order[np.sort(first)]
        columns, rows, depth = pixels[nearest, 0], pixels[nearest, 1], ahead[nearest, 2]
        return References(columns, rows, depth.astype(np.float32), self.source, width, height)


def _lens(camera: Intrinsics, calibration: Calibration | None) -> Lens:
    return calibration.lens if calibration is not None and calibration.lens is not None else Lens(camera)


@dataclass(frozen=True)
class Fit:
    """log measured = log estimated + ``offset`` + ``slope`` * (log estimated - ``middle``)."""

    offset: float = 0.0
    slope: float = 0.0
    middle: float = 0.0

    def __call__(self, log_depth: Values) -> Values:
        """What is to be added to log depth."""
        return np.asarray(self.offset + self.slope * (log_depth - self.middle), np.float32)


@dataclass(frozen=True)
class Correction:
    """A corrected depth map.

    Attributes:
        depth: (H, W) metres.
        scale: factor at the middle of the references' depth.
        used: references that agree.
        source: of the references.
    """

    depth: Depth
    scale: float
    used: int
    source: str


class Corrector:
    """Corrects one frame after the other; scale and slope move smoothly from frame to frame."""

    def __init__(self) -> None:
        self._last: Fit | None = None

    def forget(self) -> None:
        """The next frame has nothing to do with those before."""
        self._last = None

    def __call__(self, depth: Depth, references: References, smoothing: float = 0.0) -> Correction:
        """Correct an estimate.

        Args:
            depth: (H, W) metres, the estimate; NaN where unknown.
            references: of the same moment, in pixels of this image.

            smoothing: part of scale and slope that stays from the frame before, 0 to below 1.

        Raises:
            InputError: too few references, or they contradict each other or are implausible; the estimate is best left.
        """
        log_depth = np.log(depth)
        at = _sample(log_depth, references)
        residual = np.log(references.depth) - at
        known = np.isfinite(residual)
        at, residual, columns, rows = (values[known] for values in (at, residual, references.columns, references.rows))
        agreeing = _agreeing(residual, references.source)
        fit = _fit(at[agreeing], residual[agreeing])
        if self._last is not None:
            fit = _between(self._last, fit, smoothing)
        left = residual - fit(at)
        used = np.abs(left) < OUTLIER
        field = _field(log_depth, columns[used], rows[used], at[used], left[used])
        self._last = fit
        corrected = np.exp(log_depth + fit(log_depth) + field).astype(np.float32)
        return Correction(corrected, math.exp(fit.offset), int(used.sum()), references.source)


def _sample(log_depth: Values, references: References) -> Values:
    height, width = log_depth.shape
    rows = np.clip(np.rint(references.rows), 0, height - 1).astype(np.intp)
    columns = np.clip(np.rint(references.columns), 0, width - 1).astype(np.intp)
    return log_depth[rows, columns]


def _agreeing(residual: Values, source: str) -> npt.NDArray[np.bool_]:
    """Which references agree with most of them; raises InputError where there is no such majority."""
    if len(residual) < FEWEST:
        raise InputError(f'{source}: {len(residual)} measured points in the image, {FEWEST} are needed')
    middle = float(np.median(residual))
    agreeing: npt.NDArray[np.bool_] = np.abs(residual - middle) < OUTLIER
    if agreeing.mean() < AGREEING_PART:
        raise InputError(f'{source}: measured points contradict each other; are calibration, frame and time right?')
    if abs(middle) > math.log(LARGEST_FACTOR):
        raise InputError(
            f'{source}: depth would change by a factor of {math.exp(middle):.2g}; '
            'are unit, frame and focal length right?'
        )
    return agreeing


def _fit(at: Values, residual: Values) -> Fit:
    """Scale and slope, by iteratively reweighted least squares (Huber), the slope held towards none."""
    middle = float(np.median(at))
    x = (at - middle).astype(np.float64)
    offset, slope = float(np.median(residual)), 0.0
    for _ in range(10):
        error = residual - offset - slope * x
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-3)
        weight = np.minimum(1.0, 1.5 * spread / np.maximum(np.abs(error), 1e-9))
        slope = float((weight * x * (residual - offset)).sum() / ((weight * x * x).sum() + SLOPE_PRIOR * spread))
        offset = float(np.average(residual - slope * x, weights=weight))
    return Fit(offset, float(np.clip(slope, -0.5, 1.0)), middle)


def _between(last: Fit, new: Fit, part: float) -> Fit:
    """A fit between two: ``part`` of the last, the rest of the new one."""
    offset = part * float(last(np.float32(new.middle))) + (1 - part) * new.offset
    return Fit(offset, part * last.slope + (1 - part) * new.slope, new.middle)


def _field(log_depth: Values, columns: Values, rows: Values, at: Values, left: Values) -> Values:
    """The smooth field (H, W) of what is ``left`` at the references, near in the image and in depth."""
    height, width = log_depth.shape
    cell = width * FIELD_WIDTH / CELLS_PER_WIDTH
    low, high = float(np.nanmin(log_depth)), float(np.nanmax(log_depth))
    layers = max(2, math.ceil((high - low) / FIELD_DEPTH) + 1)
    shape = layers, max(1, round(height / cell)), max(1, round(width / cell))
    weight, total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    layer = (at - low) / FIELD_DEPTH
    below = np.clip(np.floor(layer), 0, layers - 2).astype(np.intp)
    place = [
        np.clip((pixels + 0.5) * cells / size, 0, cells - 1).astype(np.intp)
        for pixels, size, cells in ((rows, height, shape[1]), (columns, width, shape[2]))
    ]
    for step, part in ((0, 1 - (layer - below)), (1, layer - below)):
        np.add.at(weight, (below + step, *place), part)
        np.add.at(total, (below + step, *place), part * left)
    weight, total = (_blurred(grid) for grid in (weight, total))
    return _slice(total / (weight + FIELD_PRIOR), (log_depth - low) / FIELD_DEPTH)


def _blurred(grid: Values) -> Values:
    """A grid (layers, h, w) smoothed along all axes by a Gaussian of height 1, so that weights stay counts."""
    deviation = float(CELLS_PER_WIDTH)
    gain = np.float32(2 * math.pi * deviation**2)
    smooth = np.stack([cv2.GaussianBlur(layer, (0, 0), deviation, borderType=cv2.BORDER_CONSTANT) for layer in grid])
    padded = np.pad(smooth * gain, ((1, 1), (0, 0), (0, 0)))
    near = np.float32(math.exp(-0.5))
    return np.asarray(padded[1:-1] + near * (padded[:-2] + padded[2:]), np.float32)


def _slice(grid: Values, layer: Values) -> Values:
    """The grid (layers, h, w) between its values at each pixel and its ``layer`` (H, W)."""
    size = layer.shape[1], layer.shape[0]
    enlarged = np.stack([cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR) for cells in grid]).ravel()
    flat = np.nan_to_num(layer.ravel(), nan=0.0)
    below = np.clip(flat.astype(np.int32), 0, len(grid) - 2)
    place = below * np.int32(layer.size) + np.arange(layer.size, dtype=np.int32)
    low, high = enlarged.take(place), enlarged.take(place + layer.size)
    return np.asarray(low + (flat - below) * (high - low), np.float32).reshape(layer.shape)
