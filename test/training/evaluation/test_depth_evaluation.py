"""Depth measured end to end: fused against either camera alone, and a branch on frames held out of its training."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('embreex')

from ldfusion_models.files import read_image  # noqa: E402
from ldfusion_models.rig.depth_estimator import DepthEstimator  # noqa: E402
from ldfusion_models.rig.pipeline import Pipeline  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.depth import depth_to_kitti, read_depth  # noqa: E402
from ldfusion_training.data.simulated import open_simulation  # noqa: E402
from ldfusion_training.evaluation.depth_metrics import evaluate_depth, ground_plane_depth  # noqa: E402
from ldfusion_training.evaluation.places import (  # noqa: E402
    Estimate,
    corrected_by_points,
    measure,
    open_frames,
    report,
    score,
)


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


def recipe_for(folder: Path, tmp_path: Path) -> str:
    """A recipe that trained on the data set, but for its last two frames."""
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump({'data': {'folders': [f'{folder}:[0-9]'], 'held_out': ['[34]']}}))
    return str(path)


def test_a_branch_is_measured_where_its_recipe_has_not_been(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    words = ['evaluate', 'places', '--data', str(measured), '--recipe', recipe_for(measured, tmp_path)]
    assert main([*words, '--output', str(out)]) == 0
    report = json.loads((out / 'report.json').read_text())
    assert set(report) == {'shipped', 'corrected by points', 'corrected by height', 'ground plane', 'mean depth map'}
    assert all(set(scores) == {'3', '4'} for scores in report.values())
    # The truth is the ground plane's own.
    assert report['ground plane']['3']['abs_rel'] < 0.002
    sample = read_image(measured / 'vi/3.png'), read_depth(measured / 'depth/3.png', 256.0)
    expected = evaluate_depth(DepthEstimator.load('visible')(sample[0], 70.0), sample[1])
    assert report['shipped']['3']['abs_rel'] == pytest.approx(expected.abs_rel, rel=1e-5)
    assert 0 < report['shipped']['3']['surer'] < 3
    assert (out / 'report.md').read_text().strip() in capsys.readouterr().out
    assert read_image(out / 'worst.png').ndim == 3
    # A folder that the recipe doesn't know is measured whole.
    assert main(['evaluate', 'places', '--data', str(measured), '--output', str(out)]) == 0
    assert set(json.loads((out / 'report.json').read_text())['shipped']) == {'0', '1', '2', '3', '4'}


def test_correction_by_points_is_judged_on_the_other_pixels(measured: Path) -> None:
    """A method that is wrong by a factor everywhere is right after it; its points do not count."""
    (first, *_), _ = open_frames([measured], [], [])
    sample = first.source.read()
    method = corrected_by_points(lambda _: Estimate(sample.depth * np.float32(1.3)), 20)
    depth = method(sample).depth
    left_out = np.isnan(depth) & np.isfinite(sample.depth)
    assert left_out.sum() == 20
    np.testing.assert_allclose(depth[~np.isnan(depth)], sample.depth[~np.isnan(depth)], rtol=0.01)


def test_the_report_says_how_the_scale_wanders_along_each_drive(measured: Path) -> None:
    """Two drives, one at twice the scale of the other: each is steady or not by itself."""
    for path in list(measured.rglob('[0-9].*')):
        path.rename(path.with_name(f'drive{int(path.stem) // 3}_{path.name}'))
    frames, _ = open_frames([measured], [], [])
    factors = iter(np.exp([0.3, 0.0, -0.3, 0.7, 0.7]))
    scores = measure(frames, {'known': lambda sample: Estimate(sample.depth * np.float32(next(factors)))})
    rows = [line.strip('|').split('|') for line in report(frames, scores).splitlines() if line.startswith('| drive')]
    wander = {row[0].strip(): float(row[-1]) for row in rows}
    assert wander == pytest.approx({'drive0': np.std([0.3, 0.0, -0.3]), 'drive1': 0.0}, abs=1e-3)


def test_frames_that_were_trained_on_are_not_measured(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['evaluate', 'places', '--data', str(measured), '--recipe', recipe_for(measured, tmp_path)]
    assert main([*words, '--held-out', 'absent_*']) == 2
    assert 'every frame was trained on' in capsys.readouterr().err


def test_scores_by_range_scale_and_certainty_are_those_of_their_definitions() -> None:
    truth = np.array([[5.0, 5.0, 20.0, 20.0, 50.0, np.nan]], np.float32)
    depth = np.array([[6.0, 5.0, 22.0, 20.0, 50.0, 9.0]], np.float32)
    deviation = np.array([[0.5, 0.1, 0.4, 0.1, 0.1, 0.0]], np.float32)
    found = score(Estimate(depth, deviation), truth)
    assert found.near == pytest.approx(0.1)
    assert found.middle == pytest.approx(0.05)
    assert found.far == pytest.approx(0.0, abs=1e-6)
    assert found.surer == pytest.approx(0.0, abs=1e-6)
    twice = score(Estimate(2 * truth), truth)
    assert twice.log_scale == pytest.approx(np.log(2))
    assert twice.scaled_abs_rel == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(twice.surer)
    # The median of the ratios (1.2, 1, 1.1, 1, 1), not the ratio of the medians (22 / 20).
    assert found.log_scale == pytest.approx(0.0, abs=1e-6)
