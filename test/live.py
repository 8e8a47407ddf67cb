# ruff: noqa: E402
"""A real node over real DDS, with two cameras in front of it and a listener behind it, in one process."""

import array
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from domains import ENVIRONMENT

# Before rclpy is imported: nothing leaves this machine.
os.environ.update(ENVIRONMENT)

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_ros.fusion_node import FusionNode
from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, fill_image
from ldfusion_training.demo.domain import free_domain

WIDTH, HEIGHT = 160, 128
CAMERA = Intrinsics(WIDTH, HEIGHT, 140.0, 140.0, 79.5, 63.5)
MS = 1_000_000
Array = npt.NDArray[Any]


def scene(seed: int = 0) -> tuple[Array, Array]:
    """A visible (H, W, 3) and a thermal (H, W) image with something in them."""
    generator = np.random.default_rng(seed)
    visible = np.repeat(np.linspace(30, 200, HEIGHT).astype(np.uint8)[:, None, None], WIDTH, 1).repeat(3, 2)
    visible += generator.integers(0, 20, visible.shape, np.uint8)
    thermal = np.full((HEIGHT, WIDTH), 60, np.uint8)
    thermal[40:100, 60:90] = 220
    return visible, thermal


def header(stamp_ns: int, frame: str) -> Header:
    message = Header(frame_id=frame)
    message.stamp.sec, message.stamp.nanosec = divmod(stamp_ns, 10**9)
    return message


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


