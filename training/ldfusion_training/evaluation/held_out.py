"""A depth branch on measured frames that were held out of its training, beside what needs no learning."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_training.data.depth import Depth, DepthSource
from ldfusion_training.data.depth_sets import DepthSet
from ldfusion_training.evaluation.depth import (
    DepthFolder,
    DepthMethod,
    DepthScore,
    as_json,
    error_sheet,
    mean_map_method,
    report,
    score_methods,
)
from ldfusion_training.evaluation.depth_metrics import DepthRange, ground_plane_depth

# Eyes of KITTI's car, and where a street ends, roughly.
CAMERA_HEIGHT, WALL = 1.65, 20.0
Estimate = Callable[[npt.NDArray[np.uint8], float], Depth]


@dataclass(frozen=True)
class HeldOut:
    """Frames to measure on, and those that the baseline's mean may be taken of; both not empty."""

    measured: tuple[DepthSource, ...]
    others: tuple[DepthSource, ...]

    @property
    def truth(self) -> DepthFolder:
        """Depth files of the measured frames."""
        return _depth_files(self.measured)


def hold_out(found: DepthSet, patterns: Sequence[str]) -> HeldOut:
    """Split a data set by patterns of names.

    Raises:
        InputError: no name matches, or all do.
    """
    measured = [source for source in found.sources if any(fnmatch.fnmatch(source.name, p) for p in patterns)]
    others = [source for source in found.sources if source not in measured]
    if not measured or not others:
        what = 'no image is' if not measured else 'all images are'
        raise InputError(f'{what} called {" or ".join(patterns)}; name some of the data set with --held-out')
    return HeldOut(tuple(measured), tuple(others))


def methods_of(frames: HeldOut, name: str, estimate: Estimate) -> list[DepthMethod]:
    """The estimator, flat ground with a wall, and the mean depth map of the other frames."""
    by_name = {source.name: source for source in frames.measured}

    def estimate_depth(image: str, size: tuple[int, int]) -> Depth:
        sample = by_name[image].read()
        return estimate(sample.image, sample.camera.fx)

    def ground(image: str, size: tuple[int, int]) -> Depth:
        return ground_plane_depth(by_name[image].camera, CAMERA_HEIGHT, WALL)

    mean = mean_map_method(_depth_files(frames.others))
    return [DepthMethod(name, estimate_depth), DepthMethod('ground plane', ground), mean]


def measure(frames: HeldOut, methods: Sequence[DepthMethod], limits: DepthRange) -> dict[str, list[DepthScore]]:
    """Scores as they are, and with each image's scale forgiven; raises InputError as ``score_methods``."""
    names = [source.name for source in frames.measured]
    return {
        title: score_methods(frames.truth, names, methods, limits, scaling)
        for title, scaling in (('metric', False), ('median scaling', True))
    }


def held_out_report(scores: dict[str, list[DepthScore]], per_image: bool = False) -> str:
    """Markdown: a table with and one without median scaling."""
    return '\n\n'.join(f'{title}:\n\n{report(rows, per_image)}' for title, rows in scores.items())


def held_out_json(scores: dict[str, list[DepthScore]]) -> dict[str, object]:
    """Means and the values of each image, with and without median scaling, by method."""
    return {title: as_json(rows) for title, rows in scores.items()}


def maps(frames: HeldOut, methods: Sequence[DepthMethod]) -> dict[str, npt.NDArray[np.uint8]]:
    """By image: truth, each method's depth and its error."""
    return {source.name: error_sheet(frames.truth, source.name, methods) for source in frames.measured}


def _depth_files(sources: Sequence[DepthSource]) -> DepthFolder:
    return DepthFolder({source.name: source.depth for source in sources}, sources[0].units_per_metre)
