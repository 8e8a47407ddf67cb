"""Layouts under the sky: street, parking lot, campus path."""

from dataclasses import replace

import numpy as np

from ldfusion_training.simulation.scenery import surroundings as around
from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.meshes import pose
from ldfusion_training.simulation.scenery.people import person
from ldfusion_training.simulation.scenery.routes import Layout, draw_route, draw_walker
from ldfusion_training.simulation.scenery.things import Glide, Pattern, Random, Still, Thing
from ldfusion_training.simulation.scenery.vehicles import bicycle, car, rider, truck


def street(random: Random, climate: Climate, seconds: float) -> Layout:
    """A street with houses, pavements, trees, lamps, parked and moving vehicles, and people."""
    lanes = int(random.integers(1, 3))
    lane = random.uniform(2.9, 3.5)
    parking = 2.2 if random.random() < 0.75 else 0.0
    half = lanes * lane + parking
    route = draw_route(random, climate, seconds, True, -lane * 0.5 + random.normal(0, 0.15))
    reach = route.speed * seconds + 150
    span = (-25.0, reach)
    pavement = random.uniform(1.8, 4.0)
    edge = half + pavement
    layout = (round(half, 3), round(lane, 3), 6.0, 0.14)
    things = [
        around.ground(span, (-half, half), replace(around.ASPHALT, pattern=Pattern.ROAD, layout=layout), 'road'),
        around.ground(span, (half, edge), around.PAVING, 'pavement', 0.12),
        around.ground(span, (-edge, -half), around.PAVING, 'pavement', 0.12),
        around.ground((-60, reach + 80), (edge, 90), around.GRASS, 'grass', 0.05),
        around.ground((-60, reach + 80), (-90, -edge), around.GRASS, 'grass', 0.05),
        around.ground((reach, reach + 80), (-edge, edge), around.GRASS, 'grass', 0.0),
        around.kerb(span, half), around.kerb(span, -half),
    ]  # fmt: skip
    for side in (-1, 1):
        things += _roadside(random, climate, span, side, edge)
        things += _furniture(random, climate, span, side, half)
    things += _parked_cars(random, climate, span, half) if parking else []
    things += _traffic(random, climate, lane, route.speed, seconds)
    things += _people(random, climate, half, edge, route.speed * seconds)
    if random.random() < 0.5:
        side = random.choice((-1, 1))
        x, yaw = random.uniform(8, 40), 0.0 if side < 0 else np.pi
        things += rider(random, climate, x, side * (half - 0.7 - parking), yaw, random.uniform(3, 5))
    things += [around.building(random, climate, reach + 30 + 18 * i, 40 - 30 * i, -np.pi / 2, 30, 12) for i in range(3)]
    return Layout(tuple(things), route)


def _roadside(random: Random, climate: Climate, span: tuple[float, float], side: int, edge: float) -> list[Thing]:
    """A row of houses, or a guard rail with trees behind it."""
    if random.random() >= 0.25:
        return _houses(random, climate, span, side, edge + random.uniform(0.2, 4.0))
    things = [around.guard_rail(span, side * (edge + 0.4))]
    for _ in range(int(span[1] / 7)):
        x, y = random.uniform(-10, span[1]), side * random.uniform(edge + 3, edge + 25)
        things.append(around.tree(random, x, y, random.uniform(4, 11)))
    return things


def _people(random: Random, climate: Climate, half: float, edge: float, way: float) -> list[Thing]:
    """Walkers on both pavements, and some who cross the road ahead of where the rig gets to (``way``)."""
    things = []
    for _ in range(int(random.integers(4, 11))):
        side = random.choice((-1, 1))
        x, y = random.uniform(4, 45), side * random.uniform(half + 0.4, edge - 0.3)
        things.append(draw_walker(random, climate, x, y, along=True))
    for _ in range(int(random.integers(0, 3))):
        x = way + random.uniform(7, 25)
        start = random.choice((-1, 1)) * random.uniform(0.5, half)
        things.append(person(random, climate, x, start, -np.sign(start) * np.pi / 2, random.uniform(0.8, 1.5)))
    return things


def _houses(random: Random, climate: Climate, span: tuple[float, float], side: int, front: float) -> list[Thing]:
    houses, x = [], span[0]
    while x < span[1]:
        width = random.uniform(7, 18)
        setback = random.uniform(0, 1.2)
        yaw, corner = (0.0, x) if side > 0 else (np.pi, x + width)
        y = side * (front + setback)
        houses.append(around.building(random, climate, corner, y, yaw, width, random.uniform(8, 13)))
        x += width + (random.uniform(2, 9) if random.random() < 0.35 else 0.0)
    return houses


