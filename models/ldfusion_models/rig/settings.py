"""All that decides what becomes of a pair of images, on a robot as in files; each setting with meaning and limits."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from ldfusion_models.camera.pairing import PairingConfig
from ldfusion_models.camera.thermal import GainConfig
from ldfusion_models.camera.thermal_reader import TEMPERATURES, ThermalForm
from ldfusion_models.choices import EMBEDDED, DepthSource, EngineName, Enlargement, GainMode, Precision
from ldfusion_models.errors import InputError
from ldfusion_models.paths import named_path
from ldfusion_models.published.profiles import OF_NODES
from ldfusion_models.published.store import fitted_fusion, prepared_graph

Takes = Literal['start', 'configure', 'switch', 'now']
Value = bool | int | float | str


@dataclass(frozen=True)
class Meaning:
    """What a table says of a setting beside its name, type and default.

    Attributes:
        description: one sentence, with the unit.
        takes: when a value takes effect: at the ``start`` of the node, when it is ``configure``d, when it is configured
            or asked to ``switch`` its engine, or ``now``.
        low, high: limits of a number, both included.
        choices: what a string may be; empty if anything.
    """

    description: str
    takes: Takes
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


def setting(
    default: Value,
    description: str,
    takes: Takes = 'now',
    limits: tuple[float, float] = (-math.inf, math.inf),
    choices: Sequence[str] = (),
) -> Any:
    """A field of a table; see :class:`Meaning`."""
    return field(default=default, metadata={'meaning': Meaning(description, takes, *limits, tuple(choices))})


def meanings(table: type[Any]) -> dict[str, tuple[Any, Meaning]]:
    """Default and meaning of every parameter by name, in the order of the table."""
    return {item.name: (item.default, item.metadata['meaning']) for item in fields(table)}


def refusal(table: type[Any], name: str, value: object) -> str:
    """Why a table's parameter can't have a value; empty if it can."""
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


@dataclass(frozen=True)
class Profiled:
    """Settings of which some, ``of_profile``, may be those of a profile (``ldfusion_models/published/profiles.py``)."""

    of_profile: ClassVar[tuple[str, ...]] = OF_NODES['fusion_node']

    profile: str = setting(
        '',
        'Models, where their own parameters are left at the default: embedded, outdoor, indoor, paper or a .yaml file '
        '(docs/models.md); empty: none.',
        'configure',
    )


@dataclass(frozen=True)
class StreamSettings:
    """How the images of two cameras come together; a field's name is the name of the nodes' parameter.

    Raises:
        InputError: a value of another type, or out of its limits or choices.
    """

    sync_tolerance: float = setting(0.025, 'Seconds that the stamps of a pair may differ.', limits=(0.0, 10.0))
    sync_queue_size: int = setting(10, 'Images of each camera that wait for a partner.', limits=(1, 100))
    clock_offset: float = setting(
        0.0, 'Seconds added to thermal stamps to express them in the clock of the visible camera.', limits=(-1e5, 1e5)
    )
    degraded_after: float = setting(
        2.0, 'Seconds without one camera after which the other goes on alone; 0 is never.', limits=(0.0, 60.0)
    )
    fallback_field_of_view: float = setting(
        0.0,
        'Horizontal field of view in degrees of a visible camera without camera_info; 0 is unknown: '
        'depth is then that of a canonical camera, and there is no cloud.',
        limits=(0.0, 170.0),
    )

    thermal_encoding: str = setting(
        '',
        'Encoding of raw thermal images in place of what the messages say, such as 16UC1 for counts that a driver '
        'calls yuv422_yuy2; empty: as they say.',
    )
    thermal_cut_top: int = setting(
        0, 'Rows at the top of thermal images that are no picture: telemetry, or another image.', limits=(0, 8192)
    )
    thermal_cut_bottom: int = setting(
        0, 'Rows at the bottom of thermal images that are no picture: telemetry, or another image.', limits=(0, 8192)
    )
    thermal_temperatures: str = setting(
        'auto',
        'Unit of thermal images of floats (32FC1); auto: celsius where half of them are below 150, else kelvin.',
        choices=TEMPERATURES,
    )

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if problem := refusal(type(self), name, value):
                raise InputError(problem)

    def thermal_form(self) -> ThermalForm:
        """How the thermal camera's images are made."""
        return ThermalForm(self.thermal_cut_top, self.thermal_cut_bottom, self.thermal_temperatures)

    def pairing(self) -> PairingConfig:
        """Settings of the synchroniser."""
        return PairingConfig(
            tolerance_ns=round(self.sync_tolerance * 1e9),
            clock_offset_ns=round(self.clock_offset * 1e9),
            queue_size=self.sync_queue_size,
        )


