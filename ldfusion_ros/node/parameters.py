"""Tables of parameters: frozen dataclasses whose fields say name, default, meaning and limits.

Declaration, checks at run time, the test of the YAML file and generated documentation all read the table.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.rig.settings import Meaning, StreamSettings, Value, meanings, refusal, setting

T = TypeVar('T')
TRANSPORTS = ('raw', 'compressed')
THERMAL_TRANSPORTS = (*TRANSPORTS, 'compressedDepth')

# Parameters that rclpy itself declares, by name or by prefix.
QUALITY = 'qos_overrides.'
RCLPY_PARAMETERS = ('use_sim_time', 'start_type_description_service', QUALITY)


@dataclass(frozen=True)
class CommonParameters(StreamSettings):
    """What every node that listens to two cameras has."""

    autostart: bool = setting(True, 'Configure and activate the node by itself.', 'start')
    diagnostics_period: float = setting(1.0, 'Seconds between two diagnostics.', 'start', (0.1, 60.0))
    visible_transport: str = setting(
        'raw',
        'How visible images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=TRANSPORTS,
    )
    thermal_transport: str = setting(
        'raw',
        'How thermal images come: raw, or compressed (topic with /compressed, /compressedDepth).',
        'configure',
        choices=THERMAL_TRANSPORTS,
    )


def declare(node: Node, table: type[Any]) -> list[str]:
    """Declare a table's parameters, with their descriptors, on a node; returns the given overrides of topics' quality.

    Those are declared by rclpy when the topic is made, if it is.

    The node must have been made with ``automatically_declare_parameters_from_overrides``: rclpy has no other public
    way to ask which values it was given.

    Raises:
        InputError: a parameter file or override names a parameter that does not exist, or a value that is out of
            its limits or of another type.
    """
    given = node.get_parameters_by_prefix('')
    qualities = [name for name in given if name.startswith(QUALITY)]
    for name in given:
        if problem := _refusal(table, name, given[name].value):
            raise InputError(problem)
        if name in meanings(table) or name in qualities:
            # Without a descriptor; it is declared again with one, and takes the given value then.
            node.undeclare_parameter(name)
    for name, (default, meaning) in meanings(table).items():
        node.declare_parameter(name, default, _descriptor(default, meaning))
    return qualities


def read(node: Node, table: type[T]) -> T:
    """The values that the node's parameters have now."""
    return table(**{name: node.get_parameter(name).value for name in meanings(table)})


def check_change(table: type[Any], changes: 'Iterable[Parameter[Any]]', configured: bool) -> SetParametersResult:
    """Whether parameters may change at run time, with the reason if not."""
    for change in changes:
        if problem := _refusal(table, change.name, change.value):
            return SetParametersResult(successful=False, reason=problem)
        _, meaning = meanings(table).get(change.name, (None, None))
        if configured and meaning and meaning.takes == 'configure':
            reason = (
                f'parameter {change.name!r} takes effect when the node is configured; deactivate and clean up first'
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _refusal(table: type[Any], name: str, value: object) -> str:
    return '' if name.startswith(RCLPY_PARAMETERS) else refusal(table, name, value)


def _descriptor(default: Value, meaning: Meaning) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=meaning.description, read_only=meaning.takes == 'start')
    if meaning.choices:
        descriptor.additional_constraints = f'one of {", ".join(meaning.choices)}'
    if math.isfinite(meaning.low) and isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=meaning.low, to_value=meaning.high)]
    elif math.isfinite(meaning.low):
        descriptor.integer_range = [IntegerRange(from_value=int(meaning.low), to_value=int(meaning.high))]
    return descriptor
