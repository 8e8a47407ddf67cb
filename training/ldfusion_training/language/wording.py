"""Free wordings of facts, as people and other captioners write them: what the text encoder learns to join."""

from collections.abc import Sequence

import numpy as np

from ldfusion_models.language.captions import (
    DISTANCES,
    NUMBERS,
    ROOM_LIGHTS,
    SIDE_PHRASES,
    WEATHER_PHRASES,
    caption,
    plural,
)
from ldfusion_models.language.facts import Facts, Mention, groups_of
from ldfusion_training.language.facts import distance_class

PLACE_WORDS = {
    'street': ('street', 'road', 'road through town', 'street scene', 'urban road'),
    'parking lot': ('parking lot', 'car park', 'parking area'),
    'campus path': ('campus path', 'footpath', 'path between lawns', 'park path'),
    'warehouse aisle': ('warehouse aisle', 'aisle of a warehouse', 'warehouse', 'storage hall'),
    'corridor': ('corridor', 'hallway', 'indoor passage'),
    'tunnel': ('tunnel', 'road tunnel', 'underpass'),
}
LIGHT_WORDS = {
    'day': ('day', 'daytime', 'by day', 'daylight', 'in the day', 'sunny', 'bright'),
    'dusk': ('dusk', 'evening', 'twilight', 'at dusk', 'dim light'),
    'night': ('night', 'at night', 'dark', 'by night', 'in the dark', 'darkness', 'night time'),
}
ROOM_LIGHT_WORDS = {
    'day': ('bright', 'brightly lit', 'well lit', 'lights on'),
    'dusk': ('dim', 'dimly lit', 'dim light', 'weak light'),
    'night': ('dark', 'unlit', 'in the dark', 'lights off', 'darkness'),
}
WEATHER_WORDS = {
    'clear': ('clear', 'clear air', 'clear weather', 'good visibility'),
    'overcast': ('overcast', 'under an overcast sky', 'cloudy', 'under clouds'),
    'fog': ('in fog', 'foggy', 'fog', 'mist', 'misty'),
    'smoke': ('with smoke', 'smoke in the air', 'in smoke', 'smoke', 'smoky', 'behind the smoke', 'through smoke'),
}
SIDE_WORDS = {
    'left': ('on the left', 'to the left', 'at left', 'left', 'on the left side', 'left hand side'),
    'right': ('on the right', 'to the right', 'at right', 'right', 'on the right side', 'right hand side'),
    'ahead': ('ahead', 'in front', 'straight ahead', 'in the middle', 'in the centre'),
}
DISTANCE_WORDS = {
    'near': ('near', 'nearby', 'close', 'close by', 'very close'),
    'middle': ('at middle distance', 'some way off', 'not far'),
    'far': ('far away', 'far', 'in the distance', 'distant', 'far off'),
}
NOUNS = {
    'person': (('person', 'pedestrian', 'man', 'woman', 'human', 'walker', 'figure'),
               ('people', 'pedestrians', 'persons', 'humans', 'men', 'walkers')),
    'car': (('car', 'vehicle', 'automobile', 'passenger car'), ('cars', 'vehicles', 'automobiles', 'traffic')),
    'truck': (('truck', 'lorry'), ('trucks', 'lorries')),
    'bicycle': (('bicycle', 'bike', 'cycle'), ('bicycles', 'bikes', 'cycles')),
    'forklift': (('forklift', 'fork lift', 'forklift truck'), ('forklifts', 'fork lifts')),
    'lamp post': (('lamp post', 'street lamp', 'streetlight', 'lamp'), ('lamp posts', 'street lamps', 'streetlights')),
    'sign': (('sign', 'traffic sign', 'road sign'), ('signs', 'traffic signs', 'road signs')),
    'tree': (('tree', 'trees and leaves'), ('trees', 'vegetation')),
    'bench': (('bench', 'seat'), ('benches', 'seats')),
    'door': (('door', 'doorway', 'exit'), ('doors', 'doorways', 'exits')),
    'shelf': (('shelf', 'rack', 'storage rack'), ('shelves', 'racks')),
    'crate': (('crate', 'box', 'carton'), ('crates', 'boxes', 'cartons')),
    'guard rail': (('guard rail', 'crash barrier', 'barrier'), ('guard rails', 'crash barriers', 'barriers')),
    'building': (('building', 'house', 'facade'), ('buildings', 'houses', 'facades')),
    'pipe': (('pipe', 'tube'), ('pipes', 'tubes')),
}  # fmt: skip
SURFACES = {
    'street': ('road', 'road markings', 'pavement'),
    'parking lot': ('asphalt', 'road markings'),
    'campus path': ('grass', 'pavement'),
    'warehouse aisle': ('floor',),
    'corridor': ('floor', 'wall'),
    'tunnel': ('road', 'wall', 'road markings'),
}
SURFACE_WORDS = {
    'road': ('road', 'roadway', 'road surface', 'the road', 'street surface'),
    'road markings': ('road markings', 'lane markings', 'lane lines', 'white lines', 'painted lines'),
    'pavement': ('pavement', 'sidewalk', 'footway', 'kerb'),
    'asphalt': ('asphalt', 'tarmac', 'ground'),
    'grass': ('grass', 'lawn', 'meadow'),
    'floor': ('floor', 'the floor', 'hall floor'),
    'wall': ('wall', 'walls'),
}
# Words of prompts that add no meaning.
REQUESTS = ('', '', '', 'show ', 'show the ', 'find ', 'highlight ', 'watch for ', 'focus on ', 'look for ', 'the ')
# Wordings that nothing learns from and no list of words was corrected by, under the prompt that they should act as.
HELD_OUT = {
    'people': ('somebody', 'anything alive', 'passers-by', 'children playing', 'a jogger', 'soldiers',
               'the lady with the umbrella', 'firefighters'),
    'cars': ('taxis', 'SUV', 'sedans', 'a parked hatchback', 'jeep', 'station wagon', 'minivan', 'convertibles'),
    'road': ('highway', 'motorway', 'the avenue', 'boulevard', 'freeway', 'carriageway', 'a lane', 'blacktop'),
    'trees': ('oak', 'pines', 'bushes', 'shrubs', 'forest', 'hedge', 'palm trees', 'the foliage'),
    'buildings': ('skyscraper', 'shops', 'a church', 'towers', 'apartment block', 'cottages', 'the factory',
                  'office buildings'),
}  # fmt: skip
WARM_WORDS = ('warm', 'hot', 'warm', 'glowing')


