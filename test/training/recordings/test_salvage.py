"""Damaged recordings: what is before the damage is read, and the damage is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ldfusion_models.errors import InputError
from ldfusion_training.recordings.bags import IMAGE, TYPES, open_recording, read_bag

MESSAGES = 40
SIZE = 300
PLUGINS = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
MODES = {
    'plain': None,
    'message': CompressionMode.MESSAGE,
    'file': CompressionMode.FILE,
    'storage': CompressionMode.STORAGE,
}
KINDS = [(plugin, mode) for plugin in PLUGINS for mode in MODES if (plugin, mode) != ('sqlite3', 'storage')]
# Compressible, so that damage to compressed data shows.
NOISE = np.random.default_rng(0).choice(np.array([0, 0, 0, 1, 2, 250], np.uint8), (MESSAGES, SIZE, SIZE))


def record(bag: Path, plugin: str = 'mcap', mode: str = 'plain') -> Path:
    """A recording of noise, 3.6 MB in several chunks, made by rosbags; message ``n`` has the stamp ``n``."""
    types = TYPES.types
    with_mode = MODES[mode]
    writer = Writer(bag, version=9, storage_plugin=PLUGINS[plugin])
    if with_mode:
        writer.set_compression(with_mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/image', IMAGE, typestore=TYPES)
        for index, image in enumerate(NOISE):
            header = types['std_msgs/msg/Header'](
                stamp=types['builtin_interfaces/msg/Time'](sec=0, nanosec=index), frame_id='camera'
            )
            fields = {'height': SIZE, 'width': SIZE, 'encoding': 'mono8', 'is_bigendian': 0, 'step': SIZE}
            message = types[IMAGE](header=header, data=image.reshape(-1), **fields)
            writer.write(connection, index, TYPES.serialize_cdr(message, IMAGE))
    return bag


def storage_of(bag: Path) -> Path:
    (path,) = [path for path in bag.iterdir() if path.name != 'metadata.yaml']
    return path


def assert_is_start(bag: Path, at_least: int, at_most: int = MESSAGES) -> list[str]:
    """The readable messages are the first ones, whole; returns the problems."""
    with open_recording(bag) as recording:
        found = list(recording.read(['/image']))
        assert recording.topics == {'/image': IMAGE}
        assert at_least <= len(found) <= at_most
        assert [message.stamp_ns for message in found] == list(range(len(found)))
        for message, image in zip(found, NOISE, strict=False):
            np.testing.assert_array_equal(message.image(), image)
        return recording.problems


@pytest.mark.parametrize(('plugin', 'mode'), KINDS)
def test_whole_recordings_have_no_problem(tmp_path: Path, plugin: str, mode: str) -> None:
    assert assert_is_start(record(tmp_path / 'bag', plugin, mode), MESSAGES) == []


@pytest.mark.parametrize(('plugin', 'mode'), KINDS)
def test_without_metadata_all_is_read_and_said(tmp_path: Path, plugin: str, mode: str) -> None:
    bag = record(tmp_path / 'bag', plugin, mode)
    (bag / 'metadata.yaml').unlink()
    assert assert_is_start(bag, MESSAGES) == ['no metadata.yaml']


@pytest.mark.parametrize(('plugin', 'mode'), KINDS)
def test_truncated_files_are_read_up_to_their_end(tmp_path: Path, plugin: str, mode: str) -> None:
    bag = record(tmp_path / 'bag', plugin, mode)
    path = storage_of(bag)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    # A compressed piece that is cut gives what comes before its last block.
    problems = assert_is_start(bag, MESSAGES // 2 - 14, MESSAGES // 2)
    assert path.name.removesuffix('.zstd') in problems[0]
    assert 'truncated' in problems[0] or 'malformed' in problems[0]
    path.write_bytes(whole[:5])
    with pytest.raises(InputError, match='not a readable rosbag2 recording'), open_recording(bag):
        pass


@pytest.mark.parametrize('damage', [lambda content: content[:-4], lambda content: content[:-20] + b'\0' * 20])
def test_only_the_index_is_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    bag = record(tmp_path / 'bag')
    path = storage_of(bag)
    path.write_bytes(damage(path.read_bytes()))
    assert len(assert_is_start(bag, MESSAGES)) == 1


def test_a_damaged_chunk_is_left_out_where_the_index_is_lost(tmp_path: Path) -> None:
    bag = record(tmp_path / 'bag', mode='storage')
    path = storage_of(bag)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content[:-30])
    with open_recording(bag) as recording:
        stamps = [message.stamp_ns for message in recording.read(['/image'])]
        assert 'damaged' in recording.problems[0]
    assert stamps[0] == 0
    assert stamps[-1] == MESSAGES - 1
    assert MESSAGES // 2 < len(stamps) < MESSAGES


def test_damage_that_shows_only_while_reading_ends_it(tmp_path: Path) -> None:
    bag = record(tmp_path / 'bag', mode='storage')
    path = storage_of(bag)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)
    problems = assert_is_start(bag, 10, MESSAGES - 1)
    assert 'ends early' in problems[0]
    with pytest.raises(InputError, match='not a readable rosbag2 recording'):
        list(read_bag(bag))


def test_one_file_alone_and_several_files_in_order(tmp_path: Path) -> None:
    bag = record(tmp_path / 'bag')
    assert assert_is_start(storage_of(bag), MESSAGES) == []
    folder = tmp_path / 'split'
    folder.mkdir()
    for number in (10, 9):
        storage_of(record(tmp_path / f'part{number}')).rename(folder / f'split_{number}.mcap')
    with open_recording(folder) as recording:
        assert recording.counts == {'/image': 2 * MESSAGES}
        assert len(list(recording.read(['/image']))) == 2 * MESSAGES


def test_folders_without_recording_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='holds no recording'), open_recording(tmp_path):
        pass
    with pytest.raises(InputError, match='no such recording'), open_recording(tmp_path / 'nowhere'):
        pass
