"""Subscriptions, and words for why one stays empty."""

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

OVERRIDABLE = QoSOverridingOptions(
    (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
)


def sensor_data() -> QoSProfile:
    """Quality of service of the inputs: newest first, nothing is sent again."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def latched() -> QoSProfile:
    """Quality of service for values that stay valid: a late subscriber gets the last one."""
    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def type_name(message: type) -> str:
    """The ROS name of a message class, such as ``sensor_msgs/msg/Image``."""
    return f'{message.__module__.split(".")[0]}/msg/{message.__name__}'


class Inputs:
    """A node's subscriptions: created together, watched, released together."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._subscriptions: list[Subscription[Any]] = []

    def subscribe(
        self,
        message: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        overridable: QoSOverridingOptions | None = OVERRIDABLE,
    ) -> None:
        """Subscribe with quality of service that parameters can override, unless it is not ``overridable``."""
        self._subscriptions.append(
            self._node.create_subscription(message, topic, callback, qos, qos_overriding_options=overridable)
        )

    def subscribe_image(self, topic: str, transport: str, callback: Callable[[Any], None]) -> None:
        """Subscribe to raw or compressed images; a remapped topic carries its ``/compressed`` along."""
        if transport == 'raw':
            self.subscribe(Image, topic, callback, sensor_data())
        else:
            topic = f'{self._node.resolve_topic_name(topic)}/{transport}'
            self.subscribe(CompressedImage, topic, callback, sensor_data())

    def release(self) -> None:
        """Unsubscribe from everything."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def problems(self) -> list[str]:
        """What keeps messages from arriving, in words that say what to change."""
        return [words for subscription in self._subscriptions for words in self._problems_of(subscription)]

    def _problems_of(self, subscription: 'Subscription[Any]') -> list[str]:
        topic = subscription.topic_name
        wanted = subscription.qos_profile
        kind = type_name(subscription.msg_type)
        parameter = f'qos_overrides.{topic}.subscription'
        problems = []
        for publisher in self._node.get_publishers_info_by_topic(topic):
            offered = publisher.qos_profile
            start = f'{topic}: publisher {publisher.node_name}'
            if publisher.topic_type != kind:
                problems.append(f'{start} sends {publisher.topic_type}, not {kind}; remap the topic')
            if wanted.reliability == ReliabilityPolicy.RELIABLE != offered.reliability:
                problems.append(f'{start} is best effort; set parameter {parameter}.reliability to best_effort')
            if wanted.durability == DurabilityPolicy.TRANSIENT_LOCAL != offered.durability:
                problems.append(f'{start} is volatile; set parameter {parameter}.durability to volatile')
        return problems
