"""fusion_node with a published depth network in its frame graph, by name."""

from pathlib import Path

import numpy as np
import pytest
from live import CAMERA, HEIGHT, MS, WIDTH, Array, Robot, header, scene
from tiny_depth import write_depth_anything, write_depth_pro, write_glpn, write_zoe

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from rclpy.parameter import Parameter
from sensor_msgs.msg import Range

from ldfusion_models.engines import create_engine
from ldfusion_models.networks.published_depth import PublishedDepth
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_ros.messages.conversions import image_from_message
from ldfusion_training.cli import main


@pytest.mark.parametrize('write', [write_depth_anything, write_zoe, write_glpn, write_depth_pro])
def test_the_node_publishes_the_depth_that_the_network_gives(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('LDFUSION_MODELS', str(tmp_path / 'store'))
    folder = write(tmp_path / 'model')
    assert main(['models', 'prepare', str(folder), '--size', f'{WIDTH}x{HEIGHT}']) == 0
    with Robot({'engine': 'onnxruntime', 'depth': str(folder)}, name='published') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        depth = image_from_message(robot.fuse_to_depth())
        # A focal length is for networks that take one.
        expected = PublishedDepth.load(str(folder)).metres_of(image_from_message(robot.images[-1]), CAMERA.fx)
        assert np.median(np.abs(depth / expected - 1)) < 1e-3
        robot.wait(lambda: robot.told().get('depth network') == f'{folder}, of the fused image', 'diagnostics')
        (refused,) = robot.node.set_parameters([Parameter('depth', value='owner/other')])
        assert 'ldfusion models fetch owner/other' in refused.reason
        (refused,) = robot.node.set_parameters([Parameter('depth_source', value='thermal')])
        assert f'ldfusion models prepare {folder} --depth-source thermal' in refused.reason


def test_a_slow_network_corrects_later_frames_and_of_other_views_the_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('LDFUSION_MODELS', str(tmp_path / 'store'))
    folder = write_glpn(tmp_path / 'model', max_depth=4)
    assert main(['models', 'prepare', str(folder), '--size', f'{WIDTH}x{HEIGHT}']) == 0
    profile = tmp_path / 'mine.yaml'
    profile.write_text(f'correcting_depth: {folder}\n')
    published, own = PublishedDepth.load(str(folder)), Pipeline(create_engine('onnxruntime'))
    with Robot({'engine': 'onnxruntime', 'profile': str(profile), 'correction_smoothing': 0.0}) as robot:
        robot.publishers['ranges/range'] = robot.other.create_publisher(Range, 'ranges/range', 5)
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()

        def factor() -> Array:
            """What the network gives, relative to the node's depth, in logarithms."""
            depth = image_from_message(robot.fuse_to_depth())
            return np.log(published.metres_of(image_from_message(robot.images[-1])) / depth)

        before = factor()
        robot.wait(
            lambda: robot.fuse_good_pair() and 's old' in robot.told().get('correcting depth', ''),
            'a frame that the network corrected',
        )
        assert abs(np.median(factor())) < 0.05 < abs(np.median(before))
        # A sonar whose cone is not in view leaves it to the network.
        sonar = Range(field_of_view=0.2, min_range=0.1, max_range=9.0, range=3.0)
        sonar.header = header(robot.stamp_ns + 100 * MS, 'visible_optical')
        robot.publishers['ranges/range'].publish(sonar)
        robot.wait(lambda: 'count ranges/range in' in robot.told(), 'sonar')
        assert abs(np.median(factor())) < 0.05
        assert robot.node.parameters.correcting_depth == str(folder), 'as its profile says'
        assert robot.told()['depth network'] == 'of the package'
        pair = tuple(np.ascontiguousarray(image[::-1]) for image in scene())
        with robot.settings(correcting_depth_age=0.0):
            depth = image_from_message(robot.fuse_to_depth(*pair))
            robot.wait(lambda: 'scale only, ' in robot.told()['correcting depth'], 'words in diagnostics')
        change = np.log(depth / own(*pair, focal=CAMERA.fx).depth)
        assert change.std() < 1e-3, 'nothing of the picture that the network saw'
        assert np.median(change) == pytest.approx(np.median(before), abs=0.05)


@pytest.mark.parametrize('name', ['depth', 'correcting_depth', 'text_encoder'])
def test_a_node_that_lacks_a_model_says_the_one_command_that_brings_it(name: str) -> None:
    with Robot({'engine': 'onnxruntime', name: 'owner/absent'}, cameras=False, listener=False) as robot:
        robot.wait(lambda: 'ldfusion models fetch owner/absent' in robot.told()['message'], 'the command')
        assert robot.told()['state'] == 'unconfigured'
