"""What a simulation writes: layout, sameness, resuming, and what it refuses."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.cli import main
from ldfusion_training.recordings.bags import read_bag
from ldfusion_training.simulation import (
    CLASSES,
    SimulationConfig,
    simulate_scene,
    write_dataset,
    write_recordings,
)

pytest.importorskip('embreex', reason='simulation needs embreex')

TINY = SimulationConfig(
    seed=3, scenes=2, frames=2, width=64, height=48, kinds=('corridor',), lights=('day',), weathers=('clear',)
)


def bytes_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp('simulation') / 'dataset'
    assert len(list(write_dataset(TINY, folder))) == 2
    return folder


def test_layout_and_content_are_as_documented(dataset):
    header = yaml.safe_load((dataset / 'dataset.yaml').read_text())
    assert (header['format'], header['version'], header['seed']) == ('ldfusion-simulation', 1, 3)
    folder = dataset / 'scene_00001'
    scene = json.loads((folder / 'scene.json').read_text())
    assert (scene['kind'], scene['light'], scene['weather'], scene['rate_hz']) == ('corridor', 'day', 'clear', 10.0)
    assert scene['classes'] == list(CLASSES)
    assert np.array_equal(scene['thermal_T_visible'], np.eye(4))
    assert len(scene['frames']) == 2
    for number, frame in enumerate(simulate_scene(TINY, 1)):
        name = f'{number:06d}'
        for kind, expected in (
            ('visible', frame.visible), ('thermal', frame.thermal), ('thermal_raw', frame.thermal_raw),
            ('instance', frame.instance), ('class', frame.classes),
        ):  # fmt: skip
            stored = read_image(folder / kind / f'{name}.png')
            assert stored.dtype == expected.dtype
            np.testing.assert_array_equal(stored, expected)
        np.testing.assert_array_equal(np.load(folder / 'depth' / f'{name}.npy'), frame.depth)
        text = json.loads((folder / 'text' / f'{name}.json').read_text())
        assert text['text'] == frame.text
        assert [each['class'] for each in text['objects']] == [each.name for each in frame.objects]
        assert scene['frames'][number]['stamp_ns'] == frame.stamp_ns
        np.testing.assert_allclose(scene['frames'][number]['world_T_visible'], frame.world_T_visible)
    assert not (folder / 'depth_thermal').exists()


def test_same_seed_same_bytes(dataset, tmp_path):
    list(write_dataset(TINY, tmp_path / 'again'))
    assert bytes_under(tmp_path / 'again') == bytes_under(dataset)


def test_a_baseline_adds_the_thermal_cameras_truth(tmp_path):
    config = replace(TINY, scenes=1, frames=1, baseline_m=0.1, thermal_width=40, thermal_height=32)
    (folder,) = write_dataset(config, tmp_path / 'dataset')
    frame = next(simulate_scene(config, 0))
    np.testing.assert_array_equal(np.load(folder / 'depth_thermal' / '000000.npy'), frame.depth_thermal)
    np.testing.assert_array_equal(read_image(folder / 'instance_thermal' / '000000.png'), frame.instance_thermal)
    camera = json.loads((folder / 'scene.json').read_text())['cameras']['thermal']
    assert (camera['width'], camera['height']) == (40, 32)


def test_an_interrupted_run_leaves_no_complete_scene_and_a_rerun_finishes_it(dataset, tmp_path):
    folder = tmp_path / 'dataset'
    frames = 0

    def interrupt():
        nonlocal frames
        frames += 1
        if frames == 3:  # The first frame of the second scene.
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(write_dataset(TINY, folder, interrupt))
    assert (folder / 'scene_00000' / 'scene.json').exists()
    assert (folder / 'scene_00001').exists() and not (folder / 'scene_00001' / 'scene.json').exists()
    finished = (folder / 'scene_00000' / 'visible' / '000000.png').stat().st_mtime_ns
    list(write_dataset(TINY, folder))
    assert bytes_under(folder) == bytes_under(dataset)
    assert (folder / 'scene_00000' / 'visible' / '000000.png').stat().st_mtime_ns == finished


def test_more_scenes_are_added_to_a_dataset(dataset, tmp_path):
    folder = tmp_path / 'dataset'
    list(write_dataset(replace(TINY, scenes=1), folder))
    list(write_dataset(TINY, folder))
    assert bytes_under(folder) == bytes_under(dataset)


@pytest.mark.parametrize('changes', [{'seed': 4}, {'width': 80}, {'frames': 3}])
def test_a_dataset_of_other_settings_is_refused(dataset, changes):
    before = bytes_under(dataset)
    with pytest.raises(InputError, match='other settings'):
        list(write_dataset(replace(TINY, **changes), dataset))
    assert bytes_under(dataset) == before


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / 'holiday.jpg').write_bytes(b'sea')
    with pytest.raises(InputError, match='exists'):
        list(write_dataset(TINY, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ['holiday.jpg']


def test_a_damaged_header_is_refused(tmp_path):
    (tmp_path / 'dataset.yaml').write_text('a: [')
    with pytest.raises(InputError, match='not the header'):
        list(write_dataset(TINY, tmp_path))


def simulate(output: Path, *options: str, **settings) -> 'subprocess.CompletedProcess[str]':
    words = ['simulate', '--output', str(output), '--scenes', '1', '--frames', '1', '--size', '160x120', *options]
    code = f'import sys; from ldfusion_training.cli import main; sys.exit(main({words!r}))'
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, **settings)


def test_a_full_disk_is_one_clear_line_and_no_scene(tmp_path):
    def small_files():
        # A limit on the size of files fails as a full disk does: write() returns an error.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    run = simulate(tmp_path / 'dataset', preexec_fn=small_files)
    assert run.returncode == 2
    line = run.stderr.strip().splitlines()[-1]
    assert line.startswith('ldfusion: ') and 'scene_00000' in line
    assert 'Traceback' not in run.stderr
    assert not (tmp_path / 'dataset' / 'scene_00000' / 'scene.json').exists()
    assert simulate(tmp_path / 'dataset').returncode == 0
    assert (tmp_path / 'dataset' / 'scene_00000' / 'scene.json').exists()


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    tmp_path.chmod(0o500)
    run = simulate(tmp_path / 'dataset')
    assert run.returncode == 2 and 'cannot write' in run.stderr


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--size', '0x0'], "'0x0' is no size"),
        (['--size', 'big'], '640x480'),
        (['--frames', '0'], 'frames 0'),
        (['--scenes', '-1'], 'scenes -1'),
        (['--rate', 'nan'], 'rate hz nan'),
        (['--field-of-view', '180'], 'field of view 180'),
        (['--kinds', 'beach'], 'beach'),
        (['--lights', 'noon'], 'noon'),
        (['--weathers', 'snow'], 'snow'),
        (['--thermal-size', '320x256'], '--baseline'),
        (['--seed', '-3'], 'seed -3'),
        (['--distortion', '5', '0', '0', '0', '0'], 'distortion'),
    ],
)
def test_impossible_settings_are_one_line_and_write_nothing(tmp_path, capsys, options, words):
    try:
        code = main(['simulate', '--output', str(tmp_path / 'dataset'), *options])
    except SystemExit as left:
        code = left.code
    errors = capsys.readouterr().err
    assert code == 2
    assert words in errors and len(errors.strip().splitlines()) == 1
    assert not (tmp_path / 'dataset').exists()


def test_nothing_to_make_is_said(capsys):
    assert main(['simulate']) == 2
    assert '--output' in capsys.readouterr().err


def test_preview_shows_a_row_for_each_scene(tmp_path):
    sheets = []
    for scenes in (1, 2):
        path = tmp_path / f'{scenes}.png'
        words = ['simulate', '--preview', str(path), '--scenes', str(scenes), '--size', '64x48', '--kinds', 'corridor']
        assert main(words) == 0
        sheets.append(read_image(path))
    assert sheets[1].shape[0] > 1.7 * sheets[0].shape[0]
    assert sheets[0].std() > 10


def test_recording_holds_the_frames_and_where_the_cameras_were(tmp_path):
    config = replace(TINY, scenes=1, baseline_m=0.1, distortion=(-0.1, 0.01, 0.0, 0.0, 0.0))
    (recording,) = write_recordings(config, tmp_path / 'recordings')
    records = list(read_bag(recording))
    frames = list(simulate_scene(config, 0))
    by_topic = {}
    for record in records:
        by_topic.setdefault(record.topic, []).append(record)
    for topic, name in (('/visible', 'visible'), ('/thermal', 'thermal_raw'), ('/depth', 'depth')):
        images = by_topic[f'{topic}/image_raw']
        assert [image.stamp_ns for image in images] == [frame.stamp_ns for frame in frames]
        for image, frame in zip(images, frames, strict=True):
            np.testing.assert_array_equal(image.image(), getattr(frame, name))
            camera = by_topic[f'{topic}/camera_info'][0]
            assert image.message.header.frame_id == camera.message.header.frame_id
    assert list(by_topic['/visible/camera_info'][0].message.d) == [-0.1, 0.01, 0.0, 0.0, 0.0]
    assert list(by_topic['/thermal/camera_info'][0].message.d) == [0.0] * 5
    assert by_topic['/visible/camera_info'][0].camera() == config.visible_camera

    placed = {each.child_frame_id: matrix_of(each.transform) for each in by_topic['/tf_static'][0].message.transforms}
    visible, thermal = placed['visible_optical_frame'], placed['thermal_optical_frame']
    np.testing.assert_allclose(np.linalg.inv(thermal) @ visible @ [0, 0, 0, 1], [-0.1, 0, 0, 1], atol=1e-9)
    for record, frame in zip(by_topic['/tf'], frames, strict=True):
        (base,) = record.message.transforms
        assert (base.header.frame_id, base.child_frame_id) == ('odom', 'base_link')
        np.testing.assert_allclose(matrix_of(base.transform) @ visible, frame.world_T_visible, atol=1e-9)
    finished = (recording / 'metadata.yaml').stat().st_mtime_ns
    assert list(write_recordings(config, tmp_path / 'recordings')) == [recording]
    assert (recording / 'metadata.yaml').stat().st_mtime_ns == finished


def matrix_of(transform) -> np.ndarray:
    """(4, 4) of a geometry_msgs/Transform."""
    x, y, z, w = (getattr(transform.rotation, name) for name in 'xyzw')
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = transform.translation.x, transform.translation.y, transform.translation.z
    return matrix
