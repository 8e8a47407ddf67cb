"""How a rig goes through a scene, and what a scene's layout holds."""

from dataclasses import dataclass, replace

import numpy as np

from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.people import person
from ldfusion_training.simulation.scenery.things import LampLight, Random, Thing


@dataclass(frozen=True)
class Route:
    """How the rig goes: along x at ``speed`` m/s at a height, beside the axis, looking ahead with a slight sway.

    Angles in radians: ``pitch`` looks down, ``roll`` lowers the right.
    """

    speed: float
    height: float
    side: float
    yaw: float
    pitch: float
    sway: float
    lamps: tuple[LampLight, ...] = ()
    roll: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Things of a scene and the rig's way through them."""

    things: tuple[Thing, ...]
    route: Route


HEADLIGHTS = (LampLight((0.3, 0.0, -0.5), (1.0, 0.0, -0.02), (10.0, 9.6, 8.6), 18.0, 50.0),)
TORCH = (LampLight((0.1, 0.0, 0.1), (1.0, 0.0, -0.05), (1.2, 1.2, 1.25), 22.0, 18.0),)


def draw_route(random: Random, climate: Climate, seconds: float, driving: bool, side: float) -> Route:
    fastest = 160.0 / max(seconds, 1.0)
    speed = min(random.uniform(3.0, 9.0) if driving else random.uniform(0.4, 1.6), fastest)
    lamps = HEADLIGHTS if driving else TORCH if random.random() < 0.5 else ()
    return Route(
        speed=float(speed),
        height=float(random.uniform(1.2, 1.7) if driving else random.uniform(0.5, 1.6)),
        side=float(side),
        yaw=float(random.normal(0, 0.04 if driving else 0.12)),
        pitch=float(random.uniform(-0.01, 0.09)),
        sway=float(0.004 if driving else 0.012),
        lamps=lamps if climate.lamps_on else (),
    )


def as_robot(random: Random, route: Route, highest: float) -> Route:
    """The same way for a camera as low, as high and as askew as robots carry theirs: 0.2 to ``highest`` metres."""
    return replace(
        route,
        height=float(np.exp(random.uniform(np.log(0.2), np.log(highest)))),
        pitch=float(random.uniform(-0.15, 0.3)),
        roll=float(random.normal(0, 0.05)),
    )


def draw_walker(random: Random, climate: Climate, x: float, y: float, along: bool) -> Thing:
    """Somebody who stands about or walks."""
    walking = random.random() < 0.7
    yaw = (random.choice((0.0, np.pi)) + random.normal(0, 0.08)) if along and walking else random.uniform(0, 2 * np.pi)
    return person(random, climate, x, y, yaw, random.uniform(0.8, 1.6) if walking else 0.0)
