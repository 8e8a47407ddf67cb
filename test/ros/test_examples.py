"""What config/examples says of topics, fields, frames and quality is true of the live node with those parameters."""

import re
from typing import Any

import numpy as np
import pytest
import yaml
from live import HEIGHT, WIDTH, Robot, depth_of, stamp_of
from paths import ROOT

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField

from ldfusion_models.camera.ranges import structured_points
from ldfusion_ros.node.inputs import sensor_data, type_name
from ldfusion_ros.node.parameters import refusal
from ldfusion_ros.parts.fusion_parameters import FusionParameters

FOLDER = ROOT / 'config' / 'examples'
EXAMPLES = sorted(path.name for path in FOLDER.glob('*.yaml'))
TYPES = {'/fusion_node/points': 'PointCloud2', '/fusion_node/fused/camera_info': 'CameraInfo'}


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def node_parameters(name: str) -> dict[str, Any]:
    return dict(read(name)['/**/fusion_node']['ros__parameters'])


@pytest.mark.parametrize('name', EXAMPLES)
def test_its_parameters_and_topics_are_those_of_the_node(name: str) -> None:
    for parameter, value in node_parameters(name).items():
        assert refusal(FusionParameters, parameter, value) == ''
    topics = set(re.findall(r'/fusion_node/[\w/]+', (FOLDER / name).read_text()))
    assert topics
    with Robot(node_parameters(name), name='fusion_node') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        for topic in topics:
            (found,) = robot.other.get_publishers_info_by_topic(topic)
            assert found.topic_type == f'sensor_msgs/msg/{TYPES.get(topic, "Image")}'
            assert found.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_nav2_gets_clouds_within_what_its_layer_marks() -> None:
    layer = read('nav2.yaml')['local_costmap']['local_costmap']['ros__parameters']['thermal_layer']
    source = layer[layer['observation_sources']]
    ours = node_parameters('nav2.yaml')
    # As a costmap subscribes to any sensor.
    quality = QoSProfile(depth=50, reliability=sensor_data().reliability)
    with Robot(ours | {'minimum_confidence': 0.0}, name='fusion_node', listener=False) as robot:
        clouds: list[PointCloud2] = []
        listener = robot.other.create_subscription(PointCloud2, source['topic'], clouds.append, quality)
        assert type_name(PointCloud2).endswith(source['data_type'])
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.wait(lambda: robot.hears(listener) and robot.node.count_subscribers(source['topic']), 'both ends')
        robot.send_info()
        robot.wait(lambda: 'visible' in robot.node.calibrations.known, 'camera_info')
        robot.wait(lambda: robot.send_pair() and clouds, 'cloud')
    cloud = clouds[0]
    stride = ours['points_stride']
    assert (cloud.height, cloud.width) == (-(-HEIGHT // stride), -(-WIDTH // stride))
    assert cloud.header.frame_id == 'visible_optical'
    assert cloud.row_step == cloud.width * cloud.point_step
    fields = {field.name: field.datatype for field in cloud.fields}
    assert [fields[axis] for axis in 'xyz'] == [PointField.FLOAT32] * 3
    depth = structured_points(cloud)['z']
    assert np.nanmax(depth, initial=0.0) <= ours['maximum_depth']
    assert source['obstacle_max_range'] <= source['raytrace_max_range'] <= ours['maximum_depth']
    assert source['expected_update_rate'] > 2 / ours['points_rate']


def test_rtabmap_gets_image_depth_and_camera_info_of_one_stamp_frame_and_size() -> None:
    said = read('rtabmap.yaml')
    assert said['/**/rgbd_sync']['ros__parameters']['approx_sync'] is False
    with Robot(node_parameters('rtabmap.yaml'), name='fusion_node') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        robot.wait(lambda: 'visible' in robot.node.calibrations.known, 'camera_info')
        depth = robot.fuse_to_depth()
        robot.wait(lambda: robot.infos and stamp_of(robot.infos[-1]) == stamp_of(depth), 'camera_info of the image')
    image, info = robot.images[-1], robot.infos[-1]
    assert image.header == depth.header == info.header
    assert (image.width, image.height) == (depth.width, depth.height) == (info.width, info.height) == (WIDTH, HEIGHT)
    assert (image.encoding, depth.encoding) == ('rgb8', '32FC1')
    assert np.nanmax(depth_of(depth), initial=0.0) <= node_parameters('rtabmap.yaml')['maximum_depth']