@dataclass(frozen=True)
class RigSettings(StreamSettings):
    """Settings of a rig of two cameras; a field's name is the name of the node's parameter.

    Raises:
        InputError: no depth is within its limits.
    """

    inference_size: int = setting(
        0,
        'Images with a longer side are reduced to this many pixels for the networks; 0: none.',
        'switch',
        (0, 8192),
    )
    enlargement: str = setting(
        'guided',
        'Depth of reduced images comes to their size guided by the fused image, by the nearest value, or (none) not at '
        'all: then fused image, depth and camera_info stay reduced.',
        'switch',
        choices=get_args(Enlargement),
    )
    registration_file: str = setting(
        '',
        'File that says how thermal is mapped into the visible image (docs/registration.md; ldfusion calibrate writes '
        'one); empty: the images are aligned.',
        'configure',
    )
    registration_distance: float = setting(
        0.0,
        'Metres to what is to be aligned, where registration_file is by cameras; 0 is the distance of the file.',
        limits=(0.0, 1e4),
    )
    thermal_gain: str = setting(
        'percentile',
        'How 16-bit thermal images become 8-bit ones: percentile, straight; clahe, contrast of each part of the image; '
        'plateau, more grey for what is frequent, so that one hot thing does not make the rest black.',
        'configure',
        choices=get_args(GainMode),
    )
    thermal_low_percentile: float = setting(
        1.0, 'Percent of 16-bit thermal pixels that are black.', 'configure', (0.0, 49.0)
    )
    thermal_high_percentile: float = setting(
        99.5, 'Percent of 16-bit thermal pixels that are not white.', 'configure', (51.0, 100.0)
    )
    thermal_smoothing: float = setting(
        0.9, 'Part of the gain that stays from one 16-bit thermal image to the next.', 'configure', (0.0, 0.999)
    )
    thermal_scale: float = setting(
        0.0, 'Kelvin per count of 16-bit thermal images; 0 leaves counts in the cloud.', limits=(0.0, 100.0)
    )
    thermal_offset: float = setting(0.0, 'Kelvin at count 0 of 16-bit thermal images.', limits=(-1e4, 1e4))
    thermal_unit: str = setting('kelvin', 'Unit of temperatures in the cloud.', choices=('kelvin', 'celsius'))
    ranges_tolerance: float = setting(
        0.1,
        'Seconds that measured ranges (ranges/points, scan and range) may be apart from the image that they correct.',
        limits=(0.0, 10.0),
    )
    camera_height: float = setting(
        0.0,
        'Metres of the visible camera above the ground, which correct depth where ground is in view; 0 is unknown.',
        limits=(0.0, 100.0),
    )
    ground_frame: str = setting(
        '',
        'Frame on the ground, such as base_footprint, above which TF knows the visible camera, where '
        'camera_height is 0; empty: none.',
    )
    correction_smoothing: float = setting(
        0.8,
        'Part of the scale of corrected depth (by measured ranges or a height) that stays from frame to frame.',
        limits=(0.0, 0.999),
    )
    minimum_depth: float = setting(0.0, 'Depth below this many metres is unknown; 0 is no limit.', limits=(0.0, 1e4))
    maximum_depth: float = setting(0.0, 'Depth beyond this many metres is unknown; 0 is no limit.', limits=(0.0, 1e4))
    minimum_confidence: float = setting(
        0.0,
        'Depth that the network is less sure of is unknown; confidence is exp(-s), s the standard deviation of the '
        'logarithm of depth that it expects: 0.9 is about 10 %, 0.7 about 35 %; 0 is no limit.',
        limits=(0.0, 1.0),
    )
    flying_points: float = setting(
        0.0,
        'Depth that changes between neighbours by more than this part of itself is unknown in the cloud; 0 keeps all.',
        limits=(0.0, 10.0),
    )
    points_stride: int = setting(1, 'Step between the pixels that become points, in both axes.', limits=(1, 64))
    points_limit: int = setting(
        1_000_000,
        'Points of a cloud at most (20 bytes each); of larger images every second, third, ... pixel in both axes '
        'becomes one; 0 is no limit.',
        limits=(0, 100_000_000),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.maximum_depth <= self.minimum_depth:
            raise InputError(
                f'minimum_depth {self.minimum_depth:g} leaves no depth below maximum_depth {self.maximum_depth:g}'
            )

    def gain(self) -> GainConfig:
        """Settings of the thermal gain control."""
        return GainConfig(
            self.thermal_low_percentile, self.thermal_high_percentile, self.thermal_smoothing, mode=self.thermal_gain
        )


@dataclass(frozen=True)
class NodeSettings(RigSettings, Profiled):
    """A rig with the engine that runs its networks."""

    engine: str = setting(
        'auto', 'Runtime of the networks; auto takes the best one here.', 'switch', choices=get_args(EngineName)
    )
    weights: str = setting(
        '',
        "Folder of weights, or profile: paper takes the fusion's features from the denoiser itself, as the paper does, "
        'instead of from the student that it taught; empty takes what comes with the package.',
        'switch',
    )
    threads: int = setting(0, 'CPU threads of the engine; 0 lets it choose.', 'switch', (0, 256))
    precision: str = setting(
        'auto',
        "fp32; mixed: fusion with 16 bits, depth with 32; auto: the engine's best.",
        'switch',
        choices=get_args(Precision),
    )
    depth: str = setting(
        '',
        'Published depth network that ldfusion models prepare has put into the frame graph, as OWNER/NAME or folder, '
        "for images of the prepared size; empty: the package's own.",
        'switch',
    )
    depth_source: str = setting(
        'fused', 'Image that the published network estimates depth of.', 'switch', choices=get_args(DepthSource)
    )
    text_encoder: str = setting(
        EMBEDDED,
        'Text encoder whose texts come: embedded, or a published one to which ldfusion models prepare has fitted '
        'weights; they are taken unless weights or depth names others.',
        'switch',
    )

    @property
    def weights_folder(self) -> Path | None:
        """The folder of weights, or file with graph and weights; None for those of the package.

        Raises:
            InputError: the published depth network, or the text encoder, is not here or not prepared.
        """
        if self.depth and self.weights:
            raise InputError('depth, weights: name one; a graph with a published depth network has its own weights')
        if self.depth:
            return prepared_graph(self.depth, self.depth_source)
        return named_path(self.weights) if self.weights else fitted_fusion(self.text_encoder)