def _furniture(random: Random, climate: Climate, span: tuple[float, float], side: int, half: float) -> list[Thing]:
    things: list[Thing] = []
    height = random.uniform(5.0, 8.0)
    start = span[0] + random.uniform(0, 25)
    spacing = random.uniform(20, 30)
    things += [
        around.street_lamp(random, climate, x, side * (half + 0.5), -side, height)
        for x in np.arange(start, span[1], spacing)
    ]
    if random.random() < 0.6:
        gap = random.uniform(9, 16)
        things += [
            around.tree(random, x + random.normal(0, 0.4), side * (half + 0.9), random.uniform(4.5, 8))
            for x in np.arange(start + 4, span[1] - 20, gap)
        ]
    things += [
        around.sign(random, random.uniform(5, span[1] - 60), side * (half + 0.45))
        for _ in range(int(random.integers(1, 4)))
    ]
    if random.random() < 0.4:
        x = random.uniform(5, 40)
        things += [around.bollard(x + 1.5 * i, side * (half + 0.35)) for i in range(5)]
    for _ in range(int(random.integers(0, 3))):
        place = pose(random.uniform(5, 50), side * (half + 1.2), 0.12, random.uniform(-0.3, 0.3))
        things.append(bicycle(random, Still(place)))
    if random.random() < 0.4:
        things.append(around.bench(random.uniform(8, 40), side * (half + 1.3), -side * np.pi / 2))
    return things


def _parked_cars(random: Random, climate: Climate, span: tuple[float, float], half: float) -> list[Thing]:
    things = []
    for side in (-1, 1):
        density = random.uniform(0.25, 0.9)
        for x in np.arange(span[0] + 8, span[1] - 30, 6.2):
            if random.random() > density:
                continue
            yaw = (0.0 if side < 0 else np.pi) + random.normal(0, 0.02)
            spot = Still(pose(x + random.uniform(-0.4, 0.4), side * (half - 1.15), 0.0, yaw))
            things.append(car(random, climate, spot, running=random.random() < 0.12))
    return things


def _traffic(random: Random, climate: Climate, lane: float, own_speed: float, seconds: float) -> list[Thing]:
    things = []
    ahead = own_speed * random.uniform(0.9, 1.3)
    gap = max(0.0, (own_speed - ahead) * seconds)
    x = gap + random.uniform(9, 30)
    for _ in range(int(random.integers(0, 3))):
        make = truck if random.random() < 0.2 else car
        things.append(make(random, climate, Glide(x, -lane / 2, 0.0, ahead), True))
        x += random.uniform(14, 30)
    x = random.uniform(12, 40)
    for _ in range(int(random.integers(1, 5))):
        make = truck if random.random() < 0.2 else car
        things.append(make(random, climate, Glide(x, lane / 2, np.pi, random.uniform(6, 11)), True))
        x += random.uniform(18, 45)
    return things


