"""The node's outputs: lazy, at most at the rate asked for, messages kept from frame to frame."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from ldfusion_models.camera.lens import Intrinsics, without_flying_points
from ldfusion_models.files import depth_to_millimetres
from ldfusion_ros.messages.clouds import CloudBuilder, within_range
from ldfusion_ros.messages.conversions import (
    camera_info_from_intrinsics,
    compressed_from_image,
    fill_image,
    scaled_camera_info,
)
from ldfusion_ros.node.diagnostics import Statistics
from ldfusion_ros.node.inputs import OVERRIDABLE, type_name
from ldfusion_ros.parts.fusion_parameters import FusionParameters

# A frame counts as due this early, so that a rate just below the cameras' does not lose every second frame.
RATE_SLACK = 0.9


@dataclass(frozen=True)
class OutputFrame:
    """All that one frame's messages are made of.

    Attributes:
        header: stamp and frame of the image that was fused.
        fused: (H, W, 3) RGB.
        depth: (H, W) float32 metres, NaN unknown.
        heat: (H, W) float32: grey, counts or temperature of the thermal camera, NaN without one.
        camera: intrinsics at that size; None if unknown, then there is no cloud.
        info: the calibration that came with the image, if any did.
    """

    header: Header
    fused: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    heat: npt.NDArray[np.float32]
    camera: Intrinsics | None
    info: CameraInfo | None


class Output:
    """A publisher with an optional camera_info beside it."""

    def __init__(self, node: Node, message: type, topic: str, info_topic: str = '') -> None:
        self._node = node
        self._publishers = [self._advertise(message, topic)]
        if info_topic:
            self._publishers.append(self._advertise(CameraInfo, info_topic))
        self._last_s = -np.inf

    def has_subscribers(self) -> bool:
        """Whether anybody listens to the topic or to its camera_info."""
        return any(publisher.get_subscription_count() for publisher in self._publishers)

    def is_due(self, rate: float) -> bool:
        """Whether a message may go out now at ``rate`` messages per second (0: always); if so it counts as sent."""
        now = time.monotonic()
        if rate > 0 and now - self._last_s < RATE_SLACK / rate:
            return False
        self._last_s = now
        return True

    def send(self, *messages: object) -> None:
        """Publish the message and, if there is one, the camera_info."""
        for publisher, message in zip(self._publishers, messages, strict=False):
            publisher.publish(message)

    def problems(self) -> list[str]:
        """What keeps messages from subscribers, in words that say what to change."""
        return [words for publisher in self._publishers for words in self._problems_of(publisher)]

    def release(self) -> None:
        """Take the topics back."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def _problems_of(self, publisher: 'Publisher[Any]') -> list[str]:
        topic = publisher.topic_name
        offered = publisher.qos_profile
        kind = type_name(publisher.msg_type)
        parameter = f'qos_overrides.{topic}.publisher'
        problems = []
        for subscriber in self._node.get_subscriptions_info_by_topic(topic):
            wanted = subscriber.qos_profile
            start = f'{topic}: subscriber {subscriber.node_name}'
            if subscriber.topic_type != kind:
                problems.append(f'{start} wants {subscriber.topic_type}, not {kind}; remap the topic')
            if wanted.reliability == ReliabilityPolicy.RELIABLE != offered.reliability:
                problems.append(f'{start} wants reliable; set parameter {parameter}.reliability to reliable')
            if wanted.durability == DurabilityPolicy.TRANSIENT_LOCAL != offered.durability:
                problems.append(f'{start} wants the past; set parameter {parameter}.durability to transient_local')
        return problems

    def _advertise(self, message: type, topic: str) -> 'Publisher[Any]':
        return self._node.create_publisher(message, topic, QoSProfile(depth=2), qos_overriding_options=OVERRIDABLE)


class Outputs:
    """Fused image (raw and compressed), depth image and point cloud."""

    def __init__(self, node: Node, statistics: Statistics) -> None:
        self._statistics = statistics
        self._fused = Output(node, Image, '~/fused/image', '~/fused/camera_info')
        self._compressed = Output(node, CompressedImage, '~/fused/image/compressed')
        self._depth = Output(node, Image, '~/depth/image', '~/depth/camera_info')
        self._points = Output(node, PointCloud2, '~/points')
        self._all = (self._fused, self._compressed, self._depth, self._points)
        self._fused_message = Image()
        self._depth_message = Image()
        self._cloud = CloudBuilder()

    def has_subscribers(self) -> bool:
        """Whether anybody listens to anything."""
        return any(output.has_subscribers() for output in self._all)

    def publish(self, frame: OutputFrame, parameters: FusionParameters) -> None:
        """Send what is wanted and due of a frame."""
        info = self._calibration(frame)
        if self._is_wanted(self._fused, parameters.fused_rate, parameters):
            with self._sending('fused'):
                self._fused.send(fill_image(self._fused_message, frame.fused, frame.header), *info)
        # Compression costs more than the raw image, so nobody gets it without asking.
        if self._compressed.has_subscribers() and self._compressed.is_due(parameters.fused_rate):
            with self._sending('compressed'):
                self._compressed.send(compressed_from_image(frame.fused, frame.header))
        wants_depth = self._is_wanted(self._depth, parameters.depth_rate, parameters)
        wants_points = frame.camera is not None and self._is_wanted(self._points, parameters.points_rate, parameters)
        if not wants_depth and not wants_points:
            return
        depth = within_range(frame.depth, parameters.minimum_depth, parameters.maximum_depth)
        if wants_depth:
            with self._sending('depth'):
                stored = depth_to_millimetres(depth) if parameters.depth_encoding == '16UC1' else depth
                self._depth.send(fill_image(self._depth_message, stored, frame.header), *info)
        if wants_points and frame.camera is not None:
            with self._sending('points'):
                if parameters.flying_points > 0:
                    depth = without_flying_points(depth, parameters.flying_points)
                stride = parameters.points_stride
                self._points.send(self._cloud.fill(depth, frame.fused, frame.heat, frame.camera, frame.header, stride))

    def problems(self) -> list[str]:
        """What keeps messages from subscribers, in words that say what to change."""
        return [words for output in self._all for words in output.problems()]

    def release(self) -> None:
        """Take all topics back."""
        for output in self._all:
            output.release()

    def _is_wanted(self, output: Output, rate: float, parameters: FusionParameters) -> bool:
        return (output.has_subscribers() or not parameters.lazy) and output.is_due(rate)

    @contextmanager
    def _sending(self, output: str) -> Iterator[None]:
        with self._statistics.timed(output):
            yield
        self._statistics.count(f'{output} out')

    @staticmethod
    def _calibration(frame: OutputFrame) -> list[CameraInfo]:
        if frame.info is not None:
            height, width = frame.depth.shape
            return [scaled_camera_info(frame.info, width, height, frame.header)]
        return [] if frame.camera is None else [camera_info_from_intrinsics(frame.camera, frame.header)]
