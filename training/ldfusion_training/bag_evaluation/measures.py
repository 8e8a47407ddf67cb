"""What is measured of a frame."""

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.camera.ranges import points_of_cloud
from ldfusion_models.errors import InputError, naming
from ldfusion_training import metrics
from ldfusion_training.bag_evaluation.pairs import FusedShot
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.data.lidar import Mounting, project_scan
from ldfusion_training.evaluation import depth_metrics
from ldfusion_training.evaluation.flicker import estimated_motion, flicker_between
from ldfusion_training.recordings.bags import POINTS, Record

Depth = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Measure:
    """A column of the results.

    Attributes:
        name: its title and key.
        group: ``quick`` and ``full`` are of fusion, the first of every frame; ``video`` needs the frame before,
            ``depth`` needs measured depth.
        better: 1 if more is better, -1 if less is, 0 if neither.
        meaning: in a few words.
    """

    name: str
    group: str
    better: int
    meaning: str

    @property
    def titled(self) -> str:
        """Its name with an arrow to where it is better."""
        return self.name + {1: ' ↑', -1: ' ↓', 0: ''}[self.better]


MEASURES = (
    Measure('EN', 'quick', 1, 'entropy of the fused image, bits'),
    Measure('MI', 'quick', 1, 'mutual information with both sources, bits'),
    Measure('2EN', 'quick', 1, 'twice the entropy (the paper calls it MI), bits'),
    Measure('SF', 'quick', 1, 'spatial frequency, grey levels'),
    Measure('SD', 'quick', 1, 'standard deviation, grey levels'),
    Measure('AG', 'quick', 1, 'average gradient, grey levels'),
    Measure('SCD', 'quick', 1, 'sum of the correlations of differences'),
    Measure('CC', 'quick', 1, 'mean correlation with both sources'),
    Measure('VIF', 'full', 1, 'visual information fidelity, both sources'),
    Measure('Qabf', 'full', 1, 'edges of the sources that are kept'),
    Measure('SSIM', 'full', 1, 'mean structural similarity with both sources'),
    Measure('Nabf', 'full', -1, 'edges that no source has'),
    Measure('chroma error', 'full', -1, 'change of colour where it is cold, 8-bit steps'),
    Measure('flicker', 'video', -1, 'change of grey of a point from frame to frame, grey levels'),
    Measure('flicker, relative', 'video', -1, 'that over the standard deviation'),
    Measure('pumping', 'video', -1, 'change of the mean grey from frame to frame, grey levels'),
    Measure('compared', 'video', 0, 'share of the pixels that flicker is measured on'),
    Measure('AbsRel', 'depth', -1, 'mean relative error of depth'),
    Measure('SqRel', 'depth', -1, 'mean of squared error over depth, m'),
    Measure('RMSE', 'depth', -1, 'root mean square error, m'),
    Measure('RMSElog', 'depth', -1, 'root mean square error of log depth'),
    Measure('SILog', 'depth', -1, '100 times the standard deviation of log error'),
    Measure('d<1.25', 'depth', 1, 'share of pixels within a factor of 1.25'),
    Measure('d<1.25^2', 'depth', 1, 'within 1.25 squared'),
    Measure('d<1.25^3', 'depth', 1, 'within 1.25 cubed'),
    Measure('coverage', 'depth', 1, 'share of the pixels with truth that have a prediction'),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
FLICKER_NAMES = ('flicker', 'flicker, relative', 'pumping', 'compared')
UNUSED_DEPTH = ('scale',)


def measured_depth(shot: FusedShot) -> Depth:
    """Depth (H, W) in metres, NaN unknown, from the message that came with a shot.

    At the size of its own image or, of a cloud, at the frame's.

    Raises:
        InputError: no usable depth.
    """
    truth = shot.recorded.truth
    assert truth is not None
    if truth.type != POINTS:
        return truth.depth()
    if shot.recorded.camera_T_truth is None:
        raise InputError(
            f'{truth.topic}: /tf_static has no way from {truth.message.header.frame_id} to {shot.recorded.frame_id}; '
            'write visible_T_ranges into the --registration-file'
        )
    return _project(truth, shot.frame.camera, shot.recorded.camera_T_truth)


def measure(
    shot: FusedShot, before: FusedShot | None, full: bool, settings: BagSettings
) -> tuple[dict[str, float], str]:
    """The measures of a frame by name, and what is wrong with its measured depth, if anything is.

    Args:
        shot: of a recording.
        before: the shot before, for flicker; None if there is none.
        full: take all measures, not only the quick ones.
        settings: range of depth.
    """
    frame = shot.frame
    visible, fused = metrics.to_grey(frame.visible), metrics.to_grey(frame.fused)
    if not full:
        return _by_title(metrics.quick_measures(visible, frame.thermal, fused)), ''
    values = _by_title(asdict(metrics.evaluate_fusion(visible, frame.thermal, fused)))
    values['chroma error'] = metrics.chroma_error(frame.visible, frame.thermal, frame.fused)
    if before is not None and before.frame.fused.shape == frame.fused.shape:
        motion = estimated_motion(metrics.to_grey(before.frame.visible), visible)
        flicker = flicker_between(before.frame.fused, fused, motion)
        values |= dict(zip(FLICKER_NAMES, asdict(flicker).values(), strict=True))
    if shot.recorded.truth is None:
        return values, ''
    try:
        return values | _depth_measures(shot, settings), ''
    except InputError as error:
        return values, str(error)


def _by_title(values: dict[str, float]) -> dict[str, float]:
    return {metrics.TITLES[name]: value for name, value in values.items()}


def _depth_measures(shot: FusedShot, settings: BagSettings) -> dict[str, float]:
    known, predicted = measured_depth(shot), shot.frame.depth
    if predicted.shape != known.shape:
        predicted = np.asarray(cv2.resize(predicted, known.shape[::-1], interpolation=cv2.INTER_NEAREST), np.float32)
    values = asdict(depth_metrics.evaluate_depth(predicted, known, settings.depth_range))
    return {depth_metrics.TITLES[name]: value for name, value in values.items() if name not in UNUSED_DEPTH}


def _project(cloud: Record, camera: Intrinsics | None, transform: npt.NDArray[np.float64]) -> Depth:
    if camera is None:
        raise InputError('no camera_info of the visible camera; a scan cannot be projected into its image')
    with naming(cloud.topic):
        positions = points_of_cloud(cloud.message)
    return project_scan(positions[np.isfinite(positions).all(axis=1)], Mounting(camera, transform))


def is_known(value: float | None) -> bool:
    """Whether a measure has a value."""
    return value is not None and math.isfinite(value)
