"""Images with depth: layouts, units, cameras, and files that are wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.data.depth import read_camera, read_depth
from ldfusion_training.data.depth_sets import open_depth
from ldfusion_training.data.simulated import open_simulation

HEIGHT, WIDTH = 36, 64
CAMERA = {'width': WIDTH, 'height': HEIGHT, 'fx': 50.0, 'fy': 51.0, 'cx': 31.0, 'cy': 17.0}
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def known_depth(units: float) -> np.ndarray:
    """16-bit depth of 8 m in the upper half and unknown (0) in the lower."""
    stored = np.zeros((HEIGHT, WIDTH), np.uint16)
    stored[: HEIGHT // 2] = round(8.0 * units)
    return stored


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def sample_layout(folder: Path) -> None:
    write_image(folder / 'vi/a.png', IMAGE)
    write_image(folder / 'depth/a.png', known_depth(256))
    write_json(folder / 'camera/a.json', CAMERA)


def plain_layout(folder: Path) -> None:
    write_image(folder / 'visible/a.png', IMAGE)
    write_image(folder / 'depth/a.png', known_depth(1000))
    write_json(folder / 'camera.json', CAMERA)


def plain_array_layout(folder: Path) -> None:
    plain_layout(folder)
    (folder / 'depth/a.png').unlink()
    np.save(folder / 'depth/a.npy', np.where(known_depth(1) > 0, 8.0, np.nan).astype(np.float32))


def kitti_layout(folder: Path) -> None:
    drive = '2011_09_26_drive_0001_sync'
    write_image(folder / f'2011_09_26/{drive}/image_02/data/0000000005.png', IMAGE)
    write_image(folder / f'train/{drive}/proj_depth/groundtruth/image_02/0000000005.png', known_depth(256))
    (folder / '2011_09_26/calib_cam_to_cam.txt').write_text(
        f'calib_time: 09-Jan-2012 13:57:47\nS_rect_02: {WIDTH:.6e} {HEIGHT:.6e}\n'
        'P_rect_02: 50.0 0.0 31.0 44.85 0.0 51.0 17.0 0.21 0.0 0.0 1.0 0.002\n'
    )


@pytest.mark.parametrize('write', [sample_layout, plain_layout, plain_array_layout, kitti_layout])
def test_every_layout_gives_metres_and_the_camera(tmp_path: Path, write) -> None:
    write(tmp_path)
    found = open_depth(tmp_path)
    assert len(found) == 1
    sample = found[0].read()
    np.testing.assert_array_equal(sample.image, IMAGE)
    assert sample.depth.dtype == np.float32
    np.testing.assert_array_equal(sample.depth[: HEIGHT // 2], np.float32(8.0))
    assert np.isnan(sample.depth[HEIGHT // 2 :]).all()
    assert sample.camera == Intrinsics(**CAMERA)


def write_scene(folder: Path, baseline: float, distortion: tuple[float, ...] = (0.0,) * 5) -> None:
    scene = folder / 'scene_00000'
    transform = np.eye(4)
    transform[0, 3] = -baseline
    write_json(
        scene / 'scene.json',
        {
            'kind': 'street',
            'light': 'night',
            'weather': 'clear',
            'cameras': {'visible': CAMERA, 'thermal': CAMERA},
            'distortion': distortion,
            'thermal_T_visible': transform.tolist(),
            'frames': [{'stamp_ns': 100_000_000 * index, 'world_T_visible': np.eye(4).tolist()} for index in range(2)],
        },
    )
    (folder / 'dataset.yaml').write_text(yaml.safe_dump({'format': 'ldfusion-simulation', 'version': 1}))
    for index in range(2):
        write_image(scene / f'visible/{index:06d}.png', IMAGE)
        write_image(scene / f'thermal/{index:06d}.png', IMAGE[..., 0])
        for name, metres in (('depth', 5.0), ('depth_thermal', 6.0)):
            (scene / name).mkdir(exist_ok=True)
            np.save(scene / name / f'{index:06d}.npy', np.full((HEIGHT, WIDTH), metres, np.float32))


def test_simulated_frames_give_pairs_and_the_depth_of_each_camera(tmp_path: Path) -> None:
    write_scene(tmp_path, baseline=0.2)
    (tmp_path / 'scene_00001').mkdir()  # a scene whose scene.json is not yet written
    frames = open_simulation(tmp_path)
    assert [frame.name for frame in frames] == ['scene_00000/000000', 'scene_00000/000001']
    assert frames[1].stamp_ns == 100_000_000
    assert not frames[0].is_aligned
    np.testing.assert_array_equal(frames[0].read_pair().thermal, IMAGE[..., 0])
    assert open_depth(tmp_path, modality='visible')[1].read().depth[0, 0] == 5.0
    thermal = open_depth(tmp_path, modality='thermal')[1].read()
    assert thermal.depth[0, 0] == 6.0
    assert thermal.image.shape == (HEIGHT, WIDTH)


def test_an_aligned_rig_shares_the_depth(tmp_path: Path) -> None:
    write_scene(tmp_path, baseline=0.0)
    assert open_simulation(tmp_path)[0].is_aligned
    assert open_depth(tmp_path, modality='thermal')[0].read().depth[0, 0] == 5.0


def test_distorted_images_are_refused(tmp_path: Path) -> None:
    write_scene(tmp_path, baseline=0.0, distortion=(-0.2, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(InputError, match='simulate without distortion'):
        open_simulation(tmp_path)


def test_a_simulation_of_another_version_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path, baseline=0.0)
    (tmp_path / 'dataset.yaml').write_text(yaml.safe_dump({'format': 'ldfusion-simulation', 'version': 99}))
    with pytest.raises(InputError, match='version 1 is needed'):
        open_depth(tmp_path)


@pytest.mark.parametrize(
    ('stored', 'reason'),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint16), 'no known depth'),
        (np.full((HEIGHT, WIDTH), 200, np.uint8), '16 bits'),
        (np.full((HEIGHT, WIDTH, 3), 2000, np.uint16), 'grey with 16 bits'),
        (np.full((HEIGHT, WIDTH), 12, np.uint16), 'unit or scale'),
    ],
)
def test_wrong_depth_images_are_named(tmp_path: Path, stored: np.ndarray, reason: str) -> None:
    write_image(tmp_path / 'a.png', stored)
    with pytest.raises(InputError, match=rf'a\.png.*{reason}'):
        read_depth(tmp_path / 'a.png', 256.0)


@pytest.mark.parametrize(
    ('stored', 'reason'),
    [
        (np.full((4, 4), np.nan, np.float32), 'no known depth'),
        (np.full((4, 4), 3, np.int32), 'float metres'),
        (np.full((1, 4, 4), 3.0, np.float32), 'float metres'),
        (np.full((4, 4), 8000.0, np.float32), 'unit or scale'),
    ],
)
def test_wrong_depth_arrays_are_named(tmp_path: Path, stored: np.ndarray, reason: str) -> None:
    np.save(tmp_path / 'a.npy', stored)
    with pytest.raises(InputError, match=rf'a\.npy.*{reason}'):
        read_depth(tmp_path / 'a.npy', 1.0)


def test_depth_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    sample_layout(tmp_path)
    write_image(tmp_path / 'depth/a.png', known_depth(256)[:, 2:])
    with pytest.raises(InputError, match=r'62x36 pixels, but .* has 64x36'):
        open_depth(tmp_path)[0].read()


def test_an_image_of_another_size_than_its_camera_is_refused(tmp_path: Path) -> None:
    sample_layout(tmp_path)
    write_json(tmp_path / 'camera/a.json', {**CAMERA, 'width': 2 * WIDTH})
    with pytest.raises(InputError, match='calibrated for 128x36'):
        open_depth(tmp_path)[0].read()


def test_missing_depth_and_cameras_are_refused_or_skipped(tmp_path: Path) -> None:
    sample_layout(tmp_path)
    write_image(tmp_path / 'vi/b.png', IMAGE)
    write_image(tmp_path / 'vi/c.png', IMAGE)
    write_image(tmp_path / 'depth/c.png', known_depth(256))
    with pytest.raises(InputError, match=r'b\.png: no depth .*2 such samples'):
        open_depth(tmp_path)
    found = open_depth(tmp_path, faults='skip')
    assert [source.name for source in found] == ['a']
    assert any('camera/c.json' in line for line in found.skipped)


@pytest.mark.parametrize('values', [{**CAMERA, 'fx': None}, {'width': 3}, [1, 2], {**CAMERA, 'fy': -1}])
def test_incomplete_cameras_are_named(tmp_path: Path, values: object) -> None:
    write_json(tmp_path / 'camera.json', values)
    with pytest.raises(InputError, match=r'camera\.json'):
        read_camera(tmp_path / 'camera.json')
