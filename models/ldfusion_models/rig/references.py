"""Depth brought to what is known of it: ranges of a laser, the height of the camera, or what a slow network says.

Works on residuals, the logarithm of measured over estimated depth, so that all ranges count alike. First a scale and a
slope for the whole image, robustly; then a smooth field of what is left. The field lives in a bilateral grid (Chen,
Paris, Durand 2007) whose third axis is log depth, so that it keeps the edges of the estimate: what was measured on a
thing says little about what lies behind it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics
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
# Rounds of weighing at most, and the change at which they end.
ROUNDS = 10
SETTLED = 1e-4
# Of the field: width of its Gaussian as a part of the image's, and in log depth; weight of "nothing is left".
FIELD_WIDTH = 1 / 20
FIELD_DEPTH = 0.25
FIELD_PRIOR = 0.05
CELLS_PER_WIDTH = 3
# Every so many pixels one of a depth map is a reference: a field of residuals is smoother than that.
STEP = 8
# Log scale by which estimates drift from view to view (0.6 to 2 % along drives, docs/decisions.md).
DRIFT = 0.02
# Rows that are corrected at a time: what is between stays in the processor's cache.
STRIP = 32


@dataclass(frozen=True)
class References:
    """Measured depth at some pixels of an image.

    Attributes:
        columns, rows: (N,) float32 pixel coordinates, centres at whole numbers.
        depth: (N,) float32 metres along the optical axis.
        source: what measured it, for people.
        width, height: of the image in pixels.
        unsure: log scale by which all of them may be wrong together. Above 0 they say nothing of the shape of depth,
            and a scale only as far as it is beyond that.
        estimated: (N,) float32 metres, what was estimated there in an earlier view that they are of; None if they are
            of the view that is to be corrected.
    """

    columns: Values
    rows: Values
    depth: Values
    source: str
    width: int
    height: int
    unsure: float = 0.0
    estimated: Values | None = None

    @classmethod
    def of_map(cls, depth: Depth, source: str) -> 'References':
        """Those of a sparse depth map (H, W), NaN or 0 where nothing was measured."""
        rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
        height, width = depth.shape
        return cls(columns.astype(np.float32), rows.astype(np.float32), depth[rows, columns], source, width, height)

    @classmethod
    def of_view(cls, depth: Depth, estimate: Depth, source: str) -> 'References':
        """Some of a whole map (H, W) of a view, for later ones: ``estimate`` (h, w) is what was estimated of the same.

        So what is carried on is how wrong the estimate was, not where things were.
        """
        some = np.full_like(depth, np.nan)
        grid = slice(STEP // 2, None, STEP)
        some[grid, grid] = depth[grid, grid]
        found = cls.of_map(some, source)
        return replace(found, estimated=found.seen_in(estimate, None, None).sampled(estimate))

    def aged(self) -> 'References':
        """When the view is another one: they still say the scale, and nothing of the shape of depth."""
        return replace(self, unsure=DRIFT)

    @classmethod
    def at(cls, pixels: Values, depth: Values, source: str, estimate: Depth) -> 'References':
        """Depth (N,) at ``pixels`` (N, 2), columns and rows of an ``estimate`` (H, W)."""
        height, width = estimate.shape
        return cls(pixels[:, 0], pixels[:, 1], depth.astype(np.float32), source, width, height)

    @classmethod
    def together(cls, parts: Sequence['References']) -> 'References':
        """All of several for one image."""
        columns, rows, depth = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ('columns', 'rows', 'depth')
        )
        sources = dict.fromkeys(part.source for part in parts)
        return replace(parts[0], columns=columns, rows=rows, depth=depth, source=', '.join(sources))

    def where(self, kept: npt.NDArray[np.bool_]) -> 'References':
        """Some of them."""
        then = None if self.estimated is None else self.estimated[kept]
        return replace(self, columns=self.columns[kept], rows=self.rows[kept], depth=self.depth[kept], estimated=then)

    def sampled(self, image: Values) -> Values:
        """The values (N,) of an image (H, W) at the references."""
        height, width = image.shape
        rows = np.clip(np.rint(self.rows), 0, height - 1).astype(np.intp)
        columns = np.clip(np.rint(self.columns), 0, width - 1).astype(np.intp)
        return image[rows, columns]

    def seen_in(self, depth: Depth, camera: Intrinsics | None, calibration: Calibration | None) -> 'References':
        """The same at the size of ``depth``; see :class:`~ldfusion_models.rig.measured.Measured`."""
        height, width = depth.shape
        sx, sy = width / self.width, height / self.height
        columns, rows = (self.columns + 0.5) * sx - 0.5, (self.rows + 0.5) * sy - 0.5
        at = {'columns': columns.astype(np.float32), 'rows': rows.astype(np.float32)}
        return replace(self, **at, width=width, height=height)


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
            references: in pixels of this image.
            smoothing: part of scale and slope that stays from the frame before, 0 to below 1.

        Raises:
            InputError: too few references, or they contradict each other or are implausible; the estimate is best left.
        """
        then = references.estimated
        at = np.log(references.sampled(depth) if then is None else then)
        residual = np.log(references.depth) - at
        known = np.isfinite(residual)
        at, residual, columns, rows = (values[known] for values in (at, residual, references.columns, references.rows))
        agreeing = _agreeing(residual, references.source)
        unsure, source = references.unsure, references.source
        fit = _scale_beyond(unsure, residual) if unsure > 0 else _fit(at[agreeing], residual[agreeing])
        if self._last is not None:
            fit = _between(self._last, fit, smoothing)
        left = residual - fit(at)
        used = np.abs(left) < OUTLIER
        self._last = fit
        scale = math.exp(fit.offset)
        if unsure > 0:
            return Correction(depth * np.float32(scale), scale, int(used.sum()), source)
        log_depth = np.log(depth)
        field = _Field(log_depth, columns[used], rows[used], at[used], left[used])
        for first in range(0, len(log_depth), STRIP):
            strip = log_depth[first : first + STRIP]
            np.exp(strip + fit(strip) + field(strip, first), out=strip)
        return Correction(log_depth, scale, int(used.sum()), source)


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
    for _ in range(ROUNDS):
        before = offset, slope
        error = residual - offset - slope * x
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-3)
        weight = np.minimum(1.0, 1.5 * spread / np.maximum(np.abs(error), 1e-9))
        slope = float((weight * x * (residual - offset)).sum() / ((weight * x * x).sum() + SLOPE_PRIOR * spread))
        offset = float(np.average(residual - slope * x, weights=weight))
        if max(abs(offset - before[0]), abs(slope - before[1])) < SETTLED:
            break
    return Fit(offset, float(np.clip(slope, -0.5, 1.0)), middle)


