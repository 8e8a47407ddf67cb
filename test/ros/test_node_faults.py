"""Faults injected into the live fusion_node; after each, a good pair is fused and nothing else is lost.

Malformed images, bad calibrations, duplicate and late stamps and bag looping are in test_node.py; cameras that stop and
come back in test_node_modes.py; engines that raise and transitions that break in test_node_lifecycle.py.
"""

import array
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import domains
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import largest_file
from live import CAMERA, HEIGHT, MS, WIDTH, Robot, depth_of, header, scene, stamp_of
from paths import ROOT

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Float32MultiArray, Header, MultiArrayDimension, MultiArrayLayout
from std_srvs.srv import Trigger

from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, fill_image
from ldfusion_ros.node.diagnostics import SECONDS_BETWEEN_WARNINGS

HOUR_NS = 3600 * 10**9


@pytest.fixture(scope='module')
def robot() -> Iterator[Robot]:
    """One node for all faults: each meets what the one before left."""
    with Robot({'degraded_after': 0.5}, name='beaten') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        # Far from the stamps that hypothesis makes up.
        robot.stamp_ns = 10**18
        yield robot
        assert robot.dropped('failure') == 0, 'no fault may reach the engine'


def uint(bits: int, right: int) -> st.SearchStrategy[int]:
    """A field of an unsigned type: what would be right, or anything."""
    return st.just(right) | st.integers(0, 2**bits - 1)


STAMPS = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1))
WORDS = st.text(max_size=30)
NUMBERS = st.floats(width=64) | st.floats(1, 1000)
HEADERS = st.builds(Header, stamp=STAMPS, frame_id=WORDS)
ENCODINGS = st.sampled_from(['rgb8', 'bgra8', 'mono8', 'mono16', '16UC1', '32FC1', '8UC3']) | WORDS
BYTES = st.integers(0, 4 * WIDTH * HEIGHT).map(
    lambda size: array.array('B', np.arange(size).astype(np.uint8).tobytes())
)
IMAGES = st.builds(
    Image,
    header=HEADERS,
    height=uint(32, HEIGHT),
    width=uint(32, WIDTH),
    encoding=ENCODINGS,
    is_bigendian=uint(8, 0),
    step=uint(32, 3 * WIDTH),
    data=BYTES,
)
REGIONS = st.builds(RegionOfInterest, x_offset=uint(32, 0), y_offset=uint(32, 0), width=uint(32, 0), height=uint(32, 0))
INFOS = st.builds(
    CameraInfo,
    header=HEADERS,
    height=uint(32, HEIGHT),
    width=uint(32, WIDTH),
    distortion_model=st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant']) | WORDS,
    d=st.lists(NUMBERS, max_size=14),
    k=st.lists(NUMBERS, min_size=9, max_size=9),
    r=st.lists(NUMBERS, min_size=9, max_size=9),
    p=st.lists(NUMBERS, min_size=12, max_size=12),
    binning_x=uint(32, 0),
    binning_y=uint(32, 0),
    roi=REGIONS,
)
DIMENSIONS = st.builds(MultiArrayDimension, label=WORDS, size=uint(32, 1), stride=uint(32, 1))
TEXTS = st.builds(
    Float32MultiArray,
    layout=st.builds(MultiArrayLayout, dim=st.lists(DIMENSIONS, max_size=3), data_offset=uint(32, 0)),
    data=st.lists(st.floats(width=32), max_size=600),
)
anything = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def test_a_fault_that_goes_on_is_logged_now_and_then(robot: Robot) -> None:
    """Thirty bad images in a second or two: each counted, but not each said in the log."""
    lines: list[str] = []
    subscription = robot.other.create_subscription(Log, '/rosout', lambda line: lines.append(line.msg), 100)
    start = time.monotonic()
    for _ in range(30):
        robot.send_pair(thermal=Image())
        time.sleep(0.02)
    robot.wait(lambda: robot.dropped('thermal_bad') + robot.dropped('overload') == 30, 'drops in diagnostics')
    robot.fuse_good_pair()
    said = [line for line in lines if line.startswith('dropped: thermal')]
    assert 1 <= len(said) <= 1 + (time.monotonic() - start) / SECONDS_BETWEEN_WARNINGS
    robot.do(partial(robot.other.destroy_subscription, subscription))


@anything
@given(visible=IMAGES, thermal=IMAGES)
def test_any_image_is_survived(robot: Robot, visible: Image, thermal: Image) -> None:
    for camera, message in (('visible', visible), ('thermal', thermal)):
        robot.publishers[f'{camera}/image_raw'].publish(message)
    robot.fuse_good_pair()


@anything
@given(info=INFOS)
def test_any_camera_info_is_survived(robot: Robot, info: CameraInfo) -> None:
    for camera in ('visible', 'thermal'):
        robot.publishers[f'{camera}/camera_info'].publish(info)
    robot.fuse_good_pair()


