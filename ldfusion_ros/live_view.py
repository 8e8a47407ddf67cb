"""Shows a robot's topics in the Foxglove app or browser, without RViz: hands the serialized messages on as they are."""

import argparse
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.typesys import Stores, get_typestore

from ldfusion_models.errors import InputError, how_to_install
from ldfusion_ros.node.programs import full_names, message_class, offered_quality, quality, run, steady_timer

if TYPE_CHECKING:
    from foxglove import Channel
    from foxglove.websocket import ServerListener

SEARCH_SECONDS = 0.2
# Messages that wait for a slow viewer; at 640x480 a cloud has 6 MB.
BACKLOG = 24
HOST, PORT = '127.0.0.1', 8765
TYPES = get_typestore(Stores.ROS2_HUMBLE)
READY = 'live_view: a viewer is there'


@dataclass
class Shown:
    """One topic that viewers may ask for; ``last`` is kept of latched ones, for viewers who come later."""

    channel: 'Channel'
    kind: type
    latched: bool
    subscription: Any = None
    last: bytes = b''


class Viewer:
    """Offers every topic there is, and subscribes to those that somebody looks at: unseen outputs stay without work."""

    def __init__(self, node: Node, topics: Sequence[str], host: str, port: int) -> None:
        """Start the server.

        Args:
            node: what subscribes; somebody else spins it.
            topics: only these; empty for all.
            host: address to listen at; 0.0.0.0 for all of this machine.
            port: to listen at; 0 for any that is free.

        Raises:
            ModuleNotFoundError: foxglove-sdk is not installed.
            InputError: the port is taken, there is no such port or address, or a name can be no topic.
        """
        import foxglove

        foxglove.set_log_level('ERROR')
        self._node = node
        self._wanted = full_names(node, topics)
        self._shown: dict[str, Shown | None] = {}
        self._joined: deque[int] = deque()
        self._greeted = False
        try:
            self._server = foxglove.start_server(
                name='ldfusion_ros',
                host=host,
                port=port,
                server_listener=_listener(self._joined),
                message_backlog_size=BACKLOG,
            )
        except (RuntimeError, OSError, ValueError, OverflowError) as error:
            raise InputError(f'{host}:{port}: cannot serve there ({error}); name another with --port') from error
        self.address = f'ws://{host}:{self._server.port}'
        steady_timer(node, SEARCH_SECONDS, self.search)

    def search(self) -> None:
        """Offer what has come up since the last time; begin and end subscriptions as viewers come and go."""
        for topic, kinds in self._node.get_topic_names_and_types():
            wanted = topic not in self._shown and (not self._wanted or topic in self._wanted)
            if wanted and self._node.count_publishers(topic):
                self._shown[topic] = self._offer(topic, kinds[0])
        joined = set()
        while self._joined:
            joined.add(self._joined.popleft())
        if joined and not self._greeted:
            self._greeted = True
            print(READY, flush=True)
        for topic, shown in self._shown.items():
            if shown is not None:
                self._serve(topic, shown, shown.channel.id() in joined)

    def close(self) -> None:
        """Send everybody away."""
        self._server.stop()
        for shown in self._shown.values():
            if shown is not None:
                shown.channel.close()

    def _offer(self, topic: str, type_name: str) -> Shown | None:
        import foxglove

        kind = message_class(type_name)
        if kind is None or type_name not in TYPES.types:
            return None
        definition, _ = TYPES.generate_msgdef(type_name, ros_version=2)
        schema = foxglove.Schema(name=type_name, encoding='ros2msg', data=definition.encode())
        channel = foxglove.Channel(topic, schema=schema, message_encoding='cdr')
        _, latched = offered_quality(self._node, topic)
        return Shown(channel, kind, latched)

    def _serve(self, topic: str, shown: Shown, somebody_joined: bool) -> None:
        if not shown.channel.has_sinks():
            if shown.subscription is not None:
                self._node.destroy_subscription(shown.subscription)
                shown.subscription = None
            return
        if shown.subscription is None:
            # Nothing is sent again for a viewer's sake, but latched messages come only to reliable subscriptions.
            qos = quality(5, reliable=shown.latched, latched=shown.latched)
            shown.subscription = self._node.create_subscription(shown.kind, topic, _handing_on(shown), qos, raw=True)
        elif somebody_joined and shown.last:
            shown.channel.log(shown.last, log_time=time.time_ns())


def _listener(joined: deque[int]) -> 'ServerListener':
    from foxglove.websocket import ServerListener

    class Listener(ServerListener):
        def on_subscribe(self, client: Any, channel: Any) -> None:
            # Called in the server's thread: only noted here.
            joined.append(channel.id)

    return Listener()


def _handing_on(shown: Shown) -> Callable[[Any], None]:
    def hand_on(data: bytes) -> None:
        shown.last = data if shown.latched else b''
        shown.channel.log(data, log_time=time.time_ns())

    return hand_on


@contextmanager
def viewing(topics: Sequence[str] = (), host: str = HOST, port: int = PORT) -> Iterator[str]:
    """Show topics for as long as the block lasts; yields the address for the Foxglove app. rclpy must be started."""
    node = rclpy.create_node('live_view')
    try:
        viewer = Viewer(node, topics, host, port)
    except ModuleNotFoundError as error:
        node.destroy_node()
        raise InputError(f'viewing needs the Python package foxglove-sdk: {how_to_install("view")}') from error
    except InputError:
        node.destroy_node()
        raise
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stopped = threading.Event()

    def spin() -> None:
        while not stopped.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, name='live_view')
    thread.start()
    try:
        yield viewer.address
    finally:
        stopped.set()
        thread.join()
        viewer.close()
        executor.shutdown()
        node.destroy_node()


def announcement(address: str) -> str:
    """Where to look, in words."""
    return f'live_view: open {address} in the Foxglove app (app.foxglove.dev, "Open connection", "Foxglove WebSocket")'


def _work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
    with viewing(arguments.topics, arguments.host, arguments.port) as address:
        print(announcement(address), flush=True)
        stopped.wait()


def make_parser() -> argparse.ArgumentParser:
    """Arguments of ``live_view``."""
    parser = argparse.ArgumentParser('live_view', description=__doc__, epilog='Ctrl-C ends it.')
    parser.add_argument('topics', nargs='*', metavar='TOPIC', help='only these; default: every topic there is')
    parser.add_argument('--port', type=int, default=PORT, help='to listen at (default %(default)s); 0: any free one')
    parser.add_argument(
        '--host',
        default=HOST,
        help='address to listen at (default %(default)s); 0.0.0.0 lets everybody on the network see the cameras',
    )
    return parser


def main() -> int:
    """Run ``live_view``."""
    return run('live_view', make_parser(), _work)


if __name__ == '__main__':
    sys.exit(main())