def _scale_beyond(unsure: float, residual: Values) -> Fit:
    """The part of the scale that is beyond what is unsure."""
    middle = float(np.median(residual))
    return Fit(math.copysign(max(abs(middle) - unsure, 0.0), middle))


def _between(last: Fit, new: Fit, part: float) -> Fit:
    """A fit between two: ``part`` of the last, the rest of the new one."""
    offset = part * float(last(np.float32(new.middle))) + (1 - part) * new.offset
    return Fit(offset, part * last.slope + (1 - part) * new.slope, new.middle)


class _Field:
    """The smooth field of what is left at the references, near in the image and in depth.

    A bilateral grid; its layers lie at whole multiples of ``FIELD_DEPTH`` and so stand still from frame to frame.
    """

    def __init__(self, log_depth: Values, columns: Values, rows: Values, at: Values, left: Values) -> None:
        """Spread what is ``left`` (N,) at pixels whose log depth is ``at``; ``log_depth`` is (H, W)."""
        height, width = log_depth.shape
        cell = width * FIELD_WIDTH / CELLS_PER_WIDTH
        # Nearest and farthest only decide how many layers there are, so some pixels tell.
        some = log_depth[::4, ::4]
        self._lowest = math.floor(min(float(np.nanmin(some)), float(at.min())) / FIELD_DEPTH)
        layers = max(2, math.ceil(max(float(np.nanmax(some)), float(at.max())) / FIELD_DEPTH) - self._lowest + 1)
        cells = layers, max(1, round(height / cell)), max(1, round(width / cell))
        spread = np.zeros((2, *cells), np.float32)
        layer = at / np.float32(FIELD_DEPTH) - np.float32(self._lowest)
        below = np.clip(np.floor(layer), 0, layers - 2).astype(np.intp)
        place = [
            np.clip((pixels + 0.5) * count / size, 0, count - 1).astype(np.intp)
            for pixels, size, count in ((rows, height, cells[1]), (columns, width, cells[2]))
        ]
        for step, part in ((0, 1 - (layer - below)), (1, layer - below)):
            np.add.at(spread, (0, below + step, *place), part)
            np.add.at(spread, (1, below + step, *place), part * left)
        weight, total = _blurred(spread)
        self._values = total / (weight + np.float32(FIELD_PRIOR))
        self._rows, columns = (
            np.clip((np.arange(size, dtype=np.float32) + 0.5) * (count / size) - 0.5, 0, count - 1).astype(np.float32)
            for size, count in zip((height, width), cells[1:], strict=True)
        )
        self._columns = np.ascontiguousarray(np.broadcast_to(columns, (STRIP, width)))
        # One image, the layers below each other: each value beside the step to the layer above it.
        steps = np.stack([self._values[:-1], np.diff(self._values, axis=0)], axis=-1)
        self._image = steps.reshape(-1, cells[2], 2)

    def __call__(self, log_depth: Values, first: int) -> Values:
        """The field (h, W) in some rows from ``first`` on, at most ``STRIP``; NaN where log depth is."""
        layers, height, _ = self._values.shape
        layer = log_depth * np.float32(1 / FIELD_DEPTH) - np.float32(self._lowest)
        np.clip(layer, 0, layers - 1, out=layer)
        below = np.floor(np.fmin(layer, np.float32(layers - 2)))
        down = below * np.float32(height) + self._rows[first : first + len(layer), None]
        sliced = cv2.remap(self._image, self._columns[: len(layer)], down, cv2.INTER_LINEAR)
        return np.asarray(sliced[..., 0] + (layer - below) * sliced[..., 1], np.float32)


def _blurred(grid: Values) -> Values:
    """Grids (2, layers, h, w), smoothed along their axes by a Gaussian of height 1, so that weights stay counts."""
    smooth = _gaussian(grid.shape[2], CELLS_PER_WIDTH) @ grid @ _gaussian(grid.shape[3], CELLS_PER_WIDTH)
    near = np.float32(math.exp(-0.5))
    blurred: Values = smooth.copy()
    blurred[:, 1:] += near * smooth[:, :-1]
    blurred[:, :-1] += near * smooth[:, 1:]
    return blurred


@lru_cache(maxsize=8)
def _gaussian(size: int, deviation: float) -> Values:
    """The matrix (size, size) that smooths an axis."""
    place = np.arange(size, dtype=np.float32)
    return np.asarray(np.exp(-0.5 * ((place - place[:, None]) / np.float32(deviation)) ** 2), np.float32)
