"""fusion_node over real DDS with the shipped networks: what comes out for what goes in, good and bad."""

import array
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from live import CAMERA, HEIGHT, MS, WIDTH, Array, Robot, depth_of, header, scene, with_padding

from ldfusion_models.rig.pipeline import Pipeline

pytest.importorskip('sensor_msgs', reason='needs ROS 2: pip install .[ros]')
from sensor_msgs.msg import Image

from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, image_from_message


@pytest.fixture(scope='module')
def robot() -> Iterator[Robot]:
    """One node for all tests of this file: each begins with what the one before left, as in life."""
    with Robot() as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        yield robot


@pytest.fixture(scope='module')
def pipeline() -> Pipeline:
    return Pipeline.load('onnxruntime', threads=2)


def test_a_pair_comes_out_as_the_pipeline_computes_it(robot: Robot, pipeline: Pipeline) -> None:
    visible, thermal = scene()
    expected = pipeline(visible, thermal, focal=CAMERA.fx)
    robot.fuse_good_pair()
    robot.wait(lambda: robot.depths and robot.clouds and robot.infos, 'depth, points and camera_info')
    fused = robot.images[-1]
    assert (fused.encoding, fused.header.frame_id) == ('rgb8', 'visible_optical')
    assert np.abs(image_from_message(fused).astype(int) - expected.fused).max() <= 1
    depth = robot.depths[-1]
    assert depth.encoding == '32FC1'
    assert np.allclose(depth_of(depth), expected.depth, rtol=1e-3, equal_nan=True)
    assert depth.header == fused.header
    assert (robot.infos[-1].width, robot.infos[-1].k[0]) == (WIDTH, CAMERA.fx)
    cloud = robot.clouds[-1]
    assert (cloud.height, cloud.width) == (HEIGHT, WIDTH)
    start = 64 * cloud.row_step + 75 * cloud.point_step
    x, y, z, rgb, thermal_value = struct.unpack('<fffIf', bytes(cloud.data[start : start + 20]))
    z_expected = expected.depth[64, 75]
    assert [x, y, z] == pytest.approx(
        [(75 - CAMERA.cx) / CAMERA.fx * z_expected, (64 - CAMERA.cy) / CAMERA.fy * z_expected, z_expected], rel=1e-3
    )
    assert [rgb >> 16, rgb >> 8 & 255, rgb & 255] == list(image_from_message(fused)[64, 75])
    assert thermal_value == thermal[64, 75]


def test_a_thermal_image_of_another_size_is_resized(robot: Robot) -> None:
    before = len(robot.images)
    robot.send_pair(thermal=scene()[1][::2, ::2])
    robot.wait(lambda: len(robot.images) > before, 'fused image')
    assert (robot.images[-1].width, robot.images[-1].height) == (WIDTH, HEIGHT)


def test_sizes_may_change_and_need_not_be_round(robot: Robot) -> None:
    before = len(robot.images)
    visible, thermal = scene()
    robot.send_pair(visible[:101, :117], thermal[:50, :90])
    robot.wait(lambda: len(robot.images) > before, 'fused image')
    assert (robot.images[-1].width, robot.images[-1].height) == (117, 101)
    assert robot.fuse_good_pair().width == WIDTH


@pytest.mark.parametrize(
    ('visible', 'thermal'),
    [
        (scene()[0][..., 0], None),
        (None, scene()[1].astype(np.uint16) * 100 + 20000),
        (with_padding(scene()[0], 'rgb8', 20), with_padding(scene()[1], 'mono8', 7)),
        (with_padding(scene()[0][..., ::-1].copy(), 'bgr8', 0), None),
    ],
    ids=['grey visible', '16-bit thermal', 'step padding', 'bgr8'],
)
def test_images_that_cameras_really_send_are_fused(robot: Robot, visible: Array | None, thermal: Array | None) -> None:
    before = len(robot.images)
    robot.send_pair(visible, thermal)
    robot.wait(lambda: len(robot.images) > before, 'fused image')


