"""Depth of the shipped branch, deliberately scaled wrongly, is brought to scale by references of other pixels, or by
what a slow network said of the view before."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from paths import DATA

pytest.importorskip('embreex')

from ldfusion_models.errors import InputError
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_models.rig.references import Corrector, References
from ldfusion_training.cli import main
from ldfusion_training.data.depth_sets import open_depth

Map = npt.NDArray[np.float32]
NEEDED = 0.05
FACTORS = [0.5, 2.5]


@pytest.fixture(scope='module', params=['simulated', 'held out'])
def drives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[Map, Map]]]:
    """Estimate, of the right scale, and true depth of each view of some drives."""
    folder = DATA / 'kitti/val'
    if request.param == 'simulated':
        folder = tmp_path_factory.mktemp('simulated') / 'scenes'
        size = ['--scenes', '4', '--frames', '2', '--size', '160x128']
        assert main(['simulate', '--output', str(folder), *size, '--seed', '515']) == 0
    elif not folder.is_dir():
        pytest.skip('needs ../shared/data')
    estimator, drives = DepthEstimator.load('visible'), {}
    for source in open_depth(folder).sources:
        sample = source.read()
        estimate = estimator(sample.image, sample.camera.fx)
        estimate /= np.nanmedian(estimate / sample.depth)
        # KITTI's object_* are of a place each; else a name ends in the frame's number.
        drive = source.name if source.name.startswith('object') else source.name.rstrip('0123456789')
        drives.setdefault(drive, []).append((estimate, sample.depth))
    return list(drives.values())


def corrected(wrong: Map, references: References) -> Map:
    try:
        return Corrector()(wrong, references).depth
    except InputError:
        return wrong  # as the node leaves it


def scale_error(depth: Map, truth: Map) -> float:
    return abs(float(np.nanmedian(depth / truth)) - 1)


def judge(what: str, before: list[float], after: list[float]) -> None:
    assert np.median(before) > 0.4
    print(f'{what}: scale error {np.median(before):.3f}, corrected {np.median(after):.3f}, worst {np.max(after):.3f}')
    assert np.median(after) < NEEDED


@pytest.mark.parametrize('factor', FACTORS)
def test_64_points_bring_a_wrong_scale_below_five_percent(drives: list[list[tuple[Map, Map]]], factor: float) -> None:
    generator = np.random.default_rng(3)
    before, after = [], []
    for estimate, depth in (view for drive in drives for view in drive):
        wrong = estimate * np.float32(factor)
        shown = generator.choice(np.flatnonzero(np.isfinite(depth)), 64, replace=False)
        told = np.full_like(depth, np.nan)
        told.flat[shown] = depth.flat[shown]
        judged = depth.copy()
        judged.flat[shown] = np.nan
        before.append(scale_error(wrong, judged))
        after.append(scale_error(corrected(wrong, References.of_map(told, 'laser')), judged))
    judge('64 points', before, after)


@pytest.mark.parametrize('factor', FACTORS)
@pytest.mark.parametrize('is_old', [False, True])
def test_a_slow_network_does_so_from_the_view_before(
    drives: list[list[tuple[Map, Map]]], is_old: bool, factor: float
) -> None:
    """The network is right to 10 %, smoothly wrong over the image, and so is what it says of the next view."""
    before, after = [], []
    for (first, then), (second, now) in (views for drive in drives for views in pairwise(drive)):
        rows, columns = np.indices(then.shape) / max(then.shape) * 12
        said = then * np.exp(0.1 * np.sin(rows + columns)).astype(np.float32)
        references = References.of_view(said, first * np.float32(factor), 'network')
        wrong = second * np.float32(factor)
        before.append(scale_error(wrong, now))
        after.append(scale_error(corrected(wrong, references.aged() if is_old else references), now))
    judge('network, scale only' if is_old else 'network', before, after)
