"""Parts that stand still: buildings, ground, street furniture, plants, and what halls and tunnels are made of."""

from functools import cache

import numpy as np

from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.meshes import Mesh, box, cylinder, ellipsoid, floor, join, pose, quads, rod
from ldfusion_training.simulation.scenery.things import (
    METAL,
    LampLight,
    Pattern,
    Piece,
    Random,
    Still,
    Surface,
    Thing,
    pick,
    times,
)

ASPHALT = Surface((0.09, 0.09, 0.092), Pattern.ASPHALT, emissivity=0.95, solar=22.0, cooling=1.0, heat=1.0)
PAVING = Surface((0.28, 0.27, 0.25), Pattern.PAVERS, (0.5, 0.5, 0.0, 0.0), solar=16.0, cooling=1.5, heat=0.5)
GRASS = Surface((0.07, 0.13, 0.035), Pattern.GRASS, solar=6.0, cooling=4.0, heat=-0.5, emissivity=0.97)
BARK = Surface((0.1, 0.075, 0.05), Pattern.CONCRETE, (0.3, 0.0, 0.0, 0.0), solar=6.0, heat=0.8, cooling=0.0)
KERBSTONE = Surface((0.36, 0.35, 0.33), Pattern.CONCRETE, (1.0, 0.0, 0.0, 0.0), solar=14.0, heat=0.6)
WALLS = (
    (0.35, 0.15, 0.1), (0.5, 0.42, 0.3), (0.55, 0.53, 0.48), (0.4, 0.3, 0.2), (0.25, 0.25, 0.27), (0.6, 0.5, 0.35),
    (0.3, 0.12, 0.09),
)  # fmt: skip


def ground(x: tuple[float, float], y: tuple[float, float], surface: Surface, name: str, z: float = 0.0) -> Thing:
    """A level area."""
    return Thing(name, (Piece(floor(x, y, z), surface),))


def kerb(x: tuple[float, float], y: float, height: float = 0.12) -> Thing:
    """A line of kerb stones along x."""
    pieces = tuple(
        Piece(box((min(4.0, x[1] - a), 0.18, height), (a + min(4.0, x[1] - a) / 2, y, height / 2)), KERBSTONE)
        for a in np.arange(x[0], x[1], 4.0)
    )
    return Thing('kerb', pieces)


def building(random: Random, climate: Climate, x: float, y: float, yaw: float, width: float, depth: float) -> Thing:
    """A house whose front, along its own x axis at y = 0, shows windows, a door and a roof edge; it lies towards +y."""
    storeys = int(random.integers(1, 6))
    floor_height = random.uniform(2.9, 3.5)
    height = storeys * floor_height + 0.6
    wall = pick(random, WALLS)
    bay = random.uniform(2.2, 3.6)
    pattern_seed = round(random.uniform(1, 100), 3)
    windows = (round(bay, 3), round(floor_height, 3), round(random.uniform(0.35, 0.55), 3), pattern_seed)
    facade = Surface(
        wall, Pattern.FACADE, windows, solar=12.0, heat=random.uniform(0.5, 2.5), cooling=1.0, emissivity=0.93
    )
    trim = Surface((0.4, 0.38, 0.35), Pattern.CONCRETE, (1.0, 0.0, 0.0, 0.0), solar=12.0, heat=1.0)
    roof = Surface((0.16, 0.12, 0.1), Pattern.TILES, (0.3, 0.3, 0.0, 0.0), solar=20.0, cooling=4.0)
    place = pose(x, y, 0.0, yaw)
    body = box((width, depth, height), (width / 2, depth / 2, height / 2))
    cornice = join(
        box((width + 0.3, depth + 0.3, 0.25), (width / 2, depth / 2, height - 0.1)),
        box((width + 0.1, depth + 0.1, 0.5), (width / 2, depth / 2, 0.25)),
    )
    pieces = [Piece(body, facade), Piece(cornice, trim)]
    if random.random() < 0.5:
        left, right, front, back, middle = -0.3, width + 0.3, -0.3, depth + 0.3, depth / 2
        low, high = height + 0.02, height + random.uniform(1.5, 3.0)
        slopes = np.array([
            [(left, front, low), (right, front, low), (right, middle, high), (left, middle, high)],
            [(right, back, low), (left, back, low), (left, middle, high), (right, middle, high)],
            [(left, back, low), (left, front, low), (left, middle, high), (left, middle, high)],
            [(right, front, low), (right, back, low), (right, middle, high), (right, middle, high)],
        ])  # fmt: skip
        pieces.append(Piece(quads(slopes), roof))
    for _ in range(int(random.integers(1, 3))):
        at = random.uniform(0.8, max(0.9, width - 0.8))
        leaf = Surface(pick(random, WALLS), solar=8.0, heat=2.5)
        pieces.append(Piece(box((1.1, 0.08, 2.2), (at, -0.03, 1.35)), leaf))
        pieces.append(Piece(box((1.6, 0.7, 0.14), (at, -0.3, 2.6)), trim))
    return Thing('building', tuple(pieces), Still(place))


