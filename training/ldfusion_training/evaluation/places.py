"""Depth on places that no recipe has seen: by family of data, with and without scaling, by range, and how sure.

Frames are measured only where the recipe holds them out or doesn't know their folder. So neighbouring frames are never
on both sides, as long as a recipe holds out whole drives, sites and cameras (``data.places``).
"""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import rays
from ldfusion_models.errors import InputError, naming
from ldfusion_models.rig.ground import ground_references
from ldfusion_models.rig.references import Corrector, References
from ldfusion_training.data.depth import Depth, DepthSample, DepthSource
from ldfusion_training.data.depth_sets import open_depth
from ldfusion_training.data.places import place_of
from ldfusion_training.evaluation.depth import colour_error
from ldfusion_training.evaluation.depth_metrics import (
    DepthRange,
    evaluate_depth,
    ground_plane_depth,
    is_known,
    mean_depth_map,
    relative_error,
)
from ldfusion_training.report.pictures import DepthScale, Row, colour_depth, contact_sheet
from ldfusion_training.report.tables import markdown_table

RANGES = ((0.0, 10.0), (10.0, 30.0), (30.0, 80.0))
LIMITS = DepthRange()
# Where a street ends for the ground plane, in metres.
WALL = 20.0
CELL = (640, 240)
# Difference of the logarithms of width over height.
LIKE_SHAPE = 0.1


@dataclass(frozen=True)
class Frame:
    """A frame that is measured; ``family`` is the data set that it comes from."""

    family: str
    source: DepthSource

    @property
    def place(self) -> str:
        """Drive, site or camera."""
        return place_of(self.source.name)


@dataclass(frozen=True)
class Estimate:
    """Depth (H, W) in metres, and the standard deviation of its logarithm (H, W) if the method knows it."""

    depth: Depth
    deviation: npt.NDArray[np.float32] | None = None


Method = Callable[[DepthSample], Estimate]


@dataclass(frozen=True)
class Score:
    """One frame measured.

    Attributes:
        abs_rel, delta1: as they are.
        scaled_abs_rel, scaled_delta1: after median scaling.
        near, middle, far: AbsRel where the truth is in each of ``RANGES``; NaN where there is none.
        log_scale: logarithm of the median of prediction over truth.
        surer: error of the surer half of the pixels over that of all; NaN if the method does not say how sure it is.
    """

    abs_rel: float
    delta1: float
    scaled_abs_rel: float
    scaled_delta1: float
    near: float
    middle: float
    far: float
    log_scale: float
    surer: float


def open_frames(
    folders: Sequence[Path], known: Sequence[Path], held_out: Sequence[str]
) -> tuple[list[Frame], list[Frame]]:
    """Frames to measure, and the others.

    Args:
        folders: data sets with depth.
        known: folders that a recipe trains on; of these only names that match ``held_out`` are measured.
        held_out: patterns of names.

    Raises:
        InputError: no such folder, or nothing to measure.
    """
    measured: list[Frame] = []
    others: list[Frame] = []
    trained = {folder.resolve() for folder in known}
    for folder in folders:
        is_known_folder = folder.resolve() in trained
        family = f'{folder.resolve().parent.name}/{folder.resolve().name}'
        for source in open_depth(folder).sources:
            kept = not is_known_folder or any(fnmatch.fnmatch(source.name, pattern) for pattern in held_out)
            (measured if kept else others).append(Frame(family, source))
    if not measured:
        raise InputError('every frame was trained on; name what the recipe holds out, or other folders')
    return measured, others


def mean_map(frames: Sequence[Frame]) -> Method:
    """Baseline: the mean depth map of other frames, of those of nearly the same shape if there are any."""
    truths = [frame.source.read().depth for frame in frames]
    shapes = np.array([truth.shape[1] / truth.shape[0] for truth in truths])
    by_size: dict[tuple[int, int], Depth] = {}

    def estimate(sample: DepthSample) -> Estimate:
        height, width = sample.depth.shape
        if (height, width) not in by_size:
            alike = np.abs(np.log(shapes * height / width)) < LIKE_SHAPE
            chosen = [truth for truth, is_like in zip(truths, alike, strict=True) if is_like]
            by_size[height, width] = mean_depth_map(chosen or truths, width, height)
        return Estimate(by_size[height, width])

    return estimate


def ground_plane(height: float) -> Method:
    """Baseline: flat ground under a level camera, and a wall."""
    return lambda sample: Estimate(ground_plane_depth(sample.camera, height, WALL))


def corrected_by_points(method: Method, count: int) -> Method:
    """``method`` corrected by ``count`` random pixels of the truth, which are then left out of the measure."""

    def references(estimate: Estimate, sample: DepthSample) -> References:
        known = np.argwhere(is_known(sample.depth) & (sample.depth <= LIMITS.far))
        rows, columns = np.random.default_rng(0).permutation(known)[:count].T
        sparse = np.full(sample.depth.shape, np.nan, np.float32)
        sparse[rows, columns] = sample.depth[rows, columns]
        return References.of_map(sparse, f'{count} points')

    return _corrected(method, references, leave_out=True)


def corrected_by_height(method: Method, height: float) -> Method:
    """``method`` corrected by the height of the camera, in metres."""
    return _corrected(method, lambda estimate, sample: ground_references(estimate.depth, rays(sample.camera), height))


