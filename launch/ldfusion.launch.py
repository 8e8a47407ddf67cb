"""Starts fusion_node, and if wanted guidance_node, RViz and the replay of a recording.

ros2 launch ldfusion_ros ldfusion.launch.py visible_topic:=/camera/color/image_raw thermal_topic:=/flir/image_raw
ros2 launch ldfusion_ros ldfusion.launch.py camera:=lepton,realsense
ros2 launch ldfusion_ros ldfusion.launch.py rig:=front.yaml,rear.yaml
ros2 launch ldfusion_ros ldfusion.launch.py bag:=recording rviz:=true
"""

from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from ldfusion_ros.camera_profiles import CameraProfile, read_profiles, with_topics
from ldfusion_ros.rig_files import read_rigs, threads_of

CONFIG = Path(__file__).resolve().parent.parent / 'config'

ARGUMENTS = {
    'camera': (
        '',
        'Profiles of config/cameras, or files, with commas between: topics and parameters of known cameras.',
    ),
    'visible_topic': (
        '',
        "Images of the visible camera, without /compressed; empty: the profile's, or visible/image_raw.",
    ),
    'thermal_topic': (
        '',
        "Images of the thermal camera, without /compressed; empty: the profile's, or thermal/image_raw.",
    ),
    'visible_info_topic': ('', "CameraInfo of the visible camera; empty: the profile's, or visible/camera_info."),
    'thermal_info_topic': ('', "CameraInfo of the thermal camera; empty: the profile's, or thermal/camera_info."),
    'ranges_topic': ('ranges/points', 'PointCloud2 of a lidar that corrects depth; without one nothing is lost.'),
    'scan_topic': ('ranges/scan', 'LaserScan that corrects depth; without one nothing is lost.'),
    'range_topic': ('ranges/range', 'Range of sonars that correct depth; without one nothing is lost.'),
    'visible_transport': ('', 'raw or compressed; empty takes what params_file says.'),
    'thermal_transport': ('', 'raw, compressed or compressedDepth; empty takes what params_file says.'),
    'params_file': (str(CONFIG / 'ldfusion.yaml'), 'Parameters of the nodes; those of a camera profile go before it.'),
    'engine': ('', 'Runtime of the networks; empty takes what params_file says.'),
    'profile': (
        '',
        'Models: embedded, outdoor, indoor, paper or a .yaml file (docs/models.md); empty: what params_file says.',
    ),
    'depth': ('', 'Published depth network, prepared by ldfusion models prepare; empty takes what params_file says.'),
    'captioner': ('', 'Captioner of guidance_node: OWNER/NAME or folder; empty takes what params_file says.'),
    'text_encoder': ('', 'Text encoder, prepared by ldfusion models prepare; empty takes what params_file says.'),
    'threads': ('', 'CPU threads of fusion_node; empty: what params_file says, of several pairs an equal share.'),
    'namespace': ('', 'Namespace of the nodes; around those of several pairs.'),
    'rig': (
        '',
        'Several pairs of cameras: files of these arguments, with commas between, such as front.yaml,rear.yaml.',
    ),
    'guidance': ('false', 'Start guidance_node too: captions and prompts that modulate the fusion.'),
    'prompt': ('', 'What matters, for guidance_node; empty: captions of what the cameras see.'),
    'autostart': ('true', 'Configure and activate by itself; false leaves it to a lifecycle manager.'),
    'rviz': ('false', 'Show the outputs in RViz, of several pairs those of the first.'),
    'rviz_frame': ('visible_optical_frame', 'Frame in which RViz shows the points: that of the visible images.'),
    'bag': ('', 'Recording to replay; nodes then take the time from it.'),
    'rate': ('1.0', 'Speed of the replay.'),
    'loop': ('false', 'Replay the recording again and again.'),
    'view': ('', 'Port at which the Foxglove app sees all topics, for example 8765; empty for none.'),
}


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Nodes for the values that the arguments have."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    rigs = read_rigs(values)
    nodes = []
    for rig in rigs:
        profiles = read_profiles(rig['camera'], CONFIG / 'cameras')
        rig = with_topics(rig, profiles)
        nodes.append(fusion_node(rig, profiles, threads_of(rig, len(rigs))))
        if is_true(rig['guidance']):
            nodes.append(guidance_node(rig, profiles))
    if is_true(values['rviz']):
        nodes.append(rviz(context, rigs[0]))
    if values['bag']:
        nodes.append(replay(values))
    if values['view']:
        nodes.append(live_view(values))
    return nodes


