"""``ldfusion calibrate`` on images whose true place is known."""

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from paths import DATA
from views import two_views

from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Registration, as_matrix, thermal_pixels
from ldfusion_models.camera.registration_file import read_registration, write_registration
from ldfusion_models.files import list_images, read_image, write_image
from ldfusion_training.cli import main
from ldfusion_training.recordings.bags import BagWriter, Transform

REAL = DATA / 'roadscene' / 'val'
WIDTH, HEIGHT, THERMAL_WIDTH, THERMAL_HEIGHT = 320, 240, 240, 192
TURN = np.array([[0.0, 0, 1, 0.2], [-1, 0, 0, 0], [0, -1, 0, 0.5], [0, 0, 0, 1]])
Grey = npt.NDArray[np.uint8]


def true_map(scale: float, degrees: float, x: float, y: float) -> npt.NDArray[np.float64]:
    """Visible pixels to thermal pixels: another lens, turned, pointed elsewhere, tilted a little."""
    turn = np.radians(degrees)
    ratio = scale * THERMAL_WIDTH / WIDTH
    tilted = [[np.cos(turn), -np.sin(turn), x], [np.sin(turn), np.cos(turn), y], [1e-4, -8e-5, 1]]
    to_centre = [[1, 0, -(WIDTH - 1) / 2], [0, 1, -(HEIGHT - 1) / 2], [0, 0, 1]]
    from_centre = [[ratio, 0, (THERMAL_WIDTH - 1) / 2], [0, ratio, (THERMAL_HEIGHT - 1) / 2], [0, 0, 1]]
    return np.array(from_centre) @ np.array(tilted) @ np.array(to_centre)


def write_pairs(folder: Path, pairs: list[tuple[Grey, Grey]], warp: npt.NDArray[np.float64]) -> list[str]:
    """Write aligned pairs as the two cameras would have seen them; returns the arguments that name them."""
    for number, (visible, thermal) in enumerate(pairs):
        seen = cv2.warpPerspective(thermal, warp, (THERMAL_WIDTH, THERMAL_HEIGHT))
        write_image(folder / 'visible' / f'{number}.png', visible)
        write_image(folder / 'thermal' / f'{number}.png', np.asarray(seen, np.uint8))
    return ['--visible', str(folder / 'visible'), '--thermal', str(folder / 'thermal')]


