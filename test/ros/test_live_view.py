"""The live view: a websocket client in the Foxglove protocol gets the very bytes that a robot's topics carry."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from programs import START_NS, TOPICS, finish, messages_of, start
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_training.recordings.bags import TYPES, BagWriter

pytest.importorskip('foxglove', reason='needs foxglove-sdk: pip install .[view]')
pytest.importorskip('websockets')

from viewer import address_in, look

CAPTION = '/caption'


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A few images of both cameras, one camera_info, and a latched text that is sent once."""
    generator = np.random.default_rng(0)
    forever = QosTime(0, 0)
    latched = Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, forever, forever,
        QosLiveliness.AUTOMATIC, forever, False,
    )  # fmt: skip
    with BagWriter(tmp_path / 'drive') as writer:
        writer.write(CAPTION, TYPES.types['std_msgs/msg/String'](data='a person at 6 m'), START_NS, latched)
        for stamp_ns in range(START_NS, START_NS + 10**9, 10**8):
            writer.write_image(TOPICS[0], stamp_ns, 'visible', generator.integers(0, 256, (48, 64, 3), np.uint8))
            writer.write_image(TOPICS[1], stamp_ns, 'thermal', generator.integers(0, 65536, (48, 64), np.uint16))
            writer.write_camera_info(TOPICS[2], stamp_ns, 'visible', Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5))
    return tmp_path / 'drive'


def padded(data: bytes) -> bytes:
    """DDS carries whole words."""
    return data + bytes(-len(data) % 4)


def test_a_client_gets_the_bytes_of_the_recording_with_their_definitions(drive: Path) -> None:
    """replay, a viewer beside it, and a client: images, camera_info and a latched text arrive unchanged."""
    viewer = start('live_view', '--port', 0, '--ros-args', '-p', 'use_sim_time:=true')
    assert viewer.stdout is not None
    address = address_in(viewer.stdout.readline())
    log = drive / 'published.jsonl'
    replay = start('replay', drive, '--wait-for-subscribers', '--loop', '--publish-log', log)
    time.sleep(3)
    assert log.read_text() == '', 'the viewer must not subscribe to what nobody looks at'
    client, got = look(address, {TOPICS[0]: 3, TOPICS[1]: 3, TOPICS[2]: 1, CAPTION: 1})
    # Who comes later gets the latched text, too, though it was sent long ago.
    _, later = look(address, {CAPTION: 1})
    assert later == {CAPTION: got[CAPTION]}
    finish(replay, signal.SIGINT)
    code, _, errors = finish(viewer, signal.SIGINT)
    assert (code, errors) == (0, '')

    recorded = {topic: {padded(data) for _, data in messages} for topic, messages in messages_of(drive).items()}
    for topic, messages in got.items():
        assert {padded(data) for data in messages} <= recorded[topic], f'{topic}: other bytes than recorded'
    channel = client.channels[TOPICS[1]]
    assert (channel['encoding'], channel['schemaName']) == ('cdr', 'sensor_msgs/msg/Image')
    assert channel['schemaEncoding'] == 'ros2msg'
    assert 'uint32 height' in channel['schema']
    assert 'MSG: std_msgs/Header' in channel['schema']
    image = TYPES.deserialize_cdr(got[TOPICS[1]][0], channel['schemaName'])
    assert np.frombuffer(image.data, '<u2').reshape(image.height, image.width).shape == (48, 64)
    assert image.header.stamp.sec == START_NS // 10**9


def test_replay_shows_itself(drive: Path) -> None:
    replay = start('replay', drive, '--loop', '--rate', 4, '--view', 0)
    assert replay.stdout is not None
    _, got = look(address_in(replay.stdout.readline()), {TOPICS[0]: 11})
    assert len(set(got[TOPICS[0]])) <= 10
    assert finish(replay, signal.SIGINT)[0] == 0


def test_a_port_that_is_taken_or_can_not_be_is_named() -> None:
    first = start('live_view', '--port', 0)
    assert first.stdout is not None
    port = address_in(first.stdout.readline()).rpartition(':')[2]
    others = [(word, start('live_view', '--port', word)) for word in (port, '99999', '-1')]
    for word, other in others:
        code, _, errors = finish(other)
        assert (code, errors.count('\n')) == (2, 1)
        assert f'127.0.0.1:{word}: cannot serve there' in errors
    finish(first, signal.SIGINT)
