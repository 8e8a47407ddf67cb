"""What the programs share: arguments, signals, message types by name, and errors as one line."""

import argparse
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import cv2
import rclpy
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # where all distributions have it
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.timer import Timer
from rclpy.utilities import remove_ros_args

from ldfusion_models.errors import InputError
from ldfusion_ros.node.memory import enlarge_shared_memory, keep_large_buffers


def start_ros() -> threading.Event:
    """Start rclpy for this process; the event returned is set by Ctrl-C and SIGTERM.

    rclpy's own handlers would take the middleware away under whatever is being done just then.

    Raises:
        InputError: ``--ros-args`` that ROS can't use.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    prepare_process()
    with _naming_ros_arguments():
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    return stopped


@contextmanager
def _naming_ros_arguments() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        words = str(error).partition(': ')[2].partition('. Error:')[0]
        raise InputError(f'{words}; files must exist, and no part of a name may begin with a digit') from error


def prepare_process() -> None:
    """Settings of this process that large messages need; call it before rclpy is started."""
    keep_large_buffers()
    enlarge_shared_memory()
    # The engine has the cores: OpenCV's threads would wait for one to be free, longer than one thread needs.
    cv2.setNumThreads(1)


def run(name: str, parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace, threading.Event], None]) -> int:
    """Run a program until it has done its work or is asked to stop; returns the exit code.

    Args:
        name: of the program, in front of its error.
        parser: of its arguments; ``--ros-args`` are taken off before.
        work: called with the arguments and an event that Ctrl-C or SIGTERM sets.
    """
    try:
        with _naming_ros_arguments():
            own = remove_ros_args(sys.argv)[1:]
        work(parser.parse_args(own), start_ros())
    except InputError as error:
        print(f'{name}: {error}', file=sys.stderr)
        return 2
    finally:
        rclpy.try_shutdown()
    return 0


def full_names(node: Node, topics: Iterable[str]) -> list[str]:
    """The names of topics as a node resolves them, each once.

    Raises:
        InputError: a name that ROS does not allow.
    """
    names = []
    for topic in topics:
        try:
            names.append(node.resolve_topic_name(topic))
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f'{topic!r} can be no topic: letters, digits, _ and /, no part begins with a digit'
            ) from error
    return list(dict.fromkeys(names))


def steady_timer(node: Node, seconds: float, callback: Callable[[], None]) -> Timer:
    """A timer that also runs while simulated time stands still."""
    return node.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def message_class(name: str) -> type | None:
    """The Python class of a message type such as ``sensor_msgs/msg/Image``; None if its package is not installed."""
    package, _, kind = name.partition('/msg/')
    try:
        found: type = getattr(importlib.import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError):
        return None
    return found


def quality(depth: int, reliable: bool = True, latched: bool = False) -> QoSProfile:
    """Quality of service that keeps the last ``depth`` messages."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered_quality(node: Node, topic: str) -> tuple[bool, bool]:
    """Whether all publishers of a topic are reliable, and whether all are latched (transient local)."""
    offered = [publisher.qos_profile for publisher in node.get_publishers_info_by_topic(topic)]
    reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in offered)
    latched = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in offered)
    return reliable, latched
