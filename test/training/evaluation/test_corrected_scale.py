"""Depth of the shipped branch, deliberately scaled wrongly, is brought to scale by references it has not seen."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from paths import DATA

pytest.importorskip('embreex')

from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_models.rig.references import Corrector, References
from ldfusion_training.cli import main
from ldfusion_training.data.depth import DepthSample
from ldfusion_training.data.depth_sets import open_depth

Map = npt.NDArray[np.float32]
Frames = Callable[[Path], Iterator[DepthSample]]
NEEDED = 0.05


def simulated(folder: Path) -> Iterator[DepthSample]:
    size = ['--scenes', '6', '--frames', '1', '--size', '160x128']
    assert main(['simulate', '--output', str(folder), *size, '--seed', '515']) == 0
    yield from (source.read() for source in open_depth(folder).sources)


def held_out(_folder: Path) -> Iterator[DepthSample]:
    if not DATA.is_dir():
        pytest.skip('needs ../shared/data')
    yield from (source.read() for source in open_depth(DATA / 'kitti' / 'val').sources)


def scale_error(depth: Map, truth: Map) -> float:
    return abs(float(np.nanmedian(depth / truth)) - 1)


@pytest.mark.parametrize('factor', [0.5, 2.5])
@pytest.mark.parametrize('frames', [simulated, held_out])
def test_a_wrong_scale_comes_below_five_percent_by_64_points(frames: Frames, factor: float, tmp_path: Path) -> None:
    generator, estimator = np.random.default_rng(3), DepthEstimator.load('visible')
    before, after = [], []
    for sample in frames(tmp_path):
        estimate = estimator(sample.image, sample.camera.fx)
        wrong = estimate / np.nanmedian(estimate / sample.depth) * np.float32(factor)
        known = np.flatnonzero(np.isfinite(sample.depth))
        shown = generator.choice(known, 64, replace=False)
        told = np.full(sample.depth.size, np.nan, np.float32)
        told[shown] = sample.depth.flat[shown]
        judged = sample.depth.copy()
        judged.flat[shown] = np.nan
        corrected = Corrector()(wrong, References.of_map(told.reshape(judged.shape), 'laser')).depth
        before.append(scale_error(wrong, judged))
        after.append(scale_error(corrected, judged))
    assert np.median(before) > 0.4
    print(f'median scale error {np.median(before):.3f}, corrected {np.median(after):.3f}, worst {np.max(after):.3f}')
    assert np.median(after) < NEEDED
