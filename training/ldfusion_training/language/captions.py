"""Captions of one fixed form, which the captioner learns and which can be read back.

Night street in smoke. A car ahead at 20 m.
Infrared street. Two warm people on the left at 8 m and 12 m. A car ahead at 20 m.
"""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from ldfusion_models.language.captioner import sentence
from ldfusion_training.language.facts import CLASSES, LIGHTS, PLACES, Facts, Mention, groups_of

# Steps of about a tenth: finer than the depth branches are.
DISTANCES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 22, 25, 28, 32, 36, 40, 45, 50)
NUMBERS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
PLURALS = {'person': 'people', 'bench': 'benches', 'shelf': 'shelves'}
ROOM_LIGHTS = {'day': 'bright', 'dusk': 'dim', 'night': 'dark'}
WEATHER_PHRASES = {'clear': '', 'overcast': 'under clouds', 'fog': 'in fog', 'smoke': 'in smoke'}
SIDE_PHRASES = {'left': 'on the left', 'ahead': 'ahead', 'right': 'on the right'}
NOTHING = 'nothing near .'


def caption(facts: Facts, thermal: bool) -> str:
    """The caption of what one camera sees: visible images tell light and weather, thermal ones what is warm."""
    return sentence(tokens_of(facts, thermal))


def tokens_of(facts: Facts, thermal: bool) -> list[str]:
    """The caption's words, small letters, punctuation apart."""
    sentences = [_opening(facts, thermal)]
    sentences += [_group(group, thermal) for group in groups_of(facts.mentions)] or [NOTHING]
    return ' '.join(sentences).split()


def opening_tokens(random: np.random.Generator, facts: Facts, thermal: bool) -> tuple[list[str], list[bool]]:
    """The opening words for facts of which only the place is known for sure, and which of the words are known.

    A light that is not known is guessed, for a caption has no gaps; after a weather that is not known nothing follows.
    """
    light = facts.light or LIGHTS[int(random.integers(len(LIGHTS)))]
    tokens = _opening(dataclasses.replace(facts, light=light, weather=facts.weather or 'clear'), thermal).split()
    if thermal:
        return tokens, [True] * len(tokens)
    if not facts.weather:
        tokens = tokens[: 1 + len(facts.place.split())]
    return tokens, [bool(facts.light), *[True] * (len(tokens) - 1)]


def vocabulary() -> tuple[str, ...]:
    """All words that captions may have."""
    tokens = {'infrared', 'in', '.', ',', 'and', 'a', 'an', 'at', 'm', 'warm', *NOTHING.split(), *NUMBERS[2:]}
    tokens |= {'day', 'dusk', 'night', *ROOM_LIGHTS.values(), *map(str, DISTANCES)}
    for phrase in (*PLACES, *WEATHER_PHRASES.values(), *SIDE_PHRASES.values(), *CLASSES, *map(plural, CLASSES)):
        tokens |= set(phrase.split())
    return tuple(sorted(tokens))


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
        if not found:
            place = place or next((name for name in PLACES if name in part), '')
            light = light or _read_light(part)
            if not weather and not part.startswith('infrared'):
                phrases = [name for name, phrase in WEATHER_PHRASES.items() if phrase and phrase in part]
                weather = phrases[0] if phrases else 'clear' if place else ''
    return Facts(place, light, weather, tuple(mentions))


def _opening(facts: Facts, thermal: bool) -> str:
    if thermal:
        return f'infrared {facts.place} .'
    light = ROOM_LIGHTS[facts.light] if facts.indoors else facts.light
    return f'{light} {facts.place} {WEATHER_PHRASES[facts.weather]} .'


def _group(group: Sequence[Mention], thermal: bool) -> str:
    name, count = group[0].name, len(group)
    noun = name if count == 1 else plural(name)
    # The group is warm as a whole if most of it is.
    warm = 'warm ' if thermal and sum(each.warm for each in group) * 2 > count else ''
    number = ('an' if (warm + noun)[0] in 'aeiou' else 'a') if count == 1 else NUMBERS[min(count, len(NUMBERS) - 1)]
    distances = [f'{nearest_step(each.distance_m)} m' for each in group]
    listed = distances[0] if count == 1 else f'{" , ".join(distances[:-1])} and {distances[-1]}'
    return f'{number} {warm}{noun} {SIDE_PHRASES[group[0].side]} at {listed} .'


_NAMES = {word: name for name in CLASSES for word in (name, plural(name))}
_PATTERN = re.compile(
    r'^(?:an?|' + '|'.join(NUMBERS) + r') (warm )?(' + '|'.join(sorted(_NAMES, key=len, reverse=True)) + r') '
    r'(on the left|ahead|on the right) at ([0-9 m,and]+)$'
)


def _read_group(sentence: str) -> list[Mention]:
    found = _PATTERN.match(sentence)
    if not found:
        return []
    side = next(side for side, phrase in SIDE_PHRASES.items() if phrase == found[3])
    distances = re.findall(r'[0-9]+', found[4])
    return [Mention(_NAMES[found[2]], side, float(distance), bool(found[1])) for distance in distances]


def _read_light(sentence: str) -> str:
    tokens = sentence.split()
    return next((light for light, room in ROOM_LIGHTS.items() if light in tokens or room in tokens), '')
