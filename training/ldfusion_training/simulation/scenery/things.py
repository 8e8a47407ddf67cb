"""Scene graph: surfaces, pieces and things, and how things move."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.scenery.meshes import Floats, Mesh, pose

CLASSES = (
    'nothing', 'ground', 'road', 'pavement', 'grass', 'building', 'wall', 'kerb', 'guard rail', 'lamp post', 'sign',
    'tree', 'bush', 'car', 'truck', 'bicycle', 'person', 'shelf', 'door', 'pipe', 'crate', 'bench', 'forklift', 'lamp',
    'ceiling', 'pillar', 'bollard',
)  # fmt: skip
"""Names of class ids; 0 is where no ray hits."""

Random = np.random.Generator
Colour = tuple[float, float, float]


class Pattern(IntEnum):
    """How a surface's colour varies over it; what ``Surface.layout`` means is said with each in textures.py."""

    PLAIN = 0
    ASPHALT = 1
    ROAD = 2
    PARKING = 3
    PAVERS = 4
    GRASS = 5
    BRICK = 6
    FACADE = 7
    CONCRETE = 8
    LEAVES = 9
    STRIPES = 10
    TILES = 11
    CLOTH = 12
    CARDBOARD = 13


@dataclass(frozen=True)
class Surface:
    """Optical and thermal nature of a surface.

    Attributes:
        colour: linear albedo, red, green, blue, 0 to 1.
        pattern, layout: the texture and its own measures.
        gloss: mirrored part at normal incidence (Fresnel), visible light.
        emission: light that it sends out, linear, 1 = white paper in full sun.
        emissivity: long-wave infrared, at normal incidence.
        heat: kelvin above the air, without sun.
        solar: kelvin that full sun adds.
        cooling: kelvin that an upward face loses to a clear night sky.
    """

    colour: Colour
    pattern: Pattern = Pattern.PLAIN
    layout: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    gloss: float = 0.0
    emission: Colour = (0.0, 0.0, 0.0)
    emissivity: float = 0.95
    heat: float = 0.0
    solar: float = 8.0
    cooling: float = 1.5


@dataclass(frozen=True)
class Piece:
    """A mesh of one surface; ``heat`` (T, 3), kelvin at the corners, adds to the surface's own."""

    mesh: Mesh
    surface: Surface
    heat: npt.NDArray[np.float64] | None = None


class Motion(Protocol):
    """Poses of a thing's pieces over time."""

    def poses(self, seconds: float) -> Sequence[Floats]:
        """World poses (4, 4), one for each piece, or a single one for all."""
        ...


@dataclass(frozen=True)
class Still:
    """A thing that stays where it is."""

    place: Floats = field(default_factory=lambda: np.eye(4))

    def poses(self, seconds: float) -> Sequence[Floats]:
        """The one pose."""
        return [self.place]


@dataclass(frozen=True)
class Glide:
    """Straight and level at constant speed along the thing's own x axis: cars and bicycles."""

    x: float
    y: float
    yaw: float
    speed: float

    def at(self, seconds: float) -> Floats:
        """Pose (4, 4) of the thing."""
        reach = self.speed * seconds
        return pose(self.x + reach * np.cos(self.yaw), self.y + reach * np.sin(self.yaw), 0.0, self.yaw)

    def poses(self, seconds: float) -> Sequence[Floats]:
        """The one pose."""
        return [self.at(seconds)]


@dataclass(frozen=True)
class LampLight:
    """A lamp that lights its surroundings.

    Attributes:
        position, direction: in the frame of the thing that carries it.
        colour: linear irradiance at one metre on the axis.
        cone: half angle in degrees where light has fallen to half; 180 is all round.
        reach: metres beyond which it is left out.
    """

    position: tuple[float, float, float]
    direction: tuple[float, float, float]
    colour: Colour
    cone: float
    reach: float


@dataclass(frozen=True)
class Thing:
    """An object of the scene: one instance id.

    Attributes:
        name: one of CLASSES.
        pieces: its parts, in its own frame (x forward, z up, on the ground).
        motion: where it is.
        lamps: lights it carries.
        traits: words for the description, such as 'walking' or 'parked'; ``warm`` if its heat stands out.
    """

    name: str
    pieces: tuple[Piece, ...]
    motion: Motion = field(default_factory=Still)
    lamps: tuple[LampLight, ...] = ()
    traits: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether its pieces have to be placed anew for every frame."""
        return not isinstance(self.motion, Still)


GLASS = Surface((0.02, 0.025, 0.025), gloss=0.12, emissivity=0.84, heat=0.5, solar=4.0, cooling=2.5)
RUBBER = Surface((0.015, 0.015, 0.015), heat=0.0, solar=6.0, cooling=0.0)
METAL = Surface((0.35, 0.35, 0.36), gloss=0.3, emissivity=0.6, solar=8.0)


def pick(random: Random, choices: tuple[Colour, ...]) -> Colour:
    """One of the colours, a little varied."""
    red, green, blue = np.clip(
        np.array(choices[random.integers(len(choices))]) * random.uniform(0.75, 1.25), 0.01, 0.9
    ).round(4)
    return float(red), float(green), float(blue)


def times(colour: Colour, factor: float) -> Colour:
    """A colour of a light made stronger or weaker."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
