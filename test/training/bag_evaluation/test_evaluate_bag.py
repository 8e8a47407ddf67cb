"""``ldfusion evaluate bag``: recordings in, measures of every pair out, the same each time."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy
from paths import ROOT

from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Registration
from ldfusion_models.camera.registration_file import write_registration
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.engines import Engine, create_engine
from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_training.bag_evaluation.compare import bootstrap_interval
from ldfusion_training.bag_evaluation.frame_log import FrameLog, read_rows
from ldfusion_training.bag_evaluation.gallery import EVEN, KINDS, WORST, WORST_BY, Gallery
from ldfusion_training.bag_evaluation.page import write_report_page
from ldfusion_training.bag_evaluation.pairs import PairReader
from ldfusion_training.bag_evaluation.run import evaluate_recording
from ldfusion_training.bag_evaluation.settings import BagSettings, Topics, node_settings
from ldfusion_training.bag_evaluation.summary import Evaluated, frame_table, latencies, make_report
from ldfusion_training.bag_evaluation.topics import choose_topics
from ldfusion_training.cli import main
from ldfusion_training.evaluation.depth_metrics import evaluate_depth
from ldfusion_training.metrics import chroma_error, evaluate_fusion, to_grey
from ldfusion_training.recordings.bags import (
    COMPRESSED_IMAGE,
    POINTS,
    RANGE,
    SECOND,
    TYPES,
    BagWriter,
    Transform,
    open_recording,
    read_bag,
)

WIDTH, HEIGHT, FRAMES = 96, 64, 9
PERIOD_NS = SECOND // 10
START_NS = 1_700_000_000 * SECOND
CAMERA = Intrinsics.from_field_of_view(WIDTH, HEIGHT, 60.0)
Run = Callable[..., tuple[int, str]]


def scene(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visible RGB, thermal counts and depth of a scene that moves by a pixel a frame."""
    generator = np.random.default_rng(5)
    wide = cv2.GaussianBlur(generator.integers(0, 256, (HEIGHT, WIDTH + FRAMES, 3), np.uint8), (0, 0), 2)
    heat = cv2.GaussianBlur(generator.integers(5000, 9000, (HEIGHT, WIDTH + FRAMES), np.uint16), (0, 0), 3)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    depth = np.full((HEIGHT, WIDTH), 6.0, np.float32)
    depth[:5] = np.nan
    return wide[:, index : index + WIDTH], heat[:, index : index + WIDTH] + np.uint16(40 * index), depth


def record(
    bag: Path,
    frames: int = FRAMES,
    delay_ns: int = 1_000_000,
    depth: str = 'image',
    compressed: bool = False,
    nearer: float = 1.0,
) -> Path:
    """A recording of ``scene``, so many times nearer.

    Depth as ``image``, ``points`` of a scanner 0.1 m right of it, ``both`` or ``none``.
    """
    matrix = np.eye(4)
    matrix[0, 3] = 0.1
    with BagWriter(bag) as writer:
        writer.write_transforms(START_NS, [Transform('rgb', 'scanner', matrix)], static=True)
        for index in range(frames):
            stamp = START_NS + index * PERIOD_NS
            visible, thermal, truth = scene(index)
            truth /= nearer
            writer.write_camera_info('/rig/rgb/camera_info', stamp, 'rgb', CAMERA)
            if compressed:
                write_png(writer, '/rig/rgb/image_raw/compressed', stamp, visible)
            else:
                writer.write_image('/rig/rgb/image_raw', stamp, 'rgb', visible)
            writer.write_image('/rig/lwir/image_raw', stamp + delay_ns, 'lwir', thermal)
            if depth in ('image', 'both'):
                writer.write_image('/rig/rgb/depth', stamp + 3_000_000, 'rgb', truth)
            if depth in ('points', 'both'):
                write_cloud(writer, stamp, truth)
    return bag