def door(random: Random, x: float, y: float, yaw: float) -> Thing:
    """A door leaf with frame and handle, facing its own -y."""
    paint = pick(random, ((0.3, 0.18, 0.08), (0.4, 0.4, 0.38), (0.1, 0.2, 0.3), (0.35, 0.06, 0.05)))
    leaf = Surface(paint, heat=-0.8, gloss=0.03)
    posts = [box((0.08, 0.12, 2.15), (a, 0, 1.07)) for a in (-0.5, 0.5)]
    frame = join(*posts, box((1.08, 0.12, 0.08), (0, 0, 2.14)))
    return Thing('door', (
        Piece(box((0.94, 0.06, 2.1), (0, 0, 1.05)), leaf), Piece(frame, Surface((0.2, 0.2, 0.2), heat=-0.2)),
        Piece(join(box((0.14, 0.06, 0.03), (0.36, -0.06, 1.05)), box((0.3, 0.02, 0.3), (0.0, -0.035, 1.55))), METAL),
    ), Still(pose(x, y, 0.0, yaw)))  # fmt: skip


def street_lamp(random: Random, climate: Climate, x: float, y: float, towards: float, height: float) -> Thing:
    """A lamp post whose arm reaches towards the side ``towards`` (+1 or -1 along y)."""
    arm = 1.6 if height > 5 else 0.5
    post = Surface((0.15, 0.16, 0.16), solar=8.0, emissivity=0.8, cooling=0.5)
    boom = rod((0, 0, height), (0, towards * arm, height + 0.25), 0.045)
    pole = join(cylinder(0.1, height, 10, 0.06), boom, cylinder(0.16, 0.5, 10))
    head = box((0.3, 0.7, 0.12), (0, towards * (arm + 0.2), height + 0.24))
    pane = box((0.24, 0.6, 0.03), (0, towards * (arm + 0.2), height + 0.17))
    on = climate.lamps_on and climate.light != 'day' and random.random() < 0.92
    colour = ((1.0, 0.62, 0.25), (1.0, 0.86, 0.68), (0.85, 0.93, 1.0))[random.integers(3)]
    power = random.uniform(1.5, 3.0) * height**2 / 36
    place = (0.0, towards * (arm + 0.2), height + 0.12)
    lamp = LampLight(place, (0.0, 0.0, -1.0), times(colour, power), 62.0, 4.0 * height)
    pieces = (
        Piece(pole, post), Piece(head, Surface((0.2, 0.2, 0.2), heat=9.0 * on)),
        Piece(pane, Surface((0.6, 0.6, 0.6), emission=times(colour, 4.0 * on), heat=18.0 * on)),
    )  # fmt: skip
    return Thing('lamp post', pieces, Still(pose(x, y)), (lamp,) * on, ('lit' if on else 'off',))


def sign(random: Random, x: float, y: float, height: float = 2.4) -> Thing:
    """A traffic sign on a pole, facing -x."""
    disc = random.random() < 0.5
    colour = ((0.5, 0.02, 0.02), (0.02, 0.1, 0.45), (0.6, 0.5, 0.02), (0.6, 0.6, 0.6))[random.integers(4)]
    face = cylinder(0.32, 0.03, 20) if disc else box((0.6, 0.6, 0.03), (0, 0, 0.015))
    inner = cylinder(0.22, 0.005, 20) if disc else box((0.42, 0.42, 0.005))
    facing = pose(-0.06, 0.0, height, 0.0, -np.pi / 2)
    plate = Surface(colour, gloss=0.08, emissivity=0.75, solar=8.0, cooling=2.0)
    return Thing('sign', (
        Piece(cylinder(0.035, height + 0.3, 8), METAL), Piece(face.move(facing), plate),
        Piece(inner.move(facing @ pose(z=0.034)), Surface((0.65, 0.65, 0.65), emissivity=0.8, solar=7.0, cooling=2.0)),
    ), Still(pose(x, y)))  # fmt: skip


def tree(random: Random, x: float, y: float, height: float) -> Thing:
    """A tree with a trunk, some boughs and a crown of leaf clumps."""
    trunk_height, crown = height * random.uniform(0.28, 0.4), height * random.uniform(0.26, 0.36)
    wood = [cylinder(0.035 * height, trunk_height + 0.4 * crown, 10, 0.018 * height)]
    centre = np.array([0.0, 0.0, trunk_height + crown * 0.9])
    clumps = []
    for _ in range(int(random.integers(14, 22))):
        way = random.normal(size=3)
        way *= random.uniform(0.3, 1.0) / np.linalg.norm(way)
        at = centre + way * np.array([crown, crown, crown * 0.85])
        size = crown * random.uniform(0.28, 0.5)
        clumps.append(_leafy(random, size).shift(*at))
        if random.random() < 0.5:
            wood.append(rod((0, 0, trunk_height * random.uniform(0.75, 1.1)), tuple(at), 0.012 * height, 5))
    green = np.array([0.06, 0.11, 0.03]) * random.uniform(0.7, 1.4) + np.array([random.uniform(0, 0.05), 0, 0])
    leaves = Surface(tuple(green.round(4).tolist()), Pattern.LEAVES, solar=3.0, cooling=1.0, heat=0.3, emissivity=0.97)
    return Thing('tree', (Piece(join(*wood), BARK), Piece(join(*clumps), leaves)), Still(pose(x, y)))