def bad_image(**changes: object) -> Image:
    message = with_padding(scene()[0], 'rgb8', 0)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    'message',
    [
        bad_image(data=array.array('B')),
        bad_image(data=array.array('B', bytes(1000))),
        bad_image(width=0),
        bad_image(step=3),
        bad_image(encoding='nonsense'),
        Image(),
    ],
    ids=['empty', 'truncated', 'no width', 'short step', 'encoding', 'blank'],
)
@pytest.mark.parametrize('camera', ['visible', 'thermal'])
def test_bad_images_are_counted_and_the_next_pair_is_fused(robot: Robot, camera: str, message: Image) -> None:
    before = robot.dropped(f'{camera}_bad')
    robot.send_pair(**{camera: message})
    robot.wait(lambda: robot.dropped(f'{camera}_bad') == before + 1, 'drop in diagnostics')
    robot.fuse_good_pair()


def test_images_too_small_for_the_networks_are_counted(robot: Robot) -> None:
    before = robot.dropped('refused')
    robot.send_pair(*(image[:20, :20] for image in scene()))
    robot.wait(lambda: robot.dropped('refused') == before + 1, 'drop in diagnostics')
    robot.fuse_good_pair()


@pytest.mark.parametrize('value', [float('nan'), 0.0])
def test_bad_intrinsics_are_counted_and_the_last_good_ones_stay(robot: Robot, value: float) -> None:
    robot.fuse_good_pair()
    robot.wait(lambda: robot.depths, 'depth')
    good = depth_of(robot.depths[-1])
    before = robot.dropped('visible_camera_info')
    info = camera_info_from_intrinsics(CAMERA, header(0, ''))
    info.k[0] = value
    robot.send_info(info)
    robot.wait(lambda: robot.dropped('visible_camera_info') == before + 1, 'drop in diagnostics')
    count = len(robot.depths)
    robot.fuse_good_pair()
    robot.wait(lambda: len(robot.depths) > count, 'depth')
    assert np.array_equal(depth_of(robot.depths[-1]), good)


def test_the_focal_length_scales_the_depth(robot: Robot) -> None:
    robot.fuse_good_pair()
    good = depth_of(robot.depths[-1])
    info = camera_info_from_intrinsics(CAMERA, header(0, ''))
    info.k[0] *= 2
    robot.send_info(info)
    robot.wait(lambda: robot.fuse_good_pair() and robot.infos[-1].k[0] == 2 * CAMERA.fx, 'new camera_info')
    robot.wait(lambda: np.allclose(depth_of(robot.depths[-1]), 2 * good), 'depth of the new camera')
    robot.send_info()


def test_stamps_that_jump_back_start_over(robot: Robot) -> None:
    """A looping bag: nothing of the old lap is mixed with the new one."""
    robot.stamp_ns += 100_000 * MS
    robot.fuse_good_pair()
    robot.stamp_ns -= 100_000 * MS
    robot.fuse_good_pair()


def test_duplicate_and_late_stamps_are_counted(robot: Robot) -> None:
    robot.fuse_good_pair()
    causes = ('visible_duplicate', 'visible_out_of_order')
    before = [robot.dropped(cause) for cause in causes]
    robot.send('visible', scene()[0], robot.stamp_ns)
    robot.send('visible', scene()[0], robot.stamp_ns - 10 * MS)
    expected = [count + 1 for count in before]
    robot.wait(lambda: [robot.dropped(cause) for cause in causes] == expected, 'drops in diagnostics')
    robot.fuse_good_pair()


def test_unpaired_images_are_counted(robot: Robot) -> None:
    before = robot.dropped('visible_unpaired')
    robot.stamp_ns += 100 * MS
    robot.send('visible', scene()[0], robot.stamp_ns)
    robot.fuse_good_pair()
    robot.wait(lambda: robot.dropped('visible_unpaired') == before + 1, 'drop in diagnostics')