def _corrected(
    method: Method, references: Callable[[Estimate, DepthSample], References], leave_out: bool = False
) -> Method:
    """``method`` corrected as the rig does it: where references are refused, it stays as it is."""

    def estimate(sample: DepthSample) -> Estimate:
        plain = method(sample)
        try:
            measured = references(plain, sample)
            depth = Corrector()(plain.depth, measured).depth
        except InputError:
            return plain
        if leave_out:
            depth[measured.rows.astype(int), measured.columns.astype(int)] = np.nan
        return replace(plain, depth=depth)

    return estimate


def measure(frames: Sequence[Frame], methods: dict[str, Method]) -> dict[str, list[Score]]:
    """Scores of each method, frame by frame; raises InputError for unreadable frames."""
    scores: dict[str, list[Score]] = {name: [] for name in methods}
    for frame in frames:
        with naming(frame.source.name):
            sample = frame.source.read()
            for name, method in methods.items():
                scores[name].append(score(method(sample), sample.depth))
    return scores


def score(estimate: Estimate, truth: Depth) -> Score:
    """Measure one frame; raises InputError as ``evaluate_depth``."""
    plain = evaluate_depth(estimate.depth, truth, LIMITS)
    scaled = evaluate_depth(estimate.depth, truth, LIMITS, median_scaling=True)
    signed = relative_error(estimate.depth, truth)
    signed[~(is_known(truth) & (truth <= LIMITS.far))] = np.nan
    error = np.abs(signed)
    near, middle, far = (_mean(error[(truth >= nearest) & (truth < farthest)]) for nearest, farthest in RANGES)
    return Score(
        abs_rel=plain.abs_rel,
        delta1=plain.delta1,
        scaled_abs_rel=scaled.abs_rel,
        scaled_delta1=scaled.delta1,
        near=near,
        middle=middle,
        far=far,
        log_scale=float(np.log1p(np.nanmedian(signed))),
        surer=_surer(error, estimate),
    )


def report(frames: Sequence[Frame], scores: dict[str, list[Score]]) -> str:
    """Markdown: a row for each family and method, then for each place: how its scale wanders along a drive, too."""
    header = ['family', 'method', 'frames', 'AbsRel', 'd<1.25', 'AbsRel scaled', 'd<1.25 scaled']
    header += [f'{near:.0f}-{far:.0f} m' for near, far in RANGES] + ['deviation of scale', 'surer half / all']
    rows: list[list[str | float]] = []
    for family in dict.fromkeys(frame.family for frame in frames):
        for method, all_scores in scores.items():
            own = [each for frame, each in zip(frames, all_scores, strict=True) if frame.family == family]
            means = summary(own)
            rows.append([family, method, str(len(own)), *means.values()])
    places: list[list[str | float]] = [
        [place, method, str(len(own)), means['abs_rel'], means['delta1'], means['scale_deviation']]
        for place in dict.fromkeys(frame.place for frame in frames)
        for method, all_scores in scores.items()
        for own in [[each for frame, each in zip(frames, all_scores, strict=True) if frame.place == place]]
        for means in [summary(own)]
    ]
    of_places = markdown_table(['place', 'method', 'frames', 'AbsRel', 'd<1.25', 'deviation of scale'], places)
    return f'{markdown_table(header, rows)}\n\n{of_places}'


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Means of a group of frames; of the scale its deviation over the frames."""
    columns = {name: [getattr(each, name) for each in scores] for name in asdict(scores[0])}
    means = {name: _mean(values) for name, values in columns.items() if name not in ('log_scale', 'surer')}
    return {**means, 'scale_deviation': float(np.std(columns['log_scale'])), 'surer': _mean(columns['surer'])}


def as_json(frames: Sequence[Frame], scores: dict[str, list[Score]]) -> dict[str, Any]:
    """By method: each frame's measures, with its family and place."""
    return {
        method: {
            frame.source.name: {'family': frame.family, 'place': frame.place, **asdict(each)}
            for frame, each in zip(frames, all_scores, strict=True)
        }
        for method, all_scores in scores.items()
    }


def worst_sheet(frames: Sequence[Frame], scores: Sequence[Score], method: Method, count: int) -> npt.NDArray[np.uint8]:
    """The frames with the largest AbsRel: image, depth, and error (red too far, blue too near)."""
    order = sorted(range(len(frames)), key=lambda index: -scores[index].abs_rel)[:count]
    rows = []
    for index in order:
        sample = frames[index].source.read()
        depth = method(sample).depth
        error = colour_error(relative_error(depth, sample.depth))
        caption = f'{frames[index].source.name}: AbsRel {scores[index].abs_rel:.3f}'
        rows.append(Row(caption, [sample.image, colour_depth(depth, DepthScale.covering([depth])), error]))
    return contact_sheet(['image', 'depth', 'error'], rows, CELL)


def _surer(error: npt.NDArray[np.float32], estimate: Estimate) -> float:
    if estimate.deviation is None:
        return float('nan')
    known = np.isfinite(error)
    sure = estimate.deviation[known] <= np.median(estimate.deviation[known])
    return float(error[known][sure].mean() / error[known].mean())


def _mean(values: Any) -> float:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if finite.size else float('nan')
