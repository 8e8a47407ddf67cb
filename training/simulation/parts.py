"""Movable parts of a scene: people, vehicles and bicycles."""

from dataclasses import dataclass, replace

import numpy as np

from ldfusion_training.simulation.climate import Climate
from ldfusion_training.simulation.meshes import (
    Floats,
    Mesh,
    box,
    capsule,
    cylinder,
    ellipsoid,
    fan,
    joined,
    loft,
    pose,
    revolve,
    rod,
)
from ldfusion_training.simulation.things import (
    Colour,
    Glide,
    LampLight,
    Motion,
    Pattern,
    Piece,
    Still,
    Surface,
    Thing,
)

Random = np.random.Generator

SKIN_KELVIN = 306.0
CAR_COLOURS: tuple[Colour, ...] = (
    (0.7, 0.7, 0.7), (0.45, 0.46, 0.48), (0.03, 0.03, 0.035), (0.4, 0.03, 0.03), (0.04, 0.08, 0.3),
    (0.15, 0.16, 0.17), (0.05, 0.2, 0.12), (0.55, 0.45, 0.1), (0.1, 0.25, 0.4),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (0.03, 0.03, 0.05), (0.04, 0.06, 0.15), (0.35, 0.05, 0.05), (0.5, 0.5, 0.48), (0.1, 0.2, 0.1), (0.5, 0.35, 0.06),
    (0.15, 0.12, 0.1), (0.08, 0.25, 0.35), (0.3, 0.1, 0.3), (0.6, 0.55, 0.1),
)  # fmt: skip
GLASS = Surface((0.02, 0.025, 0.025), gloss=0.12, emissivity=0.84, heat=0.5, solar=4.0, cooling=2.5)
TROUSERS: tuple[Colour, ...] = (
    (0.03, 0.03, 0.04), (0.04, 0.06, 0.15), (0.08, 0.1, 0.18), (0.2, 0.16, 0.11), (0.12, 0.12, 0.12), (0.3, 0.26, 0.2),
)  # fmt: skip
RUBBER = Surface((0.015, 0.015, 0.015), heat=0.0, solar=6.0, cooling=0.0)
METAL = Surface((0.35, 0.35, 0.36), gloss=0.3, emissivity=0.6, solar=8.0)


def pick(random: Random, choices: tuple[Colour, ...]) -> Colour:
    """One of the colours, a little varied."""
    colour = np.array(choices[random.integers(len(choices))]) * random.uniform(0.75, 1.25)
    return tuple(np.clip(colour, 0.01, 0.9).round(4).tolist())  # type: ignore[return-value]


# --- people -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joint:
    """Where a limb hangs: its parent's pose turned by a swing about the sideways axis at a point of the parent."""

    x: float
    y: float
    z: float
    swing: float = 0.0
    phase: float = 0.0
    bend: float = 0.0
    parent: int = -1


@dataclass(frozen=True)
class Gait:
    """A body that glides along a path while its limbs swing; ``limb`` names the joint of every piece (-1: the body)."""

    path: Glide
    joints: tuple[Joint, ...]
    limb: tuple[int, ...]
    stride: float
    start: float

    def poses(self, seconds: float) -> list[Floats]:
        """World poses of all pieces."""
        angle = self.start + 2 * np.pi * self.path.speed * seconds / self.stride
        body = self.path.at(seconds) @ pose(z=0.018 * float(np.cos(2 * angle)) if self.path.speed else 0.0)
        frames: list[Floats] = []
        for joint in self.joints:
            parent = body if joint.parent < 0 else frames[joint.parent]
            turn = joint.bend + joint.swing * float(np.sin(angle + joint.phase))
            if joint.parent >= 0:
                turn = joint.bend + joint.swing * max(0.0, float(np.sin(angle + joint.phase)))
            frames.append(parent @ pose(joint.x, joint.y, joint.z, pitch=turn))
        return [body if limb < 0 else frames[limb] for limb in self.limb]


