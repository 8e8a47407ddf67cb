"""What a simulation run is asked for, checked before anything is made."""

import math
from dataclasses import dataclass

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError

OUTDOOR_KINDS = ('street', 'parking_lot', 'campus_path')
INDOOR_KINDS = ('warehouse_aisle', 'corridor', 'tunnel')
KINDS = OUTDOOR_KINDS + INDOOR_KINDS
LIGHTS = ('day', 'dusk', 'night')
WEATHERS = ('clear', 'overcast', 'fog', 'smoke')
SIZES, FIELDS_OF_VIEW = (16, 8192), (10, 150)
RANGES: dict[str, tuple[float, float]] = {
    'seed': (0, 2**32 - 1), 'scenes': (1, 99_999), 'frames': (1, 99_999), 'rate_hz': (0.1, 240), 'baseline_m': (-2, 2),
    'width': SIZES, 'height': SIZES, 'field_of_view': FIELDS_OF_VIEW,
    'thermal_width': SIZES, 'thermal_height': SIZES, 'thermal_field_of_view': FIELDS_OF_VIEW,
}  # fmt: skip
Distortion = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class SimulationConfig:
    """Settings of a run; every scene is a function of these and its index alone.

    Attributes:
        seed: start of all random choices, 0 or more.
        scenes, frames: scenes to make, and frames in each.
        width, height: size of the visible image in pixels.
        field_of_view: horizontal, of the visible camera, in degrees.
        rate_hz: frames per second.
        baseline_m: distance of the thermal camera to the right of the visible one; 0 is a rig whose images are
            aligned pixel by pixel (beam splitter, or registered), so that both cameras are the same.
        thermal_width, thermal_height, thermal_field_of_view: of the thermal camera; only with a baseline.
        robot_cameras: another field of view (40 to 110 degrees), height (0.2 to 3 m), pitch and roll in every scene,
            instead of ``field_of_view`` and the height of a car or a person; for aligned rigs.
        distortion: k1, k2, p1, p2, k3 of the visible and, in an aligned rig, the thermal lens (plumb bob model).
        kinds, lights, weathers: what to draw from.

    Raises:
        InputError: a setting is impossible.
    """

    seed: int = 0
    scenes: int = 6
    frames: int = 20
    width: int = 640
    height: int = 480
    field_of_view: float = 60.0
    rate_hz: float = 10.0
    baseline_m: float = 0.0
    thermal_width: int | None = None
    thermal_height: int | None = None
    thermal_field_of_view: float | None = None
    robot_cameras: bool = False
    distortion: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)
    kinds: tuple[str, ...] = KINDS
    lights: tuple[str, ...] = LIGHTS
    weathers: tuple[str, ...] = WEATHERS

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and least <= value <= most):
                raise InputError(f'{name.replace("_", " ")} {value}: must be between {least} and {most}')
        _check_names('kind', self.kinds, KINDS)
        _check_names('light', self.lights, LIGHTS)
        _check_names('weather', self.weathers, WEATHERS)
        own_lens = (self.thermal_width, self.thermal_height, self.thermal_field_of_view)
        if self.aligned and own_lens != (None, None, None):
            raise InputError('a thermal size or field of view of its own needs a baseline; give --baseline as well')
        if self.robot_cameras and not self.aligned:
            raise InputError('robot cameras are aligned rigs; leave out the baseline')
        if not all(math.isfinite(value) and abs(value) <= 1 for value in self.distortion) or len(self.distortion) != 5:
            raise InputError(f'distortion {self.distortion}: five numbers k1 k2 p1 p2 k3 between -1 and 1 are needed')

    @property
    def aligned(self) -> bool:
        """Whether both cameras share one optical centre and one image grid."""
        return self.baseline_m == 0

    @property
    def visible_camera(self) -> Intrinsics:
        """Intrinsics of the visible camera."""
        return Intrinsics.from_field_of_view(self.width, self.height, self.field_of_view)

    @property
    def thermal_camera(self) -> Intrinsics:
        """Intrinsics of the thermal camera."""
        return Intrinsics.from_field_of_view(
            self.thermal_width or self.width,
            self.thermal_height or self.height,
            self.thermal_field_of_view or self.field_of_view,
        )


def _check_names(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not names:
        raise InputError(f'no {what} given; choose from {", ".join(known)}')
    for name in names:
        if name not in known:
            raise InputError(f'{what} "{name}" is unknown; choose from {", ".join(known)}')