def fusion_node(values: dict[str, str], profiles: list[CameraProfile], threads: dict[str, int]) -> Node:
    """The node that fuses; a managed node that starts by itself, so that every distribution's launch can run it."""
    overrides: dict[str, Any] = {name: value for profile in profiles for name, value in profile.parameters.items()}
    overrides |= threads
    overrides |= {'autostart': is_true(values['autostart']), 'use_sim_time': bool(values['bag'])}
    overrides |= given(values, 'engine', 'profile', 'depth', 'text_encoder', 'visible_transport', 'thermal_transport')
    return Node(
        package='ldfusion_ros',
        executable='fusion_node',
        name='fusion_node',
        namespace=values['namespace'],
        parameters=[values['params_file'], overrides],
        remappings=[
            *camera_remappings(values),
            ('ranges/points', values['ranges_topic']),
            ('ranges/scan', values['scan_topic']),
            ('ranges/range', values['range_topic']),
            ('~/text_embedding', 'guidance_node/text_embedding'),
        ],
        output='screen',
    )


def guidance_node(values: dict[str, str], profiles: list[CameraProfile]) -> Node:
    """The node that describes the scene; it may as well run on another machine of the same ROS domain."""
    overrides: dict[str, Any] = {}
    for profile in profiles:
        overrides |= profile.parameters_of_guidance()
    overrides |= {'autostart': is_true(values['autostart']), 'use_sim_time': bool(values['bag'])}
    overrides |= given(
        values, 'prompt', 'profile', 'captioner', 'text_encoder', 'visible_transport', 'thermal_transport'
    )
    return Node(
        package='ldfusion_ros',
        executable='guidance_node',
        name='guidance_node',
        namespace=values['namespace'],
        parameters=[values['params_file'], overrides],
        remappings=camera_remappings(values),
        output='screen',
    )


def given(values: dict[str, str], *names: str) -> dict[str, str]:
    """Parameters that an argument gives; an empty one leaves them to the file."""
    return {name: values[name] for name in names if values[name]}


def camera_remappings(values: dict[str, str]) -> list[tuple[str, str]]:
    """The cameras' topics."""
    return [
        ('visible/image_raw', values['visible_topic']),
        ('thermal/image_raw', values['thermal_topic']),
        ('visible/camera_info', values['visible_info_topic']),
        ('thermal/camera_info', values['thermal_info_topic']),
    ]


def rviz(context: LaunchContext, values: dict[str, str]) -> Node | LogInfo:
    """RViz with the three outputs; where it is not installed, the others go on without it."""
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        # Whoever includes this file, as replay.launch.py does, reads it there.
        context.launch_configurations['rviz'] = 'false'
        return LogInfo(msg='rviz2 is not installed: going on without; view:=8765 shows all topics in the Foxglove app')
    namespace = values['namespace'].strip('/')
    prefix = f'/{namespace}' if namespace else ''
    topics = ('fused/image', 'depth/image', 'points')
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=values['namespace'],
        arguments=['-d', str(CONFIG / 'ldfusion.rviz'), '-f', values['rviz_frame']],
        parameters=[{'use_sim_time': bool(values['bag'])}],
        remappings=[(f'/fusion_node/{topic}', f'{prefix}/fusion_node/{topic}') for topic in topics],
    )


def replay(values: dict[str, str]) -> Node:
    """The recording, from when the fusion node listens."""
    loop = ['--loop'] if is_true(values['loop']) else []
    return Node(
        package='ldfusion_ros',
        executable='replay',
        name='replay',
        arguments=[values['bag'], '--clock', '--wait-for-subscribers', '--rate', values['rate'], *loop],
        output='screen',
    )


def live_view(values: dict[str, str]) -> Node:
    """All topics for the Foxglove app on this machine."""
    return Node(
        package='ldfusion_ros',
        executable='live_view',
        name='live_view',
        arguments=['--port', values['view']],
        output='screen',
    )


def is_true(text: str) -> bool:
    """Whether an argument means yes."""
    return text.lower() in ('true', '1', 'yes', 'on')
