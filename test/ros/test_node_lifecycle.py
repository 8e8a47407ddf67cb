"""fusion_node as a managed node: transitions over its services, failures it recovers from, a clean end."""

import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from domains import own_domain
from live import MS, Robot, header, scene, stamp_of

from ldfusion_models.engines import FrameOutput
from ldfusion_models.errors import InputError

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, MultiArrayDimension

from ldfusion_ros.fusion_node import FusionNode
from ldfusion_ros.messages.conversions import fill_image


def change(robot: Robot, transition: int) -> bool:
    """Ask for a transition as a lifecycle manager does."""
    client = robot.other.create_client(ChangeState, f'{robot.node.get_fully_qualified_name()}/change_state')
    robot.wait(client.service_is_ready, 'lifecycle service')
    future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
    robot.wait(future.done, f'transition {transition}', 60)
    robot.do(partial(robot.other.destroy_client, client))
    return bool(future.result().success)


def test_a_manager_leads_the_node_through_its_states() -> None:
    with Robot({'autostart': False}) as robot:
        fused = '/fusion/fused/image'
        assert robot.node.state == State.PRIMARY_STATE_UNCONFIGURED
        for _ in range(2):
            assert change(robot, Transition.TRANSITION_CONFIGURE)
            assert robot.node.count_publishers(fused) == 1
            assert robot.node.count_subscribers('/visible/image_raw') == 0
            assert change(robot, Transition.TRANSITION_ACTIVATE)
            robot.wait(robot.is_ready, 'subscriptions')
            robot.fuse_good_pair()
            assert change(robot, Transition.TRANSITION_DEACTIVATE)
            robot.wait(lambda: not robot.node.count_subscribers('/visible/image_raw'), 'end of the subscriptions')
            assert change(robot, Transition.TRANSITION_CLEANUP)
            robot.wait(lambda: not robot.node.count_publishers(fused), 'end of the publishers')
        assert not change(robot, Transition.TRANSITION_ACTIVATE)
        assert change(robot, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert robot.node.state == State.PRIMARY_STATE_FINALIZED


TRANSITIONS = {
    State.PRIMARY_STATE_UNCONFIGURED: (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
    State.PRIMARY_STATE_INACTIVE: (
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_INACTIVE_SHUTDOWN,
    ),
    State.PRIMARY_STATE_FINALIZED: (),
}


def test_what_the_state_does_not_allow_is_refused_and_said_once_and_the_node_lives(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every number that a request can hold, sense and nonsense, in states that a manager leaves a node in."""
    with Robot({'autostart': False}) as robot:

        def refuse_all_else(state: int) -> str:
            capfd.readouterr()
            for _ in range(2):
                for number in (*range(10), 60, 255):
                    assert number in TRANSITIONS[state] or not change(robot, number)
            assert robot.node.state == state
            return capfd.readouterr().err

        # What the installed rclpy does by itself: the same raise that Jazzy lets through to the executor.
        with pytest.raises(RuntimeError, match='not registered'):
            robot.node._state_machine.trigger_transition_by_id(Transition.TRANSITION_ACTIVATE, True)
        said = refuse_all_else(State.PRIMARY_STATE_UNCONFIGURED)
        words = 'transition 3 refused: the node is unconfigured; possible is 1 (configure), 5 (shutdown)'
        assert said.count(words) == 1
        assert 'Unable to start' not in said
        assert robot.node.trigger_deactivate() != TransitionCallbackReturn.SUCCESS
        assert change(robot, Transition.TRANSITION_CONFIGURE)
        assert refuse_all_else(State.PRIMARY_STATE_INACTIVE).count('transition 4 refused: the node is inactive') == 1
        assert change(robot, Transition.TRANSITION_ACTIVATE)
        robot.wait(robot.is_ready, 'subscriptions')
        robot.fuse_good_pair()
        assert change(robot, Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert 'nothing more' in refuse_all_else(State.PRIMARY_STATE_FINALIZED)


def test_what_the_parameter_services_say_can_be_given_to_the_next_node() -> None:
    """As ``ros2 param dump`` asks for it, and a file of parameters gives it back."""
    with Robot({'autostart': False, 'sync_tolerance': 0.05}) as robot:
        client = AsyncParameterClient(robot.other, '/fusion')
        robot.wait(client.services_are_ready, 'parameter services')

        def ask(future: Any) -> Any:
            robot.wait(future.done, 'answer')
            return future.result()

        names = ask(client.list_parameters()).result.names
        values = [parameter_value_to_python(value) for value in ask(client.get_parameters(names)).values]
        (refused,) = ask(client.set_parameters([Parameter('engine', value='nonsense')])).results
        assert (refused.successful, 'choose one of' in refused.reason) == (False, True)
        limits = [Parameter('minimum_depth', value=2.0), Parameter('maximum_depth', value=1.0)]
        _, refused = ask(client.set_parameters(limits)).results
        assert refused.reason == 'minimum_depth 2 leaves no depth below maximum_depth 1'
    with Robot(dict(zip(names, values, strict=True))) as robot:
        assert (robot.node.parameters.sync_tolerance, robot.node.parameters.autostart) == (0.05, False)


def test_after_a_restart_the_text_that_its_publisher_keeps_is_applied_again() -> None:
    """It was published once; who publishes it does not know of the restart."""
    with Robot({'engine': 'onnxruntime', 'text_timeout': 0.0}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        assert robot.pipeline
        graph = robot.pipeline.engine.info
        message = Float32MultiArray(data=[0.1] * graph.text_dim)
        message.layout.dim = [MultiArrayDimension(label=graph.text_encoder, size=graph.text_dim)]
        robot.other.create_publisher(Float32MultiArray, '/fusion/text_embedding', robot.latched()).publish(message)
        robot.wait(lambda: robot.told().get('text') == 'applied', 'text')
        assert change(robot, Transition.TRANSITION_DEACTIVATE)
        assert change(robot, Transition.TRANSITION_CLEANUP)
        robot.wait(lambda: 'text' not in robot.told(), 'end of the text')
        robot.do(robot.node.bring_up)
        robot.wait(lambda: robot.told().get('text') == 'applied', 'text again')


def test_weights_that_are_missing_fail_the_transition_in_words_and_can_be_corrected(tmp_path: Path) -> None:
    with Robot({'weights': str(tmp_path / 'nowhere')}) as robot:
        robot.wait(lambda: 'cannot configure' in robot.told()['message'], 'words')
        assert str(tmp_path / 'nowhere') in robot.told()['message']
        assert (robot.told()['level'], robot.told()['state']) == ('2', 'unconfigured')
        assert not change(robot, Transition.TRANSITION_CONFIGURE)
        # A part that can't be made leaves nothing of those that were made before.
        robot.node.set_parameters([Parameter('weights', value=''), Parameter('correcting_depth', value='no/such')])
        assert not change(robot, Transition.TRANSITION_CONFIGURE)
        assert (robot.node.count_publishers('/fusion/fused/image'), list(robot.node.guards)) == (0, [])
        robot.node.set_parameters([Parameter('correcting_depth', value='')])
        assert change(robot, Transition.TRANSITION_CONFIGURE)
        assert change(robot, Transition.TRANSITION_ACTIVATE)
        robot.wait(robot.is_ready, 'subscriptions')
        robot.fuse_good_pair()
        robot.wait(lambda: robot.told()['level'] != '2', 'no error any more')


def test_a_transition_that_breaks_is_recovered_from() -> None:
    """What breaks on the way down leads to ErrorProcessing, which leaves a node that can be configured again."""
    with Robot() as robot:
        robot.wait(robot.is_ready, 'subscriptions', 120)
        part = robot.node.parts[0]
        stop = part.stop

        def break_once() -> None:
            part.stop = stop  # type: ignore[method-assign]
            raise RuntimeError('middleware gone')

        part.stop = break_once  # type: ignore[method-assign]
        assert not change(robot, Transition.TRANSITION_DEACTIVATE)
        assert robot.node.state == State.PRIMARY_STATE_UNCONFIGURED
        robot.wait(lambda: 'cannot deactivate: RuntimeError: middleware gone' in robot.told()['message'], 'words')
        assert change(robot, Transition.TRANSITION_CONFIGURE)
        assert change(robot, Transition.TRANSITION_ACTIVATE)
        robot.wait(robot.is_ready, 'subscriptions')
        robot.fuse_good_pair()


def test_an_engine_that_fails_is_counted_and_restarted() -> None:
    """The real engine, made to raise: frames are lost, the node is not; after three it loads the engine anew."""
    with Robot() as robot:
        robot.wait(robot.is_ready, 'subscriptions', 120)
        pipeline = robot.pipeline
        assert pipeline is not None

        def fail(*_: object) -> FrameOutput:
            raise RuntimeError('out of memory')

        pipeline.engine.run = fail  # type: ignore[method-assign]
        for number in range(1, 4):
            robot.send_pair()
            robot.wait(lambda number=number: robot.dropped('failure') == number, 'failure in diagnostics')
        robot.wait(lambda: robot.pipeline not in (None, pipeline) and robot.is_ready(), 'restart')
        robot.fuse_good_pair()
        assert robot.dropped('failure') == 3
        # A restart that comes after somebody else's transition leaves it as it is.
        assert change(robot, Transition.TRANSITION_DEACTIVATE)
        robot.do(robot.node.restart)
        assert robot.node.state == State.PRIMARY_STATE_INACTIVE
        robot.wait(lambda: 'latency p95 [ms]' in robot.told(), 'latency')
        assert change(robot, Transition.TRANSITION_ACTIVATE)
        robot.wait(lambda: 'latency p95 [ms]' not in robot.told(), 'latency of the past is forgotten')


def test_under_load_the_newest_pair_is_fused_and_the_rest_is_counted() -> None:
    """Twenty pairs at once: the first is fused, the last is fused, what lies between does not wait."""
    with Robot() as robot:
        robot.wait(robot.is_ready, 'subscriptions', 120)
        robot.fuse_good_pair()
        visible, thermal = scene()
        arrived = len(robot.images)
        for _ in range(20):
            robot.stamp_ns += 30 * MS
            robot.send('visible', visible, robot.stamp_ns)
            robot.send('thermal', thermal, robot.stamp_ns)
            time.sleep(0.005)
        robot.wait(lambda: stamp_of(robot.images[-1]) == robot.stamp_ns, 'the newest pair')
        assert len(robot.images) - arrived < 20

        def is_counted() -> bool:
            """The middleware may lose some before the node sees them; of what came, none waits."""
            told = robot.told()
            waited = int(told['count pairs']) - int(told['count fused out'])
            return robot.dropped('overload') == waited > 0

        robot.wait(is_counted, 'drops in diagnostics')


def test_two_nodes_in_one_process_do_not_disturb_each_other() -> None:
    with Robot(name='front') as front, Robot(name='rear') as rear:
        for robot in (front, rear):
            robot.wait(robot.is_ready, 'subscriptions', 120)
        rear.stamp_ns = 10**15
        for _ in range(3):
            front.fuse_good_pair()
            rear.fuse_good_pair()
        assert (len(front.images), len(rear.images)) == (3, 3)


def test_a_node_of_another_name_and_namespace_in_the_same_process() -> None:
    """Two robots' nodes in one context and executor: each hears its own cameras only."""
    with Robot(name='first') as robot:
        values = {'warm_up_width': 64, 'warm_up_height': 64, 'engine': 'onnxruntime', 'lazy': False}
        second = FusionNode(
            'second',
            namespace='/other_robot',
            context=robot.context,
            use_global_arguments=False,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        )
        robot.executor.add_node(second)
        received: list[Image] = []
        robot.other.create_subscription(Image, '/other_robot/second/fused/image', received.append, 5)
        robot.wait(robot.is_ready, 'subscriptions', 120)
        cameras = {
            camera: robot.other.create_publisher(Image, f'/other_robot/{camera}/image_raw', 5)
            for camera in ('visible', 'thermal')
        }
        robot.wait(lambda: all(camera.get_subscription_count() for camera in cameras.values()), 'second node', 60)
        robot.fuse_good_pair()
        assert received == []
        for camera, image in zip(cameras, scene(), strict=True):
            cameras[camera].publish(fill_image(Image(), image, header(robot.stamp_ns + 1, camera)))
        robot.wait(lambda: received, 'fused image of the second node')
        robot.fuse_good_pair()
        assert (len(robot.images), len(received)) == (2, 1)
        robot.do(partial(robot.executor.remove_node, second))
        robot.do(second.destroy_node)


def run_node(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(own_domain()), 'PYTHONUNBUFFERED': '1'}
    quick = ('-p', 'engine:=onnxruntime', '-p', 'warm_up_width:=64', '-p', 'warm_up_height:=64')
    command = [sys.executable, '-m', 'ldfusion_ros.fusion_node', '--ros-args', *quick, *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_signals_end_the_node_cleanly() -> None:
    nodes = {number: run_node('-r', '__node:=other_name', '-r', '__ns:=/robot') for number in (2, 15)}
    for number, node in nodes.items():
        assert node.stdout is not None
        for line in node.stdout:
            if 'active' in line:
                break
        assert '[robot.other_name]: active: ' in line
        node.send_signal(number)
        output, _ = node.communicate(timeout=20)
        assert (node.returncode, output) == (0, '')


WRONG = {
    'sync_tolerence': (0.1, "unknown parameter 'sync_tolerence'; did you mean 'sync_tolerance'?"),
    'sync_tolerance': (-1.0, "parameter 'sync_tolerance' is -1.0; it must lie between 0.0 and 10.0"),
    'fused_rate': (1, "parameter 'fused_rate' is 1; a float like 0.0 is needed"),
    'engine': ('fast', "parameter 'engine' is 'fast'; choose one of auto, "),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_parameters_are_refused_in_words(name: str) -> None:
    value, words = WRONG[name]
    with pytest.raises(InputError, match=re.escape(words)):
        Robot({name: value})


@pytest.mark.parametrize('argument', ['__ns:=/1robot', 'visible/image_raw:=/camera/0/image_raw', '__node:=fusion node'])
def test_names_that_ros_does_not_allow_are_one_line_and_exit_code_2(argument: str) -> None:
    node = run_node('-r', argument)
    output, _ = node.communicate(timeout=30)
    *_, last = output.splitlines()
    assert (node.returncode, 'Traceback' in output) == (2, False)
    assert last.startswith("FusionNode: Couldn't parse remap rule: '-r " + argument)
    assert last.endswith('no part of a name may begin with a digit')


def test_a_wrong_parameter_is_one_line_and_exit_code_2() -> None:
    node = run_node('-p', 'sync_tolerence:=0.1')
    output, _ = node.communicate(timeout=30)
    assert (node.returncode, output) == (2, f'FusionNode: {WRONG["sync_tolerence"][1]}\n')
