"""Descriptions of a frame from the scene graph: what is really visible, where, how far, and how warm."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.things import Thing

TELLING = frozenset(
    {'person', 'car', 'truck', 'bicycle', 'lamp post', 'sign', 'tree', 'bench', 'door', 'shelf', 'forklift', 'crate',
     'guard rail', 'building', 'pipe'}
)  # fmt: skip
"""Classes worth a word."""
FIRST = ('person', 'car', 'truck', 'bicycle', 'forklift')
PLACES = {
    'street': ('street', 'road through town', 'street scene'),
    'parking_lot': ('parking lot', 'car park'),
    'campus_path': ('campus path', 'footpath on a campus', 'path between lawns'),
    'warehouse_aisle': ('warehouse aisle', 'aisle of a warehouse'),
    'corridor': ('corridor', 'hallway'),
    'tunnel': ('tunnel', 'road tunnel'),
}
LIGHT_WORDS = {
    'day': ('day', 'day', 'daytime'), 'dusk': ('dusk', 'dusk', 'evening'), 'night': ('night', 'night', 'dark'),
}  # fmt: skip
ROOM_LIGHT_WORDS = {
    'day': ('brightly lit', 'well lit'), 'dusk': ('dim', 'dimly lit'), 'night': ('dark', 'unlit'),
}  # fmt: skip
WEATHER_WORDS = {
    'clear': ('',),
    'overcast': ('', ' under an overcast sky', ', overcast'),
    'fog': (' in fog', ', foggy'),
    'smoke': (' with smoke', ', smoke in the air', ' in smoke'),
}
SIDE_WORDS = {
    'left': ('on the left', 'to the left', 'at left'),
    'right': ('on the right', 'to the right', 'at right'),
    'ahead': ('ahead', 'in front', 'straight ahead'),
}
NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
PLURALS = {'person': 'people', 'bench': 'benches', 'shelf': 'shelves'}


@dataclass(frozen=True)
class Seen:
    """An object of the frame: class name, distance along the optical axis, side, instance id, pixels, traits.

    ``thermal`` is 'warm' or 'cold' where that stands out, else ''; ``side`` is left, ahead or right.
    """

    name: str
    distance_m: float
    side: str
    instance: int
    pixels: int
    activity: str
    thermal: str

    def record(self) -> dict[str, object]:
        """The JSON form; the class is under 'class'."""
        fields = asdict(self)
        return {'class': fields.pop('name'), **fields}


def objects_seen(
    things: tuple[Thing, ...], instance: npt.NDArray[np.uint16], depth: npt.NDArray[np.float32]
) -> list[Seen]:
    """Objects with enough pixels, nearest first; ``instance`` (H, W), ``depth`` (H, W) metres."""
    flat, width = instance.reshape(-1), instance.shape[1]
    order = np.argsort(flat, kind='stable')
    numbers, starts = np.unique(flat[order], return_index=True)
    seen = []
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        if number == 0 or len(rows) < max(12, flat.size // 5000):
            continue
        thing = things[number - 1]
        if thing.name not in TELLING:
            continue
        middle = float(np.median(rows % width)) / width
        side = 'left' if middle < 0.38 else 'right' if middle > 0.62 else 'ahead'
        activity = thing.traits[0] if thing.traits else ''
        thermal = next((trait for trait in thing.traits if trait in ('warm', 'cold')), '')
        seen.append(
            Seen(
                thing.name,
                round(float(np.median(depth.reshape(-1)[rows])), 2),
                side,
                int(number),
                len(rows),
                activity,
                thermal,
            )
        )
    return sorted(seen, key=lambda each: each.distance_m)


def describe(random: np.random.Generator, kind: str, climate: Climate, seen: list[Seen]) -> str:
    """A few sentences in one of many wordings: the place, then the nearest people and vehicles, then the rest."""
    sentences = [_opening(random, kind, climate)]
    foremost = [each for each in seen if each.name in FIRST][: int(random.integers(3, 7))]
    groups: dict[tuple[str, str], list[Seen]] = {}
    for each in foremost:
        groups.setdefault((each.name, each.side), []).append(each)
    sentences += [_group(random, group) for group in groups.values()]
    others = [each for each in seen if each.name not in FIRST and each.name != 'building']
    for each in others[: int(random.integers(0, 3))]:
        sentences.append(_group(random, [each]))
    if not foremost and not others:
        sentences.append(_one(random, ('Nobody in sight.', 'The way is free.', 'No people or vehicles.')))
    return ' '.join(sentences)


def _opening(random: np.random.Generator, kind: str, climate: Climate) -> str:
    place = _one(random, PLACES[kind])
    light = _one(random, (ROOM_LIGHT_WORDS if climate.indoors else LIGHT_WORDS)[climate.light])
    weather = _one(random, WEATHER_WORDS[climate.weather])
    text = f'{light} {place}{weather}.' if random.random() < 0.6 else f'{_article(place)}{weather}, {light}.'
    return text[0].upper() + text[1:]


def _article(noun: str) -> str:
    return f'{"an" if noun[0] in "aeiou" else "a"} {noun}'


def _metres(distance: float) -> str:
    return f'{distance:.1f} m' if distance < 3 else f'{round(distance)} m'


def _one(random: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[random.integers(len(words))]


def _group(random: np.random.Generator, group: list[Seen]) -> str:
    name, side = group[0].name, _one(random, SIDE_WORDS[group[0].side])
    if len(group) == 1:
        only = group[0]
        noun = f'{only.activity} {name}' if only.activity in ('parked', 'moving') and random.random() < 0.5 else name
        acting = (
            f' {only.activity}' if only.activity in ('walking', 'standing', 'cycling') and random.random() < 0.5 else ''
        )
        warmth = (
            f', {only.thermal}'
            if only.thermal and (name == 'person' or random.random() < 0.4) and random.random() < 0.75
            else ''
        )
        text = f'{_article(noun)}{acting} at {_metres(only.distance_m)} {side}{warmth}.'
        if random.random() < 0.25:
            text = f'{side}, {_article(noun)}{acting} at {_metres(only.distance_m)}{warmth}.'
    else:
        distances = [_metres(each.distance_m) for each in group]
        listed = f'{", ".join(distances[:-1])} and {distances[-1]}'
        count = NUMBERS[len(group)] if len(group) < len(NUMBERS) else str(len(group))
        text = f'{count} {PLURALS.get(name, name + "s")} {side} at {listed}.'
    return text[0].upper() + text[1:]
