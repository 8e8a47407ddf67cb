"""Depth measured end to end: fused against either camera alone, and a branch on frames held out of its training."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('embreex')

from ldfusion_models.files import read_image  # noqa: E402
from ldfusion_models.rig.depth_estimator import DepthEstimator  # noqa: E402
from ldfusion_models.rig.pipeline import Pipeline  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.depth import depth_to_kitti  # noqa: E402
from ldfusion_training.data.simulated import open_simulation  # noqa: E402
from ldfusion_training.evaluation.depth_metrics import evaluate_depth, ground_plane_depth  # noqa: E402


@pytest.fixture(scope='module')
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small street scenes, one by night and one by day, of one frame each."""
    folder = tmp_path_factory.mktemp('simulated') / 'data'
    words = ['--kinds', 'street', '--lights', 'night', 'day', '--weathers', 'clear', '--size', '128x96', '--seed', '3']
    assert main(['simulate', '--scenes', '2', '--frames', '1', *words, '--output', str(folder)]) == 0
    return folder


def test_modalities_are_measured_as_the_networks_see_them(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['evaluate', 'modalities', '--data', str(simulated), '--output', str(tmp_path / 'out')]) == 0
    report = json.loads((tmp_path / 'out/report.json').read_text())
    frames = {frame.name: frame for frame in open_simulation(simulated)}
    lights = {frame.light for frame in frames.values()}
    assert set(report) == {*lights, 'all'}
    name, frame = next(iter(frames.items()))
    pair, truth, focal = frame.read_pair(), frame.read_depth(), frame.visible_camera.fx
    fused = Pipeline.load('onnxruntime')(pair.visible, pair.thermal, focal=focal).depth
    alone = DepthEstimator.load('thermal')(pair.thermal, focal)
    for method, depth in (('fused', fused), ('thermal alone', alone)):
        measured = report[frame.light][method]['images'][name]['AbsRel']
        assert measured == pytest.approx(evaluate_depth(depth, truth).abs_rel, rel=1e-4)
    everything = report['all']['fused']['images']
    assert set(everything) == set(frames)
    mean = np.mean([values['AbsRel'] for values in everything.values()])
    assert report['all']['fused']['mean']['AbsRel'] == pytest.approx(mean)
    assert f'| {mean:.3f} |' in capsys.readouterr().out
    assert read_image(tmp_path / 'out/sheet.png').ndim == 3


def test_modalities_want_aligned_simulated_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate', 'modalities', '--data', str(tmp_path)]) == 2
    assert 'dataset.yaml' in capsys.readouterr().err


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A data set of five images above flat ground with a wall, whose truth is known to the millimetre."""
    from ldfusion_models.camera.lens import Intrinsics
    from ldfusion_models.files import write_image

    folder = tmp_path / 'data'
    camera = Intrinsics(96, 64, 70.0, 70.0, 47.5, 31.5)
    for index in range(5):
        shade = np.random.default_rng(index).integers(0, 256, (64, 96, 3), np.uint8)
        write_image(folder / f'vi/{index}.png', shade)
        write_image(folder / f'depth/{index}.png', depth_to_kitti(ground_plane_depth(camera, 1.65, 20.0)))
        (folder / 'camera').mkdir(exist_ok=True)
        values = {name: getattr(camera, name) for name in ('width', 'height', 'fx', 'fy', 'cx', 'cy')}
        (folder / f'camera/{index}.json').write_text(json.dumps(values))
    return folder


def test_a_branch_is_measured_on_the_held_out_frames_alone(measured: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    words = ['evaluate', 'held-out', '--data', str(measured), '--held-out', '[34]', '--output', str(out)]
    assert main(words) == 0
    report = json.loads((out / 'report.json').read_text())
    assert set(report) == {'metric', 'median scaling'}
    for scores in report.values():
        assert set(scores) == {'visible branch', 'ground plane', 'mean depth map'}
        assert all(set(score['images']) == {'3', '4'} for score in scores.values())
        # The truth is the ground plane's own.
        assert scores['ground plane']['mean']['AbsRel'] < 0.002
    assert report['metric']['visible branch']['mean']['scale'] == 1.0
    assert sorted(path.name for path in (out / 'maps').iterdir()) == ['3.png', '4.png']


@pytest.mark.parametrize(('pattern', 'reason'), [('absent_*', 'no image is called absent_*'), ('*', 'all images are')])
def test_nothing_or_everything_held_out_is_refused(
    pattern: str, reason: str, measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['evaluate', 'held-out', '--data', str(measured), '--held-out', pattern]) == 2
    assert reason in capsys.readouterr().err
