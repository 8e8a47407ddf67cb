"""Captions of one fixed form, made of facts, from which the facts can be read back.

Night street in smoke. A car ahead at 20 m.
Infrared street. Two warm people on the left at 8 m and 12 m. A car ahead at 20 m.
"""

import re
from collections.abc import Sequence
from functools import partial

from ldfusion_models.language.facts import NAMES, PLACES, Facts, Mention, groups_of

# Steps of about a tenth: finer than the depth branches are.
DISTANCES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 22, 25, 28, 32, 36, 40, 45, 50)
NUMBERS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
PLURALS = {
    'person': 'people',
    'bench': 'benches',
    'shelf': 'shelves',
    'bus': 'buses',
    'couch': 'couches',
    'sheep': 'sheep',
}
ROOM_LIGHTS = {'day': 'bright', 'dusk': 'dim', 'night': 'dark'}
WEATHER_PHRASES = {'clear': '', 'overcast': 'under clouds', 'fog': 'in fog', 'smoke': 'in smoke'}
SIDE_PHRASES = {'left': 'on the left', 'ahead': 'ahead', 'right': 'on the right'}
NOTHING = 'nothing near'
UNKNOWN_PLACE = 'scene'


def caption(facts: Facts, thermal: bool) -> str:
    """The caption of what one camera sees: visible images tell light and weather, thermal ones what is warm."""
    sentences = [_opening(facts, thermal), *map(partial(_group, thermal=thermal), groups_of(facts.mentions))]
    if not facts.mentions:
        sentences.append(NOTHING)
    return ' '.join(f'{each[0].upper()}{each[1:]}.' for each in sentences)


def plural(name: str) -> str:
    """More than one of a class."""
    return PLURALS.get(name, f'{name}s')


def nearest_step(distance_m: float) -> int:
    """The distance of ``DISTANCES`` that a caption says."""
    return min(DISTANCES, key=lambda step: abs(step - distance_m))


def read_caption(text: str) -> Facts:
    """The facts of a caption, or of several that follow each other; what has another form is passed over."""
    sentences = [part.strip().lower() for part in text.split('.') if part.strip()]
    light = weather = place = ''
    mentions: list[Mention] = []
    for part in sentences:
        found = _read_group(part)
        mentions += found
        if not found and part != NOTHING:
            place = place or next((name for name in PLACES if name in part), '')
            light = light or _read_light(part)
            if not weather and not part.startswith('infrared'):
                phrases = [name for name, phrase in WEATHER_PHRASES.items() if phrase and phrase in part]
                weather = phrases[0] if phrases else 'clear' if place else ''
    return Facts(place, light, weather, tuple(mentions))


def _opening(facts: Facts, thermal: bool) -> str:
    place = facts.place or UNKNOWN_PLACE
    if thermal:
        return f'infrared {place}'
    light = ROOM_LIGHTS[facts.light] if facts.indoors and facts.light else facts.light
    return ' '.join(filter(None, (light, place, WEATHER_PHRASES.get(facts.weather, ''))))


def _group(group: Sequence[Mention], thermal: bool) -> str:
    name, count = group[0].name, len(group)
    noun = name if count == 1 else plural(name)
    # The group is warm as a whole if most of it is.
    warm = 'warm ' if thermal and sum(each.warm for each in group) * 2 > count else ''
    number = ('an' if (warm + noun)[0] in 'aeiou' else 'a') if count == 1 else NUMBERS[min(count, len(NUMBERS) - 1)]
    where = f'{number} {warm}{noun} {SIDE_PHRASES[group[0].side]}'
    distances = [f'{nearest_step(each.distance_m)} m' for each in group if each.distance_m]
    if not distances:
        return where
    return f'{where} at {" and ".join(filter(None, (", ".join(distances[:-1]), distances[-1])))}'


_NAMES = {word: name for name in NAMES for word in (name, plural(name))}
_PATTERN = re.compile(
    r'^(an?|' + '|'.join(NUMBERS) + r') (warm )?(' + '|'.join(sorted(_NAMES, key=len, reverse=True)) + r') '
    r'(on the left|ahead|on the right)(?: at ([0-9 m,and]+))?$'
)


def _read_group(sentence: str) -> list[Mention]:
    found = _PATTERN.match(sentence)
    if not found:
        return []
    side = next(side for side, phrase in SIDE_PHRASES.items() if phrase == found[4])
    distances = re.findall(r'[0-9]+', found[5] or '') or ['0'] * _count(found[1])
    return [Mention(_NAMES[found[3]], side, float(distance), bool(found[2])) for distance in distances]


def _count(number: str) -> int:
    return NUMBERS.index(number) if number in NUMBERS else 1


def _read_light(sentence: str) -> str:
    tokens = sentence.split()
    return next((light for light, room in ROOM_LIGHTS.items() if light in tokens or room in tokens), '')