def reword(random: np.random.Generator, facts: Facts) -> str:
    """One of many texts that tell ``facts``."""
    if facts.place and facts.light and facts.weather and _tells_sides(facts) and random.random() < 0.35:
        return _as_captioner(random, facts)
    parts = [_scene(random, facts), *(_group(random, group) for group in groups_of(facts.mentions))]
    if facts.topics:
        parts.append(_topics(random, facts.topics))
    parts_told = [part for part in parts if part]
    if random.random() < 0.3:
        parts_told = [parts_told[row] for row in random.permutation(len(parts_told))]
    separator, end = (('. ', '.'), (', ', ''), ('; ', ''))[int(random.integers(3))]
    text = separator.join(parts_told) + end
    if random.random() < 0.5:
        text = text[:1].upper() + text[1:]
    return text


def _tells_sides(facts: Facts) -> bool:
    return all(each.side and each.distance_m for each in facts.mentions) and not facts.topics


def _as_captioner(random: np.random.Generator, facts: Facts) -> str:
    visible, thermal = caption(facts, thermal=False), caption(facts, thermal=True)
    return (visible, f'{visible} {thermal}')[int(random.integers(2))]


def _scene(random: np.random.Generator, facts: Facts) -> str:
    light = one(random, (ROOM_LIGHT_WORDS if facts.indoors else LIGHT_WORDS)[facts.light]) if facts.light else ''
    # Clear air is mostly not worth a word.
    silent = not facts.weather or (facts.weather == 'clear' and random.random() < 0.6 and (facts.place or facts.light))
    weather = '' if silent else one(random, WEATHER_WORDS[facts.weather])
    place = one(random, PLACE_WORDS[facts.place]) if facts.place else ''
    words = [word for word in (light, place, weather) if word]
    if random.random() < 0.5:
        words = [words[row] for row in random.permutation(len(words))]
        return ', '.join(words)
    return ' '.join(words)


def _group(random: np.random.Generator, group: Sequence[Mention]) -> str:
    count = len(group)
    noun = one(random, NOUNS[group[0].name][count > 1])
    number = one(random, ('a', 'one', '')) if count == 1 else one(random, (NUMBERS[min(count, 10)], 'some', ''))
    warm = one(random, WARM_WORDS) if group[0].warm and random.random() < 0.5 else ''
    side = one(random, SIDE_WORDS[group[0].side]) if group[0].side else ''
    distance = _distances(random, [each.distance_m for each in group]) if group[0].distance_m else ''
    place = [side, distance] if random.random() < 0.5 else [distance, side]
    subject = [number, warm, noun]
    words = [*place, *subject] if random.random() < 0.2 else [*subject, *place]
    return ' '.join(word for word in words if word)


def _distances(random: np.random.Generator, distances: Sequence[float]) -> str:
    if random.random() < 0.3:
        return one(random, DISTANCE_WORDS[distance_class(distances[0])])
    # People round, and estimate.
    said = [distance * random.uniform(0.93, 1.07) for distance in distances]
    unit = one(random, (' m', ' m', ' metres', ' meters', 'm'))
    texts = [f'{distance:.1f}' if distance < 3 else str(round(distance)) for distance in said]
    listed = texts[0] if len(texts) == 1 else f'{", ".join(texts[:-1])} and {texts[-1]}'
    return f'{one(random, ("at ", "", "about "))}{listed}{unit}{one(random, ("", "", " away"))}'


def _topics(random: np.random.Generator, topics: Sequence[str]) -> str:
    words = [one(random, SURFACE_WORDS[name] if name in SURFACE_WORDS else NOUNS[name][1]) for name in topics]
    return one(random, REQUESTS) + ' and '.join(words)


def one(random: np.random.Generator, words: Sequence[str]) -> str:
    """One of ``words``, each as likely."""
    return words[int(random.integers(len(words)))]


def _caption_words() -> list[str]:
    phrases = (*WEATHER_PHRASES.values(), *SIDE_PHRASES.values(), *ROOM_LIGHTS.values(), *map(plural, NOUNS), *NOUNS)
    return [*phrases, *PLACE_WORDS, *map(str, DISTANCES), 'infrared in an at warm nothing near']


def every_word() -> str:
    """All words and signs that ``reword`` may use, in one text."""
    tables: tuple[dict[str, tuple[str, ...]], ...] = (
        PLACE_WORDS, LIGHT_WORDS, ROOM_LIGHT_WORDS, WEATHER_WORDS, SIDE_WORDS, DISTANCE_WORDS, SURFACE_WORDS,
    )  # fmt: skip
    words = [word for table in tables for choices in table.values() for word in choices]
    words += [word for choices in NOUNS.values() for number in choices for word in number]
    words += [*REQUESTS, *WARM_WORDS, *NUMBERS, *_caption_words(), *'0123456789', *'.,;']
    return ' '.join([*words, 'a one some about at away and m metres meters'])