@anything
@given(text=TEXTS)
def test_any_text_embedding_is_survived(robot: Robot, text: Float32MultiArray) -> None:
    publisher = robot.publishers.setdefault(
        'text', robot.other.create_publisher(Float32MultiArray, '/beaten/text_embedding', robot.latched())
    )
    publisher.publish(text)
    robot.fuse_good_pair()


@anything
@given(data=st.binary(max_size=300), cut=st.integers(4, 60_000), place=st.integers(4, 100))
def test_bytes_that_are_no_message_are_survived(robot: Robot, data: bytes, cut: int, place: int) -> None:
    """What a broken driver may put on the wire: noise, a message cut short, one with noise inside."""
    good = serialize_message(fill_image(Image(), scene()[0], header(0, 'camera')))
    for bad in (data, good[:4] + data, good[:cut], good[:place] + data + good[place + len(data) :]):
        for topic in ('visible/image_raw', 'thermal/image_raw', 'visible/camera_info'):
            robot.publishers[topic].publish(bad)
    robot.fuse_good_pair()


def test_good_calibration_again(robot: Robot) -> None:
    """After all that was sent before, camera_info counts from the next one on."""
    for camera in ('visible', 'thermal'):
        robot.send_info(camera=camera)
    robot.wait(lambda: robot.fuse_good_pair() and robot.infos and robot.infos[-1].k[0] == CAMERA.fx, 'calibration')


def test_camera_info_that_changes_its_size_is_scaled_to_the_images(robot: Robot) -> None:
    """A driver changes its mode: camera_info of twice the size means the same view, and so the same depth."""
    # What the tests before have sent may still be on its way: topics keep no order among each other.
    robot.send_info()
    focal = pytest.approx(CAMERA.fx)
    robot.wait(lambda: robot.fuse_to_depth() and robot.infos[-1].k[0] == focal, 'the camera as it was')
    before = depth_of(robot.fuse_to_depth())
    big = camera_info_from_intrinsics(CAMERA.scaled(2 * WIDTH, 2 * HEIGHT), header(0, ''))
    robot.send_info(big)
    for _ in range(3):
        depth = depth_of(robot.fuse_to_depth())
        info = robot.infos[-1]
        assert (info.width, info.height) == (WIDTH, HEIGHT)
        assert info.k == pytest.approx(camera_info_from_intrinsics(CAMERA, Header()).k)
        assert np.allclose(depth, before, rtol=1e-4)
    visible, thermal = (np.repeat(np.repeat(image, 2, 0), 2, 1) for image in scene())
    count = len(robot.images)
    robot.send_pair(visible, thermal)
    robot.wait(lambda: len(robot.images) > count and robot.infos[-1].width == 2 * WIDTH, 'image of the new size')
    robot.send_info()
    robot.fuse_good_pair()


def test_camera_info_with_width_and_height_swapped_keeps_its_numbers(robot: Robot) -> None:
    info = camera_info_from_intrinsics(replace(CAMERA, fx=CAMERA.fx + 1), header(0, ''))
    info.width, info.height = HEIGHT, WIDTH
    robot.send_info(info)
    robot.wait(lambda: robot.fuse_to_depth() and robot.infos[-1].k[0] == CAMERA.fx + 1, 'the new camera')
    told = robot.infos[-1]
    assert (told.width, told.height, list(told.k)) == (WIDTH, HEIGHT, list(info.k))
    robot.send_info()


@pytest.mark.parametrize('frame', ['', '/leading/slash', 'no such frame', 'x' * 4000])
def test_wrong_frame_ids_are_handed_on_as_they_are(robot: Robot, frame: str) -> None:
    robot.stamp_ns += 100 * MS
    for camera, image in zip(('visible', 'thermal'), scene(), strict=True):
        message = fill_image(Image(), image, header(robot.stamp_ns, frame))
        robot.publishers[f'{camera}/image_raw'].publish(message)
    robot.wait(lambda: stamp_of(robot.images[-1]) == robot.stamp_ns, 'fused image')
    assert robot.images[-1].header.frame_id == frame
    robot.fuse_good_pair()


def test_stamps_from_the_future_come_and_go(robot: Robot) -> None:
    """Both cameras, then one of them, an hour ahead and back; what can't be paired is said."""
    robot.fuse_good_pair()
    robot.stamp_ns += HOUR_NS
    robot.fuse_good_pair()
    robot.stamp_ns -= HOUR_NS
    robot.fuse_good_pair()
    fused = len(robot.images)

    def one_is_ahead() -> bool:
        robot.stamp_ns += 100 * MS
        robot.send('visible', scene()[0], robot.stamp_ns + HOUR_NS)
        robot.send('thermal', scene()[1], robot.stamp_ns)
        time.sleep(0.02)
        return 'stamps are -3600' in robot.told()['message']

    with robot.settings(stale_after=0.3):
        robot.wait(one_is_ahead, 'words about stamps')
    assert len(robot.images) == fused
    assert 'set clock_offset' in robot.told()['message']
    robot.fuse_good_pair()


