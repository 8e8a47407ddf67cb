"""Layouts under a roof: warehouse aisle, corridor, tunnel."""

from dataclasses import replace

import numpy as np

from ldfusion_training.simulation.scenery import surroundings as around
from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.meshes import box, cylinder, ellipsoid, join, loft, pose, rod
from ldfusion_training.simulation.scenery.people import seated_person
from ldfusion_training.simulation.scenery.routes import Layout, draw_route, draw_walker
from ldfusion_training.simulation.scenery.things import (
    METAL,
    RUBBER,
    Colour,
    Glide,
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
from ldfusion_training.simulation.scenery.vehicles import ON_ITS_SIDE, car, truck

LAMPS_BURNING = {'day': 0.95, 'dusk': 0.3, 'night': 0.05}
"""Part of the lamps that burn in a lit, a dim and a dark hall."""
CARDBOARD: tuple[Colour, ...] = ((0.42, 0.29, 0.16), (0.5, 0.37, 0.22), (0.36, 0.24, 0.13), (0.55, 0.53, 0.5))
WALL_PAINTS: tuple[Colour, ...] = ((0.55, 0.54, 0.5), (0.5, 0.52, 0.45), (0.45, 0.5, 0.55), (0.6, 0.55, 0.42))


def warehouse_aisle(random: Random, climate: Climate, seconds: float) -> Layout:
    """An aisle between pallet racks, with a forklift, people and crates on the floor."""
    half, depth, height = random.uniform(1.6, 2.4), 1.1, random.uniform(6.5, 9.0)
    route = draw_route(random, climate, seconds, False, random.normal(0, 0.2))
    reach = route.speed * seconds + random.uniform(35, 60)
    span = (-6.0, reach)
    side = half + 2 * depth + random.uniform(3, 5)
    slab = Surface((0.3, 0.3, 0.29), Pattern.CONCRETE, (2.5, 6.0, 0.0, 0.0), gloss=0.015, heat=-1.0)
    line = Surface((0.6, 0.45, 0.04), heat=-1.0)
    things = [
        around.ground(span, (-side, side), slab, 'ground'),
        *(around.ground(span, (y - 0.05, y + 0.05), line, 'ground', 0.003) for y in (0.25 - half, half - 0.25)),
        *_hall(random, span, side, height),
        *_ceiling_lamps(random, climate, span, (0.0,), height - 0.6, 7.0),
        *_pipes(random, span, side - 0.4, height - 1.2),
    ]  # fmt: skip
    for s in (-1, 1):
        things += _racks(random, span, s, half, depth)
    for _ in range(int(random.integers(1, 5))):
        x, y = random.uniform(3, 25), random.uniform(-half + 0.4, half - 0.4)
        things.append(draw_walker(random, climate, x, y, True))
    for _ in range(int(random.integers(0, 4))):
        at = random.choice((-1, 1)) * (half - 0.5), random.uniform(4, 30)
        things.append(_crates_on_floor(random, at[1], at[0]))
    if random.random() < 0.65:
        yaw = random.choice((0.0, np.pi)) + random.normal(0, 0.2)
        x, y = route.speed * seconds + random.uniform(6, 22), random.uniform(-0.4, 0.4)
        things += _forklift(random, climate, x, y, yaw)
    return Layout(tuple(things), route)


def _hall(random: Random, span: tuple[float, float], side: float, height: float) -> list[Thing]:
    """Walls with an end door and a roof on trusses."""
    sheet = Surface((0.45, 0.46, 0.46), Pattern.STRIPES, (0.3, 0.04, 0.8, 0.0), heat=0.3)
    roof = Surface((0.3, 0.3, 0.3), Pattern.STRIPES, (1.0, 0.06, 0.7, 0.0), heat=2.0)
    length, middle = span[1] - span[0], (span[0] + span[1]) / 2
    walls = [box((length, 0.2, height), (middle, s * (side + 0.1), height / 2)) for s in (-1, 1)]
    ends = [box((0.2, 2 * side, height), (x, 0, height / 2)) for x in (span[0] - 0.1, span[1] + 0.1)]
    trusses = [box((0.15, 2 * side, 0.3), (x, 0, height - 0.15)) for x in np.arange(span[0] + 3, span[1], 6.0)]
    lid = box((length, 2 * side, 0.2), (middle, 0, height + 0.1))
    gate = Surface((0.35, 0.37, 0.4), Pattern.STRIPES, (0.5, 0.03, 0.6, 0.0), heat=-2.5)
    return [
        Thing('wall', (Piece(join(*walls, *ends), sheet),)),
        Thing('ceiling', (Piece(lid, roof), Piece(join(*trusses), METAL))),
        Thing('door', (Piece(box((0.06, 3.4, 3.6), (span[1] - 0.03, random.uniform(-0.5, 0.5), 1.8)), gate),)),
    ]  # fmt: skip


def _ceiling_lamps(
    random: Random, climate: Climate, span: tuple[float, float], sides: tuple[float, ...], height: float, spacing: float
) -> list[Thing]:
    tint = ((1.0, 0.95, 0.85), (0.9, 0.97, 1.0), (1.0, 0.85, 0.6))[random.integers(3)]
    lamps = []
    for x in np.arange(span[0] + spacing / 2, span[1], spacing):
        for y in sides:
            on = random.random() < LAMPS_BURNING[climate.light]
            power = 0.1 * height**2 + 0.15 * spacing
            light = LampLight((0, 0, -0.12), (0, 0, -1), times(tint, power), 70.0, 3.5 * height)
            case = Surface((0.5, 0.5, 0.5), heat=7.0 if on else 1.0)
            pane = Surface((0.7, 0.7, 0.7), emission=times(tint, 2.5 * on), heat=13.0 if on else 1.0)
            pieces = Piece(box((1.2, 0.24, 0.08)), case), Piece(box((1.14, 0.18, 0.02), (0, 0, -0.05)), pane)
            lamps.append(Thing('lamp', pieces, Still(pose(x, y, height)), (light,) * on, ('lit' if on else 'off',)))
    return lamps


def _pipes(random: Random, span: tuple[float, float], side: float, height: float) -> list[Thing]:
    """Pipes along the walls: hot ones, cold ones, and ducts as warm as the air."""
    pipes = []
    for s in (-1, 1):
        for row in range(int(random.integers(1, 4))):
            heat = (random.uniform(12, 35), random.uniform(-8, -3), 0.5)[random.integers(3)]
            radius = random.uniform(0.04, 0.13)
            paint = pick(random, ((0.5, 0.5, 0.48), (0.45, 0.08, 0.05), (0.1, 0.25, 0.1), (0.3, 0.3, 0.32)))
            z, y = height - 0.35 * row, s * (side - 0.15)
            body = rod((span[0], y, z), (span[1], y, z), radius, 10)
            flanges = [rod((x, y, z), (x + 0.08, y, z), radius * 1.4, 10) for x in np.arange(span[0] + 2, span[1], 4.0)]
            surface = Surface(paint, Pattern.CONCRETE, (1.0, 0.0, 0.0, 0.0), heat=round(float(heat), 2), emissivity=0.9)
            traits = ('', 'warm') if heat > 8 else ('',)
            pipes.append(Thing('pipe', (Piece(join(body, *flanges), surface),), traits=traits))
    return pipes


def _racks(random: Random, span: tuple[float, float], side: int, half: float, depth: float) -> list[Thing]:
    """Pallet racks with boxes, bay by bay."""
    bay, levels, step = 2.7, int(random.integers(3, 5)), random.uniform(1.35, 1.7)
    blue = Surface(pick(random, ((0.04, 0.08, 0.3), (0.05, 0.2, 0.12), (0.3, 0.3, 0.3))), emissivity=0.9)
    orange = Surface((0.55, 0.2, 0.03), emissivity=0.9)
    boards = Surface((0.35, 0.24, 0.13), Pattern.CONCRETE, (0.3, 0.0, 0.0, 0.0))
    front, back = side * half, side * (half + depth)
    middle = (front + back) / 2
    things = []
    for x in np.arange(span[0], span[1] - bay, bay):
        top = levels * step + 0.4
        posts = [box((0.1, 0.08, top), (x, y, top / 2)) for y in (front, back)]
        posts += [box((0.04, depth, 0.04), (x, middle, z)) for z in np.arange(0.4, top, 1.2)]
        beams = [
            box((bay - 0.1, 0.05, 0.12), (x + bay / 2, y, level * step))
            for level in range(1, levels + 1)
            for y in (front, back)
        ]
        pallets, boxes = [], []
        for level in range(levels + 1):
            base = level * step + (0.06 if level else 0.0)
            for place in (0.28, 0.72):
                if random.random() < 0.15:
                    continue
                at = x + place * bay
                pallets.append(box((1.2, depth * 0.92, 0.13), (at, middle, base + 0.065)))
                boxes += _boxes(random, at, middle, base + 0.13, depth * 0.85, step - 0.35)
        shelf = [Piece(join(*posts), blue), Piece(join(*beams), orange)]
        if pallets:
            shelf.append(Piece(join(*pallets), boards))
        things.append(Thing('shelf', tuple(shelf)))
        if boxes:
            things.append(Thing('crate', tuple(boxes)))
    return things


def _boxes(random: Random, x: float, y: float, z: float, depth: float, room: float) -> list[Piece]:
    """Goods on a pallet."""
    style = random.random()
    heat = round(float(random.normal(0, 0.35)), 2)
    paint = Surface(pick(random, CARDBOARD), Pattern.CARDBOARD, heat=heat)
    if style < 0.3:
        return [Piece(box((1.05, depth, room * random.uniform(0.5, 0.95)), (x, y, z + room * 0.4)), paint)]
    if style < 0.4:
        drums = [cylinder(0.28, 0.85, 12).shift(x + a, y + b, z) for a in (-0.29, 0.29) for b in (-0.22, 0.22)]
        tint = pick(random, ((0.05, 0.1, 0.35), (0.4, 0.05, 0.04), (0.2, 0.2, 0.2)))
        return [Piece(join(*drums), Surface(tint, gloss=0.04, heat=heat))]
    rows = int(random.integers(1, 4))
    tall = min(random.uniform(0.25, 0.42), room / rows)
    z += tall / 2
    blocks = [
        box((0.5, depth * random.uniform(0.8, 1), tall * 0.98), (x + a + random.normal(0, 0.01), y, z + tall * row))
        for row in range(rows) for a in (-0.27, 0.27) if row == 0 or random.random() < 0.8
    ]  # fmt: skip
    return [Piece(block, paint) for block in blocks]


def _crates_on_floor(random: Random, x: float, y: float) -> Thing:
    pallet = box((1.2, 0.9, 0.13), (0, 0, 0.065))
    goods = _boxes(random, 0.0, 0.0, 0.13, 0.8, random.uniform(0.5, 1.1))
    place = Still(pose(x, y, 0.0, random.normal(0, 0.2)))
    return Thing('crate', (Piece(pallet, Surface((0.35, 0.24, 0.13))), *goods), place)


def _forklift(random: Random, climate: Climate, x: float, y: float, yaw: float) -> tuple[Thing, Thing]:
    """A forklift truck with warm motor and tyres, and its driver."""
    paint = Surface(pick(random, ((0.6, 0.4, 0.03), (0.5, 0.08, 0.03), (0.6, 0.3, 0.03))), gloss=0.04, heat=2.0)
    hull = join(
        box((1.5, 1.1, 0.5), (-0.2, 0, 0.5)),
        box((0.6, 1.1, 0.75), (-0.75, 0, 0.95)),
        box((0.5, 1.0, 0.3), (0.35, 0, 0.85)),
    )
    dark = Surface((0.03, 0.03, 0.035), emissivity=0.85)
    mast = join(
        *(box((0.12, 0.1, 2.3), (0.85, s * 0.35, 1.2)) for s in (-1, 1)),
        *(box((0.06, 0.7, 0.1), (0.85, 0, z)) for z in (0.5, 1.4, 2.25)),
    )
    forks = join(*(box((1.1, 0.12, 0.05), (1.45, s * 0.28, 0.15)) for s in (-1, 1)))
    frame = [rod((0.5, s * 0.5, 1.0), (0.3, s * 0.45, 2.1), 0.035) for s in (-1, 1)]
    frame += [rod((-0.9, s * 0.5, 1.3), (-0.75, s * 0.45, 2.1), 0.035) for s in (-1, 1)]
    roof = [box((1.15, 0.06, 0.05), (-0.22, a, 2.12)) for a in np.linspace(-0.45, 0.45, 6)]
    wheels = [
        cylinder(r, 0.2, 16).move(ON_ITS_SIDE).shift(a, s * 0.48 + 0.1, r)
        for a, r in ((0.55, 0.32), (-0.7, 0.26))
        for s in (-1, 1)
    ]
    motor = box((0.1, 0.8, 0.4), (-1.06, 0, 0.75))
    moving = random.random() < 0.5
    speed = random.uniform(0.3, 0.8) if moving else 0.0
    motion = Glide(x, y, yaw, speed)
    beacon = Surface((0.6, 0.3, 0.02), emission=(1.5, 0.7, 0.05), heat=8.0)
    truck_thing = Thing('forklift', (
        Piece(hull, paint), Piece(join(mast, forks, *frame, *roof), dark),
        Piece(join(*wheels), Surface(RUBBER.colour, heat=6.0)), Piece(motor, Surface((0.02, 0.02, 0.02), heat=24.0)),
        Piece(cylinder(0.06, 0.12).shift(-0.2, 0, 2.15), beacon),
    ), motion, traits=('moving' if moving else 'standing', 'warm'))  # fmt: skip
    return truck_thing, seated_person(random, climate, motion, (-0.3, 1.0), pedalling=False)


def corridor(random: Random, climate: Climate, seconds: float) -> Layout:
    """A corridor with doors, pipes under the ceiling, lamps, people and things left by the wall."""
    half, height = random.uniform(1.0, 1.8), random.uniform(2.5, 3.1)
    route = draw_route(random, climate, seconds, False, random.normal(0, 0.15))
    route = replace(
        route, speed=min(route.speed, 1.2), height=min(route.height, 1.3), yaw=route.yaw * 0.7, pitch=route.pitch * 0.5
    )
    reach = route.speed * seconds + random.uniform(16, 45)
    span = (-3.0, reach)
    length, middle = span[1] - span[0], (span[0] + span[1]) / 2
    paint = pick(random, WALL_PAINTS)
    lower: Colour = (paint[0] * 0.55, paint[1] * 0.6, paint[2] * 0.6)
    size = round(random.uniform(0.3, 0.6), 3)
    tiles = Surface((0.35, 0.35, 0.33), Pattern.TILES, (size, 0, 0, 0), gloss=0.03, heat=-0.6)
    ceiling_tiles = Surface((0.6, 0.6, 0.58), Pattern.TILES, (0.6, 0, 0, 0), heat=0.8)
    upper_wall, lower_wall = Surface(paint, heat=0.2), Surface(lower, Pattern.CONCRETE, (1.5, 0, 0, 0), heat=-0.2)
    sides = [
        piece for s in (-1, 1) for piece in (
            Piece(box((length, 0.1, height - 1.1), (middle, s * (half + 0.05), 1.1 + (height - 1.1) / 2)), upper_wall),
            Piece(box((length, 0.1, 1.1), (middle, s * (half + 0.05), 0.55)), lower_wall),
            Piece(box((length, 0.03, 0.1), (middle, s * (half - 0.01), 0.05)), Surface((0.15, 0.13, 0.12), heat=-0.5)),
        )
    ]  # fmt: skip
    ends = [
        Piece(box((0.1, 2 * half, height), (x, 0, height / 2)), upper_wall) for x in (span[0] - 0.05, span[1] + 0.05)
    ]
    things = [
        around.ground(span, (-half, half), tiles, 'ground'),
        Thing('wall', (*sides, *ends)),
        Thing('ceiling', (Piece(box((length, 2 * half, 0.1), (middle, 0, height + 0.05)), ceiling_tiles),)),
        *_ceiling_lamps(random, climate, span, (0.0,), height - 0.04, random.uniform(2.4, 4.0)),
        around.door(random, span[1] - 0.05, random.uniform(-0.3, 0.3) * half, -np.pi / 2),
    ]  # fmt: skip
    if random.random() < 0.7:
        things += _pipes(random, span, half, height - 0.2)
    for s in (-1, 1):
        for x in np.arange(random.uniform(0, 3), reach - 1, random.uniform(2.6, 5.5)):
            if random.random() < 0.8:
                things.append(around.door(random, x, s * (half - 0.03), 0.0 if s > 0 else np.pi))
            else:
                things.append(_radiator(random, x, s * (half - 0.08)))
    for _ in range(int(random.integers(1, 5))):
        x, y = random.uniform(2.5, 16), random.uniform(-half + 0.4, half - 0.4)
        things.append(draw_walker(random, climate, x, y, True))
    for _ in range(int(random.integers(0, 4))):
        s, x = random.choice((-1, 1)), random.uniform(2, 15)
        things.append(_left_by_wall(random, x, s * (half - 0.3)))
    return Layout(tuple(things), route)


def _radiator(random: Random, x: float, y: float) -> Thing:
    ribs = join(*(box((0.07, 0.1, 0.6), (a, 0, 0.45)) for a in np.arange(-0.5, 0.5, 0.1)))
    heat = round(float(random.uniform(5, 25)), 2)
    return Thing('pipe', (Piece(ribs, Surface((0.6, 0.6, 0.58), heat=heat)),), Still(pose(x, y)), traits=('', 'warm'))


def _left_by_wall(random: Random, x: float, y: float) -> Thing:
    """A stack of boxes, a bin or a fire extinguisher."""
    style = random.integers(3)
    place = Still(pose(x, y, 0.0, random.normal(0, 0.2)))
    if style == 0:
        return Thing('crate', tuple(_boxes(random, 0, 0, 0, 0.45, 1.0)), place)
    if style == 1:
        bin_paint = Surface(pick(random, ((0.05, 0.15, 0.07), (0.1, 0.1, 0.11), (0.05, 0.1, 0.3))), heat=0.3)
        return Thing('crate', (Piece(cylinder(0.18, 0.65, 14, 0.22), bin_paint),), place)
    red = Surface((0.45, 0.02, 0.02), gloss=0.05)
    body = join(
        cylinder(0.08, 0.45, 12), ellipsoid((0.08, 0.08, 0.06), 10, 6).shift(0, 0, 0.45), cylinder(0.025, 0.6, 8)
    )
    return Thing('crate', (Piece(body, red),), place)


def tunnel(random: Random, climate: Climate, seconds: float) -> Layout:
    """A road tunnel with walkways, lamps, pipes, vehicles that stopped, and people; usually full of smoke."""
    half, height = random.uniform(4.0, 5.0), random.uniform(5.0, 6.2)
    route = draw_route(random, climate, seconds, random.random() < 0.6, -half * 0.4)
    route = replace(route, speed=min(route.speed, 4.0), pitch=route.pitch * 0.6)
    reach = route.speed * seconds + random.uniform(60, 100)
    span = (-12.0, reach)
    road_half = half - 0.9
    lanes = (round(road_half, 3), round(road_half - 0.2, 3), 6.0, 0.14)
    road = Surface(around.ASPHALT.colour, Pattern.ROAD, lanes, heat=-0.3)
    angle = np.linspace(0.0, np.pi, 15)
    arch = [(-half, 0.0)] + [(-half * np.cos(a), 1.8 + (height - 1.8) * np.sin(a)) for a in angle] + [(half, 0.0)]
    stations = np.linspace(span[0], span[1], max(2, round((span[1] - span[0]) / 6)))
    shell = np.array([[(x, y, z) for y, z in arch] for x in stations])
    concrete = Surface((0.3, 0.29, 0.27), Pattern.CONCRETE, (2.0, 3.0, 0.0, 0.0), heat=-0.8)
    panel = Surface((0.55, 0.55, 0.5), Pattern.TILES, (1.2, 0, 0, 0), heat=-0.6, gloss=0.02)
    length, middle = span[1] - span[0], (span[0] + span[1]) / 2
    lining = [Piece(box((length, 0.06, 1.7), (middle, s * (half - 0.04), 1.1)), panel) for s in (-1, 1)]
    ends = [Piece(box((0.2, 2 * half, height), (x, 0, height / 2)), concrete) for x in (span[0] - 0.1, span[1] + 0.1)]
    walkway = Surface((0.33, 0.32, 0.3), Pattern.PAVERS, (0.8, 0.9, 0, 0), heat=-0.5)
    things = [
        around.ground(span, (-road_half, road_half), road, 'road'),
        around.ground(span, (-half, -road_half), walkway, 'pavement', 0.15),
        around.ground(span, (road_half, half), walkway, 'pavement', 0.15),
        *(around.kerb(span, s * road_half, 0.15) for s in (-1, 1)),
        Thing('wall', (Piece(loft(shell, closed=False), concrete), *lining, *ends)),
        *_ceiling_lamps(random, climate, span, (-half * 0.55, half * 0.55), 0.36 + 0.8 * height, random.uniform(7, 12)),
        *_pipes(random, span, half * 0.93, 2.9),
    ]  # fmt: skip
    for x in np.arange(random.uniform(2, 12), reach, random.uniform(14, 25)):
        s = random.choice((-1, 1))
        things.append(around.door(random, x, s * (half - 0.1), 0.0 if s > 0 else np.pi))
    x = route.speed * seconds + random.uniform(7, 16)
    for _ in range(int(random.integers(1, 5))):
        lane = random.choice((-1, 1))
        make = truck if random.random() < 0.25 else car
        yaw = (0.0 if lane < 0 else np.pi) + random.normal(0, 0.06)
        things.append(make(random, climate, Still(pose(x, lane * road_half / 2, 0.0, yaw)), random.random() < 0.7))
        x += random.uniform(8, 18)
    for _ in range(int(random.integers(2, 7))):
        on_walkway = random.random() < 0.6
        y = random.choice((-1, 1)) * (half - 0.5 if on_walkway else random.uniform(0.3, road_half - 0.5))
        things.append(draw_walker(random, climate, random.uniform(4, 28), y, True))
    return Layout(tuple(things), route)
