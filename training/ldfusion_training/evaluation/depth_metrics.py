"""Measures of metric depth, and depth without learning that every network must beat."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics, rays
from ldfusion_models.errors import InputError

Depth = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DepthRange:
    """Truth nearer or farther than this, in metres, is left out; predictions are clipped to it (Eigen's protocol)."""

    near: float = 0.001
    far: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.near < self.far:
            raise InputError(f'depth range {self.near:g} to {self.far:g} m: needs 0 < near < far')


@dataclass(frozen=True)
class DepthMetrics:
    """The measures of one depth map, over pixels where truth and prediction are known.

    Attributes:
        abs_rel: mean of |p - t| / t.
        sq_rel: mean of (p - t)^2 / t, in metres.
        rmse: root mean square of p - t, in metres.
        rmse_log: root mean square of ln p - ln t.
        silog: 100 times the standard deviation of ln p - ln t (KITTI).
        delta1, delta2, delta3: share of pixels with max(p / t, t / p) below 1.25, 1.25^2, 1.25^3.
        coverage: share of the pixels with truth that have a prediction.
        scale: factor by which the prediction was multiplied; 1 without median scaling.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    silog: float
    delta1: float
    delta2: float
    delta3: float
    coverage: float
    scale: float


TITLES = {
    'abs_rel': 'AbsRel',
    'sq_rel': 'SqRel',
    'rmse': 'RMSE',
    'rmse_log': 'RMSElog',
    'silog': 'SILog',
    'delta1': 'd<1.25',
    'delta2': 'd<1.25^2',
    'delta3': 'd<1.25^3',
    'coverage': 'coverage',
    'scale': 'scale',
}


def evaluate_depth(
    prediction: Depth, truth: Depth, limits: DepthRange | None = None, median_scaling: bool = False
) -> DepthMetrics:
    """Measure one depth map.

    Args:
        prediction, truth: (H, W) metres; NaN, infinite or not positive means unknown.
        limits: range of truth that counts.
        median_scaling: multiply the prediction so that its median is the truth's, which forgives a wrong scale.

    Raises:
        InputError: two sizes, no truth within the limits, or no prediction where truth is known.
    """
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise InputError(f'predicted depth of shape {prediction.shape}, truth of {truth.shape}; both must be (H, W)')
    limits = limits or DepthRange()
    counted = is_known(truth) & (truth >= limits.near) & (truth <= limits.far)
    if not counted.any():
        raise InputError(f'no truth between {limits.near:g} and {limits.far:g} m')
    both = counted & is_known(prediction)
    if not both.any():
        raise InputError('no predicted depth where truth is known')
    p, t = prediction[both].astype(np.float64), truth[both].astype(np.float64)
    scale = float(np.median(t) / np.median(p)) if median_scaling else 1.0
    p = np.clip(p * scale, limits.near, limits.far)
    error, log_error = p - t, np.log(p) - np.log(t)
    ratio = np.exp(np.abs(log_error))
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(error) / t)),
        sq_rel=float(np.mean(error**2 / t)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        silog=float(100 * np.std(log_error)),
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
        coverage=float(both.sum() / counted.sum()),
        scale=scale,
    )


def mean_depth_metrics(rows: Sequence[DepthMetrics]) -> DepthMetrics:
    """The mean of each measure over images (not over pixels, as is the custom)."""
    return DepthMetrics(*(float(np.mean([getattr(row, field.name) for row in rows])) for field in fields(DepthMetrics)))


def is_known(depth: Depth) -> npt.NDArray[np.bool_]:
    """Where depth (H, W) is finite and positive."""
    return np.isfinite(depth) & (depth > 0)


def relative_error(prediction: Depth, truth: Depth) -> Depth:
    """Signed error (p - t) / t of each pixel (H, W); NaN where one is unknown."""
    known = is_known(truth) & is_known(prediction)
    error = np.full(truth.shape, np.nan, np.float32)
    error[known] = (prediction[known] - truth[known]) / truth[known]
    return error


def ground_plane_depth(camera: Intrinsics, height: float, wall: float, pitch_degrees: float = 0.0) -> Depth:
    """Depth (H, W) of flat ground that ends at a wall, ``wall`` metres ahead.

    Args:
        camera: intrinsics.
        height: of the camera above the ground, in metres.
        wall: also what is seen above the horizon.
        pitch_degrees: how far the camera looks down.
    """
    pitch = np.radians(pitch_degrees)
    fall = rays(camera)[..., 1] * np.cos(pitch) + np.sin(pitch)
    depth = np.full(fall.shape, wall, np.float32)
    ground = fall > height / wall
    depth[ground] = height / fall[ground]
    return depth


def mean_depth_map(truths: Sequence[Depth], width: int, height: int) -> Depth:
    """The mean depth (height, width) of several maps, of any size, at each place in the image.

    Places that few maps know take the mean of their surroundings, wider and wider, so that the map has no gaps.

    Raises:
        InputError: no map with known depth.
    """
    total, count = np.zeros((height, width), np.float64), np.zeros((height, width), np.float64)
    for truth in truths:
        depth = np.asarray(cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
        known = is_known(depth)
        total[known] += depth[known]
        count += known
    if not count.any():
        raise InputError('no known depth to take the mean of')
    mean = np.full((height, width), total.sum() / count.sum())
    # From wide to narrow: the last, narrowest surroundings with enough samples decide.
    for part in (2, 8, 32):
        deviation = height / part
        weight = cv2.GaussianBlur(count, (0, 0), deviation)
        smooth = cv2.GaussianBlur(total, (0, 0), deviation)
        enough = weight * 2 * np.pi * deviation**2 > 1
        mean[enough] = smooth[enough] / weight[enough]
    return mean.astype(np.float32)