def parking_lot(random: Random, climate: Climate, seconds: float) -> Layout:
    """Rows of parked cars between trees and lamps; people going to and fro."""
    width, depth = 2.5, 5.0
    aisle = random.uniform(5.5, 7.0)
    pitch = 2 * depth + aisle
    offset = aisle / 2 + depth
    route = draw_route(random, climate, seconds, random.random() < 0.4, random.normal(0, 0.6))
    route = replace(route, speed=min(route.speed, 3.0))
    reach = route.speed * seconds + 60
    layout = (width, depth, round(pitch, 3), round(offset, 3))
    marked = replace(around.ASPHALT, pattern=Pattern.PARKING, layout=layout)
    edge = offset + pitch
    things = [
        around.ground((-30, reach), (-edge - 8, edge + 8), marked, 'ground'),
        around.ground((-30, reach + 90), (edge + 8, 120), around.GRASS, 'grass', 0.05),
        around.ground((-30, reach + 90), (-120, -edge - 8), around.GRASS, 'grass', 0.05),
        around.ground((reach, reach + 90), (-edge - 8, edge + 8), around.GRASS, 'grass', 0.0),
    ]
    fullness = random.uniform(0.35, 0.85)
    for row in (-offset - pitch, -offset, offset, offset + pitch):
        for half_row in (-1, 1):
            for x in np.arange(-20 + width, reach - 6, width):
                if random.random() < fullness * (0.75 if abs(row) > offset else 1.0):
                    running = random.random() < 0.1
                    nose = -half_row * np.pi / 2 if random.random() < 0.7 else half_row * np.pi / 2
                    there = x + random.normal(0, 0.12), row + half_row * depth / 2 + random.normal(0, 0.15)
                    spot = pose(*there, 0.0, nose + random.normal(0, 0.03))
                    things.append(car(random, climate, Still(spot), running))
        things += [
            around.street_lamp(random, climate, x, row, random.choice((-1.0, 1.0)), random.uniform(5, 8))
            for x in np.arange(random.uniform(-5, 10), reach, random.uniform(18, 28))
        ]
    for side in (-1, 1):
        things += [
            around.tree(random, x, side * (edge + random.uniform(9, 14)), random.uniform(4, 9))
            for x in np.arange(-10, reach + 20, random.uniform(6, 12))
        ]
    things += [around.building(random, climate, reach + 12, edge, -np.pi / 2, 2 * edge * random.uniform(0.5, 1), 15)]
    for _ in range(int(random.integers(3, 9))):
        x, y = random.uniform(3, 30), random.choice((-1, 1)) * random.uniform(1.2, aisle / 2)
        things.append(draw_walker(random, climate, x, y, along=random.random() < 0.7))
    if random.random() < 0.5:
        way = Glide(random.uniform(15, 40) + route.speed * seconds, aisle / 4, np.pi, 1.5)
        things.append(car(random, climate, way, True))
    return Layout(tuple(things), route)


def campus_path(random: Random, climate: Climate, seconds: float) -> Layout:
    """A paved path through lawns with trees, benches, hedges, lamps, walkers and cyclists."""
    half = random.uniform(1.4, 2.4)
    route = draw_route(random, climate, seconds, False, random.normal(0, 0.3))
    reach = route.speed * seconds + 90
    things = [
        around.ground((-20, reach), (-half, half), around.PAVING, 'pavement', 0.02),
        around.ground((-20, reach + 60), (half, 100), around.GRASS, 'grass', 0.0),
        around.ground((-20, reach + 60), (-100, -half), around.GRASS, 'grass', 0.0),
        around.ground((reach, reach + 60), (-half, half), around.PAVING, 'pavement', 0.0),
    ]
    height = random.uniform(3.2, 4.5)
    for side in (-1, 1):
        things += [around.street_lamp(random, climate, x, side * (half + 0.5), -side, height)
                   for x in np.arange(random.uniform(0, 14), reach, random.uniform(14, 22))]  # fmt: skip
        for _ in range(int(random.integers(6, 16))):
            x, y = random.uniform(-5, reach), side * random.uniform(half + 2, half + 14)
            things.append(around.tree(random, x, y, random.uniform(3.5, 10)))
        for _ in range(int(random.integers(1, 5))):
            x, y = random.uniform(3, 40), side * random.uniform(half + 1, half + 6)
            things.append(around.bush(random, x, y, random.uniform(0.5, 1.2)))
        if random.random() < 0.5:
            start = random.uniform(2, 30)
            end = start + random.uniform(6, 18)
            things.append(around.hedge(random, (start, end), side * (half + random.uniform(1.0, 2.5))))
        things.append(around.bench(random.uniform(5, 30), side * (half + 0.6), -side * np.pi / 2))
        things += _houses(random, climate, (random.uniform(-15, 10), reach), side, random.uniform(16, 30))
    things += [around.building(random, climate, reach + 20, 30, -np.pi / 2, 60, 15)]
    for _ in range(int(random.integers(3, 9))):
        x = random.uniform(3, 35) + route.speed * seconds * random.random()
        things.append(draw_walker(random, climate, x, random.choice((-1, 1)) * random.uniform(0.7, half), along=True))
    for _ in range(int(random.integers(0, 3))):
        x, side = random.uniform(8, 40), random.choice((-1, 1))
        things += rider(random, climate, x, side * half * 0.5, 0.0 if side < 0 else np.pi, random.uniform(2.5, 5))
    for _ in range(int(random.integers(0, 3))):
        x, y = random.uniform(4, 30), random.choice((-1, 1)) * (half + 0.5)
        things.append(bicycle(random, Still(pose(x, y, 0.0, random.uniform(0, 6)))))
    return Layout(tuple(things), route)
