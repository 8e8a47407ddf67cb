"""Publishes a rosbag2 recording as it was recorded: same topics, types, bytes and pace."""

import argparse
import json
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import rclpy
from rclpy.node import Node
from rosbags.interfaces import Connection, QosDurability
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from ldfusion_models.errors import InputError
from ldfusion_models.shown import one_line
from ldfusion_ros.node.programs import message_class, quality, run

SECOND = 1_000_000_000
CLOCK_SECONDS = 0.02
SUBSCRIBERS_SECONDS = 30.0
IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')


class Recording:
    """A rosbag2 recording (MCAP or sqlite3) whose messages stay serialized.

    Raises:
        InputError: it does not exist, is damaged, or holds no message.
    """

    def __init__(self, path: Path, topics: Sequence[str] = ()) -> None:
        if not path.exists():
            raise InputError(f'{path}: no such recording')
        self.path = path
        self._reader = self._try(lambda: Reader(path))
        self._try(self._reader.open)
        missing = sorted(set(topics) - {connection.topic for connection in self._reader.connections})
        if missing:
            raise InputError(f'{path}: no topic {missing[0]}; see ros2 bag info')
        self.connections = [c for c in self._reader.connections if not topics or c.topic in topics]
        self.message_count = sum(connection.msgcount for connection in self.connections)
        if not self.message_count:
            raise InputError(f'{path}: holds no message')

    def messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time in nanoseconds and serialized message, in the order of time."""
        messages = iter(self._reader.messages(self.connections))
        while (message := self._try(lambda: next(messages, None))) is not None:
            yield message

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def _try(self, step: Any) -> Any:
        try:
            return step()
        except Exception as error:  # a damaged file can break any part of the reader
            raise InputError(f'{self.path}: not a readable rosbag2 recording ({error})') from error


class Player:
    """Publishes the messages of a recording, and the clock if wanted."""

    def __init__(self, node: Node, recording: Recording, with_clock: bool, log: IO[str] | None) -> None:
        self._publishers: dict[int, Any] = {}
        self._has_header: dict[int, bool] = {}
        self._images: list[Any] = []
        self._log = log
        for connection in recording.connections:
            kind = message_class(connection.msgtype)
            if kind is None:
                words = f'replay: {connection.topic} left out: {connection.msgtype} is not installed'
                print(one_line(words), file=sys.stderr)
                continue
            publisher: Any = node.create_publisher(kind, connection.topic, quality(10, latched=_is_latched(connection)))
            self._publishers[connection.id] = publisher
            self._has_header[connection.id] = 'std_msgs/Header' in _first_field(kind)
            if connection.msgtype in IMAGES:
                self._images.append(publisher)
        self._clock = node.create_publisher(Clock, '/clock', quality(1)) if with_clock else None

    def wait_for_subscribers(self, count: int, stopped: threading.Event) -> None:
        """Wait until every image topic has so many subscribers.

        Raises:
            InputError: one has not after half a minute.
        """
        end = time.monotonic() + SUBSCRIBERS_SECONDS
        for publisher in self._images:
            while publisher.get_subscription_count() < count and not stopped.wait(0.05):
                if time.monotonic() > end:
                    raise InputError(f'{publisher.topic_name}: fewer than {count} subscribers; is the node up?')

    def publish(self, connection: Connection, data: bytes) -> None:
        """Send one serialized message."""
        publisher = self._publishers.get(connection.id)
        if publisher is None:
            return
        data = bytes(data)
        now_ns = time.time_ns()
        publisher.publish(data)
        if self._log:
            stamp_ns = _stamp_of(data) if self._has_header[connection.id] else None
            entry = {'topic': publisher.topic_name, 'stamp_ns': stamp_ns, 'published_ns': now_ns}
            self._log.write(json.dumps(entry) + '\n')

    def tell_time(self, time_ns: int) -> None:
        """Publish the time of the recording on ``/clock``, if wanted."""
        if self._clock:
            clock = Clock()
            clock.clock.sec, clock.clock.nanosec = divmod(time_ns, SECOND)
            self._clock.publish(clock)


def play(recording: Recording, player: Player, rate: float, stopped: threading.Event) -> None:
    """Publish the whole recording once at ``rate`` times the pace it was recorded, until done or stopped."""
    start = time.monotonic()
    first_ns: int | None = None
    with tqdm(total=recording.message_count, desc='replay', unit='message', disable=None) as bar:
        for connection, time_ns, data in recording.messages():
            first_ns = time_ns if first_ns is None else first_ns
            due = start + (time_ns - first_ns) / SECOND / rate
            while (left := due - time.monotonic()) > 0 and not stopped.is_set():
                player.tell_time(time_ns - round(left * rate * SECOND))
                stopped.wait(min(left, CLOCK_SECONDS))
            if stopped.is_set():
                return
            player.tell_time(time_ns)
            player.publish(connection, data)
            bar.update()


def _is_latched(connection: Connection) -> bool:
    profiles = getattr(connection.ext, 'offered_qos_profiles', [])
    latched = any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)
    return latched or connection.topic == '/tf_static'


def _first_field(kind: Any) -> str:
    return str(next(iter(kind.get_fields_and_field_types().values()), ''))


def _stamp_of(data: bytes) -> int:
    """The stamp of a serialized message that begins with a header: four bytes of encapsulation come before it."""
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return int(seconds) * SECOND + int(nanoseconds)


def _work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
    with ExitStack() as stack:
        recording = Recording(arguments.bag, arguments.topics)
        stack.callback(recording.close)
        log = stack.enter_context(_opened_log(arguments.publish_log)) if arguments.publish_log else None
        node = rclpy.create_node('replay')
        stack.callback(node.destroy_node)
        player = Player(node, recording, arguments.clock, log)
        if arguments.view is not None:
            # Imported here: not everybody has foxglove-sdk, or looks.
            from ldfusion_ros.live_view import announcement, viewing

            print(announcement(stack.enter_context(viewing(port=arguments.view))), flush=True)
        player.wait_for_subscribers(arguments.wait_for_subscribers, stopped)
        stopped.wait(arguments.delay)
        while not stopped.is_set():
            play(recording, player, arguments.rate, stopped)
            if not arguments.loop:
                break
        # What was sent last is still on its way when the publishers go.
        stopped.wait(0.5)


def _opened_log(path: Path) -> IO[str]:
    try:
        return path.open('w')
    except OSError as error:
        raise InputError(f'{path}: cannot write there ({error.strerror})') from error


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return value


def _seconds(text: str) -> float:
    return 0.0 if float(text) == 0 else _positive(text)


def make_parser() -> argparse.ArgumentParser:
    """Arguments of ``replay``."""
    parser = argparse.ArgumentParser('replay', description=__doc__, epilog='Remap topics with --ros-args -r from:=to.')
    parser.add_argument('bag', type=Path, help='rosbag2 recording, MCAP or sqlite3')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC', help='only these')
    parser.add_argument('--rate', type=_positive, default=1.0, help='times the recorded pace')
    parser.add_argument('--loop', action='store_true', help='begin again at the end')
    parser.add_argument('--clock', action='store_true', help='publish /clock, for nodes with use_sim_time')
    parser.add_argument('--delay', type=_seconds, default=1.0, help='seconds between advertising and the first message')
    parser.add_argument(
        '--wait-for-subscribers',
        type=int,
        nargs='?',
        const=1,
        default=0,
        metavar='N',
        help='begin when every image topic has N subscribers',
    )
    parser.add_argument(
        '--view',
        type=int,
        nargs='?',
        const=8765,
        metavar='PORT',
        help='show all topics in the Foxglove app, at this port (default 8765)',
    )
    parser.add_argument(
        '--publish-log', type=Path, metavar='FILE', help='when each message was published, as JSON lines'
    )
    return parser


def main() -> int:
    """Run ``replay``."""
    return run('replay', make_parser(), _work)


if __name__ == '__main__':
    sys.exit(main())