class Robot:
    """The node under test, two cameras and a listener; spins in a thread of its own."""

    def __init__(
        self,
        parameters: dict[str, Any] | None = None,
        name: str = 'fusion',
        cameras: bool = True,
        listener: bool = True,
    ) -> None:
        self._held = ExitStack()
        self.domain = self._held.enter_context(free_domain())
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        values = {'diagnostics_period': 0.2, 'warm_up_width': 64, 'warm_up_height': 64, 'threads': 2} | (
            parameters or {}
        )
        self.node = FusionNode(
            name,
            context=self.context,
            use_global_arguments=False,
            parameter_overrides=[Parameter(key, value=value) for key, value in values.items()],
        )
        self.other = Node('other', context=self.context, use_global_arguments=False)
        self.images: list[Image] = []
        self.depths: list[Image] = []
        self.clouds: list[PointCloud2] = []
        self.infos: list[CameraInfo] = []
        self.status = DiagnosticStatus()
        self._listening: list[Any] = []
        if listener:
            self.listen()
        self.other.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.publishers: dict[str, Any] = {}
        if cameras:
            self.plug_in('visible')
            self.plug_in('thermal')
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.other)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.stamp_ns = 0

    @property
    def pipeline(self) -> Pipeline | None:
        """What runs the node's networks; None while it is not configured."""
        configured = self.node._configured
        return configured.fusing.rig.pipeline if configured else None

    def listen(self) -> None:
        """Subscribe to the node's outputs."""
        for message, topic, into in (
            (Image, 'fused/image', self.images),
            (CameraInfo, 'fused/camera_info', self.infos),
            (Image, 'depth/image', self.depths),
            (PointCloud2, 'points', self.clouds),
        ):
            self._listening.append(
                self.other.create_subscription(message, f'/{self.node.get_name()}/{topic}', into.append, 10)
            )

    @contextmanager
    def stranger(self) -> Iterator[Node]:
        """A node of another participant, which may disagree about the type of a topic."""
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=self.domain)
        node = Node('stranger', context=context, use_global_arguments=False)
        yield node
        node.destroy_node()
        rclpy.shutdown(context=context)

    def plug_in(self, camera: str) -> None:
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self.publishers[f'{camera}/image_raw'] = self.other.create_publisher(Image, f'{camera}/image_raw', qos)
        self.publishers[f'{camera}/camera_info'] = self.other.create_publisher(CameraInfo, f'{camera}/camera_info', qos)

    def unplug(self, camera: str) -> None:
        for topic in (f'{camera}/image_raw', f'{camera}/camera_info'):
            self.do(partial(self.other.destroy_publisher, self.publishers.pop(topic)))

    def do(self, work: Callable[[], object]) -> None:
        """Call something in the executor's thread: what the executor watches must not be destroyed under it."""
        task = self.executor.create_task(work)
        self.wait(task.done, 'work of the executor')

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 180.0) -> None:
        """Wait until something holds, or fail with what the node said last."""
        end = time.monotonic() + seconds
        while not condition():
            assert self._thread.is_alive(), f'{what}: the executor has ended; status: {self.told()}'
            assert time.monotonic() < end, f'{what}: not within {seconds} s; status: {self.told()}'
            time.sleep(0.01)

    def is_ready(self) -> bool:
        """Whether the node is active and every endpoint has found its partner."""
        if self.node.state != State.PRIMARY_STATE_ACTIVE:
            return False
        # Each end finds the other by itself, and what is sent before is lost.
        topics = {publisher.topic_name for publisher in self.publishers.values()}
        inputs = [subscription for subscription in self.node.subscriptions if subscription.topic_name in topics]
        ends = [publisher.get_subscription_count() for publisher in self.publishers.values()]
        return all(ends) and all(self.hears(subscription) for subscription in (*inputs, *self._listening))

    def hears(self, subscription: Any) -> bool:
        """Whether a subscription has found a publisher; Humble's can't tell, so there the graph has to."""
        if hasattr(subscription, 'get_publisher_count'):
            return bool(subscription.get_publisher_count())
        return bool(self.other.count_publishers(subscription.topic_name))

    @contextmanager
    def settings(self, **values: Any) -> Iterator[None]:
        """Change the node's parameters for a block."""
        before = [self.node.get_parameter(name) for name in values]
        results = self.node.set_parameters([Parameter(name, value=value) for name, value in values.items()])
        assert all(result.successful for result in results), results
        yield
        self.node.set_parameters(before)

    @staticmethod
    def latched() -> QoSProfile:
        return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

    def send_info(self, info: CameraInfo | None = None, camera: str = 'visible') -> None:
        message = info or camera_info_from_intrinsics(CAMERA, header(0, f'{camera}_optical'))
        self.publishers[f'{camera}/camera_info'].publish(message)

    def send(self, camera: str, image: Array | Image, stamp_ns: int) -> None:
        """Publish an array, or a ready message under this stamp."""
        message = image if isinstance(image, Image) else fill_image(Image(), np.ascontiguousarray(image), Header())
        message.header = header(stamp_ns, f'{camera}_optical')
        self.publishers[f'{camera}/image_raw'].publish(message)

    def send_pair(self, visible: Array | Image | None = None, thermal: Array | Image | None = None) -> int:
        """Publish a pair 100 ms after the last one; returns its stamp."""
        good_visible, good_thermal = scene()
        self.stamp_ns += 100 * MS
        self.send('visible', good_visible if visible is None else visible, self.stamp_ns)
        self.send('thermal', good_thermal if thermal is None else thermal, self.stamp_ns)
        return self.stamp_ns

    def fuse_good_pair(self, *pair: Array) -> Image:
        """Send a good pair, or another one, and return its fused image: the node is up and does its work."""
        stamp_ns = self.send_pair(*pair)
        self.wait(lambda: self.images and stamp_of(self.images[-1]) == stamp_ns, 'fused image of a good pair')
        return self.images[-1]

    def fuse_to_depth(self, *pair: Array) -> Image:
        """The same, and return its depth."""
        stamp_ns = stamp_of(self.fuse_good_pair(*pair))
        self.wait(lambda: self.depths and stamp_of(self.depths[-1]) == stamp_ns, 'depth of a good pair')
        return self.depths[-1]

    def told(self) -> dict[str, str]:
        """The last diagnostics as one dictionary, with level and message."""
        values = {item.key: item.value for item in self.status.values}
        return values | {'level': str(ord(self.status.level)), 'message': self.status.message}

    def dropped(self, cause: str) -> int:
        """How many the node says it dropped for a cause."""
        return int(self.told().get(f'dropped {cause}', 0))

    def __enter__(self) -> 'Robot':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
        self.other.destroy_node()
        rclpy.shutdown(context=self.context)
        self._held.close()

    def _spin(self) -> None:
        while not self._closing.is_set():
            self.executor.spin_once(timeout_sec=0.1)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self.node.get_fully_qualified_name()):
                self.status = status


def run_guidance(domain: int, *arguments: str) -> subprocess.Popen[str]:
    """guidance_node as a process of its own, its text for the node ``fusion``."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'PYTHONUNBUFFERED': '1'}
    remapping = ('-r', '~/text_embedding:=/fusion/text_embedding')
    command = [sys.executable, '-m', 'ldfusion_ros.guidance_node', '--ros-args', *remapping, *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def with_padding(image: Array, encoding: str, padding: int) -> Image:
    """A message whose rows end in bytes that belong to no pixel."""
    rows = image.reshape(image.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    message = Image(height=image.shape[0], width=image.shape[1], encoding=encoding, step=padded.shape[1])
    message.data = array.array('B', padded.tobytes())
    return message


def depth_of(message: Image) -> Array:
    """Depth (H, W) in metres."""
    return np.frombuffer(message.data, '<f4').reshape(message.height, message.width)