def errors(found: Registration, warp: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Distance in visible pixels between found and true place, for all visible pixels that the thermal camera sees."""
    truth = Registration(
        'homography',
        visible_size=(WIDTH, HEIGHT),
        thermal_size=(THERMAL_WIDTH, THERMAL_HEIGHT),
        thermal_H_visible=as_matrix(warp),
    )
    size = (WIDTH, HEIGHT, THERMAL_WIDTH, THERMAL_HEIGHT)
    expected = thermal_pixels(truth, *size)
    seen = ((expected > 0) & (expected < (THERMAL_WIDTH - 1, THERMAL_HEIGHT - 1))).all(axis=-1)
    off = np.linalg.norm(thermal_pixels(found, *size) - expected, axis=-1)[seen]
    return np.asarray(off / np.sqrt(abs(np.linalg.det(warp[:2, :2]))), np.float32)


@lru_cache(maxsize=1)
def simulated_pairs() -> list[tuple[Grey, Grey]]:
    pytest.importorskip('embreex', reason='needs the simulation: pip install .[simulation]')
    from ldfusion_training.simulation.config import SimulationConfig
    from ldfusion_training.simulation.scene import Rig, draw_scene

    config = SimulationConfig(seed=5, scenes=2, frames=2, width=WIDTH, height=HEIGHT, rate_hz=0.5, weathers=('clear',))
    frames = [frame for index in range(2) for frame in Rig(config, draw_scene(config, index)).frames()]
    return [(np.asarray(cv2.cvtColor(frame.visible, cv2.COLOR_RGB2GRAY), np.uint8), frame.thermal) for frame in frames]


def real_pairs() -> list[tuple[Grey, Grey]]:
    if not REAL.is_dir():
        pytest.skip(f'needs real pairs in {REAL}')
    pairs = []
    for file in list_images(REAL / 'vi'):
        images = file, next((REAL / 'ir').glob(f'{file.stem}.*'))
        greys = (image if image.ndim == 2 else image[..., 1] for image in map(read_image, images))
        visible, thermal = (
            np.asarray(cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8) for grey in greys
        )
        pairs.append((visible, thermal))
    return pairs


@pytest.mark.parametrize(
    ('kind', 'scale', 'degrees', 'shift', 'mean'),
    [
        ('simulated', 0.75, 1.5, (14, -9), 1.0),
        ('simulated', 1.3, -1.0, (-20, 12), 1.0),
        ('drawn', 0.9, 2.0, (18, 10), 1.0),
        # These pairs were aligned by hand; they are off by about a pixel themselves.
        ('real', 0.9, 2.0, (18, 10), 1.5),
    ],
)
def test_a_known_misalignment_is_found(
    kind: str,
    scale: float,
    degrees: float,
    shift: tuple[int, int],
    mean: float,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warp = true_map(scale, degrees, *shift)
    pairs = {'simulated': simulated_pairs, 'drawn': shapes, 'real': real_pairs}[kind]()
    arguments = write_pairs(tmp_path, pairs, warp)
    assert main(['calibrate', *arguments, '--output', str(tmp_path / 'found.yaml')]) == 0
    found = read_registration(tmp_path / 'found.yaml')
    off = errors(found, warp)
    assert off.mean() < mean
    assert off.max() < 4 * mean
    told = re.search(r'(\S+) pixels apart and are (\S+) with', capsys.readouterr().out)
    assert told is not None
    # Without a map, a visible pixel is THERMAL_WIDTH / WIDTH thermal pixels wide.
    before = errors(Registration(), warp) * scale
    assert float(told[1]) == pytest.approx(np.median(before), rel=0.5)
    assert float(told[2]) < mean


def shapes(x: float = 0, y: float = 0, count: int = 4) -> list[tuple[Grey, Grey]]:
    return [two_views(seed, x, y, WIDTH, HEIGHT) for seed in range(count)]


def test_a_registration_is_refined_from_where_it_is(tmp_path: Path) -> None:
    """Twice: the second run begins with the first one's file, and finds that little is left."""
    warp = true_map(1.0, 0.0, 5, 3)
    arguments = write_pairs(tmp_path, shapes(0, 0), warp)
    first, second = tmp_path / 'first.yaml', tmp_path / 'second.yaml'
    assert main(['calibrate', *arguments, '--method', 'shift', '--output', str(first)]) == 0
    assert main(['calibrate', *arguments, '--registration', str(first), '--output', str(second)]) == 0
    coarse, fine = (errors(read_registration(file), warp).mean() for file in (first, second))
    assert fine < 0.4 < coarse


@pytest.mark.parametrize('from_bag', [False, True])
def test_a_residual_shift_of_cameras_is_found_in_a_recording(from_bag: bool, tmp_path: Path) -> None:
    """Two cameras of one lens whose thermal one is mounted a little off: 6 pixels to the right, 4 up.

    What is known of them stands in the file, or in the recording's camera_info and transforms.
    """
    recording, known, output = tmp_path / 'bag', tmp_path / 'known.yaml', tmp_path / 'found.yaml'
    camera = Intrinsics(WIDTH, HEIGHT, 300.0, 300.0, 159.5, 119.5)
    with BagWriter(recording) as bag:
        bag.write_camera_info('/visible/camera_info', 0, 'visible', camera)
        bag.write_camera_info('/thermal/camera_info', 0, 'thermal', camera.scaled(640, 480))
        if from_bag:
            bag.write_transforms(0, [Transform('rig', 'visible', TURN), Transform('rig', 'thermal', TURN)], static=True)
        for number, (visible, thermal) in enumerate(shapes(6, -4)):
            bag.write_image('/visible/image_raw', number * 10**9, 'visible', np.repeat(visible[..., None], 3, axis=2))
            bag.write_image('/thermal/image_raw', number * 10**9 + 10**6, 'thermal', thermal.astype(np.uint16) * 40)
    registration = Registration('cameras', True, thermal_T_visible=None if from_bag else as_matrix(np.eye(4)))
    if not from_bag:
        registration = replace(registration, visible=Lens(camera), thermal=Lens(camera.scaled(640, 480)))
    write_registration(known, registration)
    assert main(['calibrate', str(recording), '--registration', str(known), '--output', str(output)]) == 0
    found = read_registration(output)
    # In pixels of the thermal camera's calibration, twice as wide: content lies to the left of where cameras say.
    assert found.thermal_shift == pytest.approx((-12, 8), abs=0.7)
    assert replace(found, thermal_shift=(0.0, 0.0)) == registration


@pytest.mark.parametrize(
    ('pairs', 'options', 'words'),
    [
        ([(np.full((HEIGHT, WIDTH), 90, np.uint8),) * 2] * 3, [], 'share too few edges'),
        ([(shapes(0, 0)[n][0], shapes(0, 0)[(n + 1) % 4][1]) for n in range(4)], [], 'share too few edges'),
        ([*shapes(0, 0, 1), (np.zeros((100, 130), np.uint8),) * 2], [], 'visible images of several sizes'),
        (shapes(0, 0, 1), ['--pairs', '1'], '--pairs 1: at least 2'),
        (shapes(0, 0, 1), ['bag'], 'give a recording, or --visible and --thermal'),
        (shapes(0, 0, 1), ['--registration', 'none.yaml'], 'none.yaml: cannot be read'),
    ],
    ids=['no texture', 'other places', 'sizes', 'one pair', 'both', 'no file'],
)
def test_what_cannot_be_calibrated_is_named(
    pairs: list[tuple[Grey, Grey]], options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = write_pairs(tmp_path, pairs, true_map(1.0, 0.0, 0, 0))
    output = tmp_path / 'found.yaml'
    assert main(['calibrate', *options, *arguments, '--output', str(output)]) == 2
    assert words in capsys.readouterr().err
    assert not output.exists()


def test_a_recording_without_pairs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        for number, topic in enumerate(('/visible/image_raw', '/thermal/image_raw')):
            bag.write_image(topic, number * 10**9, 'camera', np.zeros((48, 64), np.uint8))
    assert main(['calibrate', str(tmp_path / 'bag'), '--output', str(tmp_path / 'found.yaml')]) == 2
    assert 'no pair within 25 ms among 1 visible and 1 thermal images' in capsys.readouterr().err
