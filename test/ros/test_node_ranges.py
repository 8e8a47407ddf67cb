"""Ranges that a robot measures correct the depth of fusion_node over real DDS; what can not be used changes nothing."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from live import CAMERA, HEIGHT, MS, WIDTH, Array, Robot, depth_of, header
from safetensors.numpy import load_file

from ldfusion_models.camera.lens import rays
from ldfusion_models.camera.registration import Matrix, Registration, as_matrix
from ldfusion_models.camera.registration_file import write_registration
from ldfusion_models.engines import proof
from ldfusion_models.graph.manifest import SHIPPED
from ldfusion_models.rig.ground import find_ground

pytest.importorskip('sensor_msgs', reason='needs ROS 2: pip install .[ros]')
from sensor_msgs.msg import Image, LaserScan, PointCloud2, PointField, Range

from ldfusion_ros.messages.conversions import camera_info_from_intrinsics

FIELDS = [PointField(name=name, offset=4 * place, datatype=7, count=1) for place, name in enumerate('xyz')]


# A sonar's x is the camera's z.
AHEAD = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
SONARS = {'sonar_left': -0.25, 'sonar_right': 0.25}
CONE = 0.25


def turned(angle: float) -> Matrix:
    """The transform from a sonar that looks ``angle`` to the right."""
    turn = np.eye(4)
    turn[:3, :3] = cv2.Rodrigues(np.array([0, angle, 0]))[0]
    return as_matrix(turn @ AHEAD)


@pytest.fixture(scope='module')
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robot]:
    file = tmp_path_factory.mktemp('rig') / 'registration.yaml'
    beside = np.eye(4)
    beside[0, 3] = 0.3
    placed = {frame: turned(angle) for frame, angle in SONARS.items()} | {'beside': as_matrix(beside)}
    write_registration(file, Registration(visible_T_ranges=placed))
    topics = {'ranges/points': PointCloud2, 'ranges/scan': LaserScan, 'ranges/range': Range}
    with Robot({'correction_smoothing': 0.0, 'registration_file': str(file)}) as robot:
        for topic, kind in topics.items():
            robot.publishers[topic] = robot.other.create_publisher(kind, topic, 5)
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        yield robot


@pytest.fixture
def plain(robot: Robot) -> Array:
    """Depth (H, W) without any measurement."""
    robot.stamp_ns += 60_000 * MS
    return depth_of(robot.fuse_to_depth())


def publish(robot: Robot, topic: str, message: PointCloud2 | LaserScan | Range) -> None:
    """Send it, and wait until the node has it."""
    before = int(robot.told().get(f'count {topic} in', 0))
    robot.publishers[topic].publish(message)
    robot.wait(lambda: int(robot.told().get(f'count {topic} in', 0)) > before, f'{topic} in diagnostics')


def send_points(
    robot: Robot, depth: Array, frame: str = 'visible_optical', late_ns: int = 0, aside: float = 0.0
) -> None:
    """A sparse cloud of ``depth`` (H, W) that belongs to the next pair, and of points that the camera can't see.

    The frame is ``aside`` metres to the right of the camera.
    """
    points = (rays(CAMERA) * depth[..., None])[8 : HEIGHT - 8 : 12, 8 : WIDTH - 8 : 12].reshape(-1, 3)
    points = np.concatenate([points - (aside, 0, 0), [[0, 0, -3], [np.nan] * 3, [50, 0, 1]]]).astype(np.float32)
    cloud = PointCloud2(height=1, width=len(points), fields=FIELDS, point_step=12, row_step=12 * len(points))
    cloud.header = header(robot.stamp_ns + 100 * MS + late_ns, frame)
    cloud.data.frombytes(points.tobytes())
    publish(robot, 'ranges/points', cloud)


def test_depth_comes_to_what_was_measured(robot: Robot, plain: Array) -> None:
    send_points(robot, 1.5 * plain)
    corrected = depth_of(robot.fuse_to_depth())
    assert np.median(np.abs(corrected / (1.5 * plain) - 1)) < 0.01
    robot.wait(lambda: robot.told()['depth corrected by'].startswith('ranges/points'), 'diagnostics')
    assert 'scale 1.50' in robot.told()['depth corrected by']
    assert 'corrected' not in robot.told()['message']


def send_range(robot: Robot, frame: str, distance: float) -> None:
    message = Range(field_of_view=CONE, min_range=0.1, max_range=100.0, range=distance)
    message.header = header(robot.stamp_ns + 100 * MS, frame)
    publish(robot, 'ranges/range', message)


def nearest(depth: Array, angle: float) -> float:
    """Metres to what a sonar at the camera hears that looks ``angle`` to the right."""
    directions = rays(CAMERA)
    length = np.linalg.norm(directions, axis=-1)
    inside = directions @ (np.sin(angle), 0, np.cos(angle)) > length * np.cos(CONE / 2)
    return float(np.percentile((depth * length)[inside], 3))


def test_sonars_on_one_topic_correct_depth_each_from_its_own_frame(robot: Robot, plain: Array) -> None:
    for frame, angle in SONARS.items():
        send_range(robot, frame, 1.5 * nearest(plain, angle))
    corrected = depth_of(robot.fuse_to_depth())
    assert np.median(corrected / plain) == pytest.approx(1.5, rel=0.05)
    robot.wait(lambda: robot.told()['depth corrected by'].startswith('ranges/range'), 'diagnostics')


@pytest.mark.parametrize('distance', [np.inf, -np.inf, np.nan, 200.0])
def test_a_sonar_that_hears_nothing_changes_nothing(robot: Robot, plain: Array, distance: float) -> None:
    send_range(robot, 'sonar_left', distance)
    assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
    robot.wait(lambda: 'corrected' not in robot.told()['message'], 'no problem in diagnostics')


def test_ranges_come_from_where_the_registration_file_says(robot: Robot, plain: Array) -> None:
    send_points(robot, 1.5 * plain, 'beside', aside=0.3)
    corrected = depth_of(robot.fuse_to_depth())
    assert np.median(np.abs(corrected / (1.5 * plain) - 1)) < 0.01


# What 0.01 to 100 times the depth, at random, says of depth.
CONTRADICTORY = np.random.default_rng(0).permutation(np.geomspace(0.01, 100, HEIGHT * WIDTH)).reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ('frame', 'late_ns', 'factor', 'word'),
    [
        ('lidar', 0, 1.5, 'TF'),
        ('visible_optical', 500 * MS, 1.5, '0.50 s'),
        ('visible_optical', 0, 50.0, 'factor'),
        ('visible_optical', 0, CONTRADICTORY, 'contradict'),
        ('visible_optical', 0, np.nan, '0 measured points'),
    ],
    ids=['frame that nobody knows', 'too late', 'wrong unit', 'contradictory', 'NaN'],
)
def test_ranges_that_can_not_be_used_change_nothing(
    robot: Robot, plain: Array, frame: str, late_ns: int, factor: float | Array, word: str
) -> None:
    send_points(robot, factor * plain, frame, late_ns)
    assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
    robot.wait(lambda: word in robot.told()['message'], 'reason in diagnostics')
    robot.wait(lambda: robot.told()['depth corrected by'] == 'nothing', 'diagnostics')


def test_a_cloud_without_points_is_named(robot: Robot, plain: Array) -> None:
    cloud = PointCloud2(height=1, width=100, fields=FIELDS, point_step=12, row_step=1200)
    cloud.header = header(robot.stamp_ns + 100 * MS, 'visible_optical')
    publish(robot, 'ranges/points', cloud)
    assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
    robot.wait(lambda: 'do not fit' in robot.told()['message'], 'reason in diagnostics')


def test_a_scan_comes_from_its_own_frame(robot: Robot, plain: Array) -> None:
    scan = LaserScan(angle_min=-1.0, angle_increment=0.1, range_min=0.1, range_max=30.0, ranges=[5.0] * 20)
    scan.header = header(robot.stamp_ns + 100 * MS, 'laser')
    publish(robot, 'ranges/scan', scan)
    assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
    robot.wait(lambda: 'ranges/scan' in robot.told()['message'], 'reason in diagnostics')


def test_a_height_without_ground_in_view_changes_nothing(robot: Robot, plain: Array) -> None:
    """Of a camera whose image is all above the horizon."""
    robot.send_info(camera_info_from_intrinsics(replace(CAMERA, cy=3.0 * HEIGHT), header(0, 'visible_optical')))
    with robot.settings(camera_height=1.5):
        robot.wait(
            lambda: robot.fuse_to_depth() and 'camera_height: no ground in view' in robot.told()['message'],
            'reason in diagnostics',
        )
        assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
        robot.wait(lambda: robot.told()['depth corrected by'] == 'nothing', 'diagnostics')
    robot.send_info()


def test_a_height_that_tf_does_not_know_changes_nothing(robot: Robot, plain: Array) -> None:
    with robot.settings(ground_frame='base_footprint'):
        assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
        robot.wait(lambda: 'TF' in robot.told()['message'], 'reason in diagnostics')
        assert 'set camera_height' in robot.told()['message']


def street() -> tuple[Array, Array]:
    """A visible (H, W, 3) and a thermal (H, W) image of a street: the pair that stands beside the weights."""
    pair = load_file(SHIPPED / proof.FILE)
    visible, thermal = (cv2.resize(pair[name][0], (WIDTH, HEIGHT)) for name in ('visible', 'thermal'))
    return visible, thermal


def height_seen(depth: Image) -> float:
    """Metres of the camera above the ground in a depth image."""
    return find_ground(depth_of(depth), rays(CAMERA)).height


@pytest.mark.parametrize('height', [1.2, 4.0])
def test_the_height_of_the_camera_is_used_where_ground_is_in_view(robot: Robot, plain: Array, height: float) -> None:
    """But for the 5 % that the height is not sure of."""
    assert abs(np.log(height_seen(robot.fuse_to_depth(*street())) / height)) > 0.1
    with robot.settings(camera_height=height):
        assert height_seen(robot.fuse_to_depth(*street())) == pytest.approx(height, rel=0.06)
        robot.wait(lambda: robot.told()['depth corrected by'].startswith('camera height'), 'diagnostics')
    assert np.array_equal(depth_of(robot.fuse_to_depth()), plain, equal_nan=True)
    # A height of 0 is none.
    robot.wait(lambda: robot.told()['depth corrected by'] == 'nothing', 'diagnostics')


def test_the_height_comes_from_tf(robot: Robot, plain: Array) -> None:
    tf2_ros = pytest.importorskip('tf2_ros', reason='comes with a ROS distribution')
    from geometry_msgs.msg import TransformStamped

    placed = TransformStamped(header=header(0, 'ground'), child_frame_id='visible_optical')
    placed.transform.translation.z = 1.2
    # Optical axes in a frame whose x looks ahead.
    turn = placed.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    tf2_ros.StaticTransformBroadcaster(robot.other).sendTransform(placed)
    with robot.settings(ground_frame='ground'):
        robot.wait(
            lambda: robot.fuse_to_depth(*street()) and robot.told()['depth corrected by'].startswith('camera height'),
            'the transform',
        )
        assert height_seen(robot.fuse_to_depth(*street())) == pytest.approx(1.2, rel=0.06)
