"""A recording, the nodes and RViz in one command; image topics and frame are found in the recording.

ros2 launch ldfusion_ros replay.launch.py bag:=recording
ros2 launch ldfusion_ros replay.launch.py bag:=recording rviz:=false view:=8765 loop:=true
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

# From the replay's last message to the last frame that comes of it.
LAST_FRAMES_SECONDS = 3.0


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for; the arguments of ldfusion.launch.py can be given, too."""
    nodes = Path(__file__).resolve().with_name('ldfusion.launch.py')
    return LaunchDescription(
        [
            DeclareLaunchArgument('bag', description='Recording (rosbag2; MCAP or sqlite3).'),
            DeclareLaunchArgument(
                'rviz', default_value='true', description='Show it in RViz; false ends with the replay.'
            ),
            OpaqueFunction(function=find_topics),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(nodes))),
            RegisterEventHandler(OnProcessExit(on_exit=end_with_replay)),
        ]
    )


def find_topics(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Set what the recording itself says and nobody has given: topics, transports and the frame for RViz."""
    # Imported here, so that `--show-args` is quick.
    from ldfusion_models.paths import named_path
    from ldfusion_training.demo.run import camera_infos, find_streams
    from ldfusion_training.recordings.bags import read_bag
    from ldfusion_training.recordings.image_topics import base_and_transport

    given = context.launch_configurations
    bag = named_path(given['bag'])
    given['bag'] = str(bag)
    if {'visible_topic', 'thermal_topic'} <= given.keys():
        return []
    streams = find_streams(bag)
    found = {'rviz_frame': next(read_bag(bag, [streams.visible])).message.header.frame_id}
    for camera, topic in (('visible', streams.visible), ('thermal', streams.thermal)):
        found[f'{camera}_topic'], found[f'{camera}_transport'] = base_and_transport(topic)
        found[f'{camera}_info_topic'] = camera_infos(streams)[camera]
    return [SetLaunchConfiguration(name, value) for name, value in found.items() if name not in given]


def end_with_replay(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
    """Without RViz there is nothing left to look at once the recording is over."""
    rviz = context.launch_configurations['rviz'].lower() in ('true', '1', 'yes', 'on')
    if rviz or not event.process_name.startswith('replay'):
        return None
    return [
        TimerAction(period=LAST_FRAMES_SECONDS, actions=[EmitEvent(event=Shutdown(reason='the recording is over'))])
    ]