def person(
    random: Random, climate: Climate, x: float, y: float, yaw: float, speed: float, indoors: bool = False
) -> Thing:
    """Somebody standing (speed 0) or walking, with warm skin and clothes between skin and air."""
    height = random.uniform(1.55, 1.95)
    s = height / 1.78
    build = random.uniform(0.9, 1.2)
    warm = SKIN_KELVIN - climate.air
    cold = climate.air < 288
    # Clothes lie between skin and air: a coat insulates more than a shirt.
    jacket_heat = warm * (random.uniform(0.25, 0.42) if cold else random.uniform(0.5, 0.75))
    jacket = Surface(pick(random, CLOTHES), Pattern.CLOTH, heat=jacket_heat, solar=5.0, cooling=0.0)
    trousers = Surface(
        pick(random, TROUSERS), Pattern.CLOTH, heat=warm * random.uniform(0.3, 0.5), solar=5.0, cooling=0.0
    )
    tone = random.uniform(0.25, 1.0)
    skin = Surface(
        (round(0.55 * tone, 4), round(0.36 * tone, 4), round(0.27 * tone, 4)),
        heat=warm,
        solar=1.0,
        emissivity=0.98,
        cooling=0.0,
    )
    hair = Surface(
        pick(random, ((0.02, 0.015, 0.01), (0.08, 0.05, 0.03), (0.25, 0.18, 0.08), (0.3, 0.3, 0.3))),
        Pattern.CLOTH, heat=warm * 0.55, solar=6.0, cooling=0.0,
    )  # fmt: skip
    shoes = Surface((0.03, 0.025, 0.02), heat=warm * 0.25, cooling=0.0)
    short_sleeves = not cold and random.random() < 0.6
    hips, shoulders = 0.93 * s, 1.41 * s
    thigh, shin, upper, fore = 0.43 * s, 0.40 * s, 0.29 * s, 0.25 * s
    half, reach = 0.095 * s, 0.19 * s * build
    walking = speed > 0
    leg_swing, arm_swing = (0.48, 0.42) if walking else (0.0, 0.0)
    stance = random.uniform(0.0, 0.08)
    joints = (
        Joint(0, half, hips, leg_swing, 0.0, stance), Joint(0, 0, -thigh, 0.75 if walking else 0.0, -1.9, 0.06, 0),
        Joint(0, -half, hips, leg_swing, np.pi, -stance), Joint(0, 0, -thigh, 0.75 if walking else 0.0, np.pi - 1.9, 0.06, 2),
        Joint(0, reach, shoulders, arm_swing, np.pi), Joint(0, 0, -upper, -0.3 * walking, np.pi, -0.25, 4),
        Joint(0, -reach, shoulders, arm_swing, 0.0), Joint(0, 0, -upper, -0.3 * walking, 0.0, -random.uniform(0.2, 1.4), 6),
    )  # fmt: skip
    wide, deep = 0.2 * s * build, 0.125 * s * build
    torso = revolve(
        [
            (0.0, 0.0),
            (0.8, 0.02),
            (0.9, 0.1),
            (0.84, 0.25),
            (0.95, 0.42),
            (1.0, 0.5),
            (0.8, 0.58),
            (0.32, 0.625),
            (0.0, 0.63),
        ],
        14,
    )
    torso = _scaled(torso, (deep, wide, s * 0.98)).shifted(0, 0, hips - 0.08 * s)
    pelvis = ellipsoid((deep * 0.95, wide * 0.86, 0.14 * s)).shifted(0, 0, hips)
    head = ellipsoid((0.1 * s, 0.08 * s, 0.125 * s), 14, 10).shifted(0.015, 0, 1.645 * s)
    nose = ellipsoid((0.02 * s, 0.014 * s, 0.02 * s), 6, 4).shifted(0.115 * s, 0, 1.635 * s)
    neck = cylinder(0.052 * s, 0.12 * s).shifted(0, 0, 1.49 * s)
    cap = ellipsoid((0.108 * s, 0.09 * s, 0.1 * s), 14, 8).shifted(-0.02 * s, 0, 1.695 * s)
    hand = ellipsoid((0.045 * s, 0.025 * s, 0.08 * s), 8, 6).shifted(0.01, 0, -fore - 0.06 * s)
    foot = ellipsoid((0.14 * s, 0.05 * s, 0.045 * s), 10, 6).shifted(0.06 * s, 0, -shin - 0.045 * s)
    arm_skin = skin if short_sleeves else jacket
    limbs: list[tuple[Mesh, Surface, int]] = [
        (torso, jacket, -1), (pelvis, trousers, -1), (joined(head, neck, nose), skin, -1), (cap, hair, -1),
    ]  # fmt: skip
    for leg in (0, 2):
        limbs.append((capsule(thigh, 0.085 * s * build, 0.062 * s * build), trousers, leg))
        limbs.append((capsule(shin, 0.062 * s * build, 0.045 * s * build), trousers, leg + 1))
        limbs.append((foot, shoes, leg + 1))
    for arm in (4, 6):
        limbs.append((capsule(upper, 0.055 * s * build, 0.044 * s * build), jacket, arm))
        limbs.append((capsule(fore, 0.042 * s * build, 0.034 * s * build), arm_skin, arm + 1))
        limbs.append((hand, skin, arm + 1))
    if random.random() < 0.35:
        pack = _scaled(ellipsoid((1, 1, 1)), (0.1 * s, 0.16 * s, 0.23 * s)).shifted(-deep - 0.06 * s, 0, 1.25 * s)
        limbs.append((pack, Surface(pick(random, CLOTHES), Pattern.CLOTH, heat=warm * 0.12, cooling=0.5), -1))
    motion = Gait(
        Glide(x, y, yaw, speed),
        joints,
        tuple(limb for _, _, limb in limbs),
        1.45 * s,
        float(random.uniform(0, 2 * np.pi)),
    )
    return Thing(
        'person', tuple(Piece(mesh, surface) for mesh, surface, _ in limbs), motion,
        traits=('walking' if walking else 'standing', 'warm'),
    )  # fmt: skip