def write_png(writer: BagWriter, topic: str, stamp: int, image: np.ndarray) -> None:
    header = TYPES.types['std_msgs/msg/Header'](
        stamp=TYPES.types['builtin_interfaces/msg/Time'](sec=stamp // SECOND, nanosec=stamp % SECOND), frame_id='rgb'
    )
    data = cv2.imencode('.png', image[..., ::-1])[1].reshape(-1)
    writer.write(topic, TYPES.types[COMPRESSED_IMAGE](header=header, format='png', data=data), stamp)


def write_cloud(writer: BagWriter, stamp: int, depth: np.ndarray) -> None:
    rows, columns = np.nonzero(np.isfinite(depth))
    z = depth[rows, columns]
    x, y = (columns - CAMERA.cx) / CAMERA.fx * z, (rows - CAMERA.cy) / CAMERA.fy * z
    points = np.stack([x - 0.1, y, z], axis=1).astype(np.float32)
    field = TYPES.types['sensor_msgs/msg/PointField']
    header = TYPES.types['std_msgs/msg/Header'](
        stamp=TYPES.types['builtin_interfaces/msg/Time'](sec=stamp // SECOND, nanosec=stamp % SECOND),
        frame_id='scanner',
    )
    cloud = TYPES.types[POINTS](
        header=header,
        height=1,
        width=len(points),
        fields=[field(name=name, offset=4 * place, datatype=7, count=1) for place, name in enumerate('xyz')],
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(points),
        data=points.reshape(-1).view(np.uint8),
        is_dense=True,
    )
    writer.write('/velodyne_points', cloud, stamp)


def write_range(writer: BagWriter, stamp: int, frame: str, distance: float) -> None:
    header = TYPES.types['std_msgs/msg/Header'](
        stamp=TYPES.types['builtin_interfaces/msg/Time'](sec=stamp // SECOND, nanosec=stamp % SECOND), frame_id=frame
    )
    message = TYPES.types[RANGE](
        header=header, radiation_type=0, field_of_view=0.3, min_range=0.1, max_range=20.0, range=distance
    )
    writer.write('/sonars', message, stamp)


@pytest.fixture(scope='module')
def engine() -> Engine:
    return create_engine('onnxruntime')


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``ldfusion evaluate bag``; returns exit code and stderr."""

    def call(*words: object) -> tuple[int, str]:
        code = main(['evaluate', 'bag', *(str(word) for word in words)])
        return code, capsys.readouterr().err

    return call


def results(output: Path) -> dict[str, bytes]:
    """The bytes of everything that must not change from run to run."""
    times = ('latency.json', 'latency.jsonl', 'speed.json', 'report.html')
    files = (path for path in output.rglob('*') if path.is_file() and path.name not in times)
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def test_every_pair_is_fused_as_the_node_would_and_measured(tmp_path: Path, run: Run, engine: Engine) -> None:
    """Against pipeline, gain control and metrics called by hand."""
    bag = record(tmp_path / 'drive')
    assert run(bag, '--output', tmp_path / 'out', '--metrics-every', 2, '--output-bag') == (0, '')
    report = json.loads((tmp_path / 'out/report.json').read_text())
    rows = read_rows(tmp_path / 'out/recordings/drive/frames.jsonl')
    fused = list(read_bag(tmp_path / 'out/recordings/drive/outputs', ['/fusion_node/fused/image']))
    depths = list(read_bag(tmp_path / 'out/recordings/drive/outputs', ['/fusion_node/depth/image']))
    assert [row['stamp_ns'] for row in rows] == [START_NS + index * PERIOD_NS for index in range(FRAMES)]
    assert [record.stamp_ns for record in fused] == [row['stamp_ns'] for row in rows]
    gain = GainControl()
    pipeline = Pipeline(engine, gain)
    grey_of = GainControl()
    for index, row in enumerate(rows):
        visible, thermal, truth = scene(index)
        expected = pipeline(visible, thermal, focal=CAMERA.fx)
        np.testing.assert_array_equal(fused[index].image(), expected.fused)
        np.testing.assert_array_equal(depths[index].image(), expected.depth)
        grey = grey_of(thermal)
        measures = evaluate_fusion(to_grey(visible), grey, to_grey(expected.fused))
        assert row['MI'] == pytest.approx(measures.mi)
        assert row['offset_ms'] == 1.0
        assert ('VIF' in row) == (index % 2 == 0)
        if index % 2 == 0:
            assert row['VIF'] == pytest.approx(measures.vif)
            assert row['Nabf'] == pytest.approx(measures.nabf)
            assert row['chroma error'] == pytest.approx(chroma_error(visible, grey, expected.fused))
            assert row['AbsRel'] == pytest.approx(evaluate_depth(expected.depth, truth).abs_rel)
    assert 'flicker' not in rows[0]
    assert rows[2]['compared'] > 0.5
    measured = report['measures']['AbsRel']
    assert measured['frames'] == 5
    assert measured['mean'] == pytest.approx(np.mean([row['AbsRel'] for row in rows[::2]]))
    (recording,) = report['recordings']
    assert recording['counts'] == {
        'visible': FRAMES,
        'thermal': FRAMES,
        'pairs': FRAMES,
        'pairs with measured depth': FRAMES,
    }
    assert (recording['drops'], recording['problems'], recording['seconds']) == ({}, [], pytest.approx(0.8))
    table = (tmp_path / 'out/frames.csv').read_text().splitlines()
    assert len(table) == FRAMES + 1
    assert table[0].startswith('recording,frame,stamp_ns,offset_ms,covered,EN,')
    latency = json.loads((tmp_path / 'out/latency.json').read_text())['drive']
    assert 0 < latency['milliseconds']['engine']['p50'] <= latency['milliseconds']['engine']['p95']


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path, run: Run) -> None:
    bag = record(tmp_path / 'drive')
    for name in ('one', 'two'):
        assert run(bag, '--output', tmp_path / name, '--metrics-every', 3)[0] == 0
    assert results(tmp_path / 'one') == results(tmp_path / 'two')
    # Done already: nothing is computed again, and nothing changes.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'one/recordings').rglob('*') if path.is_file()}
    assert run(bag, '--output', tmp_path / 'one', '--metrics-every', 3)[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert results(tmp_path / 'one') == results(tmp_path / 'two')


@pytest.mark.parametrize('stop', [1, 6])
def test_an_interrupted_evaluation_goes_on_with_an_equal_result(tmp_path: Path, engine: Engine, stop: int) -> None:
    bag = record(tmp_path / 'drive')
    settings = BagSettings(metrics_every=2)
    evaluate_recording(bag, tmp_path / 'whole', engine, settings)

    def interrupt(done: int, _: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_recording(bag, tmp_path / 'parts', engine, settings, interrupt)
    assert not (tmp_path / 'parts/done.json').exists()
    # As after a power cut: the last line is not whole.
    with (tmp_path / 'parts/frames.jsonl').open('ab') as log:
        log.write(b'{"frame": 7, "stam')
    evaluate_recording(bag, tmp_path / 'parts', engine, settings)
    assert results(tmp_path / 'parts') == results(tmp_path / 'whole')


def test_ctrl_c_ends_quietly_and_keeps_what_is_done(tmp_path: Path) -> None:
    bag = record(tmp_path / 'drive')
    script = (
        'import os, signal, sys\n'
        'from ldfusion_training import cli\n'
        'from ldfusion_training.bag_evaluation import frame_log\n'
        'append = frame_log.FrameLog.append\n'
        'def interrupted(log, row):\n'
        '    append(log, row)\n'
        '    if row["frame"] == 3: os.kill(os.getpid(), signal.SIGINT)\n'
        'frame_log.FrameLog.append = interrupted\n'
        'sys.exit(cli.main(sys.argv[1:]))\n'
    )
    words = ['evaluate', 'bag', bag, '--output', tmp_path / 'out']
    done = subprocess.run([sys.executable, '-c', script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, '')
    assert not (tmp_path / 'out/report.json').exists()


def test_compressed_images_give_the_same_as_raw_ones(tmp_path: Path, engine: Engine) -> None:
    for name, compressed in (('raw', False), ('png', True)):
        bag = record(tmp_path / name, frames=3, compressed=compressed)
        evaluate_recording(bag, tmp_path / f'{name}_out', engine, BagSettings())
    logs = [(tmp_path / name / 'frames.jsonl').read_bytes() for name in ('raw_out', 'png_out')]
    assert logs[0] == logs[1]


def test_scans_are_projected_by_the_recorded_transforms(tmp_path: Path, engine: Engine) -> None:
    """A scan of the same wall gives the same depth measures as its depth image."""
    for depth in ('image', 'points'):
        bag = record(tmp_path / depth, frames=2, depth=depth)
        evaluate_recording(bag, tmp_path / f'{depth}_out', engine, BagSettings(metrics_every=1))
    image, points = (read_rows(tmp_path / f'{depth}_out' / 'frames.jsonl') for depth in ('image', 'points'))
    for row, other in zip(image, points, strict=True):
        assert other['AbsRel'] == pytest.approx(row['AbsRel'], rel=1e-4)


def test_ranges_correct_depth_as_on_the_robot(tmp_path: Path, engine: Engine) -> None:
    """The scanner sees the wall that the depth image judges; what corrects must not judge."""
    # The branches take noise for something near, and no reference may ask for more than a factor of 10.
    bag = record(tmp_path / 'drive', frames=3, depth='both', nearer=4.0)
    errors = {}
    for name, ranges in (('plain', ''), ('corrected', '/velodyne_points')):
        topics = Topics(depth='/rig/rgb/depth', ranges=ranges)
        evaluate_recording(bag, tmp_path / name, engine, BagSettings(topics=topics, metrics_every=1))
        errors[name] = [row['AbsRel'] for row in read_rows(tmp_path / name / 'frames.jsonl')]
    assert max(errors['corrected']) < 0.1 < min(errors['plain'])
    both = Topics(points='/velodyne_points', ranges='/velodyne_points')
    with pytest.raises(InputError, match='cannot judge'):
        evaluate_recording(bag, tmp_path / 'both', engine, BagSettings(topics=both))


def test_sonars_are_where_the_registration_file_says(tmp_path: Path, engine: Engine) -> None:
    """No transform is recorded; two sonars on one topic, each with a frame of its own, see a wall at 1.5 m."""
    with BagWriter(tmp_path / 'drive') as writer:
        for frame in ('left', 'right'):
            write_range(writer, START_NS, frame, 1.4)
        writer.write_camera_info('/rig/rgb/camera_info', START_NS, 'rgb', CAMERA)
        writer.write_image('/rig/rgb/image_raw', START_NS + 1, 'rgb', scene(0)[0])
        writer.write_image('/rig/lwir/image_raw', START_NS + 1, 'lwir', scene(0)[1])
    # A sensor's x is the camera's z; 0.1 m before it.
    placed = {
        frame: ((0.0, -1.0, 0.0, x), (0.0, 0.0, -1.0, 0.0), (1.0, 0.0, 0.0, 0.1), (0.0, 0.0, 0.0, 1.0))
        for frame, x in (('left', -0.5), ('right', 0.5))
    }
    write_registration(tmp_path / 'rig.yaml', Registration(visible_T_ranges=placed))
    notes = {}
    for name, file in (('lost', ''), ('placed', str(tmp_path / 'rig.yaml'))):
        asked = BagSettings(NodeSettings(registration_file=file), Topics(ranges='/sonars'), metrics_every=0)
        evaluate_recording(tmp_path / 'drive', tmp_path / name, engine, asked)
        notes[name] = json.loads((tmp_path / name / 'done.json').read_text())['notes']
    assert any('neither /tf_static nor visible_T_ranges' in note for note in notes['lost'])
    assert not notes['placed']
    with open_recording(tmp_path / 'drive') as recording:
        topics, _ = choose_topics(asked.topics, recording.topics, tmp_path)
        (recorded,) = PairReader(recording, topics, asked, Registration(visible_T_ranges=placed))
    (measured,) = recorded.shot.measured
    seen = measured.seen_in(np.full((HEIGHT, WIDTH), 1.5, np.float32), CAMERA, None)
    assert seen.depth == pytest.approx(1.5, abs=0.07)
    middle = (WIDTH - 1) / 2
    assert (seen.columns < middle).any() and (seen.columns > middle).any()


@pytest.mark.parametrize(('metres', 'known'), [(0.7, 0.7), (-0.1, 0.0), (None, 0.0)])
def test_a_frame_on_the_ground_tells_the_height(tmp_path: Path, metres: float | None, known: float) -> None:
    with BagWriter(tmp_path / 'drive') as writer:
        if metres is not None:
            matrix = np.array([[0, 0, 1, 0.2], [-1, 0, 0, 0], [0, -1, 0, metres], [0, 0, 0, 1.0]])
            writer.write_transforms(START_NS, [Transform('base_footprint', 'rgb', matrix)], static=True)
        writer.write_image('/rig/rgb/image_raw', START_NS, 'rgb', scene(0)[0])
        writer.write_image('/rig/lwir/image_raw', START_NS, 'lwir', scene(0)[1])
    settings = BagSettings(NodeSettings(ground_frame='base_footprint'))
    with open_recording(tmp_path / 'drive') as recording:
        topics, _ = choose_topics(settings.topics, recording.topics, tmp_path)
        reader = PairReader(recording, topics, settings)
        assert [recorded.shot.height for recorded in reader] == pytest.approx([known])
    assert bool(reader.notes) == (known == 0.0) == any('ground_frame' in note for note in reader.notes.values())


def test_recordings_without_depth_have_the_other_measures(tmp_path: Path, engine: Engine) -> None:
    bag = record(tmp_path / 'drive', frames=2, depth='none')
    evaluate_recording(bag, tmp_path / 'out', engine, BagSettings(metrics_every=1))
    rows = read_rows(tmp_path / 'out/frames.jsonl')
    assert all('VIF' in row and 'AbsRel' not in row for row in rows)


def test_the_video_shows_every_frame(tmp_path: Path, run: Run) -> None:
    bag = record(tmp_path / 'drive')
    assert run(bag, '--output', tmp_path / 'out', '--mp4', '--metrics-every', 0)[0] == 0
    video = cv2.VideoCapture(str(tmp_path / 'out/recordings/drive/video.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    first = video.read()[1][..., ::-1]
    assert first.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert np.abs(first[:HEIGHT, :WIDTH].astype(int) - scene(0)[0]).mean() < 12


class TestManyRecordings:
    @pytest.fixture(scope='class')
    def bags(self, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
        folder = tmp_path_factory.mktemp('bags')
        return [record(folder / f'{part}/drive', frames=2 + part) for part in range(2)]

    @pytest.fixture(scope='class')
    def serial(self, bags: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Both evaluated, one after the other."""
        output = tmp_path_factory.mktemp('serial')
        assert main(['evaluate', 'bag', *map(str, bags), '--output', str(output), '--threads', '1']) == 0
        return output

    def test_processes_give_what_one_after_the_other_gives(
        self, tmp_path: Path, run: Run, bags: list[Path], serial: Path
    ) -> None:
        assert run(*bags, '--output', tmp_path / 'parallel', '--threads', 1, '--workers', 2)[0] == 0
        assert results(serial) == results(tmp_path / 'parallel')
        report = json.loads((serial / 'report.json').read_text())
        assert [recording['name'] for recording in report['recordings']] == ['drive', 'drive_2']
        assert report['frames'] == report['measures']['EN']['frames'] == 5

    def test_ray_gives_what_one_after_the_other_gives(
        self, tmp_path: Path, run: Run, bags: list[Path], serial: Path
    ) -> None:
        pytest.importorskip('ray', reason='the extra cluster is not installed')
        assert run(*bags, '--output', tmp_path / 'ray', '--threads', 1, '--ray', 'local')[0] == 0
        assert results(serial) == results(tmp_path / 'ray')

    def test_without_ray_the_extra_is_named(
        self, tmp_path: Path, run: Run, bags: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, 'ray', None)
        code, error = run(*bags, '--output', tmp_path / 'out', '--ray', 'local')
        assert code == 2
        assert '.[cluster]' in error

    def test_a_bad_one_is_named_and_the_others_are_evaluated(self, tmp_path: Path, run: Run, bags: list[Path]) -> None:
        code, error = run(bags[0], tmp_path / 'nowhere', '--output', tmp_path / 'out')
        assert code == 1
        assert f'{tmp_path / "nowhere"}: no such recording' in error
        report = json.loads((tmp_path / 'out/report.json').read_text())
        assert list(report['failed']) == ['nowhere']
        assert len(report['recordings']) == 1


class TestBadInput:
    def test_a_truncated_recording_is_evaluated_up_to_its_end(self, tmp_path: Path, run: Run) -> None:
        bag = record(tmp_path / 'drive', frames=60)
        (path,) = bag.glob('*.mcap')
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        code, error = run(bag, '--output', tmp_path / 'out', '--metrics-every', 0)
        assert code == 1
        assert 'drive.mcap: is truncated' in error
        report = json.loads((tmp_path / 'out/report.json').read_text())
        assert 20 < report['frames'] < 60
        assert report['recordings'][0]['problems']

    def test_without_metadata_all_is_evaluated_and_the_exit_code_says_it(self, tmp_path: Path, run: Run) -> None:
        bag = record(tmp_path / 'drive', frames=2)
        (bag / 'metadata.yaml').unlink()
        code, error = run(bag, '--output', tmp_path / 'out')
        assert (code, error) == (1, 'ldfusion: drive: no metadata.yaml\n')

    @pytest.mark.parametrize(
        ('words', 'reason'),
        [
            (['--visible-topic', '/other'], 'no topic /other; it has /rig/lwir/image_raw'),
            (['--thermal-topic', '/rig/rgb/camera_info'], '/rig/rgb/camera_info holds sensor_msgs/msg/CameraInfo, not'),
            (['--points-topic', '/rig/rgb/depth'], '/rig/rgb/depth holds sensor_msgs/msg/Image, not'),
            (['--sync-tolerance', '0.0001'], 'no pair within 0.1 ms among 2 visible and 2 thermal images'),
            (['--metrics-every', '-1'], '--metrics-every -1'),
            (['--workers', '0'], '--workers 0'),
            (['--parameters', 'nowhere.yaml'], 'nowhere.yaml: cannot be read as YAML'),
            (['--registration-file', 'nowhere.yaml'], 'nowhere.yaml: cannot be read'),
            (['--near', '9', '--far', '8'], 'depth range'),
        ],
    )
    def test_it_is_one_line_and_code_2(self, tmp_path: Path, run: Run, words: list[str], reason: str) -> None:
        bag = record(tmp_path / 'drive', frames=2)
        code, error = run(bag, '--output', tmp_path / 'out', *words)
        assert code == 2
        assert error.count('\n') == 1
        assert reason in error
        assert not (tmp_path / 'out/report.json').exists()

    def test_a_recording_without_thermal_images(self, tmp_path: Path, run: Run) -> None:
        with BagWriter(tmp_path / 'drive') as writer:
            writer.write_image('/rgb/image', START_NS, 'rgb', scene(0)[0])
        code, error = run(tmp_path / 'drive', '--output', tmp_path / 'out')
        assert code == 2
        assert 'its image topics are /rgb/image; name the thermal one with --thermal-topic' in error

    def test_one_damaged_image_is_dropped_and_named(self, tmp_path: Path, run: Run) -> None:
        with BagWriter(tmp_path / 'drive') as writer:
            for index in range(3):
                stamp = START_NS + index * PERIOD_NS
                visible, thermal, _ = scene(index)
                writer.write_image('/thermal', stamp, 'lwir', thermal)
                if index == 1:
                    writer.write_image('/rgb', stamp, 'rgb', visible, encoding='yuv4:2:0')
                else:
                    writer.write_image('/rgb', stamp, 'rgb', visible)
        code, error = run(tmp_path / 'drive', '--output', tmp_path / 'out')
        assert code == 1
        assert f"/rgb at {START_NS + PERIOD_NS}: encoding 'yuv4:2:0' is not supported" in error
        report = json.loads((tmp_path / 'out/report.json').read_text())
        assert (report['frames'], report['recordings'][0]['drops']) == (2, {'visible_bad': 1})

    def test_scans_without_transform_are_named(self, tmp_path: Path, run: Run) -> None:
        with BagWriter(tmp_path / 'drive') as writer:
            visible, thermal, truth = scene(0)
            writer.write_image('/rgb', START_NS, 'rgb', visible)
            writer.write_image('/thermal', START_NS, 'lwir', thermal)
            write_cloud(writer, START_NS, truth)
        code, error = run(tmp_path / 'drive', '--output', tmp_path / 'out')
        assert code == 1
        assert '/tf_static has no way from scanner to rgb; write visible_T_ranges into the --registration-file' in error
        # The scanner is 0.1 m to the right; the wall is 6 m away in both files.
        placed = {'scanner': ((1.0, 0.0, 0.0, 0.1), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))}
        lens = Lens(CAMERA)
        registration = Registration(undistort=True, visible=lens, thermal=lens, visible_T_ranges=placed)
        write_registration(tmp_path / 'rig.yaml', registration)
        words = ('--registration-file', tmp_path / 'rig.yaml', '--metrics-every', 1)
        assert run(tmp_path / 'drive', '--output', tmp_path / 'placed', *words)[0] == 0
        (row,) = read_rows(tmp_path / 'placed/recordings/drive/frames.jsonl')
        assert row['coverage'] == 1.0 and row['AbsRel'] > 0

    def test_other_settings_are_not_mixed_into_an_evaluation(self, tmp_path: Path, run: Run) -> None:
        bag = record(tmp_path / 'drive', frames=2)
        assert run(bag, '--output', tmp_path / 'out')[0] == 0
        code, error = run(bag, '--output', tmp_path / 'out', '--metrics-every', 2)
        assert code == 2
        assert 'holds an evaluation with other settings' in error


@pytest.mark.parametrize('stamps', ['zero', 'going back'])
def test_stamps_that_do_not_go_on_are_said_and_arrival_pairs_them(tmp_path: Path, run: Run, stamps: str) -> None:
    """Six pairs recorded 100 ms apart, thermal 5 ms after visible, with useless stamps."""
    bag = tmp_path / 'drive'
    with BagWriter(bag) as writer:
        for index in range(6):
            visible, thermal, _ = scene(index)
            log_ns = START_NS + index * PERIOD_NS
            stamp_ns = 0 if stamps == 'zero' else START_NS - index * PERIOD_NS
            writer.write_image('/rig/rgb/image_raw', stamp_ns, 'rgb', visible, log_ns=log_ns)
            writer.write_image('/rig/lwir/image_raw', stamp_ns, 'lwir', thermal, log_ns=log_ns + 5_000_000)
    code, said = run(bag, '--output', tmp_path / 'stamps', '--metrics-every', 0)
    assert code == 1
    assert said == (
        'ldfusion: drive: 5 of 6 visible images and 5 of 6 thermal images are left out: their stamps repeat or go '
        'back; --pair-by arrival takes when they were recorded\n'
    )
    assert run(bag, '--output', tmp_path / 'arrival', '--metrics-every', 0, '--pair-by', 'arrival') == (0, '')
    rows = read_rows(tmp_path / 'arrival/recordings/drive/frames.jsonl')
    assert [row['stamp_ns'] for row in rows] == [START_NS + index * PERIOD_NS for index in range(6)]
    assert {row['offset_ms'] for row in rows} == {5.0}


def test_a_parameter_file_of_the_node_is_understood(tmp_path: Path) -> None:
    file = tmp_path / 'robot.yaml'
    file.write_text('/robot/fusion_node:\n  ros__parameters:\n    sync_tolerance: 1.0\n    lazy: false\n')
    assert node_settings(file) == replace(NodeSettings(), sync_tolerance=1.0)
    shipped = ROOT / 'config/ldfusion.yaml'
    assert node_settings(shipped) == NodeSettings()


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('1: {ros__parameters: {}}', 'holds no parameters of fusion_node'),
        ('/**/fusion_node:', 'holds no parameters of fusion_node'),
        ('fusion_node: {ros__parameters: {sync_tolerance: 1}}', "'sync_tolerance' is 1; a float like 0.025"),
        ('fusion_node: {ros__parameters: {enlargement: bogus}}', "'enlargement' is 'bogus'; choose one of guided"),
        ('fusion_node: {ros__parameters: {thermal_low_percentile: 150.0}}', 'it must lie between 0.0 and 49.0'),
        ('fusion_node: {ros__parameters: {thermal_smoothin: 0.5}}', "did you mean 'thermal_smoothing'?"),
    ],
)
def test_what_the_node_would_refuse_of_a_parameter_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / 'robot.yaml'
    file.write_text(content)
    with pytest.raises(InputError, match=re.escape(words)):
        node_settings(file)


