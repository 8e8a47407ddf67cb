"""What config/examples says of topics, fields, frames and quality is true of the live node with those parameters."""

import re
from typing import Any

import numpy as np
import pytest
import yaml
from live import HEIGHT, WIDTH, Array, Robot, depth_of, stamp_of
from paths import ROOT

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.camera.ranges import structured_points
from ldfusion_models.rig.rig import Frame, View, within_limits
from ldfusion_models.rig.settings import RigSettings
from ldfusion_ros.messages.clouds import CloudBuilder
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
    source, free = (layer[name] for name in layer['observation_sources'].split())
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
    assert source['obstacle_max_range'] <= free['raytrace_max_range'] <= ours['maximum_depth']
    assert free['topic'] == source['topic']
    assert source['expected_update_rate'] > 2 / ours['points_rate']


class VoxelLayer:
    """Marks and clears as voxel_layer.cpp, voxel_grid.hpp and observation_buffer.cpp of Nav2; looks along x."""

    RESOLUTION, CELLS = 0.05, 240

    def __init__(self, settings: dict[str, Any], camera_height: float) -> None:
        self._settings = settings
        self._camera = np.array([0.0, 0.0, camera_height])
        self._marked = np.zeros((self.CELLS, self.CELLS, settings['z_voxels']), bool)

    def see(self, cloud: PointCloud2) -> None:
        """One cloud, of both kinds of sources: what is free first, then obstacles."""
        raw = structured_points(cloud)
        points = np.stack([raw['z'], -raw['x'], -raw['y']], axis=-1).reshape(-1, 3) + self._camera
        sources = [self._settings[name] for name in self._settings['observation_sources'].split()]
        for source in sorted(sources, key=lambda source: source['marking']):
            high = (points[:, 2] >= source['min_obstacle_height']) & (points[:, 2] <= source['max_obstacle_height'])
            rays = points[high] - self._camera
            distances = np.linalg.norm(rays, axis=1)
            if source['clearing']:
                end = np.minimum(distances - 2 * self.RESOLUTION, source['raytrace_max_range'])
                steps = np.arange(source['raytrace_min_range'], end.max(initial=0.0), self.RESOLUTION / 2)
                for step in steps:
                    self._set(self._camera + rays[end > step] / distances[end > step, None] * step, False)
            if source['marking']:
                near = distances < source['obstacle_max_range']
                self._set(points[high][near & (distances >= source['obstacle_min_range'])], True)

    def obstacles(self) -> Array:
        """Places (N, 2) of the cells with more marked layers than the threshold."""
        cells = np.argwhere(self._marked.sum(axis=2) > self._settings['mark_threshold'])
        return (cells - self.CELLS // 2 + 0.5) * self.RESOLUTION

    def _set(self, places: Array, value: bool) -> None:
        x, y = (np.floor(places[:, :2] / self.RESOLUTION) + self.CELLS // 2).astype(int).T
        z = np.floor((places[:, 2] - self._settings['origin_z']) / self._settings['z_resolution']).astype(int)
        inside = (z >= 0) & (z < self._marked.shape[2])
        self._marked[x[inside], y[inside], z[inside]] = value


def hall(camera: Intrinsics, camera_height: float, with_person: bool) -> Array:
    """Depth (H, W) of a floor, a wall 9 m away and somebody 2 m away, 0.4 m wide and 1.1 m high."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    down = (rows - camera.cy) / camera.fy
    depth = np.minimum(9.0, camera_height / np.maximum(down, 1e-6))
    upright = (down * 2 < camera_height) & (down * 2 > camera_height - 1.1)
    person = upright & (abs((columns - camera.cx) / camera.fx * 2) < 0.2) & with_person
    return np.where(person, 2.0, depth).astype(np.float32)


@pytest.mark.parametrize('scale', [0.8, 1.0, 1.2])
def test_nav2_marks_a_person_and_no_floor_and_clears_the_place_when_it_is_left(scale: float) -> None:
    """Also where depth is a fifth off; by the rules of Nav2, written anew here, for its code does not run here."""
    ours = node_parameters('nav2.yaml')
    height = ours['camera_height']
    layer = VoxelLayer(read('nav2.yaml')['local_costmap']['local_costmap']['ros__parameters']['thermal_layer'], height)
    limits = RigSettings(minimum_depth=ours['minimum_depth'], maximum_depth=ours['maximum_depth'])
    camera, builder = Intrinsics.from_field_of_view(640, 480, 60), CloudBuilder()

    def see(depth: Array) -> Array:
        depth = within_limits(depth, np.ones_like(depth), limits)
        colour = np.zeros((*depth.shape, 3), np.uint8)
        view = View(colour, colour[..., 0], None, None, camera, None)
        frame = Frame(colour, depth, depth, np.ones_like(depth), depth, camera, None, view, {})
        layer.see(builder.fill(frame, Header(), ours['points_stride'], ours['flying_points']))
        return layer.obstacles()

    assert len(see(np.full((480, 640), np.nan, np.float32))) == 0
    places = see(hall(camera, height, with_person=True) * np.float32(scale))
    assert len(places) >= 6
    assert abs(places - [2.0 * scale, 0.0]).max(axis=0) == pytest.approx([0, 0], abs=0.2 * scale + 0.05)
    assert len(see(hall(camera, height, with_person=False) * np.float32(scale))) == 0


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