def _scaled(mesh: Mesh, scale: tuple[float, float, float]) -> Mesh:
    normals = mesh.normals / np.array(scale)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    return Mesh(mesh.corners * np.array(scale), normals, mesh.uv)


# --- vehicles ---------------------------------------------------------------------------------------------------------


def _hull(profile: list[tuple[float, float]], half_width: float, rounding: float) -> Mesh:
    """A body with the given side view (x, z), its sides rounded in towards the roof and the edges."""
    side = np.array(profile)
    centre = side.mean(0)
    inset = centre + (side - centre) * np.array([1 - rounding * 0.6, 1 - rounding])
    rings = [
        np.stack((ring[:, 0], np.full(len(ring), y), ring[:, 1]), axis=1)
        for ring, y in ((inset, half_width), (side, half_width * 0.9), (side, -half_width * 0.9), (inset, -half_width))
    ]
    return joined(loft(np.stack(rings)), fan(rings[0][::-1]), fan(rings[-1]))


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
    rim = cylinder(radius * 0.62, width + 0.02, 12).shifted(0, 0, -(width + 0.02) / 2)
    turn = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float64)
    tyres = [tyre.moved(turn).shifted(x, y, radius) for x, y in places]
    rims = [rim.moved(turn).shifted(x, y, radius) for x, y in places]
    return joined(*tyres), joined(*rims)


