"""Every parameter of the nodes: one table of name, default, meaning and limits.

Declaration, checks at run time, the YAML file's test and the generated documentation all read this table.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ldfusion_models.engines.base import ENGINES
from ldfusion_models.errors import InputError
from ldfusion_models.pairing import PairingConfig
from ldfusion_models.thermal import GainConfig

Takes = Literal['start', 'configure', 'now']
Value = bool | int | float | str

# Parameters that rclpy itself declares, by name or by prefix.
RCLPY_PARAMETERS = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


@dataclass(frozen=True)
class Meaning:
    """What the table says of a parameter beside its name, type and default.

    Attributes:
        description: one sentence, with the unit.
        takes: when a value takes effect: at the ``start`` of the node, when it is ``configure``d, or ``now``.
        low, high: limits of a number, both included.
        choices: what a string may be; empty if anything.
    """

    description: str
    takes: Takes
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


def _parameter(
    default: Value,
    description: str,
    takes: Takes = 'now',
    limits: tuple[float, float] = (-math.inf, math.inf),
    choices: Sequence[str] = (),
) -> Any:
    return field(default=default, metadata={'meaning': Meaning(description, takes, *limits, tuple(choices))})


@dataclass(frozen=True)
class FusionParameters:
    """Parameters of ``fusion_node``; a field's name is the parameter's name."""

    autostart: bool = _parameter(True, 'Configure and activate the node by itself.', 'start')
    diagnostics_period: float = _parameter(1.0, 'Seconds between two diagnostics.', 'start', (0.1, 60.0))

    engine: str = _parameter(
        'auto', 'Runtime of the networks; auto takes the best one here.', 'configure', choices=('auto', *ENGINES)
    )
    weights: str = _parameter('', 'Folder of weights; empty takes those that come with the package.', 'configure')
    threads: int = _parameter(0, 'CPU threads of the engine; 0 lets it choose.', 'configure', (0, 256))
    warm_up_width: int = _parameter(
        640, 'Width of the image that warms the engine up, in pixels.', 'configure', (32, 8192)
    )
    warm_up_height: int = _parameter(
        480, 'Height of the image that warms the engine up, in pixels.', 'configure', (32, 8192)
    )

    visible_transport: str = _parameter(
        'raw',
        'How visible images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=('raw', 'compressed'),
    )
    thermal_transport: str = _parameter(
        'raw',
        'How thermal images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=('raw', 'compressed'),
    )

    sync_tolerance: float = _parameter(0.025, 'Seconds that the stamps of a pair may differ.', limits=(0.0, 10.0))
    sync_queue_size: int = _parameter(10, 'Images of each camera that wait for a partner.', limits=(1, 100))
    clock_offset: float = _parameter(
        0.0, 'Seconds added to thermal stamps to express them in the clock of the visible camera.', limits=(-1e5, 1e5)
    )
    degraded_after: float = _parameter(
        1.0, 'Seconds without one camera after which the other is fused alone; 0 is never.', limits=(0.0, 60.0)
    )

    thermal_low_percentile: float = _parameter(
        1.0, 'Percent of 16-bit thermal pixels that are black.', 'configure', (0.0, 49.0)
    )
    thermal_high_percentile: float = _parameter(
        99.5, 'Percent of 16-bit thermal pixels that are not white.', 'configure', (51.0, 100.0)
    )
    thermal_smoothing: float = _parameter(
        0.9, 'Part of the gain that stays from one 16-bit thermal image to the next.', 'configure', (0.0, 0.999)
    )
    thermal_scale: float = _parameter(
        0.0, 'Kelvin per count of 16-bit thermal images; 0 leaves counts in the cloud.', limits=(0.0, 100.0)
    )
    thermal_offset: float = _parameter(0.0, 'Kelvin at count 0 of 16-bit thermal images.', limits=(-1e4, 1e4))
    thermal_unit: str = _parameter('kelvin', 'Unit of temperatures in the cloud.', choices=('kelvin', 'celsius'))

    fallback_field_of_view: float = _parameter(
        0.0,
        'Horizontal field of view in degrees of a visible camera without camera_info; 0 is unknown: '
        'depth is then that of a canonical camera, and there is no cloud.',
        limits=(0.0, 170.0),
    )
    minimum_depth: float = _parameter(0.0, 'Depth below this many metres is unknown.', limits=(0.0, 1e4))
    maximum_depth: float = _parameter(
        0.0, 'Depth beyond this many metres is unknown; 0 is no limit.', limits=(0.0, 1e4)
    )
    flying_points: float = _parameter(
        0.0,
        'Depth that changes between neighbours by more than this part of itself is unknown in the cloud; 0 keeps all.',
        limits=(0.0, 10.0),
    )
    depth_encoding: str = _parameter(
        '32FC1', '32FC1 is metres, NaN unknown; 16UC1 is millimetres, 0 unknown (REP 118).', choices=('32FC1', '16UC1')
    )
    points_stride: int = _parameter(1, 'Every so-manieth pixel of each axis becomes a point.', limits=(1, 64))

    lazy: bool = _parameter(True, 'Do no work for outputs without subscriber, and run nothing if there is none at all.')
    fused_rate: float = _parameter(0.0, 'Fused images per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    depth_rate: float = _parameter(0.0, 'Depth images per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    points_rate: float = _parameter(0.0, 'Clouds per second at most; 0 is one per pair.', limits=(0.0, 1000.0))

    stale_after: float = _parameter(2.0, 'Seconds without a pair after which diagnostics warn.', limits=(0.1, 3600.0))
    latency_warning: float = _parameter(
        0.5, 'Seconds of latency (p95) above which diagnostics warn.', limits=(0.0, 60.0)
    )
    drop_warning: float = _parameter(
        0.1,
        'Part of the images dropped as bad or late since the last diagnostics above which they warn.',
        limits=(0.0, 1.0),
    )

    def pairing(self) -> PairingConfig:
        """Settings of the synchroniser."""
        return PairingConfig(
            tolerance_ns=round(self.sync_tolerance * 1e9),
            clock_offset_ns=round(self.clock_offset * 1e9),
            queue_size=self.sync_queue_size,
        )

    def gain(self) -> GainConfig:
        """Settings of the thermal gain control."""
        return GainConfig(self.thermal_low_percentile, self.thermal_high_percentile, self.thermal_smoothing)


def meanings() -> dict[str, tuple[Value, Meaning]]:
    """Default and meaning of every parameter by name, in the order of the table."""
    return {item.name: (item.default, item.metadata['meaning']) for item in fields(FusionParameters)}  # type: ignore[misc]


def declare(node: Node) -> None:
    """Declare the table's parameters, with their descriptors, on a node.

    Raises:
        InputError: a parameter file or override names a parameter that does not exist, or a value that is out of
            its limits or of another type.
    """
    # rclpy has no public way to ask which values it was given before they are declared.
    unknown = _unknown(node._parameter_overrides)
    if unknown:
        raise InputError(f'unknown parameter {unknown[0]!r}; known are {", ".join(meanings())}')
    for name, (default, meaning) in meanings().items():
        try:
            node.declare_parameter(name, default, _descriptor(default, meaning))
        except ParameterException as error:
            raise InputError(f'parameter {name!r}: {error}') from error
        if problem := refusal(name, node.get_parameter(name).value):
            raise InputError(problem)


def read(node: Node) -> FusionParameters:
    """The values that the node's parameters have now."""
    return FusionParameters(**{name: node.get_parameter(name).value for name in meanings()})


