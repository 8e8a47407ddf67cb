"""Facts of simulated scenes, and the same facts with one aspect changed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ldfusion_models.language.facts import SIDES, Facts, Mention, groups_of

MOVING = ('person', 'car', 'truck', 'bicycle', 'forklift')
FIXED = ('lamp post', 'sign', 'tree', 'bench', 'door', 'shelf', 'crate', 'guard rail', 'building', 'pipe')
CLASSES = MOVING + FIXED
# Near things must be acted on, far ones watched: the classes of distance end here, in metres.
NEAR, FAR = 7.0, 20.0


def place_of(kind: str) -> str:
    """The place of a simulated kind of scene."""
    return kind.replace('_', ' ')


def mentions_of(objects: Sequence[dict[str, Any]]) -> list[Mention]:
    """The objects of a simulated frame's description, nearest first."""
    return [
        Mention(each['class'], each['side'], float(each['distance_m']), each['thermal'] == 'warm') for each in objects
    ]


def most_telling(mentions: Sequence[Mention]) -> list[Mention]:
    """What is worth saying within 50 metres: the four nearest people and vehicles, then the nearest fixed thing."""
    near = sorted((each for each in mentions if each.distance_m <= 50.0), key=lambda each: each.distance_m)
    moving = [each for each in near if each.name in MOVING]
    fixed = [each for each in near if each.name in FIXED and each.name != 'building']
    return moving[:4] + fixed[:1]


def distance_class(distance_m: float) -> str:
    """``near``, ``middle`` or ``far``."""
    return 'near' if distance_m < NEAR else 'far' if distance_m > FAR else 'middle'


def change_aspect(random: np.random.Generator, facts: Facts, aspect: str) -> Facts:
    """The same facts but for one aspect: ``object``, ``distance``, ``side``, ``light`` or ``weather``.

    Facts that don't tell that aspect come back as they are.
    """
    if aspect == 'light' and facts.light:
        return dataclasses.replace(facts, light=_other(random, facts.light, ('day', 'night')))
    if aspect == 'weather' and facts.weather:
        return dataclasses.replace(facts, weather=_other(random, facts.weather, ('clear', 'fog', 'smoke')))
    if aspect == 'object' and facts.topics:
        return dataclasses.replace(facts, topics=(_other(random, facts.topics[0], CLASSES), *facts.topics[1:]))
    groups = groups_of(facts.mentions)
    if aspect not in ('object', 'distance', 'side') or not groups:
        return facts
    chosen = groups[int(random.integers(len(groups)))]
    change = _change(random, chosen[0], aspect)
    mentions = [dataclasses.replace(each, **change) if each in chosen else each for each in facts.mentions]
    return dataclasses.replace(facts, mentions=tuple(mentions))


def _change(random: np.random.Generator, mention: Mention, aspect: str) -> dict[str, Any]:
    """What is to be replaced in a mention to change an aspect."""
    if aspect == 'object':
        return {'name': _other(random, mention.name, CLASSES)}
    if aspect == 'side':
        return {'side': _other(random, mention.side, SIDES) if mention.side else ''}
    if mention.distance_m == 0:
        return {}
    ranges = {'near': (1.5, 5.5), 'middle': (9.0, 16.0), 'far': (24.0, 48.0)}
    now = distance_class(mention.distance_m)
    # A step between neighbouring classes may be too small to matter, so near and far become each other.
    wanted = {'near': 'far', 'far': 'near', 'middle': _other(random, 'middle', tuple(ranges))}[now]
    return {'distance_m': float(random.uniform(*ranges[wanted]))}


def _other(random: np.random.Generator, now: str, choices: Sequence[str]) -> str:
    others = [choice for choice in choices if choice != now]
    return others[int(random.integers(len(others)))]
