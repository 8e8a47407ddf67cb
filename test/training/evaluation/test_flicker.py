"""Flicker of video whose motion is known: only what motion does not explain counts."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.cli import main
from ldfusion_training.evaluation.flicker import (
    estimated_motion,
    flicker_between,
    measure_flicker,
    motion_between,
    warped_difference,
)

# At 5 m, 0.5 m to the right move the image of a wall by 10 pixels to the left.
CAMERA = Intrinsics(80, 60, 100.0, 100.0, 39.5, 29.5)
STEP, SHIFT, WALL = 0.5, 10, 5.0
WALL_DEPTH = np.full((60, 80), WALL, np.float32)
WORLD = np.random.default_rng(0).integers(60, 190, (60, 120), np.uint8)


def moved_right(metres: float) -> np.ndarray:
    """Points of the camera now to the camera before, which was ``metres`` further left."""
    transform = np.eye(4)
    transform[0, 3] = metres
    return transform


def frame(index: int) -> np.ndarray:
    return WORLD[:, SHIFT * index : SHIFT * index + 80]


def test_pixels_are_found_where_they_were() -> None:
    motion = motion_between(WALL_DEPTH, WALL_DEPTH, CAMERA, moved_right(STEP))
    rows, columns = np.indices(WALL_DEPTH.shape)
    np.testing.assert_allclose(motion.columns, columns + SHIFT, atol=1e-4)
    np.testing.assert_allclose(motion.rows, rows, atol=1e-4)
    np.testing.assert_array_equal(motion.seen, columns + SHIFT < 80)


def test_a_moving_camera_is_no_flicker_and_a_change_of_light_is() -> None:
    motion = motion_between(WALL_DEPTH, WALL_DEPTH, CAMERA, moved_right(STEP))
    steady = measure_flicker([frame(0), frame(1), frame(2)], [motion, motion])
    assert steady.difference == pytest.approx(0, abs=1e-2)
    assert steady.seen == pytest.approx(70 / 80)
    pumping = measure_flicker([frame(0), frame(1) + np.uint8(6), frame(2)], [motion, motion])
    assert pumping.difference == pytest.approx(6, abs=0.02)
    assert pumping.brightness == pytest.approx(6, abs=0.02)
    assert pumping.relative == pytest.approx(6 / np.mean([frame(index).std() for index in range(3)]), rel=1e-2)
    noise = np.where(np.indices((60, 80)).sum(axis=0) % 2, 4, 0).astype(np.uint8)
    sparkling = measure_flicker([frame(0), frame(1) + noise], [motion])
    assert sparkling.difference == pytest.approx(2, abs=0.1)


def test_motion_is_estimated_where_it_is_not_known() -> None:
    """Optical flow of a texture that moves by three pixels; what then changes its light is flicker."""
    texture = np.random.default_rng(3).integers(0, 256, (120, 200), np.uint8)
    wide = cv2.normalize(cv2.GaussianBlur(texture, (0, 0), 2), None, 40, 200, cv2.NORM_MINMAX)
    before, now = wide[:, :160], wide[:, 3:163]
    motion = estimated_motion(before, now)
    rows, columns = np.indices(now.shape)
    inside = motion.seen & (columns < 150) & (columns > 10) & (rows > 10) & (rows < 110)
    assert inside.mean() > 0.6
    assert np.median(np.abs(motion.columns - columns - 3)[inside]) < 0.2
    assert np.median(np.abs(motion.rows - rows)[inside]) < 0.2
    steady, pumping = flicker_between(before, now, motion), flicker_between(before, now + np.uint8(12), motion)
    assert steady.difference < 2.5
    assert pumping.brightness == pytest.approx(12, abs=0.5)


def test_nothing_in_common_has_no_flicker() -> None:
    motion = motion_between(WALL_DEPTH, WALL_DEPTH, CAMERA, moved_right(50.0))
    flicker = flicker_between(frame(0), frame(1), motion)
    assert np.isnan(flicker.difference)
    assert flicker.seen == 0


def test_what_was_hidden_is_not_compared() -> None:
    before = WALL_DEPTH.copy()
    before[20:40, 30:50] = 2.0  # something near, which then is gone
    motion = motion_between(before, WALL_DEPTH, CAMERA, moved_right(STEP))
    assert not motion.seen[20:40, 20:40].any()
    assert motion.seen[:20, :69].all()
    difference = warped_difference(frame(0), frame(1), motion)
    assert np.isnan(difference[30, 30])
    assert difference[10, 30] == pytest.approx(0, abs=1e-2)


def test_unknown_depth_is_not_compared() -> None:
    now = WALL_DEPTH.copy()
    now[:30] = np.nan
    motion = motion_between(WALL_DEPTH, now, CAMERA, moved_right(STEP))
    assert not motion.seen[:30].any()
    assert motion.seen[30:, :69].all()


def test_counts_that_do_not_fit_and_nothing_in_common_are_refused() -> None:
    motion = motion_between(WALL_DEPTH, WALL_DEPTH, CAMERA, moved_right(STEP))
    with pytest.raises(InputError, match='one more image'):
        measure_flicker([frame(0)], [motion])
    far_away = motion_between(WALL_DEPTH, WALL_DEPTH, CAMERA, moved_right(50.0))
    with pytest.raises(InputError, match='no point in common'):
        measure_flicker([frame(0), frame(1)], [far_away])


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A drive of three frames past a wall, in the simulator's layout, and a fused video that pumps."""
    folder = tmp_path / 'drive/scene_00000'
    for index in range(3):
        name = f'{index:06d}'
        write_image(folder / f'visible/{name}.png', frame(index))
        write_image(folder / f'thermal/{name}.png', frame(index))
        write_image(tmp_path / f'pumping/{name}.png', frame(index) + np.uint8(20 * (index % 2)))
        (folder / 'depth').mkdir(exist_ok=True)
        np.save(folder / f'depth/{name}.npy', WALL_DEPTH)
    camera = {name: getattr(CAMERA, name) for name in ('width', 'height', 'fx', 'fy', 'cx', 'cy')}
    described = {
        'kind': 'street',
        'light': 'night',
        'weather': 'clear',
        'cameras': {'visible': camera, 'thermal': camera},
        'distortion': [0.0] * 5,
        'thermal_T_visible': np.eye(4).tolist(),
        'frames': [{'stamp_ns': index, 'world_T_visible': moved_right(STEP * index).tolist()} for index in range(3)],
    }
    (folder / 'scene.json').write_text(json.dumps(described))
    (tmp_path / 'drive/dataset.yaml').write_text(yaml.safe_dump({'format': 'ldfusion-simulation', 'version': 1}))
    return folder


def test_the_command_measures_a_simulated_scene(scene: Path, tmp_path: Path) -> None:
    flags = ['--fused', str(tmp_path / 'pumping'), '--baselines', '--json', str(tmp_path / 'out.json')]
    assert main(['evaluate', 'video', '--scene', str(scene), *flags]) == 0
    scores = json.loads((tmp_path / 'out.json').read_text())
    assert scores['pumping']['brightness'] == pytest.approx(20, abs=0.1)
    for steady in ('visible', 'thermal', 'average', 'maximum'):
        assert scores[steady]['difference'] == pytest.approx(0, abs=0.05)


def test_a_folder_that_is_no_scene_is_refused(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate', 'video', '--scene', str(scene.parent / 'scene_00007'), '--baselines']) == 2
    assert 'no finished scene' in capsys.readouterr().err
    assert main(['evaluate', 'video', '--scene', str(scene)]) == 2
    assert 'nothing to measure' in capsys.readouterr().err
