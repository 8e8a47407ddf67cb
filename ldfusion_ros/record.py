"""Stores topics as a rosbag2 recording (MCAP) with the time of each message's arrival; whole or not at all."""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ldfusion_models.errors import InputError
from ldfusion_models.files import folder_written_whole
from ldfusion_ros.node.programs import full_names, message_class, offered_quality, quality, run, steady_timer

DEFAULT_TOPICS = (
    '/fusion_node/fused/image',
    '/fusion_node/fused/camera_info',
    '/fusion_node/depth/image',
    '/fusion_node/depth/camera_info',
    '/fusion_node/points',
    '/diagnostics',
)
SEARCH_SECONDS = 0.1
QUEUE = 100
# The last metadata version that Humble reads; the messages used here are the same from Humble to Lyrical.
METADATA_VERSION: Final = 8
TYPES = get_typestore(Stores.ROS2_HUMBLE)


class Recorder:
    """Subscribes to each topic as soon as somebody publishes it, and hands its serialized messages to a writer."""

    def __init__(self, node: Node, writer: Writer, topics: Sequence[str]) -> None:
        self._node = node
        self._writer = writer
        self._missing = full_names(node, topics)
        self.counts: dict[str, int] = dict.fromkeys(self._missing, 0)
        self.search()
        steady_timer(node, SEARCH_SECONDS, self.search)

    def search(self) -> None:
        """Subscribe to what has come up since the last time."""
        if not self._missing:
            return
        types = dict(self._node.get_topic_names_and_types())
        for topic in [topic for topic in self._missing if topic in types]:
            if self._node.count_publishers(topic):
                self._missing.remove(topic)
                self._subscribe(topic, types[topic][0])

    def _subscribe(self, topic: str, type_name: str) -> None:
        kind = message_class(type_name)
        if kind is None or type_name not in TYPES.types:
            print(f'record: {topic} left out: {type_name} is not known here', file=sys.stderr, flush=True)
            return
        reliable, latched = offered_quality(self._node, topic)
        connection = self._writer.add_connection(
            topic, type_name, typestore=TYPES, offered_qos_profiles=[_stored_quality(reliable, latched)]
        )
        self._node.create_subscription(
            kind, topic, self._storing(connection), quality(QUEUE, reliable, latched), raw=True
        )
        print(f'recording {topic}', flush=True)

    def _storing(self, connection: Connection) -> Callable[[Any], None]:
        def store(data: bytes) -> None:
            self._writer.write(connection, time.time_ns(), data)
            self.counts[connection.topic] += 1

        return store


def _stored_quality(reliable: bool, latched: bool) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        QUEUE,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        QosTime(0, 0),
        QosTime(0, 0),
        QosLiveliness.AUTOMATIC,
        QosTime(0, 0),
        False,
    )


def _work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(folder_written_whole(arguments.output))
        folder.rmdir()  # the writer makes it
        writer = stack.enter_context(Writer(folder, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP))
        node = rclpy.create_node('record')
        stack.callback(node.destroy_node)
        recorder = Recorder(node, writer, arguments.topics or DEFAULT_TOPICS)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        print(f'recording to {arguments.output}', flush=True)
        try:
            while not stopped.is_set():
                executor.spin_once(timeout_sec=0.1)
        except OSError as error:
            raise InputError(f'{arguments.output}: cannot write there ({error.strerror})') from error
    for topic, count in recorder.counts.items():
        print(f'{topic}: {count} messages')


def make_parser() -> argparse.ArgumentParser:
    """Arguments of ``record``."""
    parser = argparse.ArgumentParser('record', description=__doc__, epilog='Ctrl-C ends and keeps the recording.')
    parser.add_argument('output', type=Path, help='folder of the recording; must not exist')
    parser.add_argument('topics', nargs='*', metavar='TOPIC', help="default: fusion_node's outputs and diagnostics")
    return parser


def main() -> int:
    """Run ``record``."""
    return run('record', make_parser(), _work)


if __name__ == '__main__':
    sys.exit(main())
