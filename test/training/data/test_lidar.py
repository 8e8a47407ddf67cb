"""Laser scans to depth images, from points whose pixels are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from ldfusion_models.camera.lens import Intrinsics, points_from_depth
from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.cli import main
from ldfusion_training.data.depth_sets import open_depth
from ldfusion_training.data.lidar import Mounting, project_scan, read_mounting, read_scan

CAMERA = Intrinsics(64, 48, 60.0, 61.0, 31.0, 24.0)
# A scanner with x forward, y left, z up, 0.3 m behind and 0.2 m above the camera.
CAMERA_T_SCANNER = np.array([[0, -1, 0, 0], [0, 0, -1, -0.2], [1, 0, 0, -0.3], [0, 0, 0, 1]], np.float64)
MOUNTING = Mounting(CAMERA, CAMERA_T_SCANNER)


def scene_depth() -> np.ndarray:
    rows, columns = np.indices((48, 64))
    return (5 + rows / 10 + columns / 20).astype(np.float32)


def scan_of(depth: np.ndarray) -> np.ndarray:
    """What a scanner that sees all these points would report."""
    points = points_from_depth(depth, CAMERA).reshape(-1, 3).astype(np.float64)
    scanner_t_camera = np.linalg.inv(CAMERA_T_SCANNER)
    return (points @ scanner_t_camera[:3, :3].T + scanner_t_camera[:3, 3]).astype(np.float32)


def test_points_fall_where_the_camera_sees_them() -> None:
    np.testing.assert_allclose(project_scan(scan_of(scene_depth()), MOUNTING), scene_depth(), rtol=1e-5)


def test_the_nearest_point_stays_and_the_rest_is_unknown() -> None:
    near, far = scan_of(np.full((48, 64), 4.0, np.float32)), scan_of(np.full((48, 64), 9.0, np.float32))
    picked = 10 * 64 + 20
    depth = project_scan(np.stack([far[picked], near[picked], far[5]]), MOUNTING)
    assert depth[10, 20] == pytest.approx(4.0, rel=1e-5)
    assert depth[0, 5] == pytest.approx(9.0, rel=1e-5)
    assert np.isfinite(depth).sum() == 2


def test_a_scan_that_projects_nowhere_is_an_error() -> None:
    behind = scan_of(scene_depth()) * [-1, 1, 1]
    with pytest.raises(InputError, match='none of 3072 points falls into the image'):
        project_scan(behind.astype(np.float32), MOUNTING)


@pytest.mark.parametrize(
    ('content', 'reason'), [(b'', 'no points'), (b'12345', 'four'), (np.zeros(5, np.float32).tobytes(), 'four')]
)
def test_broken_scans_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / 'a.bin').write_bytes(content)
    with pytest.raises(InputError, match=rf'a\.bin.*{reason}'):
        read_scan(tmp_path / 'a.bin')


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    for name in 'ab':
        write_image(tmp_path / f'lwir/{name}.png', np.full((48, 64), 90, np.uint8))
    (tmp_path / 'scans').mkdir()
    points = scan_of(scene_depth())
    np.hstack([points, np.zeros((len(points), 1), np.float32)]).tofile(tmp_path / 'scans/a.bin')
    np.save(tmp_path / 'scans/b.npy', points)
    values = {name: getattr(CAMERA, name) for name in ('width', 'height', 'fx', 'fy', 'cx', 'cy')}
    calibration = {'thermal': {**values, 'camera_T_scanner': CAMERA_T_SCANNER.tolist()}}
    (tmp_path / 'calibration.yaml').write_text(yaml.safe_dump(calibration))
    return tmp_path


def project(folder: Path, *more: str) -> int:
    inputs = ['--images', 'lwir', '--scans', 'scans', '--calibration', 'calibration.yaml', '--output', 'out']
    words = [word if word.startswith('--') else str(folder / word) for word in inputs]
    return main(['project-scans', *words, '--camera', 'thermal', *more])


def test_the_command_makes_a_data_set_that_trains_depth(recording: Path) -> None:
    assert project(recording) == 0
    found = open_depth(recording / 'out', modality='thermal')
    assert [source.name for source in found] == ['a', 'b']
    for source in found:
        sample = source.read()
        np.testing.assert_allclose(sample.depth, scene_depth(), atol=1 / 256)
        assert sample.camera == CAMERA
        assert sample.image.shape == (48, 64)


def test_a_missing_scan_stops_or_is_skipped(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recording / 'scans/b.npy').unlink()
    assert project(recording) == 2
    assert 'b.png: no scan' in capsys.readouterr().err
    assert project(recording, '--skip') == 0
    assert '1 images with depth' in capsys.readouterr().out


@pytest.mark.parametrize('change', [{'fx': None}, {'camera_T_scanner': [1, 2]}, {'camera_T_scanner': [[2] * 4] * 4}])
def test_wrong_calibrations_are_named(recording: Path, change: dict[str, object]) -> None:
    path = recording / 'calibration.yaml'
    content = yaml.safe_load(path.read_text())
    content['thermal'].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'calibration\.yaml'):
        read_mounting(path, 'thermal')
    with pytest.raises(InputError, match='needs the section visible'):
        read_mounting(path, 'visible')