def refusal(name: str, value: Value) -> str:
    """Why a value can't be, beyond what descriptors check; empty if it can."""
    _, meaning = meanings()[name]
    if meaning.choices and value not in meaning.choices:
        return f'parameter {name!r} is {value!r}; choose one of {", ".join(meaning.choices)}'
    if isinstance(value, float) and not math.isfinite(value):
        return f'parameter {name!r} is {value}; a finite number is needed'
    return ''


def check_change(changes: 'Iterable[Parameter[Any]]', configured: bool) -> SetParametersResult:
    """Whether parameters may change at run time, with the reason if not."""
    for change in changes:
        if change.name not in meanings():
            continue
        if problem := refusal(change.name, change.value):
            return SetParametersResult(successful=False, reason=problem)
        if configured and meanings()[change.name][1].takes == 'configure':
            reason = (
                f'parameter {change.name!r} takes effect when the node is configured; deactivate and clean up first'
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _unknown(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name not in meanings() and not name.startswith(RCLPY_PARAMETERS))


def _descriptor(default: Value, meaning: Meaning) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=meaning.description, read_only=meaning.takes == 'start')
    if meaning.choices:
        descriptor.additional_constraints = f'one of {", ".join(meaning.choices)}'
    if math.isfinite(meaning.low) and isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=meaning.low, to_value=meaning.high)]
    elif math.isfinite(meaning.low):
        descriptor.integer_range = [IntegerRange(from_value=int(meaning.low), to_value=int(meaning.high))]
    return descriptor
