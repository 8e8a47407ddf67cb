"""fusion_node changes its engine between two frames: the old one serves until the new one is warm."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from deviating import wrong_depth
from live import CAMERA, Array, Robot, scene
from paths import ROOT

from ldfusion_models.engines.selection import obstacle_to
from ldfusion_models.graph.manifest import read_manifest
from ldfusion_models.rig.pipeline import Pipeline

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from lifecycle_msgs.msg import State
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from ldfusion_ros.messages.conversions import image_from_message


@pytest.fixture(scope='module')
def robot() -> Iterator[Robot]:
    with Robot({'engine': 'onnxruntime'}, name='switching') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        yield robot


def switch(robot: Robot) -> Trigger.Response:
    client = robot.other.create_client(Trigger, '/switching/switch_engine')
    robot.wait(client.service_is_ready, 'service')
    future = client.call_async(Trigger.Request())
    robot.wait(future.done, 'answer')
    robot.do(partial(robot.other.destroy_client, client))
    return future.result()


def set_parameter(robot: Robot, name: str, value: object) -> str:
    """Set a parameter; returns why it was refused."""
    (result,) = robot.node.set_parameters([Parameter(name, value=value)])
    assert result.successful == (not result.reason)
    return str(result.reason)


def fused(robot: Robot) -> Array:
    return image_from_message(robot.fuse_good_pair()).astype(int)


def test_the_old_engine_serves_until_the_new_one_is_warm(robot: Robot) -> None:
    assert fused(robot).shape == scene()[0].shape
    failures, before = robot.dropped('failure'), robot.pipeline
    assert not set_parameter(robot, 'engine', 'torch')
    answer = switch(robot)
    assert (answer.success, 'loading torch' in answer.message) == (True, True)
    again = switch(robot)
    assert (again.success, 'still being loaded' in again.message) == (False, True)
    served = 0
    while robot.told().get('engine') != 'torch':
        robot.fuse_good_pair()
        served += 1
    assert served > 0, 'PyTorch takes seconds to load; frames must not wait for it'
    assert robot.told()['engine switch'] == 'none'
    assert robot.pipeline is not before
    expected = Pipeline.load('torch', threads=2)(*scene(), focal=CAMERA.fx).fused
    assert np.abs(fused(robot) - expected).max() <= 1
    assert robot.dropped('failure') == failures
    assert not set_parameter(robot, 'engine', 'onnxruntime')


def test_an_engine_that_cannot_run_here_is_refused_with_the_remedy(robot: Robot, tmp_path: Path) -> None:
    obstacle = obstacle_to('tensorrt', None)
    if obstacle:
        assert 'TensorRT' in obstacle or 'tensorrt' in obstacle
        assert set_parameter(robot, 'engine', 'tensorrt') == obstacle
    assert not set_parameter(robot, 'engine', 'torch')
    assert not set_parameter(robot, 'weights', str(tmp_path / 'exported.onnx'))
    answer = switch(robot)
    assert (answer.success, 'not an exported graph' in answer.message) == (False, True)
    assert not set_parameter(robot, 'engine', 'onnxruntime')
    assert not set_parameter(robot, 'weights', '')
    assert robot.fuse_good_pair()


def test_the_papers_denoiser_is_one_parameter_away(robot: Robot) -> None:
    paper = read_manifest(Path('paper')).weights_id
    for weights, expected in (('paper', paper), ('', read_manifest().weights_id)):
        assert not set_parameter(robot, 'weights', weights)
        assert switch(robot).success
        robot.wait(lambda expected=expected: robot.told()['weights'] == expected, f'weights {expected}')
        robot.fuse_good_pair()


def test_a_switch_that_fails_is_said_and_the_old_engine_goes_on(robot: Robot, tmp_path: Path) -> None:
    pipeline = robot.pipeline
    assert not set_parameter(robot, 'weights', str(tmp_path / 'nowhere'))
    assert switch(robot).success
    robot.wait(lambda: 'engine not switched' in robot.told()['message'], 'words')
    assert str(tmp_path / 'nowhere') in robot.told()['engine switch']
    assert robot.told()['level'] == '1'
    assert robot.pipeline is pipeline
    robot.fuse_good_pair()
    assert not set_parameter(robot, 'weights', '')
    assert switch(robot).success
    robot.wait(lambda: robot.pipeline is not pipeline, 'another try')
    robot.wait(lambda: 'engine not switched' not in robot.told()['message'], 'no complaint any more')
    robot.fuse_good_pair()


def test_a_node_that_goes_down_while_an_engine_is_loaded_forgets_it(robot: Robot) -> None:
    assert switch(robot).success
    robot.do(robot.node.trigger_deactivate)
    robot.do(robot.node.trigger_cleanup)
    robot.wait(lambda: robot.node.state == State.PRIMARY_STATE_UNCONFIGURED, 'unconfigured')
    answer = switch(robot)
    assert (answer.success, 'not configured' in answer.message) == (False, True)
    assert robot.pipeline is None
    robot.executor.create_task(robot.node.bring_up)
    robot.wait(robot.is_ready, 'node ready')
    robot.fuse_good_pair()


def test_frames_need_no_pytorch() -> None:
    """The node in a process where torch, onnx and the like cannot be imported: image, depth, cloud, and the reason."""
    program = """
import sys
for name in ('torch', 'torchvision', 'onnx', 'transformers', 'open_clip', 'tensorrt', 'scipy'):
    sys.modules[name] = None
from live import Robot
with Robot(name='bare') as robot:
    robot.wait(robot.is_ready, 'node ready', 120)
    robot.send_info()
    robot.wait(lambda: robot.fuse_good_pair() and robot.clouds and robot.depths, 'outputs')
    robot.wait(lambda: 'engine' in robot.told(), 'diagnostics')
    told = robot.told()
    print(told['engine'], '|', told['engine reason'])
"""
    folder = ROOT / 'test'
    done = subprocess.run([sys.executable, '-c', program], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    engine, _, reason = done.stdout.strip().splitlines()[-1].partition(' | ')
    assert engine == 'onnxruntime'
    assert 'no torch: the Python package torch is not installed' in reason


def test_an_engine_that_deviates_does_not_serve_and_diagnostics_say_by_how_much(tmp_path: Path) -> None:
    pytest.importorskip('torch')
    pytest.importorskip('onnx')
    folder = wrong_depth(tmp_path / 'weights')
    with Robot({'engine': 'auto', 'weights': str(folder)}, name='wary') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.wait(lambda: 'engine' in robot.told(), 'diagnostics')
        told = robot.told()
        assert told['engine'] == 'torch'
        assert f'no onnxruntime: ONNX Runtime {version("onnxruntime")} is too far from' in told['engine reason']
        assert 'depth by 20.00% (median)' in told['engine reason']
        assert f'PyTorch {version("torch")}' in told['engine proof']
