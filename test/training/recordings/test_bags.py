"""Recordings: what is written is read back, from MCAP and sqlite3, and never half of it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.interfaces import Qos
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_training.recordings.bags import BagWriter, Transform, quaternion_from_rotation, read_bag, topics_of

SECOND = 1_000_000_000
RELEASES = (Stores.ROS2_HUMBLE, Stores.ROS2_JAZZY, Stores.ROS2_KILTED, Stores.ROS2_LYRICAL)
RANDOM = np.random.default_rng(0)
IMAGES = {
    'rgb8': RANDOM.integers(0, 256, (5, 7, 3), np.uint8),
    'mono8': RANDOM.integers(0, 256, (5, 7), np.uint8),
    'mono16': RANDOM.integers(0, 65536, (5, 7), np.uint16),
    '32FC1': RANDOM.random((5, 7), np.float32),
}


def write_raw(path: Path, plugin: StoragePlugin, store: Stores, kind: str, **fields: object) -> None:
    """A recording with one message, made by rosbags alone."""
    types = get_typestore(store)
    stamp = types.types['builtin_interfaces/msg/Time'](sec=7, nanosec=5)
    header = types.types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')
    message = types.types[kind](header=header, **fields)
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connection = writer.add_connection('/topic', kind, typestore=types)
        writer.write(connection, 8 * SECOND, types.serialize_cdr(message, kind))


@pytest.mark.parametrize('encoding', IMAGES)
def test_images_come_back_as_written(tmp_path: Path, encoding: str) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_image('/image', 3 * SECOND + 4, 'camera', IMAGES[encoding])
    (record,) = read_bag(tmp_path / 'bag')
    assert (record.topic, record.stamp_ns, record.message.encoding) == ('/image', 3 * SECOND + 4, encoding)
    np.testing.assert_array_equal(record.image(), IMAGES[encoding])


@pytest.mark.parametrize('store', RELEASES)
def test_every_ros_release_decodes_the_messages(tmp_path: Path, store: Stores) -> None:
    """The recorded bytes, decoded with each release's own definitions, hold the same values and type hashes."""
    camera = Intrinsics(64, 48, 50.0, 51.0, 31.5, 23.5)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', (10, 20, 30), degrees=True).as_matrix()
    matrix[:3, 3] = (0.1, 0.2, 0.3)
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_transforms(1, [Transform('rig', 'thermal', matrix)], static=True)
        bag.write_camera_info('/info', 2, 'thermal', camera)
        bag.write_image('/image', 3, 'thermal', IMAGES['rgb8'])
    types = get_typestore(store)
    with Reader(tmp_path / 'bag') as reader:
        assert all(connection.digest == types.hash_rihs01(connection.msgtype) for connection in reader.connections)
        messages = {c.topic: types.deserialize_cdr(data, c.msgtype) for c, _, data in reader.messages()}
    (transform,) = messages['/tf_static'].transforms
    rotation = transform.transform.rotation
    np.testing.assert_allclose(
        Rotation.from_quat([rotation.x, rotation.y, rotation.z, rotation.w]).as_matrix(), matrix[:3, :3], atol=1e-12
    )
    assert (transform.header.frame_id, transform.child_frame_id) == ('rig', 'thermal')
    assert transform.transform.translation.z == pytest.approx(0.3)
    np.testing.assert_allclose(messages['/info'].k.reshape(3, 3), [[50, 0, 31.5], [0, 51, 23.5], [0, 0, 1]])
    np.testing.assert_allclose(messages['/info'].p.reshape(3, 4)[:, :3], messages['/info'].k.reshape(3, 3))
    assert messages['/image'].step == 21


