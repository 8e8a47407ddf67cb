"""Depth measures against values worked out by hand, trivial baselines, and the command from files to tables."""

import json
from pathlib import Path

import numpy as np
import pytest

from ldfusion_models.camera.lens import Intrinsics, points_from_depth
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image, write_image
from ldfusion_training.cli import main
from ldfusion_training.evaluation.depth_metrics import (
    DepthRange,
    evaluate_depth,
    ground_plane_depth,
    mean_depth_map,
    mean_depth_metrics,
    relative_error,
)

NAN = np.nan


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_measures_worked_out_by_hand() -> None:
    """Truth 1, 2, 4, 10 m; predicted 1, 3, 3, 5: ratios 1, 1.5, 1.333, 2."""
    found = evaluate_depth(row(1, 3, 3, 5), row(1, 2, 4, 10))
    logs = np.array([0, np.log(1.5), np.log(0.75), np.log(0.5)])
    assert found.abs_rel == pytest.approx((0 + 0.5 + 0.25 + 0.5) / 4)
    assert found.sq_rel == pytest.approx((0 + 1 / 2 + 1 / 4 + 25 / 10) / 4)
    assert found.rmse == pytest.approx(np.sqrt((0 + 1 + 1 + 25) / 4))
    assert found.rmse_log == pytest.approx(np.sqrt((logs**2).mean()))
    assert found.silog == pytest.approx(100 * np.sqrt((logs**2).mean() - logs.mean() ** 2))
    assert (found.delta1, found.delta2, found.delta3) == (0.25, 0.75, 0.75)
    assert (found.coverage, found.scale) == (1.0, 1.0)


def test_a_wrong_scale_is_forgiven_by_median_scaling_and_by_silog_only() -> None:
    truth = np.random.default_rng(0).uniform(2, 40, (20, 30)).astype(np.float32)
    plain = evaluate_depth(1.5 * truth, truth, DepthRange(far=100))
    assert plain.abs_rel == pytest.approx(0.5, rel=1e-5)
    assert plain.silog == pytest.approx(0, abs=1e-3)
    assert plain.delta1 == 0
    scaled = evaluate_depth(1.5 * truth, truth, DepthRange(far=100), median_scaling=True)
    assert scaled.abs_rel == pytest.approx(0, abs=1e-6)
    assert scaled.scale == pytest.approx(1 / 1.5, rel=1e-5)


def test_only_known_truth_within_the_range_counts() -> None:
    found = evaluate_depth(row(2, 9, 9, 9, 50), row(2, NAN, 0, 90, 40), DepthRange(1, 80))
    assert found.abs_rel == pytest.approx((0 + 10 / 40) / 2)


def test_predictions_are_clipped_to_the_range_and_gaps_are_counted() -> None:
    found = evaluate_depth(row(500, NAN, 0, 10), row(80, 10, 10, 10), DepthRange(1, 80))
    assert found.abs_rel == 0
    assert found.coverage == 0.5


