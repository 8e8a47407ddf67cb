"""The command line: what it writes, and one line about what is wrong."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import cv2
import numpy as np
import pytest

from ldfusion_training.cli import COMMANDS, function_of, main
from ldfusion_training.recordings.bags import read_bag
from ldfusion_training.recordings.pair_recording import cover

RANDOM = np.random.default_rng(1)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``ldfusion`` with these words; returns exit code and stderr."""

    def call(*words: object) -> tuple[int, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, capsys.readouterr().err

    return call


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, Path]:
    """Three pairs of equal size: visible JPEG in colour, thermal PNG of 16 bits."""
    folders = {name: tmp_path / name for name in ('visible', 'thermal')}
    for folder in folders.values():
        folder.mkdir()
    for name in 'abc':
        visible = cv2.GaussianBlur(RANDOM.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 3)
        thermal = cv2.GaussianBlur(RANDOM.integers(7000, 9000, (48, 64), np.uint16), (0, 0), 3)
        cv2.imwrite(str(folders['visible'] / f'{name}.jpg'), visible)
        cv2.imwrite(str(folders['thermal'] / f'{name}.png'), thermal)
    return folders


def assert_one_line(result: tuple[int, str], *words: object) -> None:
    """Exit code 2, and a single line on stderr with all the words."""
    code, error = result
    assert code == 2
    assert error.count('\n') == 1, error
    assert error.startswith('ldfusion')
    for word in words:
        assert str(word) in error


def options(pairs: dict[str, Path], **changes: Path) -> list[object]:
    """Both folders as options."""
    folders = pairs | changes
    return ['--visible', folders['visible'], '--thermal', folders['thermal']]


