"""replay and record as programs of their own: what is in a recording goes over DDS and into another one unchanged."""

import importlib.util
import json
import resource
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from programs import START_NS, TOPICS, finish, messages_of, start
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_training.recordings.bags import BagWriter, Transform, open_recording

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from ldfusion_ros.replay import Recording, make_parser

FRAMES, PERIOD_NS = 8, 100_000_000


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bags') / 'drive'
    generator = np.random.default_rng(1)
    camera = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    with BagWriter(path) as writer:
        writer.write_transforms(START_NS, [Transform('visible', 'thermal', np.eye(4))], static=True)
        for frame in range(FRAMES):
            stamp_ns = START_NS + frame * PERIOD_NS
            writer.write_image(TOPICS[0], stamp_ns, 'visible', generator.integers(0, 256, (48, 64, 3), np.uint8))
            writer.write_image(TOPICS[1], stamp_ns, 'thermal', generator.integers(0, 65536, (48, 64), np.uint16))
            writer.write_camera_info(TOPICS[2], stamp_ns, 'visible', camera)
    return path


def stored_again(
    bag: Path, path: Path, mode: CompressionMode | None = None, half: int | None = None, topics: Sequence[str] = ()
) -> Path:
    """A copy in sqlite3, compressed if wanted; only its first or second half, or with topics that stay empty."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with Reader(bag) as reader, writer:
        connections = {
            connection.id: writer.add_connection(connection.topic, connection.msgtype, typestore=types)
            for connection in reader.connections
        }
        for topic in topics:
            writer.add_connection(topic, 'sensor_msgs/msg/Image', typestore=types)
        messages = list(reader.messages(reader.connections))
        middle = len(messages) // 2
        for connection, time_ns, data in messages[middle:] if half else messages[:middle] if half == 0 else messages:
            writer.write(connections[connection.id], time_ns, data)
    return path


def split(bag: Path, path: Path) -> Path:
    """A copy in two files, as ``ros2 bag record --max-bag-duration`` stores it."""
    halves = [stored_again(bag, path.with_name(f'{path.name}_{half}'), half=half) for half in (0, 1)]
    described = [yaml.safe_load((half / 'metadata.yaml').read_text())['rosbag2_bagfile_information'] for half in halves]
    path.mkdir()
    whole = described[0]
    for half, told in zip(halves, described, strict=True):
        (file,) = told['relative_file_paths']
        (half / file).rename(path / file)
    whole['relative_file_paths'] += described[1]['relative_file_paths']
    whole['files'] += described[1]['files']
    whole['message_count'] += described[1]['message_count']
    whole['duration']['nanoseconds'] = FRAMES * PERIOD_NS
    for topic, more in zip(*(told['topics_with_message_count'] for told in described), strict=True):
        topic['message_count'] += more['message_count']
    (path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': whole}))
    return path


STORED: dict[str, Callable[[Path, Path], Path]] = {
    'zstd by message': lambda bag, path: stored_again(bag, path, CompressionMode.MESSAGE),
    'zstd by file': lambda bag, path: stored_again(bag, path, CompressionMode.FILE),
    'split': split,
    'an empty topic': lambda bag, path: stored_again(bag, path, topics=['/nothing/came']),
}


@pytest.mark.parametrize('kind', STORED)
def test_recordings_hold_the_same_however_they_are_stored(bag: Path, tmp_path: Path, kind: str) -> None:
    """For ``replay``, and for what reads recordings offline."""
    other = STORED[kind](bag, tmp_path / 'other')
    stored, expected = (Recording(path) for path in (other, bag))
    messages, original = ([(each.topic, *rest) for each, *rest in one.messages()] for one in (stored, expected))
    assert sorted(messages) == sorted(original)
    assert [time_ns for _, time_ns, _ in messages] == sorted(time_ns for _, time_ns, _ in original)
    with open_recording(other) as recording:
        assert recording.problems == []
        assert len(list(recording.read(list(recording.topics)))) == len(original)
    for one in (stored, expected):
        one.close()


def replay_into_recorder(bag: Path, output: Path, *arguments: object) -> tuple[str, str]:
    """Run both programs, record in a simulated time that stands still; returns what replay and record said."""
    recorder = start('record', output, *TOPICS, '--ros-args', '-p', 'use_sim_time:=true')
    assert recorder.stdout is not None
    assert 'recording' in recorder.stdout.readline()
    code, _, replayed = finish(start('replay', bag, '--wait-for-subscribers', *arguments))
    assert code == 0, replayed
    code, recorded, errors = finish(recorder, signal.SIGINT)
    assert (code, errors) == (0, '')
    return replayed, recorded


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_recording_goes_through_dds_unchanged_and_in_time(bag: Path, tmp_path: Path, storage: str) -> None:
    source = bag if storage == 'mcap' else stored_again(bag, tmp_path / 'sqlite3')
    log = tmp_path / 'log.jsonl'
    replay_into_recorder(source, tmp_path / 'copy', '--publish-log', log)
    original, copy = messages_of(bag), messages_of(tmp_path / 'copy')
    for topic in TOPICS:
        # DDS fills the last of four bytes up.
        assert [data for _, data in copy[topic]] == [data + bytes(-len(data) % 4) for _, data in original[topic]]
    arrivals = np.array([time_ns for time_ns, _ in copy[TOPICS[0]]])
    assert np.median(np.diff(arrivals)) == pytest.approx(PERIOD_NS, rel=0.2)
    assert (arrivals[-1] - arrivals[0]) == pytest.approx((FRAMES - 1) * PERIOD_NS, rel=0.2)
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    sent = {entry['stamp_ns']: entry['published_ns'] for entry in entries if entry['topic'] == TOPICS[0]}
    assert list(sent) == [START_NS + frame * PERIOD_NS for frame in range(FRAMES)]
    delays = arrivals - np.array(list(sent.values()))
    assert delays.min() >= 0
    assert np.median(delays) < 50e6


def test_rate_and_loop(bag: Path, tmp_path: Path) -> None:
    recorder = start('record', tmp_path / 'copy', TOPICS[1])
    replay = start('replay', bag, '--rate', 4, '--loop', '--clock', '--wait-for-subscribers', '--topics', TOPICS[1])
    assert recorder.stdout is not None
    while TOPICS[1] not in recorder.stdout.readline():
        pass
    time.sleep(2 + 2 * FRAMES * PERIOD_NS / 4e9)
    code, _, errors = finish(replay, signal.SIGTERM)
    assert code == 0, errors
    assert 'Traceback' not in errors
    assert finish(recorder, signal.SIGTERM)[0] == 0
    copy = messages_of(tmp_path / 'copy')[TOPICS[1]]
    assert len(copy) > 2 * FRAMES
    assert np.median(np.diff([time_ns for time_ns, _ in copy])) == pytest.approx(PERIOD_NS / 4, rel=0.3)
    assert copy[FRAMES][1] == copy[0][1]


def test_types_that_are_not_installed_are_left_out_in_words(bag: Path) -> None:
    """tf2_msgs comes with a ROS distribution, not from PyPI."""
    try:
        import tf2_msgs  # noqa: F401
    except ImportError:
        code, _, errors = finish(start('replay', bag, '--rate', 20, '--delay', 0))
        assert code == 0
        assert 'replay: /tf_static left out: tf2_msgs/msg/TFMessage is not installed' in errors
    else:
        pytest.skip('tf2_msgs is installed here')


def damaged(bag: Path, folder: Path, keep: float) -> Path:
    """A copy whose data file ends too early."""
    folder.mkdir()
    for file in bag.iterdir():
        data = file.read_bytes()
        (folder / file.name).write_bytes(data if file.suffix == '.yaml' else data[: int(len(data) * keep)])
    return folder


def bad_arguments(bag: Path, folder: Path) -> Sequence[tuple[Sequence[object], str]]:
    (folder / 'empty').mkdir()
    (folder / 'text').mkdir()
    (folder / 'text' / 'metadata.yaml').write_text('not a recording')
    return (
        ([folder / 'nowhere'], 'no such recording'),
        ([folder / 'empty'], 'not a readable rosbag2 recording'),
        ([folder / 'text'], 'not a readable rosbag2 recording'),
        ([damaged(bag, folder / 'cut', 0.5)], 'not a readable rosbag2 recording'),
        ([damaged(bag, folder / 'nothing', 0.0)], 'not a readable rosbag2 recording'),
        ([bag, '--topics', '/nothing'], 'no topic /nothing'),
        ([bag, '--publish-log', folder / 'missing' / 'log'], 'cannot write there'),
    )


def test_bad_recordings_are_one_line_and_exit_code_2(bag: Path, tmp_path: Path) -> None:
    cases = bad_arguments(bag, tmp_path)
    processes = [start('replay', *arguments, '--delay', 0, '--rate', 100) for arguments, _ in cases]
    for process, (arguments, words) in zip(processes, cases, strict=True):
        code, _, errors = finish(process)
        lines = [line for line in errors.splitlines() if line.startswith('replay: ') and 'left out' not in line]
        assert (code, len(lines)) == (2, 1), f'{arguments}: {errors}'
        assert str(arguments[-1] if words != 'no topic /nothing' else bag) in lines[0]
        assert words in lines[0]
        assert 'Traceback' not in errors


@pytest.mark.parametrize('given', [('--delay', 'nan'), ('--delay', '-1'), ('--rate', '0'), ('--rate', 'inf')])
def test_times_that_can_not_be_are_named(given: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        make_parser().parse_args(['bag', *given])
    assert capsys.readouterr().err.endswith(f'argument {given[0]}: {given[1]} is not a positive number\n')
    assert make_parser().parse_args(['bag', '--delay', '0']).delay == 0


def test_record_does_not_overwrite(bag: Path) -> None:
    code, _, errors = finish(start('record', bag))
    assert code == 2
    assert errors == f'record: {bag}: exists already; remove it or choose another name\n'


def test_topics_that_can_not_be_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    programs = [start('record', tmp_path / 'a', '1bad'), start('record', tmp_path / 'b', '/a b')]
    if importlib.util.find_spec('foxglove'):
        programs.append(start('live_view', '--port', 0, '/1bad'))
    for program in programs:
        code, _, errors = finish(program)
        assert (code, errors.count('\n')) == (2, 1), errors
        assert 'can be no topic' in errors
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_on_a_full_disk_says_so_and_leaves_nothing_behind_its_name(bag: Path, tmp_path: Path) -> None:
    recorder = start('record', tmp_path / 'copy', *TOPICS)
    assert recorder.stdout is not None
    recorder.stdout.readline()
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    player = start('replay', bag, '--wait-for-subscribers', '--loop', '--rate', 10)
    code, _, errors = finish(recorder)
    finish(player, signal.SIGINT)
    assert (code, errors) == (2, f'record: {tmp_path / "copy"}: cannot write there (File too large)\n')
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_that_is_killed_leaves_nothing_behind_its_name(tmp_path: Path) -> None:
    recorder = start('record', tmp_path / 'copy')
    assert recorder.stdout is not None
    recorder.stdout.readline()
    finish(recorder, signal.SIGKILL)
    assert not (tmp_path / 'copy').exists()
