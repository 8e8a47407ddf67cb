"""Tables of parameters: frozen dataclasses whose fields say name, default, meaning and limits.

Declaration, checks at run time, the test of the YAML file and generated documentation all read the table.
"""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.rig.settings import Meaning, StreamSettings, Value, meanings, setting

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
        if problem := refusal(table, name, given[name].value):
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


def refusal(table: type[Any], name: str, value: object) -> str:
    """Why a parameter can't have a value; empty if it can, or if it is rclpy's own."""
    if name.startswith(RCLPY_PARAMETERS):
        return ''
    known = meanings(table)
    if name not in known:
        similar = difflib.get_close_matches(name, known, 1)
        hint = f'did you mean {similar[0]!r}?' if similar else f'known are {", ".join(known)}'
        return f'unknown parameter {name!r}; {hint}'
    default, meaning = known[name]
    if type(value) is not type(default):
        return f'parameter {name!r} is {value!r}; a {type(default).__name__} like {default!r} is needed'
    if meaning.choices and value not in meaning.choices:
        return f'parameter {name!r} is {value!r}; choose one of {", ".join(meaning.choices)}'
    if isinstance(value, (int, float)) and not meaning.low <= value <= meaning.high:
        return f'parameter {name!r} is {value}; it must lie between {meaning.low} and {meaning.high}'
    return ''


def check_change(table: type[Any], changes: 'Iterable[Parameter[Any]]', configured: bool) -> SetParametersResult:
    """Whether parameters may change at run time, with the reason if not."""
    for change in changes:
        if problem := refusal(table, change.name, change.value):
            return SetParametersResult(successful=False, reason=problem)
        _, meaning = meanings(table).get(change.name, (None, None))
        if configured and meaning and meaning.takes == 'configure':
            reason = (
                f'parameter {change.name!r} takes effect when the node is configured; deactivate and clean up first'
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _descriptor(default: Value, meaning: Meaning) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=meaning.description, read_only=meaning.takes == 'start')
    if meaning.choices:
        descriptor.additional_constraints = f'one of {", ".join(meaning.choices)}'
    if math.isfinite(meaning.low) and isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=meaning.low, to_value=meaning.high)]
    elif math.isfinite(meaning.low):
        descriptor.integer_range = [IntegerRange(from_value=int(meaning.low), to_value=int(meaning.high))]
    return descriptor