def test_a_bounded_number_of_frames_is_shown_however_long_the_recording() -> None:
    generator = np.random.default_rng(0)
    gallery, shown = Gallery(), set()
    values = generator.random((20_000, len(WORST_BY)))
    for index, row in enumerate(values):
        taken, left_out = gallery.offer(index, index * PERIOD_NS, dict(zip(WORST_BY, row.tolist(), strict=True)))
        shown = (shown | {index} if taken else shown) - set(left_out)
        assert len(shown) <= EVEN + WORST * len(WORST_BY)
    assert shown == gallery.indices()
    gaps = np.diff(gallery.even)
    assert len(gallery.even) > EVEN // 2
    assert (gaps == gaps[0]).all()
    # VIF: less is worse; AbsRel: more is worse.
    assert gallery.worst['VIF'][0].index == values[:, 0].argmin()
    assert gallery.worst['AbsRel'][0].index == values[:, -1].argmax()


def test_the_log_drops_what_is_not_whole(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / 'log')
    log.append({'a': 1, 'b': float('nan')})
    log.close()
    with (tmp_path / 'log').open('ab') as file:
        file.write(b'{"a": 2')
    again = FrameLog(tmp_path / 'log')
    again.append({'a': 3})
    again.close()
    assert (tmp_path / 'log').read_text() == '{"a": 1, "b": null}\n{"a": 3}\n'
    assert np.isnan(read_rows(tmp_path / 'log')[0]['b'])