def car(random: Random, climate: Climate, motion: Motion, running: bool) -> Thing:
    """A hatchback, saloon or van; a running one has a hot bonnet, grille, tyres and exhaust, and lamps on after dark."""
    style = ('hatchback', 'saloon', 'van')[random.integers(3)]
    length = {'hatchback': 4.0, 'saloon': 4.6, 'van': 4.9}[style] * random.uniform(0.95, 1.05)
    half = random.uniform(0.86, 0.93) if style != 'van' else 0.98
    front, back = length / 2, -length / 2
    belt = 0.92 if style != 'van' else 1.1
    top = {'hatchback': 1.48, 'saloon': 1.43, 'van': 1.95}[style]
    paint_colour = pick(random, CAR_COLOURS)
    paint = Surface(paint_colour, gloss=0.06, emissivity=0.92, heat=0.5 if running else 0.0, solar=13.0, cooling=3.0)
    nose = {'hatchback': 0.74, 'saloon': 0.72, 'van': 0.9}[style]
    deck = belt - 0.02 if style == 'saloon' else belt
    scuttle = front - {'hatchback': 1.0, 'saloon': 1.25, 'van': 0.85}[style]
    profile = [
        (back + 0.04, 0.35), (back + 0.2, 0.24), (front - 0.2, 0.22), (front - 0.02, 0.34), (front, 0.55),
        (front - 0.1, nose), (scuttle, belt), (back + 0.75, deck), (back + 0.06, deck - 0.06), (back, 0.6),
    ]  # fmt: skip
    body = _hull(profile, half, 0.08)
    rear = {'hatchback': back + 0.12, 'saloon': back + 0.85, 'van': back + 0.08}[style]
    roof = {
        'hatchback': (back + 0.5, scuttle - 0.75),
        'saloon': (back + 1.45, scuttle - 0.8),
        'van': (back + 0.22, scuttle - 0.55),
    }[style]
    cabin = _cabin((rear, scuttle + 0.05), roof, belt - 0.04, top - 0.06, half * 0.93, half * 0.74)
    low, high = cabin
    pillars = [rod(tuple(low[i]), tuple(high[i]), 0.045) for i in range(4)]
    middle = (low[0] + low[1]) / 2 * np.array([1, 0, 1])
    for side in (-1, 1):
        foot = middle + np.array([0.0, side * half * 0.93, 0.0])
        head = foot + np.array([-0.08, -side * half * 0.19, top - belt - 0.02])
        pillars.append(rod(tuple(foot), tuple(head), 0.05))
    skin = joined(
        *pillars,
        box((roof[1] - roof[0] + 0.1, half * 1.52, 0.07), ((roof[0] + roof[1]) / 2, 0, top - 0.05)),
        *(
            ellipsoid((0.07, 0.1, 0.07), 8, 6).shifted(scuttle - 0.1, side * (half + 0.1), belt + 0.08)
            for side in (-1, 1)
        ),
    )
    wheel_x = (front - 0.78, back + 0.72)
    tyres, rims = _wheels([(x, side * (half - 0.09)) for x in wheel_x for side in (-1, 1)], 0.32, 0.2)
    arches = joined(*(cylinder(0.37, 0.04, 20).moved(np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
                      .shifted(x, side * (half - 0.002) + 0.02, 0.34) for x in wheel_x for side in (-1, 1)))  # fmt: skip
    dark = Surface((0.02, 0.02, 0.02), heat=10.0 if running else 0.0, solar=8.0, cooling=0.0)
    lit = running and climate.lamps_on
    head_lamp = Surface(
        (0.6, 0.6, 0.6), gloss=0.1, emission=(5.0, 4.8, 4.2) if lit else (0, 0, 0), heat=12.0 if lit else 0.0
    )
    tail_lamp = Surface(
        (0.35, 0.01, 0.01), gloss=0.1, emission=(0.6, 0.01, 0.01) if lit else (0, 0, 0), heat=3.0 if lit else 0.0
    )
    plate = Surface((0.7, 0.7, 0.6), emissivity=0.85, heat=1.0)
    lamp_height = nose - 0.08
    heads = joined(
        *(
            ellipsoid((0.08, 0.17, 0.08), 10, 6).shifted(front - 0.08, side * half * 0.68, lamp_height)
            for side in (-1, 1)
        )
    )
    tails = joined(
        *(
            box((0.06, 0.26, 0.14), (back + 0.02, side * half * 0.72, 0.74 if style != 'van' else 0.95))
            for side in (-1, 1)
        )
    )
    grille = joined(box((0.04, half * 0.9, 0.16), (front - 0.01, 0, 0.5)), box((0.05, half * 1.3, 0.1), (front - 0.05, 0, 0.3)),
                    box((0.06, half * 1.5, 0.16), (back + 0.05, 0, 0.36)))  # fmt: skip
    plates = joined(box((0.02, 0.5, 0.11), (front + 0.012, 0, 0.42)), box((0.02, 0.5, 0.11), (back - 0.012, 0, 0.62)))
    floor_heat = 18.0 if running else 0.0
    under = Surface((0.01, 0.01, 0.01), heat=floor_heat, cooling=0.0, solar=0.0)
    exhaust = Surface((0.1, 0.1, 0.1), heat=60.0 if running else 0.0)
    engine = 16.0 * random.uniform(0.7, 1.2) if running else 0.0
    body_heat = (
        engine
        * np.clip((body.corners[..., 0] - scuttle + 0.3) / 0.9, 0, 1)
        * np.clip(body.corners[..., 2] / 0.8, 0.3, 1)
    )
    glass = Surface(
        GLASS.colour, gloss=GLASS.gloss, emissivity=0.84, heat=4.0 if running else 0.0, solar=4.0, cooling=3.0
    )
    rubber = Surface(RUBBER.colour, heat=14.0 if running else 0.0, solar=6.0, cooling=0.0)
    steel = Surface(METAL.colour, gloss=0.3, emissivity=0.6, heat=18.0 if running else 0.0)
    pieces = (
        Piece(body, paint, body_heat), Piece(skin, paint), Piece(loft(cabin), glass), Piece(fan(high), paint), Piece(tyres, rubber),
        Piece(rims, steel), Piece(arches, Surface((0.01, 0.01, 0.01), heat=6.0 if running else 0.0)), Piece(heads, head_lamp),
        Piece(tails, tail_lamp), Piece(grille, dark), Piece(plates, plate),
        Piece(box((length - 1.0, half * 1.6, 0.06), (0, 0, 0.24)), under),
        Piece(rod((back - 0.02, half * 0.5, 0.27), (back + 0.3, half * 0.5, 0.27), 0.035), exhaust),
    )  # fmt: skip
    # One light in the middle does for two lamps at half the cost.
    lamps = (LampLight((front + 0.05, 0.0, lamp_height), (1.0, 0.0, -0.09), (10.0, 9.6, 8.4), 16.0, 35.0),)
    traits = ('moving' if not isinstance(motion, Still) else 'parked', 'warm' if running else 'cold')
    return Thing('car', pieces, motion, lamps if lit else (), traits)


def truck(random: Random, climate: Climate, motion: Motion, running: bool) -> Thing:
    """A lorry with a box body."""
    length, half = random.uniform(6.5, 8.5), 1.2
    front, back = length / 2, -length / 2
    paint = Surface(
        pick(random, CAR_COLOURS), gloss=0.05, emissivity=0.92, heat=1.0 if running else 0.0, solar=12.0, cooling=3.0
    )
    cargo = Surface(pick(random, ((0.7, 0.7, 0.68), (0.5, 0.5, 0.55), (0.1, 0.2, 0.4), (0.5, 0.2, 0.05))), Pattern.STRIPES,
                    (0.6, 0.05, 0.85, 0.0), solar=14.0, cooling=3.5, emissivity=0.9)  # fmt: skip
    glass = Surface(GLASS.colour, gloss=0.12, emissivity=0.84, heat=4.0 if running else 0.0, solar=4.0, cooling=3.0)
    cab_rings = np.array([
        [(front - 1.9, -half, 0.5), (front, -half, 0.5), (front, half, 0.5), (front - 1.9, half, 0.5)],
        [(front - 1.9, -half, 1.5), (front - 0.02, -half, 1.5), (front - 0.02, half, 1.5), (front - 1.9, half, 1.5)],
        [(front - 1.9, -half * 0.96, 2.55), (front - 0.25, -half * 0.94, 2.55), (front - 0.25, half * 0.94, 2.55), (front - 1.9, half * 0.96, 2.55)],
    ])  # fmt: skip
    cab = joined(loft(cab_rings), fan(cab_rings[-1]))
    panes = joined(
        box((0.03, half * 1.7, 0.72), (front - 0.11, 0, 1.98)),
        *(box((0.8, 0.03, 0.6), (front - 0.75, side * half * 0.985, 1.95)) for side in (-1, 1)),
    )
    hold = box((length - 2.1, half * 2.06, 2.5), (back + (length - 2.1) / 2, 0, 2.2))
    frame = box((length - 0.3, 1.0, 0.25), (0, 0, 0.7))
    tyres, rims = _wheels(
        [(x, side * 1.02) for x in (front - 1.0, back + 1.2, back + 2.3) for side in (-1, 1)], 0.48, 0.3
    )
    lit = running and climate.lamps_on
    heads = joined(*(box((0.06, 0.34, 0.2), (front + 0.02, side * 0.9, 0.75)) for side in (-1, 1)))
    tails = joined(*(box((0.05, 0.3, 0.16), (back - 0.02, side * 0.95, 0.85)) for side in (-1, 1)))
    grille = joined(box((0.05, 1.5, 0.5), (front + 0.015, 0, 1.15)), box((0.1, 2.3, 0.22), (front + 0.02, 0, 0.5)))
    pieces = (
        Piece(cab, paint), Piece(panes, glass), Piece(hold, cargo), Piece(frame, Surface((0.02, 0.02, 0.02), heat=10.0 * running)),
        Piece(tyres, Surface(RUBBER.colour, heat=15.0 * running, cooling=0.0)),
        Piece(rims, Surface(METAL.colour, gloss=0.3, emissivity=0.6, heat=18.0 * running)),
        Piece(heads, Surface((0.6, 0.6, 0.6), emission=(5.0, 4.8, 4.2) if lit else (0, 0, 0), heat=12.0 * lit)),
        Piece(tails, Surface((0.35, 0.01, 0.01), emission=(0.6, 0.01, 0.01) if lit else (0, 0, 0), heat=3.0 * lit)),
        Piece(grille, Surface((0.02, 0.02, 0.02), heat=22.0 * running)),
    )  # fmt: skip
    lamps = (LampLight((front + 0.1, 0.0, 0.75), (1.0, 0.0, -0.08), (10.0, 9.6, 8.4), 16.0, 35.0),)
    traits = ('moving' if not isinstance(motion, Still) else 'parked', 'warm' if running else 'cold')
    return Thing('truck', pieces, motion, lamps if lit else (), traits)


def bicycle(random: Random, motion: Motion) -> Thing:
    """A bicycle without a rider."""
    return Thing(
        'bicycle',
        _bicycle_pieces(random),
        motion,
        traits=('moving' if not isinstance(motion, Still) else 'parked', 'cold'),
    )


def _bicycle_pieces(random: Random) -> tuple[Piece, ...]:
    frame = joined(
        rod((-0.5, 0, 0.34), (-0.12, 0, 0.85), 0.018, 6), rod((-0.5, 0, 0.34), (-0.05, 0, 0.28), 0.016, 6),
        rod((-0.05, 0, 0.28), (-0.17, 0, 0.95), 0.02, 6), rod((-0.05, 0, 0.28), (0.36, 0, 0.82), 0.022, 6),
        rod((-0.14, 0, 0.82), (0.36, 0, 0.86), 0.02, 6), rod((0.52, 0, 0.34), (0.34, 0, 1.0), 0.02, 6),
        rod((0.34, -0.27, 1.02), (0.34, 0.27, 1.02), 0.016, 6),
    )  # fmt: skip
    wheels = joined(_hoop(-0.5, 0.34), _hoop(0.52, 0.34))
    saddle = ellipsoid((0.14, 0.07, 0.04), 8, 6).shifted(-0.19, 0, 0.97)
    return (
        Piece(frame, Surface(pick(random, CAR_COLOURS), gloss=0.05, emissivity=0.9)), Piece(wheels, RUBBER),
        Piece(saddle, Surface((0.02, 0.02, 0.02))),
    )  # fmt: skip


def _hoop(x: float, radius: float) -> Mesh:
    turns = np.linspace(0, 2 * np.pi, 19)
    points = [(x + radius * float(np.cos(a)), 0.0, radius + radius * float(np.sin(a))) for a in turns]
    spokes = [rod((x, 0, radius), points[i], 0.004, 3) for i in range(0, 18, 3)]
    return joined(*(rod(a, b, 0.02, 5) for a, b in zip(points, points[1:], strict=False)), *spokes)


def rider(random: Random, climate: Climate, x: float, y: float, yaw: float, speed: float) -> tuple[Thing, Thing]:
    """A person on a bicycle: two things that move together."""
    path = Glide(x, y, yaw, speed)
    person_on_it = seated(random, climate, path, (-0.15, 1.0), pedalling=True)
    return person_on_it, bicycle(random, path)


def seated(random: Random, climate: Climate, path: Glide, seat: tuple[float, float], pedalling: bool) -> Thing:
    """A person who sits at ``seat`` (x, z of the hips) of a vehicle, hands forward; feet go round if ``pedalling``."""
    walker = person(random, climate, path.x, path.y, path.yaw, 0.0)
    assert isinstance(walker.motion, Gait)
    back, lift = seat[0], seat[1] - walker.motion.joints[0].z
    thigh, shin = (0.35, 0.5) if pedalling else (0.0, 0.0)
    bends = (
        (-1.0, 0.9, -1.0, 0.9, -0.85, -0.35, -0.85, -0.35)
        if pedalling
        else (-1.35, 1.3, -1.35, 1.3, -0.6, -0.7, -0.6, -0.7)
    )
    swings = (thigh, shin, thigh, shin, 0.0, 0.0, 0.0, 0.0)
    phases = (0.0, 0.5, np.pi, np.pi + 0.5, 0.0, 0.0, 0.0, 0.0)
    joints = tuple(
        replace(joint, x=joint.x + back, z=joint.z + lift, swing=swing, phase=phase, bend=bend)
        if joint.parent < 0
        else replace(joint, swing=swing, phase=phase, bend=bend)
        for joint, swing, phase, bend in zip(walker.motion.joints, swings, phases, bends, strict=True)
    )
    motion = Gait(path, joints, walker.motion.limb, 4.0, float(random.uniform(0, 6)))
    pieces = tuple(
        replace(piece, mesh=piece.mesh.shifted(back, 0.0, lift)) if limb < 0 else piece
        for piece, limb in zip(walker.pieces, walker.motion.limb, strict=True)
    )
    return Thing('person', pieces, motion, traits=('cycling' if pedalling else 'driving', 'warm'))