def test_static_transforms_are_latched_so_that_late_listeners_get_them(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_transforms(1, [Transform('a', 'b', np.eye(4))], static=True)
    with Reader(tmp_path / 'bag') as reader:
        qos: Qos = reader.connections[0].ext.offered_qos_profiles[0]
    assert qos.durability.name == 'TRANSIENT_LOCAL'


@pytest.mark.parametrize('seed', range(20))
def test_quaternions_agree_with_scipy(seed: int) -> None:
    expected = Rotation.random(rng=np.random.default_rng(seed))
    found = np.array(quaternion_from_rotation(expected.as_matrix()))
    reference = expected.as_quat()
    np.testing.assert_allclose(found, reference * np.sign(reference[3]), atol=1e-9)


def test_half_turns_have_quaternions() -> None:
    for axis in range(3):
        matrix = -np.eye(3)
        matrix[axis, axis] = 1
        expected = np.zeros(4)
        expected[axis] = 1
        np.testing.assert_allclose(np.abs(quaternion_from_rotation(matrix)), expected, atol=1e-9)


@pytest.mark.parametrize('plugin', StoragePlugin)
@pytest.mark.parametrize('store', RELEASES)
def test_other_peoples_recordings_are_read(tmp_path: Path, plugin: StoragePlugin, store: Stores) -> None:
    bgr = IMAGES['rgb8'][..., ::-1]
    padded = np.concatenate([bgr.reshape(5, 21), np.zeros((5, 3), np.uint8)], axis=1)
    fields = {'height': 5, 'width': 7, 'encoding': 'bgr8', 'is_bigendian': 0, 'step': 24, 'data': padded.reshape(-1)}
    write_raw(tmp_path / 'bag', plugin, store, 'sensor_msgs/msg/Image', **fields)
    (record,) = read_bag(tmp_path / 'bag', ['/topic'])
    assert (record.stamp_ns, record.log_ns) == (7 * SECOND + 5, 8 * SECOND)
    np.testing.assert_array_equal(record.image(), IMAGES['rgb8'])


def test_compressed_images_are_decoded(tmp_path: Path) -> None:
    png = cv2.imencode('.png', IMAGES['rgb8'][..., ::-1])[1].reshape(-1)
    write_raw(
        tmp_path / 'bag',
        StoragePlugin.MCAP,
        Stores.ROS2_JAZZY,
        'sensor_msgs/msg/CompressedImage',
        format='rgb8; png compressed bgr8',
        data=png,
    )
    (record,) = read_bag(tmp_path / 'bag')
    np.testing.assert_array_equal(record.image(), IMAGES['rgb8'])


def test_big_endian_depth_is_decoded(tmp_path: Path) -> None:
    data = IMAGES['mono16'].astype('>u2').reshape(-1).view(np.uint8)
    fields = {'height': 5, 'width': 7, 'encoding': '16UC1', 'is_bigendian': 1, 'step': 14, 'data': data}
    write_raw(tmp_path / 'bag', StoragePlugin.MCAP, Stores.ROS2_JAZZY, 'sensor_msgs/msg/Image', **fields)
    (record,) = read_bag(tmp_path / 'bag')
    np.testing.assert_array_equal(record.image(), IMAGES['mono16'])


def test_points_keep_their_fields_and_padding(tmp_path: Path) -> None:
    layout = np.dtype({'names': ['x', 'z', 'thermal'], 'formats': ['<f4', '<f4', '<u2'], 'offsets': [0, 8, 16],
                       'itemsize': 20})  # fmt: skip
    cloud = np.zeros((2, 3), layout)
    cloud['x'], cloud['z'], cloud['thermal'] = 1.5, np.arange(6).reshape(2, 3), 60000
    types = get_typestore(Stores.ROS2_HUMBLE)
    field = types.types['sensor_msgs/msg/PointField']
    fields = [field(name='x', offset=0, datatype=7, count=1), field(name='z', offset=8, datatype=7, count=1),
              field(name='thermal', offset=16, datatype=4, count=1)]  # fmt: skip
    write_raw(
        tmp_path / 'bag',
        StoragePlugin.MCAP,
        Stores.ROS2_HUMBLE,
        'sensor_msgs/msg/PointCloud2',
        height=2,
        width=3,
        fields=fields,
        is_bigendian=False,
        point_step=20,
        row_step=60,
        data=cloud.reshape(-1).view(np.uint8),
        is_dense=True,
    )
    (record,) = read_bag(tmp_path / 'bag')
    points = record.points()
    assert points.shape == (2, 3)
    for name in ('x', 'z', 'thermal'):
        np.testing.assert_array_equal(points[name], cloud[name])


def test_an_existing_recording_is_refused_and_kept(tmp_path: Path) -> None:
    target = tmp_path / 'bag'
    target.mkdir()
    (target / 'precious').touch()
    with pytest.raises(InputError, match=r'bag: exists already'), BagWriter(target):
        pass
    assert (target / 'precious').exists()


def test_a_failed_recording_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no encoding'), BagWriter(tmp_path / 'bag') as bag:
        bag.write_image('/image', 1, 'camera', IMAGES['rgb8'])
        bag.write_image('/image', 2, 'camera', np.zeros((4, 4), np.float64))
    assert list(tmp_path.iterdir()) == []


def test_damaged_recordings_are_named(tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    with BagWriter(bag) as writer:
        writer.write_image('/image', 1, 'camera', np.zeros((100, 100), np.uint8))
    (storage,) = bag.glob('*.mcap')
    whole = storage.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 20):
        storage.write_bytes(whole[:length])
        with pytest.raises(InputError, match='not a readable rosbag2 recording'):
            list(read_bag(bag))
    storage.unlink()
    with pytest.raises(InputError, match='not a readable rosbag2 recording'):
        topics_of(bag)


def test_missing_recordings_and_topics_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='nowhere: no such recording'):
        topics_of(tmp_path / 'nowhere')
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_image('/image', 1, 'camera', IMAGES['mono8'])
    with pytest.raises(InputError, match='no topic /other; it has /image'):
        list(read_bag(tmp_path / 'bag', ['/other']))
