"""The launch file: what can be checked without ROS's launch, and a real start of the nodes where it is there."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import domains
import numpy as np
import pytest
import yaml
from paths import ROOT

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_training.recordings.bags import BagWriter, read_bag

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from ldfusion_models.rig.settings import meanings
from ldfusion_ros.parameter_file import TABLES, parameter_file

LAUNCH_FILE = ROOT / 'launch' / 'ldfusion.launch.py'
REPLAY_FILE = ROOT / 'launch' / 'replay.launch.py'
# Of several pairs of cameras: by ldfusion_ros/rig_files.py.
READ_ELSEWHERE = {'rig', 'threads'}


def launch_source() -> ast.Module:
    return ast.parse(LAUNCH_FILE.read_text())


def test_every_argument_is_read_and_what_is_read_is_an_argument() -> None:
    """Read without importing launch, which is not on PyPI."""
    declared: set[str] = set()
    read: set[str] = set()
    for node in ast.walk(launch_source()):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'ARGUMENTS':
            declared |= constants(getattr(node.value, 'keys', []))
        elif isinstance(node, ast.Subscript) and getattr(node.value, 'id', '') in ('values', 'rig'):
            read |= constants([node.slice])
        elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'given':
            read |= constants(node.args)
    assert read <= declared
    assert declared - read == READ_ELSEWHERE


def constants(nodes: list[Any]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def test_the_launch_file_starts_executables_that_are_installed() -> None:
    started = {
        keyword.value.value
        for node in ast.walk(launch_source())
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'Node'
        for keyword in node.keywords
        if keyword.arg == 'executable' and isinstance(keyword.value, ast.Constant)
    }
    setup = (ROOT / 'setup.cfg').read_text()
    assert started - {'rviz2'} == {'fusion_node', 'guidance_node', 'replay', 'live_view'}
    assert all(f'    {name} = ldfusion_ros.{name}:main' in setup for name in started - {'rviz2'})


def test_the_parameter_file_is_what_the_tables_say() -> None:
    text = (ROOT / 'config' / 'ldfusion.yaml').read_text()
    assert text == parameter_file(), 'run python -m ldfusion_ros.parameter_file > config/ldfusion.yaml'
    for node, table in TABLES.items():
        stored = yaml.safe_load(text)[f'/**/{node}']['ros__parameters']
        assert stored == {name: default for name, (default, _) in meanings(table).items()}
        assert all(type(stored[name]) is type(default) for name, (default, _) in meanings(table).items())


def test_rviz_shows_what_the_node_publishes() -> None:
    config = yaml.safe_load((ROOT / 'config' / 'ldfusion.rviz').read_text())
    topics = {
        display['Class'].split('/')[1]: display['Topic']['Value']
        for display in config['Visualization Manager']['Displays']
        if 'Topic' in display
    }
    assert topics == {'Image': '/fusion_node/depth/image', 'PointCloud2': '/fusion_node/points'}
    assert '/fusion_node/fused/image' in (ROOT / 'config' / 'ldfusion.rviz').read_text()


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    camera = Intrinsics(160, 128, 140.0, 140.0, 79.5, 63.5)
    path = tmp_path / 'drive'
    with BagWriter(path) as writer:
        for stamp_ns in range(10**15, 10**15 + 3 * 10**9, 250_000_000):
            for name, image in (
                ('visible', generator.integers(0, 256, (128, 160, 3), np.uint8)),
                ('thermal', generator.integers(0, 256, (128, 160), np.uint8)),
            ):
                writer.write_camera_info(f'/{name}/camera_info', stamp_ns, f'{name}_optical_frame', camera)
                writer.write_image(f'/{name}/image_raw', stamp_ns, f'{name}_optical_frame', image)
    return path


@pytest.fixture
def own_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {**domains.ENVIRONMENT, 'ROS_DOMAIN_ID': str(domains.own_domain())}.items():
        monkeypatch.setenv(name, value)
    yield


@pytest.fixture
def executables() -> str:
    """Folder of the programs that launch files start."""
    pytest.importorskip('launch_ros', reason='launch and launch_ros come with a ROS distribution')
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        return f'{get_package_prefix("ldfusion_ros")}/lib/ldfusion_ros'
    except PackageNotFoundError:
        pytest.skip('ldfusion_ros is not built in this environment: colcon build')


class Launched:
    """One launch file, run with a recorder beside it until it ends or is ended."""

    def __init__(self, file: Path, arguments: dict[str, str], recorder: list[str], end_after_replay: bool) -> None:
        from launch.actions import (
            EmitEvent,
            ExecuteProcess,
            IncludeLaunchDescription,
            RegisterEventHandler,
            TimerAction,
        )
        from launch.event_handlers import OnProcessExit
        from launch.events import Shutdown
        from launch.launch_description_sources import PythonLaunchDescriptionSource

        from launch import LaunchDescription, LaunchService

        self.exits: dict[str, int] = {}

        def shutdown_after(seconds: float) -> Any:
            return TimerAction(period=seconds, actions=[EmitEvent(event=Shutdown())])

        def on_exit(event: Any, context: Any) -> Any:
            self.exits[event.process_name.split('-')[0]] = event.returncode
            return shutdown_after(2.0) if end_after_replay and event.process_name.startswith('replay') else None

        include = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(file)), launch_arguments=list(arguments.items())
        )
        service = LaunchService(argv=[])
        watch = RegisterEventHandler(OnProcessExit(on_exit=on_exit))
        beside = ExecuteProcess(cmd=recorder, name='record')
        service.include_launch_description(LaunchDescription([watch, beside, include, shutdown_after(90.0)]))
        assert service.run() == 0


def assert_all_outputs_came(recording: Path, topics: list[str]) -> None:
    """A busy machine may miss frames of the twelve, at the start and under load, but no output stays away."""
    arrived = [record.topic for record in read_bag(recording)]
    assert all(6 <= arrived.count(topic) <= 12 for topic in topics), arrived


@pytest.mark.parametrize('namespace', ['', 'front'])
def test_a_launched_bag_comes_out_fused(
    bag: Path, tmp_path: Path, own_domain: None, executables: str, namespace: str
) -> None:
    """Everything that is launched is a process of its own: node, replay, and a recorder beside them."""
    start = f'/{namespace}' if namespace else ''
    topics = [f'{start}/fusion_node/{topic}' for topic in ('fused/image', 'depth/image', 'points')]
    arguments = {'bag': str(bag), 'namespace': namespace, 'engine': 'onnxruntime'}
    for camera in ('visible', 'thermal'):
        arguments |= {f'{camera}_topic': f'/{camera}/image_raw', f'{camera}_info_topic': f'/{camera}/camera_info'}
    recorder = [f'{executables}/record', str(tmp_path / 'output'), *topics]
    launched = Launched(LAUNCH_FILE, arguments, recorder, end_after_replay=True)
    assert launched.exits == {'fusion_node': 0, 'replay': 0, 'record': 0}
    assert_all_outputs_came(tmp_path / 'output', topics)


def test_one_command_replays_a_recording_and_ends_with_it(
    bag: Path, tmp_path: Path, own_domain: None, executables: str
) -> None:
    """Nothing but the recording is named; topics have other names than the node's inputs; RViz may be missing."""
    topics = [f'/fusion_node/{topic}' for topic in ('fused/image', 'depth/image', 'points')]
    from ament_index_python.packages import get_packages_with_prefixes

    arguments = {'bag': str(bag), 'engine': 'onnxruntime', 'rate': '0.9', 'view': '0'}
    arguments |= {'rviz': 'false'} if 'rviz2' in get_packages_with_prefixes() else {}
    recorder = [f'{executables}/record', str(tmp_path / 'output'), *topics]
    launched = Launched(REPLAY_FILE, arguments, recorder, end_after_replay=False)
    assert launched.exits == {'fusion_node': 0, 'replay': 0, 'record': 0, 'live_view': 0}
    assert_all_outputs_came(tmp_path / 'output', topics)
