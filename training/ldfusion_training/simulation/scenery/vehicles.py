"""Cars, lorries and bicycles."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np

from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.meshes import (
    Floats,
    Mesh,
    box,
    cylinder,
    ellipsoid,
    fan,
    join,
    loft,
    revolve,
    rod,
)
from ldfusion_training.simulation.scenery.people import seated_person
from ldfusion_training.simulation.scenery.things import (
    GLASS,
    METAL,
    RUBBER,
    Colour,
    Glide,
    LampLight,
    Motion,
    Pattern,
    Piece,
    Random,
    Still,
    Surface,
    Thing,
    pick,
)  # fmt: skip

CARGO_COLOURS: tuple[Colour, ...] = ((0.7, 0.7, 0.68), (0.5, 0.5, 0.55), (0.1, 0.2, 0.4), (0.5, 0.2, 0.05))
SIDES = (-1, 1)
ON_ITS_SIDE = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float64)
"""Lays a body that stands along z across a vehicle, as a wheel is."""
CAR_COLOURS: tuple[Colour, ...] = (
    (0.7, 0.7, 0.7), (0.45, 0.46, 0.48), (0.03, 0.03, 0.035), (0.4, 0.03, 0.03), (0.04, 0.08, 0.3),
    (0.15, 0.16, 0.17), (0.05, 0.2, 0.12), (0.55, 0.45, 0.1), (0.1, 0.25, 0.4), (0.5, 0.5, 0.5), (0.06, 0.06, 0.07),
)  # fmt: skip


def _hull(profile: list[tuple[float, float]], half_width: float, rounding: float) -> Mesh:
    """A body with the given side view (x, z), its sides rounded in towards the roof and the edges."""
    side = np.array(profile)
    centre = side.mean(0)
    inset = centre + (side - centre) * np.array([1 - rounding * 0.6, 1 - rounding])
    rings = [
        np.stack((ring[:, 0], np.full(len(ring), y), ring[:, 1]), axis=1)
        for ring, y in ((inset, half_width), (side, half_width * 0.9), (side, -half_width * 0.9), (inset, -half_width))
    ]
    return join(loft(np.stack(rings)), fan(rings[0][::-1]), fan(rings[-1]))


def _cabin(
    foot: tuple[float, float], roof: tuple[float, float], low: float, high: float, wide: float, narrow: float
) -> Floats:
    """Corners (2, 4, 3) of a tapered cabin: lower ring, upper ring."""
    return np.array(
        [
            [(foot[0], -wide, low), (foot[1], -wide, low), (foot[1], wide, low), (foot[0], wide, low)],
            [(roof[0], -narrow, high), (roof[1], -narrow, high), (roof[1], narrow, high), (roof[0], narrow, high)],
        ]
    )


def _wheels(places: list[tuple[float, float]], radius: float, width: float) -> tuple[Mesh, Mesh]:
    """Tyres and rims at (x, y) places."""
    tyre = revolve([(0.0, -width / 2), (radius * 0.94, -width / 2), (radius, -width / 3), (radius, width / 3),
                    (radius * 0.94, width / 2), (0.0, width / 2)], 20, smooth=False)  # fmt: skip
    rim = cylinder(radius * 0.62, width + 0.02, 12).shift(0, 0, -(width + 0.02) / 2)
    tyre, rim = tyre.move(ON_ITS_SIDE), rim.move(ON_ITS_SIDE)
    tyres, rims = (join(*(part.shift(x, y, radius) for x, y in places)) for part in (tyre, rim))
    return tyres, rims


@dataclass(frozen=True)
class CarStyle:
    """Measures of a kind of car in metres: the tops of wings, doors and roof, and where bonnet, boot and roof begin.

    ``boot`` is from the tail to the rear window's foot; ``roof`` from the tail, and from the windscreen's foot.
    """

    length: float
    half_width: float
    wing: float
    belt: float
    top: float
    bonnet: float
    boot: float
    roof: tuple[float, float]
    tail_lamp: float


CAR_STYLES = (
    CarStyle(4.0, 0.88, 0.74, 0.92, 1.48, 1.0, 0.12, (0.5, 0.75), 0.74),
    CarStyle(4.6, 0.91, 0.72, 0.92, 1.43, 1.25, 0.85, (1.45, 0.8), 0.74),
    CarStyle(4.9, 0.98, 0.9, 1.1, 1.95, 0.85, 0.08, (0.22, 0.55), 0.95),
    CarStyle(4.5, 0.94, 0.95, 1.12, 1.7, 1.15, 0.15, (0.45, 0.7), 0.95),
)
"""Hatchback, saloon, van, off-roader."""


@dataclass(frozen=True)
class CarShape:
    """Meshes of a car by what they are made of; ``engine`` (T, 3) is where the hull is warm, 0 to 1."""

    hull: Mesh
    engine: Floats
    frame: Mesh
    glass: Mesh
    roof: Mesh
    tyres: Mesh
    rims: Mesh
    arches: Mesh
    head_lamps: Mesh
    tail_lamps: Mesh
    grille: Mesh
    plates: Mesh
    underside: Mesh
    exhaust: Mesh


@cache
def car_shape(style: CarStyle) -> CarShape:
    """Build a style once: a parking lot holds hundreds of cars."""
    half, front, back = style.half_width, style.length / 2, -style.length / 2
    scuttle = front - style.bonnet
    hull = _hull([
        (back + 0.04, 0.35), (back + 0.2, 0.24), (front - 0.2, 0.22), (front - 0.02, 0.34), (front, 0.55),
        (front - 0.1, style.wing), (scuttle, style.belt), (back + 0.75, style.belt), (back + 0.06, style.belt - 0.06),
        (back, 0.6),
    ], half, 0.08)  # fmt: skip
    x, z = hull.corners[..., 0], hull.corners[..., 2]
    roof = back + style.roof[0], scuttle - style.roof[1]
    low, high = cabin = _cabin(
        (back + style.boot, scuttle + 0.05), roof, style.belt - 0.04, style.top - 0.06, half * 0.93, half * 0.74
    )
    pillars = [rod(tuple(low[i]), tuple(high[i]), 0.045) for i in range(4)]
    middle = float(low[0, 0] + low[1, 0]) / 2
    for s in SIDES:
        foot, head = (middle, s * half * 0.93, style.belt - 0.04), (middle - 0.08, s * half * 0.74, style.top - 0.06)
        pillars.append(rod(foot, head, 0.05))
    mirrors = [
        ellipsoid((0.07, 0.1, 0.07), 8, 6).shift(scuttle - 0.1, s * (half + 0.1), style.belt + 0.08) for s in SIDES
    ]
    slab = box((roof[1] - roof[0] + 0.1, half * 1.52, 0.07), ((roof[0] + roof[1]) / 2, 0, style.top - 0.05))
    axles = (front - 0.78, back + 0.72)
    tyres, rims = _wheels([(a, s * (half - 0.09)) for a in axles for s in SIDES], 0.32, 0.2)
    arches = [
        cylinder(0.37, 0.04, 20).move(ON_ITS_SIDE).shift(a, s * (half - 0.002) + 0.02, 0.34)
        for a in axles
        for s in SIDES
    ]
    lamp = ellipsoid((0.08, 0.17, 0.08), 10, 6)
    return CarShape(
        hull=hull,
        engine=np.clip((x - scuttle + 0.3) / 0.9, 0, 1) * np.clip(z / 0.8, 0.3, 1),
        frame=join(*pillars, *mirrors, slab),
        glass=loft(cabin),
        roof=fan(high),
        tyres=tyres,
        rims=rims,
        arches=join(*arches),
        head_lamps=join(
            *(lamp.shift(front - 0.08, s * half * 0.68, style.wing - 0.08) for s in SIDES)
        ),
        tail_lamps=join(*(box((0.06, 0.26, 0.14), (back + 0.02, s * half * 0.72, style.tail_lamp)) for s in SIDES)),
        grille=join(
            box((0.04, half * 0.9, 0.16), (front - 0.01, 0, 0.5)),
            box((0.05, half * 1.3, 0.1), (front - 0.05, 0, 0.3)),
            box((0.06, half * 1.5, 0.16), (back + 0.05, 0, 0.36)),
        ),
        plates=join(
            box((0.02, 0.5, 0.11), (front + 0.012, 0, 0.42)), box((0.02, 0.5, 0.11), (back - 0.012, 0, 0.62))
        ),
        underside=box((style.length - 1.0, half * 1.6, 0.06), (0, 0, 0.24)),
        exhaust=rod((back - 0.02, half * 0.5, 0.27), (back + 0.3, half * 0.5, 0.27), 0.035),
    )  # fmt: skip


def car(random: Random, climate: Climate, motion: Motion, running: bool) -> Thing:
    """A car; a running one has a hot bonnet, grille, tyres and exhaust, and lamps on after dark."""
    style = CAR_STYLES[random.integers(len(CAR_STYLES))]
    shape = car_shape(style)
    lit = running and climate.lamps_on
    paint = Surface(pick(random, CAR_COLOURS), gloss=0.06, emissivity=0.92, heat=0.5 * running, solar=13.0, cooling=3.0)
    engine = 16.0 * random.uniform(0.7, 1.2) * running
    pieces = (
        Piece(shape.hull, paint, engine * shape.engine),
        Piece(join(shape.frame, shape.roof), paint),
        Piece(shape.glass, replace(GLASS, heat=4.0 * running, cooling=3.0)),
        Piece(shape.tyres, replace(RUBBER, heat=14.0 * running, cooling=0.0)),
        Piece(shape.rims, replace(METAL, heat=18.0 * running)),
        Piece(shape.arches, Surface((0.01, 0.01, 0.01), heat=6.0 * running)),
        Piece(shape.head_lamps, _head_lamp(lit)),
        Piece(shape.tail_lamps, _tail_lamp(lit)),
        Piece(shape.grille, Surface((0.02, 0.02, 0.02), heat=10.0 * running, solar=8.0, cooling=0.0)),
        Piece(shape.plates, Surface((0.7, 0.7, 0.6), emissivity=0.85, heat=1.0)),
        Piece(shape.underside, Surface((0.01, 0.01, 0.01), heat=18.0 * running, cooling=0.0, solar=0.0)),
        Piece(shape.exhaust, Surface((0.1, 0.1, 0.1), heat=60.0 * running)),
    )
    lamps = _beam(style.length / 2 + 0.05, style.wing - 0.08) if lit else ()
    return Thing('car', pieces, motion, lamps, _traits(motion, running))


def _head_lamp(lit: bool) -> Surface:
    return Surface((0.6, 0.6, 0.6), gloss=0.1, emission=(5.0, 4.8, 4.2) if lit else (0, 0, 0), heat=12.0 * lit)


def _tail_lamp(lit: bool) -> Surface:
    return Surface((0.35, 0.01, 0.01), gloss=0.1, emission=(0.6, 0.01, 0.01) if lit else (0, 0, 0), heat=3.0 * lit)


def _beam(front: float, height: float) -> tuple[LampLight, ...]:
    """One light in the middle does for two lamps at half the cost."""
    return (LampLight((front, 0.0, height), (1.0, 0.0, -0.06), (10.0, 9.6, 8.4), 13.0, 40.0),)


def _traits(motion: Motion, running: bool) -> tuple[str, str]:
    return 'parked' if isinstance(motion, Still) else 'moving', 'warm' if running else 'cold'


def truck(random: Random, climate: Climate, motion: Motion, running: bool) -> Thing:
    """A lorry with a box body."""
    length, half = random.uniform(6.5, 8.5), 1.2
    front, back = length / 2, -length / 2
    paint = Surface(pick(random, CAR_COLOURS), gloss=0.05, emissivity=0.92, heat=1.0 * running, solar=12.0, cooling=3.0)
    ribs = (0.6, 0.05, 0.85, 0.0)
    cargo = Surface(pick(random, CARGO_COLOURS), Pattern.STRIPES, ribs, solar=14.0, cooling=3.5, emissivity=0.9)
    glass = replace(GLASS, heat=4.0 * running, cooling=3.0)
    cab_rings = np.array([
        [(front - 1.9, -half, 0.5), (front, -half, 0.5), (front, half, 0.5), (front - 1.9, half, 0.5)],
        [(front - 1.9, -half, 1.5), (front - 0.02, -half, 1.5), (front - 0.02, half, 1.5), (front - 1.9, half, 1.5)],
        [(front - 1.9, -half * 0.95, 2.55), (front - 0.25, -half * 0.95, 2.55), (front - 0.25, half * 0.95, 2.55),
         (front - 1.9, half * 0.95, 2.55)],
    ])  # fmt: skip
    cab = join(loft(cab_rings), fan(cab_rings[-1]))
    panes = join(
        box((0.03, half * 1.7, 0.72), (front - 0.11, 0, 1.98)),
        *(box((0.8, 0.03, 0.6), (front - 0.75, side * half * 0.985, 1.95)) for side in (-1, 1)),
    )
    hold = box((length - 2.1, half * 2.06, 2.5), (back + (length - 2.1) / 2, 0, 2.2))
    frame = box((length - 0.3, 1.0, 0.25), (0, 0, 0.7))
    axles = front - 1.0, back + 1.2, back + 2.3
    tyres, rims = _wheels([(x, side * 1.02) for x in axles for side in SIDES], 0.48, 0.3)
    lit = running and climate.lamps_on
    heads = join(*(box((0.06, 0.34, 0.2), (front + 0.02, side * 0.9, 0.75)) for side in (-1, 1)))
    tails = join(*(box((0.05, 0.3, 0.16), (back - 0.02, side * 0.95, 0.85)) for side in (-1, 1)))
    grille = join(box((0.05, 1.5, 0.5), (front + 0.015, 0, 1.15)), box((0.1, 2.3, 0.22), (front + 0.02, 0, 0.5)))
    pieces = (
        Piece(cab, paint), Piece(panes, glass), Piece(hold, cargo),
        Piece(frame, Surface((0.02, 0.02, 0.02), heat=10.0 * running)),
        Piece(tyres, Surface(RUBBER.colour, heat=15.0 * running, cooling=0.0)),
        Piece(rims, replace(METAL, heat=18.0 * running)),
        Piece(heads, Surface((0.6, 0.6, 0.6), emission=(5.0, 4.8, 4.2) if lit else (0, 0, 0), heat=12.0 * lit)),
        Piece(tails, Surface((0.35, 0.01, 0.01), emission=(0.6, 0.01, 0.01) if lit else (0, 0, 0), heat=3.0 * lit)),
        Piece(grille, Surface((0.02, 0.02, 0.02), heat=22.0 * running)),
    )  # fmt: skip
    return Thing('truck', pieces, motion, _beam(front + 0.1, 0.75) if lit else (), _traits(motion, running))


def bicycle(random: Random, motion: Motion) -> Thing:
    """A bicycle without a rider."""
    frame, wheels, saddle = _bicycle_shape()
    paint = Surface(pick(random, CAR_COLOURS), gloss=0.05, emissivity=0.9)
    pieces = Piece(frame, paint), Piece(wheels, RUBBER), Piece(saddle, Surface((0.02, 0.02, 0.02)))
    return Thing('bicycle', pieces, motion, traits=_traits(motion, False))


@cache
def _bicycle_shape() -> tuple[Mesh, Mesh, Mesh]:
    """Frame, wheels and saddle."""
    frame = join(
        rod((-0.5, 0, 0.34), (-0.12, 0, 0.85), 0.018, 6), rod((-0.5, 0, 0.34), (-0.05, 0, 0.28), 0.016, 6),
        rod((-0.05, 0, 0.28), (-0.17, 0, 0.95), 0.02, 6), rod((-0.05, 0, 0.28), (0.36, 0, 0.82), 0.022, 6),
        rod((-0.14, 0, 0.82), (0.36, 0, 0.86), 0.02, 6), rod((0.52, 0, 0.34), (0.34, 0, 1.0), 0.02, 6),
        rod((0.34, -0.27, 1.02), (0.34, 0.27, 1.02), 0.016, 6),
    )  # fmt: skip
    saddle = ellipsoid((0.14, 0.07, 0.04), 8, 6).shift(-0.19, 0, 0.97)
    return frame, join(_hoop(-0.5, 0.34), _hoop(0.52, 0.34)), saddle


def _hoop(x: float, radius: float) -> Mesh:
    turns = np.linspace(0, 2 * np.pi, 19)
    points = [(x + radius * float(np.cos(a)), 0.0, radius + radius * float(np.sin(a))) for a in turns]
    spokes = [rod((x, 0, radius), points[i], 0.004, 3) for i in range(0, 18, 3)]
    return join(*(rod(a, b, 0.02, 5) for a, b in pairwise(points)), *spokes)


def rider(random: Random, climate: Climate, x: float, y: float, yaw: float, speed: float) -> tuple[Thing, Thing]:
    """A person on a bicycle: two things that move together."""
    path = Glide(x, y, yaw, speed)
    return seated_person(random, climate, path, (-0.15, 1.0), pedalling=True), bicycle(random, path)