@pytest.mark.parametrize(
    ('prediction', 'truth', 'reason'),
    [
        (row(1, 2), row(1, 2, 3), 'shape'),
        (row(1, 2), row(NAN, 0), 'no truth'),
        (row(1, 2), row(90, 100), 'no truth between'),
        (row(NAN, 2), row(2, NAN), 'no predicted depth'),
    ],
)
def test_nothing_to_compare_is_an_error(prediction: np.ndarray, truth: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        evaluate_depth(prediction, truth)
    with pytest.raises(InputError, match='near < far'):
        DepthRange(10, 5)


def test_the_mean_is_over_images_not_pixels() -> None:
    rows = [evaluate_depth(row(2), row(1)), evaluate_depth(row(1, 1, 1), row(1, 1, 1))]
    assert mean_depth_metrics(rows).abs_rel == pytest.approx(0.5)


def test_relative_error_keeps_its_sign() -> None:
    np.testing.assert_allclose(relative_error(row(3, 1, NAN, 5), row(2, 2, 2, NAN)), row(0.5, -0.5, NAN, NAN))


@pytest.mark.parametrize('pitch', [0.0, 10.0])
def test_the_ground_plane_lies_below_the_camera(pitch: float) -> None:
    camera = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    depth = ground_plane_depth(camera, height=1.5, wall=30.0, pitch_degrees=pitch)
    points = points_from_depth(depth, camera)[depth < 30.0]
    down = np.array([0, np.cos(np.radians(pitch)), np.sin(np.radians(pitch))])
    np.testing.assert_allclose(points @ down, 1.5, rtol=1e-5)
    assert (depth[0] == 30.0).all()
    assert depth[-1, 0] < 5


def test_the_mean_map_has_the_mean_where_it_is_known_and_no_gaps() -> None:
    first, second = np.full((40, 60), 4.0, np.float32), np.full((40, 60), 8.0, np.float32)
    np.testing.assert_allclose(mean_depth_map([first, second], 60, 40), 6.0, rtol=1e-5)
    np.testing.assert_allclose(mean_depth_map([first, second], 30, 20), 6.0, rtol=1e-5)
    sparse = np.full((40, 60), NAN, np.float32)
    sparse[30, ::4] = 5.0
    sparse[5, 10] = 25.0
    found = mean_depth_map([sparse], 60, 40)
    assert np.isfinite(found).all()
    assert found[30, 30] == pytest.approx(5.0, rel=1e-3)
    assert found[5, 10] > 20
    with pytest.raises(InputError, match='no known depth'):
        mean_depth_map([np.full((4, 4), NAN, np.float32)], 4, 4)


HEIGHT, WIDTH = 24, 32


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Truth of 10 m in 1/256 metres with a gap, predictions of 8 m and 12 m in millimetres."""
    for name, metres in (('a', 8.0), ('b', 12.0)):
        truth = np.full((HEIGHT, WIDTH), 2560, np.uint16)
        truth[:4] = 0
        write_image(tmp_path / f'truth/{name}.png', truth)
        write_image(tmp_path / f'net/depth/{name}.png', np.full((HEIGHT, WIDTH), round(1000 * metres), np.uint16))
    camera = {'width': WIDTH, 'height': HEIGHT, 'fx': 30, 'fy': 30, 'cx': 15.5, 'cy': 11.5}
    (tmp_path / 'camera.json').write_text(json.dumps(camera))
    return tmp_path


def evaluate(folder: Path, *more: object) -> int:
    return main(['evaluate', 'depth', '--truth', str(folder / 'truth'), *map(str, more)])


def test_files_to_tables_and_error_maps(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = ['--json', folders / 'out.json', '--markdown', folders / 'out.md', '--maps', folders / 'maps']
    assert evaluate(folders, '--prediction', folders / 'net/depth', *outputs) == 0
    scores = json.loads((folders / 'out.json').read_text())['net']
    assert scores['images']['a']['AbsRel'] == pytest.approx(0.2)
    assert scores['images']['b']['RMSE'] == pytest.approx(2.0)
    # The larger over the smaller is just 1.25 for 8 m and 1.2 for 12 m; only below counts.
    assert scores['mean']['d<1.25'] == 0.5
    captured = capsys.readouterr()
    assert '| net | 0.200 |' in captured.out
    assert captured.err == ''
    assert '### net' in (folders / 'out.md').read_text()
    sheet = read_image(folders / 'maps/a.png')
    assert sheet.ndim == 3
    # 20 % too near is a clear blue, nothing is red.
    blue = (sheet[..., 2].astype(int) - sheet[..., 0]) > 40
    assert blue.mean() > 0.1


def test_arrays_and_baselines(folders: Path) -> None:
    for name in 'ab':
        (folders / f'net/depth/{name}.png').unlink()
        np.save(folders / f'net/depth/{name}.npy', np.full((HEIGHT, WIDTH), 10.0, np.float32))
    baselines = ['--ground-plane', 1.5, '--camera', folders / 'camera.json', '--mean-of', folders / 'truth']
    options = ['--only', 'a', '--json', folders / 'out.json']
    assert evaluate(folders, '--prediction', folders / 'net/depth', *baselines, *options) == 0
    scores = json.loads((folders / 'out.json').read_text())
    assert list(scores) == ['ground plane', 'mean depth map', 'net']
    assert list(scores['net']['images']) == ['a']
    assert scores['net']['mean']['AbsRel'] == 0
    assert scores['mean depth map']['mean']['AbsRel'] == pytest.approx(0, abs=1e-6)
    assert scores['ground plane']['mean']['AbsRel'] > 0.2


def test_a_mix_of_units_is_said(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(folders / 'net/depth/a.png', np.full((HEIGHT, WIDTH), 2560, np.uint16))
    assert evaluate(folders, '--prediction', folders / 'net/depth') == 0
    assert 'check --prediction-units' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda folder: (folder / 'net/depth/b.png').unlink(), 'no predicted depth b'),
        (lambda folder: write_image(folder / 'net/depth/b.png', np.full((9, 9), 9000, np.uint16)), 'shape (9, 9)'),
        (lambda folder: write_image(folder / 'net/depth/b.png', np.full((24, 32), 90, np.uint8)), '16 bits'),
        (lambda folder: write_image(folder / 'truth/b.png', np.zeros((24, 32), np.uint16)), 'b.png: holds no known'),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    folders: Path, capsys: pytest.CaptureFixture[str], damage, reason: str
) -> None:
    damage(folders)
    assert evaluate(folders, '--prediction', folders / 'net/depth', '--json', folders / 'out.json') == 2
    message = capsys.readouterr().err
    assert reason in message
    assert message.count('\n') == 1
    assert not (folders / 'out.json').exists()


def test_a_ground_plane_without_camera_and_a_mean_of_nothing_are_refused(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(folders, '--ground-plane', 1.5) == 2
    assert '--camera' in capsys.readouterr().err
    assert evaluate(folders, '--mean-of', folders / 'truth') == 2
    assert '--only' in capsys.readouterr().err
