"""The paper's claim, measured: depth from fused images against depth from either camera alone, on simulated scenes.

The fused image goes through the frame graph as on the robot: both branches read it, and their depths are combined.
Alone, the visible branch reads the visible image and the thermal branch the thermal image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError, naming
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.data.depth import Depth
from ldfusion_training.data.pairs import Image8
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.evaluation.depth import DepthScore, as_json, colour_error, report
from ldfusion_training.evaluation.depth_metrics import (
    DepthMetrics,
    DepthRange,
    evaluate_depth,
    mean_depth_metrics,
    relative_error,
)
from ldfusion_training.report.pictures import DepthScale, Row, colour_depth, contact_sheet
from ldfusion_training.report.tables import markdown_table

VISIBLE, THERMAL, FUSED = 'visible alone', 'thermal alone', 'fused'
METHODS = (VISIBLE, THERMAL, FUSED)
LIGHTS = ('night', 'dusk', 'day')
# Air that one looks through; in clear air and under clouds the lights tell the difference.
WEATHERS = ('smoke', 'fog')
CELL = (320, 240)
# By the name of a group of frames, each method's measures by frame.
Conditions = dict[str, list[DepthScore]]


@dataclass(frozen=True)
class Estimates:
    """What is shown to the networks and what they make of it: by method, image and depth (H, W) in metres."""

    images: dict[str, Image8]
    depths: dict[str, Depth]


class ModalityEstimator:
    """Depth of a pair in three ways, with one set of weights."""

    def __init__(self, weights: Path | None = None) -> None:
        """Load the networks from a folder of weights, by default those of the package; raises InputError."""
        self.pipeline = Pipeline.load('onnxruntime', weights)
        self._branches = {VISIBLE: DepthEstimator.load('visible', weights)}
        self._branches[THERMAL] = DepthEstimator.load('thermal', weights)

    def __call__(self, visible: Image8, thermal: Image8, focal: float) -> Estimates:
        """Estimate.

        Args:
            visible: (H, W, 3) RGB.
            thermal: (H, W), aligned.
            focal: in pixels.
        """
        result = self.pipeline(visible, thermal, focal=focal)
        images = {VISIBLE: visible, THERMAL: thermal}
        depths = {name: branch(images[name], focal) for name, branch in self._branches.items()}
        return Estimates({**images, FUSED: result.fused}, {**depths, FUSED: result.depth})


def open_aligned(folder: Path) -> list[SimulatedFrame]:
    """The frames of a simulated data set.

    Raises:
        InputError: not such a data set, or its images are not aligned.
    """
    frames = open_simulation(folder)
    if not all(frame.is_aligned for frame in frames):
        raise InputError(f'{folder}: its images are not aligned; simulate without a baseline')
    return frames


def measure_frames(
    frames: Sequence[SimulatedFrame], estimate: ModalityEstimator, limits: DepthRange
) -> dict[str, dict[str, DepthMetrics]]:
    """Each method's measures, by the frame's name and then by method.

    Raises:
        InputError: images or depth that can't be read.
    """
    measured = {}
    for frame in frames:
        pair, truth = frame.read_pair(), frame.read_depth()
        with naming(frame.name):
            estimates = estimate(pair.visible, pair.thermal, frame.visible_camera.fx)
            measured[frame.name] = {
                method: evaluate_depth(depth, truth, limits) for method, depth in estimates.depths.items()
            }
    return measured


def by_condition(frames: Sequence[SimulatedFrame], measured: dict[str, dict[str, DepthMetrics]]) -> Conditions:
    """Group the frames by light, by what is in the air, and all together; groups without frames are left out."""
    groups = {name: [frame.name for frame in frames if belongs(frame)] for name, belongs in _conditions()}
    return {
        name: [DepthScore(method, {image: measured[image][method] for image in images}) for method in METHODS]
        for name, images in groups.items()
        if images
    }


def modality_report(conditions: Conditions) -> str:
    """Markdown: AbsRel by condition and what fusing changes, then all measures of each condition."""
    header = ['condition', 'frames', *METHODS, f'against {VISIBLE}', f'against {THERMAL}']
    rows: list[list[str | float]] = []
    for name, scores in conditions.items():
        errors = {score.name: mean_depth_metrics(list(score.images.values())).abs_rel for score in scores}
        changes = [f'{errors[FUSED] / errors[alone] - 1:+.0%}' for alone in (VISIBLE, THERMAL)]
        rows.append([name, str(len(scores[0].images)), *errors.values(), *changes])
    parts = ['AbsRel:', markdown_table(header, rows)]
    parts += [f'### {name}\n\n{report(scores)}' for name, scores in conditions.items()]
    return '\n\n'.join(parts)


def modality_json(conditions: Conditions) -> dict[str, Any]:
    """Means and the values of each frame, by condition and method."""
    return {name: as_json(scores) for name, scores in conditions.items()}


def modality_sheet(frames: Sequence[SimulatedFrame], estimate: ModalityEstimator) -> Image8:
    """A frame of each condition: images, depths and errors (white right, red too far, blue too near) of each method."""
    rows = []
    for name, belongs in _conditions():
        frame = next((frame for frame in frames if belongs(frame)), None)
        if frame is None:
            continue
        pair, truth = frame.read_pair(), frame.read_depth()
        estimates = estimate(pair.visible, pair.thermal, frame.visible_camera.fx)
        scale = DepthScale.covering([truth])
        depths = [colour_depth(estimates.depths[method], scale) for method in METHODS]
        errors = [colour_error(relative_error(estimates.depths[method], truth)) for method in METHODS]
        rows.append(Row(f'{name}: {frame.name}, {frame.kind}', [estimates.images[method] for method in METHODS]))
        rows.append(Row('depth', [*depths, colour_depth(truth, scale)]))
        rows.append(Row('error', errors))
    return contact_sheet([*METHODS, 'truth'], rows, CELL)


def _conditions() -> list[tuple[str, Callable[[SimulatedFrame], bool]]]:
    lights = [(light, lambda frame, light=light: frame.light == light) for light in LIGHTS]
    weathers = [(weather, lambda frame, weather=weather: frame.weather == weather) for weather in WEATHERS]
    return [*lights, *weathers, ('all', lambda frame: True)]