class TestMakeBag:
    def test_recording_holds_every_pair(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        out = tmp_path / 'bag'
        assert run('make-bag', *options(pairs), '--rate', 4, '--fov', 90, out) == (0, '')
        records = list(read_bag(out))
        images = {camera: [r for r in records if r.topic == f'/{camera}/image_raw'] for camera in pairs}
        assert [len(found) for found in images.values()] == [3, 3]
        stamps = [record.stamp_ns for record in images['visible']]
        assert stamps == [record.stamp_ns for record in images['thermal']]
        assert np.diff(stamps).tolist() == [250_000_000] * 2
        for camera, folder in pairs.items():
            for record, path in zip(images[camera], sorted(folder.iterdir()), strict=True):
                stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                expected = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB) if stored.ndim == 3 else stored
                np.testing.assert_array_equal(record.image(), expected)
        camera = next(record for record in records if record.topic == '/visible/camera_info').camera()
        assert (camera.width, camera.height, camera.cx) == (64, 48, 31.5)
        assert camera.fx == pytest.approx(32), 'half of the width is seen at 45 degrees'
        frames = {record.message.header.frame_id for record in images['thermal']}
        transforms = next(record for record in records if record.topic == '/tf_static').message.transforms
        assert frames < {transform.child_frame_id for transform in transforms}

    def test_differing_sizes_are_refused_with_the_remedy(
        self, run: Run, pairs: dict[str, Path], tmp_path: Path
    ) -> None:
        cv2.imwrite(str(pairs['visible'] / 'b.jpg'), np.zeros((40, 60, 3), np.uint8))
        out = tmp_path / 'bag'
        assert_one_line(run('make-bag', *options(pairs), out), pairs['visible'] / 'b.jpg', '60x40', '--size 64x48')
        assert not out.exists()
        assert run('make-bag', *options(pairs), '--size', '32x24', out) == (0, '')
        assert {r.image().shape[:2] for r in read_bag(out, ['/visible/image_raw'])} == {(24, 32)}

    @pytest.mark.parametrize(
        'words', [('--rate', '0'), ('--rate', 'nan'), ('--rate', '1e-12'), ('--fov', '180'), ('--size', '10'), ()]
    )
    def test_impossible_options(self, run: Run, pairs: dict[str, Path], tmp_path: Path, words: tuple[str, ...]) -> None:
        out = [tmp_path / 'bag'] if words else []
        assert_one_line(run('make-bag', *options(pairs), *words, *out))
        assert not (tmp_path / 'bag').exists()

    def test_existing_recording_is_kept(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        out = tmp_path / 'bag'
        run('make-bag', *options(pairs), out)
        before = sorted(path.read_bytes() for path in out.iterdir())
        assert_one_line(run('make-bag', *options(pairs), out), out, 'exists already')
        assert sorted(path.read_bytes() for path in out.iterdir()) == before


def test_covering_keeps_proportions_and_the_middle() -> None:
    image = np.zeros((100, 300), np.uint8)
    image[40:60, 140:160] = 255
    found = cover(image, 50, 50)
    assert found.shape == (50, 50)
    bright = np.argwhere(found > 128)
    np.testing.assert_allclose(bright.mean(axis=0), [24.5, 24.5], atol=1)
    np.testing.assert_allclose(np.ptp(bright, axis=0), [9, 9], atol=1)


class TestFuse:
    def test_writes_every_pair_at_its_own_size(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        cv2.imwrite(str(pairs['visible'] / 'b.jpg'), np.full((50, 70, 3), 90, np.uint8))
        out = tmp_path / 'out'
        assert run('fuse', *options(pairs), '--output', out, '--clouds') == (0, '')
        sizes = {'a': (48, 64), 'b': (50, 70), 'c': (48, 64)}
        for kind, dtype, channels in (('fused', np.uint8, (3,)), ('depth', np.uint16, ())):
            images = {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (out / kind).iterdir()}
            assert {name: image.shape for name, image in images.items()} == {n: s + channels for n, s in sizes.items()}
            assert {image.dtype for image in images.values()} == {np.dtype(dtype)}
        summary = json.loads((out / 'summary.json').read_text())
        assert summary['images'] == 3
        assert summary['sizes'] == {'64x48': 2, '70x50': 1}
        assert summary['milliseconds']['total'] >= summary['milliseconds']['p50'] > 0
        assert len(summary['weights']) == 12

    def test_depth_comes_with_32_bits_if_asked(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        from ldfusion_models.depth_files import read_float_depth

        for form, folder in (('png', 'a'), ('tiff', 'b'), ('npz', 'c')):
            assert run('fuse', *options(pairs), '--output', tmp_path / folder, '--depth-format', form) == (0, '')
        stored = cv2.imread(str(tmp_path / 'a/depth/a.png'), cv2.IMREAD_UNCHANGED)
        metres = read_float_depth(tmp_path / 'b/depth/a.tiff')
        np.testing.assert_array_equal(metres, read_float_depth(tmp_path / 'c/depth/a.npz'))
        np.testing.assert_allclose(stored[metres < 65] / 1000, metres[metres < 65], atol=0.0006)

    def test_depth_that_is_not_sure_enough_is_unknown(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        from ldfusion_models.depth_files import read_float_depth
        from ldfusion_models.files import read_image
        from ldfusion_models.rig.depth_estimator import DepthEstimator

        # Nothing is known for certain.
        words = (*options(pairs), '--depth-format', 'npz', '--minimum-confidence', 1, '--output', tmp_path / 'fused')
        assert run('fuse', *words) == (0, '')
        assert np.isnan(read_float_depth(tmp_path / 'fused/depth/a.npz')).all()
        image = pairs['visible'] / 'a.jpg'
        depth, deviation = DepthEstimator.load('visible').with_deviation(read_image(image))
        wanted = float(np.exp(-np.median(deviation)))
        words = ('--image', image, '--branch', 'visible', '--depth-format', 'npz', '--minimum-confidence', wanted)
        assert run('depth', *words, '--output', tmp_path / 'single') == (0, '')
        found = read_float_depth(tmp_path / 'single/depth/a.npz')
        assert 0.4 < np.isfinite(found).mean() < 0.6
        np.testing.assert_allclose(found[np.isfinite(found)], depth[np.isfinite(found)], rtol=1e-5)
        assert deviation[np.isfinite(found)].max() <= deviation[np.isnan(found)].min() + 1e-5

    def test_depth_goes_with_the_focal_length(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        """The same picture through a lens twice as long shows things twice as far."""
        one = {name: next(folder.glob('a.*')) for name, folder in pairs.items()}
        depths = {}
        for focal in (60, 120):
            assert run('fuse', *options(one), '--fx', focal, '--output', tmp_path / str(focal))[0] == 0
            depths[focal] = cv2.imread(str(tmp_path / str(focal) / 'depth' / 'a.png'), cv2.IMREAD_UNCHANGED)
        known = (depths[60] > 0) & (depths[120] > 0)
        assert known.any()
        np.testing.assert_allclose(depths[120][known], 2.0 * depths[60][known], atol=1.5)

    def test_clouds_are_those_of_the_camera_of_reduced_results(self) -> None:
        """Half the size, half the focal length; what is unknown is left out."""
        from ldfusion_models.engines import create_engine
        from ldfusion_models.rig.rig import Rig, pipeline_of
        from ldfusion_models.rig.settings import RigSettings
        from ldfusion_training.commands.fuse import shot_of
        from ldfusion_training.report.cloud_sheet import cloud_sheet

        settings = RigSettings(inference_size=64, enlargement='none', minimum_confidence=0.6)
        visible, thermal = RANDOM.integers(0, 256, (96, 128, 3), np.uint8), RANDOM.integers(0, 256, (96, 128), np.uint8)
        frame = Rig(pipeline_of(create_engine('onnxruntime'), settings), settings)(shot_of(visible, thermal, 90.0))
        assert 0 < np.isfinite(frame.depth).mean() < 1
        unknown = replace(frame, camera=None, calibration=None)
        np.testing.assert_array_equal(cloud_sheet(frame, 500.0), cloud_sheet(unknown, 45.0))

    def test_measured_depth_corrects_the_rest(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        from ldfusion_models.depth_files import read_float_depth, write_depth

        words = (*options(pairs), '--depth-format', 'npz', '--output')
        assert run('fuse', *words, tmp_path / 'plain') == (0, '')
        for name in 'abc':
            depth = read_float_depth(tmp_path / f'plain/depth/{name}.npz')
            sparse = np.full(depth.shape, np.nan, np.float32)
            sparse[4::8, 4::8] = 0.7 * depth[4::8, 4::8]
            write_depth(tmp_path / 'measured', name, sparse)
        assert run('fuse', *words, tmp_path / 'out', '--references', tmp_path / 'measured') == (0, '')
        for name in 'abc':
            before, after = (read_float_depth(tmp_path / f'{folder}/depth/{name}.npz') for folder in ('plain', 'out'))
            np.testing.assert_allclose(np.median(after / before), 0.7, rtol=0.01)
        sparse[5:] = np.nan
        sparse[:, 5:] = np.nan
        write_depth(tmp_path / 'measured', 'b', sparse)
        code, error = run('fuse', *words, tmp_path / 'part', '--references', tmp_path / 'measured')
        assert code == 1, 'all was written, but one without correction'
        assert re.fullmatch(r'ldfusion: \S+b\.jpg: depth is not corrected: .+\n', error)
        assert json.loads((tmp_path / 'part/summary.json').read_text())['images'] == 3
        one = (
            *words,
            tmp_path / 'none',
            '--visible',
            pairs['visible'] / 'b.jpg',
            '--thermal',
            pairs['thermal'] / 'b.png',
        )
        assert_one_line(run('fuse', *one[4:], '--references', tmp_path / 'measured/b.png'), 'depth is not corrected')
        (tmp_path / 'measured/b.png').unlink()
        result = run('fuse', *words, tmp_path / 'lack', '--references', tmp_path / 'measured')
        assert_one_line(result, 'b.jpg', 'no references of that name')

    def test_scans_of_a_sensor_that_the_registration_file_places_correct_depth(
        self, run: Run, pairs: dict[str, Path], tmp_path: Path
    ) -> None:
        from ldfusion_models.camera.lens import Intrinsics, rays
        from ldfusion_models.camera.registration import Registration
        from ldfusion_models.camera.registration_file import write_registration
        from ldfusion_models.depth_files import read_float_depth

        beside = ((1.0, 0, 0, 0.4), (0, 1.0, 0, 0), (0, 0, 1.0, 0), (0, 0, 0, 1.0))
        write_registration(tmp_path / 'rig.yaml', Registration(visible_T_ranges={'lidar': beside}))
        words = (*options(pairs), '--fx', 60, '--depth-format', 'npz', '--output')
        assert run('fuse', *words, tmp_path / 'plain') == (0, '')
        (tmp_path / 'scans').mkdir()
        for name in 'abc':
            depth = read_float_depth(tmp_path / f'plain/depth/{name}.npz')
            points = 0.7 * (depth[..., None] * rays(Intrinsics(64, 48, 60, 60, 31.5, 23.5)))[4::8, 4::8].reshape(-1, 3)
            scan = np.concatenate([points - (0.4, 0, 0), np.ones((len(points), 1))], axis=1).astype(np.float32)
            scan.tofile(tmp_path / f'scans/{name}.bin')
        references = ('--references', tmp_path / 'scans', '--references-frame', 'lidar')
        result = run('fuse', *words, tmp_path / 'lost', *references)
        assert_one_line(result, '--references-frame lidar', 'visible_T_ranges')
        assert run('fuse', *words, tmp_path / 'out', *references, '--registration', tmp_path / 'rig.yaml') == (0, '')
        for name in 'abc':
            before, after = (read_float_depth(tmp_path / f'{folder}/depth/{name}.npz') for folder in ('plain', 'out'))
            np.testing.assert_allclose(np.median(after / before), 0.7, rtol=0.02)

    def test_results_do_not_depend_on_the_other_files(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        last = {name: next(folder.glob('c.*')) for name, folder in pairs.items()}
        run('fuse', *options(pairs), '--output', tmp_path / 'all')
        run('fuse', *options(last), '--output', tmp_path / 'one')
        for kind in ('fused', 'depth'):
            found = [cv2.imread(str(tmp_path / run_ / kind / 'c.png'), -1) for run_ in ('all', 'one')]
            np.testing.assert_array_equal(*found)

    def test_unknown_engine(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        assert_one_line(run('fuse', *options(pairs), '--output', tmp_path, '--engine', 'steam'), 'steam', 'onnxruntime')

    def test_too_small_an_image_is_named(self, run: Run, pairs: dict[str, Path], tmp_path: Path) -> None:
        cv2.imwrite(str(pairs['visible'] / 'a.jpg'), np.zeros((8, 8, 3), np.uint8))
        assert_one_line(run('fuse', *options(pairs), '--output', tmp_path / 'out'), pairs['visible'] / 'a.jpg', '8x8')


@pytest.mark.parametrize(('branch', 'kind'), [('visible', 'visible'), ('thermal', 'thermal')])
def test_depth_of_one_modality(run: Run, pairs: dict[str, Path], tmp_path: Path, branch: str, kind: str) -> None:
    out = tmp_path / 'out'
    assert run('depth', '--image', pairs[kind], '--branch', branch, '--output', out) == (0, '')
    depths = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((out / 'depth').iterdir())]
    assert [(depth.shape, depth.dtype) for depth in depths] == [((48, 64), np.uint16)] * 3
    assert json.loads((out / 'summary.json').read_text())['branch'] == branch


def commands_on(pairs: dict[str, Path], out: Path) -> dict[str, list[object]]:
    """Every command that reads these images."""
    return {
        'make-bag': ['make-bag', *options(pairs), out],
        'fuse': ['fuse', *options(pairs), '--output', out],
        'depth': ['depth', '--image', pairs['visible'], '--branch', 'visible', '--output', out],
    }


ON_FOLDERS = ('make-bag', 'fuse', 'depth')


class TestBadInput:
    @pytest.mark.parametrize('command', ON_FOLDERS)
    def test_missing_folder(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str) -> None:
        nowhere = tmp_path / 'nowhere'
        words = commands_on(pairs | {'visible': nowhere}, tmp_path / 'out')[command]
        assert_one_line(run(*words), nowhere, 'no such file or folder')
        assert not (tmp_path / 'out').exists()

    @pytest.mark.parametrize('command', ON_FOLDERS)
    def test_empty_folder(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str) -> None:
        empty = tmp_path / 'empty'
        empty.mkdir()
        assert_one_line(run(*commands_on(pairs | {'visible': empty}, tmp_path / 'out')[command]), empty, 'no image')

    @pytest.mark.parametrize('command', ON_FOLDERS)
    def test_two_images_of_one_name(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str) -> None:
        (pairs['visible'] / 'b.png').write_bytes((pairs['visible'] / 'b.jpg').read_bytes())
        result = run(*commands_on(pairs, tmp_path / 'out')[command])
        assert_one_line(result, pairs['visible'] / 'b.', 'another image there has that name')

    @pytest.mark.parametrize('command', ['make-bag', 'fuse'])
    def test_unpaired_name(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str) -> None:
        (pairs['thermal'] / 'b.png').unlink()
        result = run(*commands_on(pairs, tmp_path / 'out')[command])
        assert_one_line(result, pairs['visible'] / 'b.jpg', 'no image of that name')
        assert not (tmp_path / 'out').exists()

    @pytest.mark.parametrize('command', ON_FOLDERS)
    @pytest.mark.parametrize('damage', [b'', b'no image', b'\xff\xd8\xff\xe0'])
    def test_corrupt_image(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str, damage: bytes) -> None:
        (pairs['visible'] / 'b.jpg').write_bytes(damage)
        result = run(*commands_on(pairs, tmp_path / 'out')[command])
        assert_one_line(result, pairs['visible'] / 'b.jpg', 'not a readable image')
        left = [path.name for path in (tmp_path / 'out').rglob('*') if path.is_file()]
        assert not [name for name in left if name.startswith('.') or name in ('b.png', 'summary.json')]

    @pytest.mark.parametrize('command', ON_FOLDERS)
    def test_output_below_a_file(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str) -> None:
        (tmp_path / 'file').touch()
        out = tmp_path / 'file' / 'out'
        assert_one_line(run(*commands_on(pairs, out)[command]), out, 'cannot write there')

    @pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
    @pytest.mark.parametrize('command', ON_FOLDERS)
    def test_output_without_permission(self, run: Run, pairs: dict[str, Path], tmp_path: Path, command: str) -> None:
        closed = tmp_path / 'closed'
        closed.mkdir(mode=0o500)
        assert_one_line(run(*commands_on(pairs, closed / 'out')[command]), closed, 'cannot write there')


def test_debug_shows_the_traceback(run: Run, tmp_path: Path) -> None:
    words = ('depth', '--image', tmp_path / 'nowhere', '--branch', 'visible', '--output', tmp_path)
    _, error = run(*words, '--debug')
    assert 'Traceback' in error
    assert error.splitlines()[-1].startswith('ldfusion: ')


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ('simulate --preview x.txt', 'x.txt does not end in one of .bmp, .jpeg'),
        ('evaluate fusion --visible a --thermal b --sheet sheet', 'sheet does not end in one of'),
        ('evaluate bag bag --output out --threads -3', "'threads' is -3; it must lie between 0 and 256"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(*words.split()), said)
    assert list(tmp_path.iterdir()) == []


def test_unknown_command(run: Run) -> None:
    assert_one_line(run('polish'), 'polish', 'fuse')


def test_help_says_what_a_command_writes(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a line for each command; its own help says more, with every option."""
    assert main(['--help']) == 0
    assert 'fuse pairs of images' in capsys.readouterr().out
    assert main(['fuse', '--help']) == 0
    text = ' '.join(capsys.readouterr().out.split())
    assert 'Writes OUTPUT/fused/NAME.png' in text
    assert '--thermal-gain' in text


def test_every_command_is_run_by_a_function_that_takes_its_options() -> None:
    for name, (place, _) in COMMANDS.items():
        (options,) = (hint for word, hint in get_type_hints(function_of(name)).items() if word != 'return')
        assert place.endswith(f':{options.__name__}'), name
        assert options.__module__ == f'ldfusion_training.options.{place.partition(":")[0]}'


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    """Interrupted for real: exit code 130, no traceback, and no half-written recording."""
    script = (
        'import os, signal, sys\n'
        'from ldfusion_training import cli\n'
        'from ldfusion_training.recordings import bags\n'
        'whole = bags.BagWriter.write_image\n'
        'def interrupted(*a, **k):\n'
        '    whole(*a, **k)\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        'bags.BagWriter.write_image = interrupted\n'
        'sys.exit(cli.main(sys.argv[1:]))\n'
    )
    for name in ('visible', 'thermal'):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / 'a.png'), np.zeros((32, 32), np.uint8))
    words = ['make-bag', '--visible', tmp_path / 'visible', '--thermal', tmp_path / 'thermal', tmp_path / 'bag']
    done = subprocess.run([sys.executable, '-c', script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, '')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['thermal', 'visible']