LEAF_CLUMPS = 8
"""Different clumps of leaves; what grows from them also differs in size and turn."""


def _leafy(random: Random, size: float) -> Mesh:
    """A bumpy ball with loose leaves around it."""
    clump = _leaf_clump(int(random.integers(LEAF_CLUMPS)))
    return clump.move(pose(yaw=random.uniform(0, 2 * np.pi))).scale(size, size, size)


@cache
def _leaf_clump(number: int) -> Mesh:
    random = np.random.default_rng(number)
    ball = ellipsoid((1.0, 1.0, 0.85), 9, 6)
    key = np.round(ball.corners * 50).astype(np.int64) + number
    bump = 0.8 + 0.35 * ((key @ np.array([73856093, 19349663, 83492791])) % 997 / 997.0)
    ball = Mesh(ball.corners * bump[..., None], ball.normals, ball.uv)
    count = 60
    way = random.normal(size=(count, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    at = way * random.uniform(0.85, 1.2, (count, 1))
    edge = random.normal(size=(count, 2, 3)) * 0.12
    corners = np.stack((at, at + edge[:, 0], at + edge[:, 1]), axis=1)
    return join(ball, Mesh(corners, np.repeat(way[:, None], 3, axis=1), corners[..., :2].copy()))


def bush(random: Random, x: float, y: float, size: float) -> Thing:
    """A low round bush."""
    clumps = []
    for _ in range(3):
        clump = _leafy(random, size * random.uniform(0.5, 0.8))
        x_off, y_off = random.uniform(-0.5, 0.5, 2) * size
        clumps.append(clump.shift(x_off, y_off, size * 0.5))
    leaves = Surface((0.05, 0.09, 0.03), Pattern.LEAVES, solar=3.0, cooling=1.5, emissivity=0.97)
    return Thing('bush', (Piece(join(*clumps), leaves),), Still(pose(x, y)))


def hedge(random: Random, x: tuple[float, float], y: float) -> Thing:
    """A clipped hedge along x."""
    leaves = Surface((0.045, 0.085, 0.03), Pattern.LEAVES, solar=3.0, cooling=1.5, emissivity=0.97)
    height = random.uniform(0.7, 1.3)
    clumps = [
        _leafy(random, 0.45 * height).shift(a, y + random.normal(0, 0.05), height * 0.62)
        for a in np.arange(x[0], x[1], 0.5)
    ]
    core = box((x[1] - x[0], 0.55, height * 0.9), ((x[0] + x[1]) / 2, y, height * 0.45))
    return Thing('bush', (Piece(join(core, *clumps), leaves),))


def guard_rail(x: tuple[float, float], y: float) -> Thing:
    """A steel guard rail along x, with posts."""
    posts = [box((0.1, 0.06, 0.7), (a, y, 0.35)) for a in np.arange(x[0], x[1], 2.0)]
    rails = [box((4.0, 0.05, 0.1), (a + 2.0, y, z)) for a in np.arange(x[0], x[1], 4.0) for z in (0.5, 0.66)]
    web = [box((4.0, 0.025, 0.08), (a + 2.0, y, 0.58)) for a in np.arange(x[0], x[1], 4.0)]
    steel = Surface(
        (0.4, 0.4, 0.41), Pattern.CONCRETE, (2.0, 0.0, 0.0, 0.0), gloss=0.25, emissivity=0.45, solar=8.0, cooling=1.0
    )
    return Thing('guard rail', (Piece(join(*posts, *rails, *web), steel),))


def bench(x: float, y: float, yaw: float) -> Thing:
    """A park bench facing its own x axis."""
    slats = [box((0.1, 1.6, 0.04), (a, 0, 0.45)) for a in (0.0, 0.14, 0.28)]
    slats += [box((0.04, 1.6, 0.1), (-0.12, 0, z)) for z in (0.62, 0.78)]
    legs = [box((0.4, 0.06, 0.45), (0.1, side * 0.7, 0.22)) for side in (-1, 1)]
    legs += [box((0.05, 0.06, 0.85), (-0.12, side * 0.7, 0.42)) for side in (-1, 1)]
    wood = Surface((0.28, 0.16, 0.08), Pattern.CONCRETE, (0.4, 0.0, 0.0, 0.0), solar=12.0, cooling=2.0)
    return Thing('bench', (Piece(join(*slats), wood), Piece(join(*legs), METAL)), Still(pose(x, y, 0.0, yaw)))


def bollard(x: float, y: float) -> Thing:
    """A short post with a white band."""
    return Thing('bollard', (
        Piece(cylinder(0.09, 0.9, 12), Surface((0.06, 0.06, 0.07), solar=10.0)),
        Piece(cylinder(0.093, 0.1, 12).shift(0, 0, 0.7), Surface((0.6, 0.6, 0.6), solar=6.0)),
    ), Still(pose(x, y)))  # fmt: skip