@contextmanager
def process(robot: Robot, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A participant of its own in the robot's domain."""
    environment = {**os.environ, **domains.ENVIRONMENT, 'ROS_DOMAIN_ID': str(robot.domain)}
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        try:
            yield child
        finally:
            child.kill()


LISTENER = """
import rclpy, sensor_msgs.msg
rclpy.init()
node = rclpy.create_node('doomed')
received = []
node.create_subscription(sensor_msgs.msg.Image, '/beaten/fused/image', received.append, 10)
while not received:
    rclpy.spin_once(node)
print('received', flush=True)
rclpy.spin(node)
"""


@pytest.mark.parametrize('fate', [signal.SIGKILL, signal.SIGSTOP], ids=['killed', 'stalled'])
def test_a_listener_that_is_killed_or_stalled_holds_nobody_up(robot: Robot, fate: signal.Signals) -> None:
    """A reliable subscriber takes leave of nobody, or takes nothing any more; the others go on to get every frame."""
    robot.fuse_good_pair()
    with process(robot, '-c', LISTENER) as listener:
        robot.wait(lambda: robot.fuse_good_pair() and select.select([listener.stdout], [], [], 0)[0], 'a frame for it')
        listener.send_signal(fate)
        for _ in range(10):
            robot.fuse_good_pair()


def test_twenty_listeners_come_and_go(robot: Robot) -> None:
    """All get the frame that is sent while they are there, and none stays in anybody's books."""
    topic = '/beaten/fused/image'

    def strangers() -> int:
        # Somebody whom another test killed may still be in the books.
        return sum(end.node_name == 'stranger' for end in robot.node.get_subscriptions_info_by_topic(topic))

    for _ in range(3):
        received: list[Image] = []
        with robot.stranger() as stranger:
            ends = [stranger.create_subscription(Image, topic, received.append, 10) for _ in range(20)]
            robot.wait(lambda: strangers() == 20, 'listeners')
            robot.wait(lambda ends=ends: all(map(robot.hears, ends)), 'both ends')
            robot.fuse_good_pair()
            executor = SingleThreadedExecutor(context=stranger.context)
            executor.add_node(stranger)
            robot.wait(lambda e=executor, r=received: e.spin_once(timeout_sec=0) or len(r) == 20, 'frames of all')
            executor.shutdown()
        robot.wait(lambda: strangers() == 0, 'leave')
        robot.fuse_good_pair()


def test_cameras_that_are_killed_are_missed_and_welcome_again(robot: Robot) -> None:
    """kill -9 to a driver's process: said while it lasts; the next one, with another clock, is fused at once."""
    arguments = (
        '-m',
        'bench.artificial_cameras',
        '--rate',
        '10',
        '--width',
        str(WIDTH),
        '--height',
        str(HEIGHT),
    )
    for camera in ('visible', 'thermal'):
        robot.unplug(camera)
    for _ in range(2):
        count = len(robot.images)
        with process(robot, *arguments) as cameras:
            robot.wait(lambda count=count: len(robot.images) > count + 3, 'frames')
            assert robot.images[-1].header.frame_id == 'visible_optical_frame'
            cameras.kill()
            cameras.wait()
        with robot.settings(stale_after=0.3):
            robot.wait(lambda: 'no visible image for' in robot.told()['message'], 'words about silence')
    for camera in ('visible', 'thermal'):
        robot.plug_in(camera)
    robot.wait(robot.is_ready, 'cameras back')
    robot.send_info()
    robot.wait(lambda: robot.fuse_good_pair() and robot.told()['mode'] == 'normal', 'normal mode')


def save_snapshot(robot: Robot) -> Trigger.Response:
    client = robot.other.create_client(Trigger, '/beaten/save_snapshot')
    robot.wait(client.service_is_ready, 'service')
    future = client.call_async(Trigger.Request())
    robot.wait(future.done, 'answer')
    robot.do(partial(robot.other.destroy_client, client))
    return future.result()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A file system with room for little more than the first file."""
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24k', 'none', folder], capture_output=True).returncode:
        pytest.skip('may not mount a file system here')
    try:
        yield
    finally:
        subprocess.run(['umount', '--lazy', folder], check=True)


def small_files(_: Path) -> AbstractContextManager[None]:
    """As a quota does it: files end after a few bytes."""
    return largest_file(20_000)


@pytest.mark.parametrize(('trouble', 'words'), [(full_disk, 'No space left'), (small_files, 'File too large')])
def test_a_full_disk_leaves_no_half_snapshot(
    robot: Robot, tmp_path: Path, trouble: Callable[[Path], AbstractContextManager[None]], words: str
) -> None:
    robot.fuse_good_pair()
    with robot.settings(snapshot_folder=str(tmp_path)):
        with trouble(tmp_path):
            answer = save_snapshot(robot)
            assert (answer.success, words in answer.message) == (False, True), answer.message
            assert str(tmp_path) in answer.message
            assert list(tmp_path.iterdir()) == []
            robot.fuse_good_pair()
        assert save_snapshot(robot).success
