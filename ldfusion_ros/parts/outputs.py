"""The node's outputs: lazy, at most at the rate asked for, messages kept from frame to frame."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from ldfusion_models.depth_files import UNKNOWN, depth_to_units
from ldfusion_models.rig.rig import Frame
from ldfusion_ros.messages.clouds import CloudBuilder, stride_within
from ldfusion_ros.messages.conversions import (
    camera_info_from_intrinsics,
    compressed_from_image,
    fill_image,
    moved_camera_info,
)
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.inputs import OVERRIDABLE, type_name
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.parts.fusion_parameters import FusionParameters

# A frame counts as due this early, so that a rate just below the cameras' does not lose every second frame.
RATE_SLACK = 0.9


@dataclass(frozen=True)
class OutputFrame:
    """A frame as it is published.

    Attributes:
        header: stamp and frame of the image that was fused.
        frame: what became of it.
        info: the calibration that came with the image, if the image still is as the lens made it.
    """

    header: Header
    frame: Frame
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


class Outputs(Part):
    """Fused image (raw and compressed), depth image and confidence, point cloud; there while the node is configured."""

    def __init__(self, node: ManagedNode[Any]) -> None:
        self._node = node
        self._fused = Output(node, Image, '~/fused/image', '~/fused/camera_info')
        self._compressed = Output(node, CompressedImage, '~/fused/image/compressed')
        self._depth = Output(node, Image, '~/depth/image', '~/depth/camera_info')
        self._confidence = Output(node, Image, '~/depth/confidence')
        self._points = Output(node, PointCloud2, '~/points')
        images = (self._fused, self._compressed, self._depth, self._confidence)
        self._all = (*images, self._points)
        self._fused_message = Image()
        self._depth_message = Image()
        self._confidence_message = Image()
        self._cloud = CloudBuilder()

    def has_subscribers(self) -> bool:
        """Whether anybody listens to anything."""
        return any(output.has_subscribers() for output in self._all)

    def publish(self, output: OutputFrame) -> None:
        """Send what is wanted and due of a frame."""
        parameters: FusionParameters = self._node.parameters
        header, frame = output.header, output.frame
        info = _calibration(output)
        if self._is_wanted(self._fused, parameters.fused_rate):
            with self._sending('fused'):
                self._fused.send(fill_image(self._fused_message, frame.fused, header), *info)
        # Compression costs more than the raw image, so nobody gets it without asking.
        if self._compressed.has_subscribers() and self._compressed.is_due(parameters.fused_rate):
            with self._sending('compressed'):
                self._compressed.send(compressed_from_image(frame.fused, header))
        if self._is_wanted(self._depth, parameters.depth_rate):
            with self._sending('depth'):
                depth = frame.depth
                # REP 118 has no word for what is beyond the range.
                stored = depth_to_units(depth, 1000, UNKNOWN) if parameters.depth_encoding == '16UC1' else depth
                self._depth.send(fill_image(self._depth_message, stored, header), *info)
        if self._confidence.has_subscribers() and self._confidence.is_due(parameters.depth_rate):
            with self._sending('confidence'):
                self._confidence.send(fill_image(self._confidence_message, frame.confidence, header))
        if frame.camera is not None and self._is_wanted(self._points, parameters.points_rate):
            with self._sending('points'):
                message = self._cloud.fill(frame, header, self._stride(frame), parameters.flying_points)
                self._points.send(message)

    def release(self) -> None:
        """Take all topics back."""
        for output in self._all:
            output.release()

    def report(self, health: Health) -> None:
        """What keeps messages from subscribers."""
        if health.is_active:
            for problem in (problem for output in self._all for problem in output.problems()):
                health.warn(problem)

    def _stride(self, frame: Frame) -> int:
        """Step between the pixels that become points; larger than asked for where the cloud would be too large."""
        parameters: FusionParameters = self._node.parameters
        height, width = frame.depth.shape
        stride = stride_within(parameters.points_limit, width, height, parameters.points_stride)
        if stride > parameters.points_stride:
            self._node.announcer.once(
                f'points {width}x{height}',
                f'{width}x{height} pixels are more points than points_limit ({parameters.points_limit}) allows: '
                f'clouds are made with a stride of {stride}; raise it if your middleware carries larger messages',
            )
        return stride

    def _is_wanted(self, output: Output, rate: float) -> bool:
        return (output.has_subscribers() or not self._node.parameters.lazy) and output.is_due(rate)

    @contextmanager
    def _sending(self, output: str) -> Iterator[None]:
        with self._node.statistics.timed(output):
            yield
        self._node.statistics.count(f'{output} out')


def _calibration(output: OutputFrame) -> list[CameraInfo]:
    """The camera_info beside the images: of the lens that made them, or of a pinhole camera where it is undistorted."""
    camera = output.frame.camera
    if camera is None:
        return []
    if output.info is not None:
        return [moved_camera_info(output.info, camera, output.header)]
    info = camera_info_from_intrinsics(camera, output.header)
    if (known := output.frame.calibration) is not None:
        info.distortion_model, info.d = known.model, known.coefficients
    return [info]