def ten_minutes(folder: Path) -> Evaluated:
    """What 10 minutes at 30 Hz with all measures of every frame would leave, of made numbers."""
    generator = np.random.default_rng(0)
    from ldfusion_training.bag_evaluation.measures import MEASURES

    rows = [
        {'frame': index, 'stamp_ns': START_NS + index * SECOND // 30, 'offset_ms': 0.1, 'covered': 1.0}
        | {measure.name: float(value) for measure, value in zip(MEASURES, generator.random(len(MEASURES)), strict=True)}
        for index in range(18_000)
    ]
    times = [{'frame': index, 'register': 1.0, 'engine': 20.0} for index in range(18_000)]
    shown: dict[str, object] = {'even': [], 'worst': {}}
    counts = {'pairs': 18_000}
    done = {'topics': {}, 'counts': counts, 'drops': {}, 'problems': [], 'notes': [], 'pictures': shown}
    engine = {'name': 'onnxruntime', 'device': 'cpu', 'precision': 'fp32'}
    state = {'engine': engine, 'weights': 'abc', 'settings': asdict(BagSettings())}
    return Evaluated('long', folder, state, done, rows, times, {})


def test_the_page_holds_everything_and_shows_what_is_wrong(tmp_path: Path, run: Run) -> None:
    bag = record(tmp_path / '<i>drive & "co"')
    (bag / 'metadata.yaml').unlink()
    assert run(bag, '--output', tmp_path / 'out', '--metrics-every', 2)[0] == 1
    page = (tmp_path / 'out/report.html').read_text()
    report = json.loads((tmp_path / 'out/report.json').read_text())
    for text in ('no metadata.yaml', report['weights'], f'{report["measures"]["VIF"]["mean"]:.3f}', 'metrics_every'):
        assert text in page
    assert '&lt;i&gt;drive &amp;' in page
    assert '<i>' not in page
    links = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert links
    assert all(link.startswith('data:image/jpeg;base64,') for link in links)
    assert page.count('<figure>') >= 5 * 9
    assert page.count('<polyline') >= 10
    assert_balanced(page)


def assert_balanced(page: str) -> None:
    """Every element that is opened is closed, in order."""
    opened: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ('meta', 'img'):
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Parser().feed(page)
    assert opened == []


def test_the_report_of_a_long_recording_is_small(tmp_path: Path) -> None:
    """All pictures that can be on it, of noise, which JPEG compresses worst."""
    long = ten_minutes(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (256, 320, 3), np.uint8)
    gallery = Gallery()
    for index, row in enumerate(long.rows):
        gallery.offer(index, row['stamp_ns'], row)
    for index in gallery.indices():
        for kind in KINDS:
            write_image(tmp_path / 'pictures' / f'{index:06d}' / f'{kind}.jpg', noise)
    worst = {name: [asdict(entry) for entry in kept] for name, kept in gallery.worst.items()}
    long.done['pictures'] = {'even': gallery.even, 'worst': worst}
    report = make_report([long], {})
    write_report_page(tmp_path / 'report.html', report, [long], latencies([long]))
    assert (tmp_path / 'report.html').stat().st_size < 20e6
    assert len(json.dumps(report)) < 100_000
    assert len(frame_table([long])) < 20e6


class TestCompare:
    @pytest.fixture(scope='class')
    def evaluations(self, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
        """A recording evaluated as it is, and with its images reduced for the networks."""
        folder = tmp_path_factory.mktemp('compared')
        bag = record(folder / 'drive')
        for name, size in (('whole', 0), ('reduced', 64)):
            words = [bag, '--output', folder / name, '--metrics-every', 2, '--inference-size', size]
            assert main(['evaluate', 'bag', *map(str, words)]) == 0
        return [folder / 'whole', folder / 'reduced']

    def test_differences_are_those_of_the_frames(
        self, tmp_path: Path, evaluations: list[Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(['evaluate', 'compare', *map(str, evaluations), '--output', str(tmp_path / 'out')]) == 0
        result = json.loads((tmp_path / 'out/compare.json').read_text())
        assert result['changed_settings'] == {'settings.node.inference_size': [0, 64]}
        assert (result['frames'], result['only_in_one']) == (FRAMES, [0, 0])
        logs = [read_rows(folder / 'recordings/drive/frames.jsonl') for folder in evaluations]
        for entry in result['measures']:
            name = entry['measure']
            pairs = [[row[name] for row in rows] for rows in zip(*logs, strict=True) if name in rows[0]]
            pairs = [pair for pair in pairs if np.isfinite(pair).all()]
            assert entry['frames'] == len(pairs)
            assert entry['difference'] == pytest.approx(np.mean([b - a for a, b in pairs]))
            assert entry['low'] <= entry['difference'] <= entry['high']
        (qabf,) = [entry for entry in result['measures'] if entry['measure'] == 'Qabf']
        assert qabf['verdict'] == ('worse' if qabf['high'] < 0 else 'better' if qabf['low'] > 0 else 'no difference')
        printed = capsys.readouterr().out
        assert (tmp_path / 'out/compare.md').read_text().strip() in printed
        page = (tmp_path / 'out/compare.html').read_text()
        assert page.count('<figure>') == 7 * FRAMES

    def test_equal_evaluations_have_no_difference(self, tmp_path: Path, evaluations: list[Path]) -> None:
        assert main(['evaluate', 'compare', *[str(evaluations[0])] * 2, '--output', str(tmp_path / 'out')]) == 0
        result = json.loads((tmp_path / 'out/compare.json').read_text())
        assert {entry['verdict'] for entry in result['measures']} == {'no difference'}

    def test_other_recordings_and_other_files_are_refused(
        self, tmp_path: Path, evaluations: list[Path], run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(record(tmp_path / 'other', frames=2), '--output', tmp_path / 'third')
        for second, reason in ((tmp_path / 'third', 'no frame in common'), (tmp_path / 'other', 'no such file')):
            words = [str(evaluations[0]), str(second), '--output', str(tmp_path / 'out')]
            assert main(['evaluate', 'compare', *words]) == 2
            assert reason in capsys.readouterr().err
        assert not (tmp_path / 'out').exists()

    def test_intervals_of_series_that_resemble_themselves_hold_the_truth(self) -> None:
        """An autoregressive series around 0: drawn one by one, frames would promise far too much."""
        generator = np.random.default_rng(1)
        noise = generator.normal(size=(150, 600))
        held = held_one_by_one = 0
        for row in noise:
            series = scipy.signal.lfilter([1.0], [1.0, -0.8], row)[100:]
            low, high = bootstrap_interval(series, 300)
            held += low <= 0 <= high
            single = [generator.choice(series, len(series)).mean() for _ in range(100)]
            held_one_by_one += np.percentile(single, 2.5) <= 0 <= np.percentile(single, 97.5)
        assert held / len(noise) > 0.85
        assert held_one_by_one / len(noise) < 0.65
