"""What somebody saw in 80 real pairs: ``real_pairs.json``, in our own words; the images are not in the repository.

Each pair has ``name`` and ``set`` (files ``SET/vi/NAME.*`` and ``SET/ir/NAME.*``), ``split`` (``training``, or
``validation``: not to be trained on, wherever its files lie), ``size`` ([width, height] in pixels), ``place`` (as
captions tell it, or ``other``: fields, woods and what else they have no word for), ``light``, ``weather``, ``text``,
``counts`` (objects by class, without ignored regions) and ``objects``. An object has ``name``, ``box`` ([xmin, ymin,
xmax, ymax] in pixels of the visible image), ``where``, ``distance_m``, ``visible_in`` and ``difficult``.
``where`` is the third of the image that holds the middle of the box. Distances are rough estimates: by the apparent
height of the box, or by eye where the camera looks from above or is another; they are no measurements.
An object of class ``ignore`` is a region whose things can't be told apart; it has no distance.
Boxes were proposed by the detector of ``teacher_labels`` or drawn by hand, then looked at once; they are coarse, and
where proposed they fit that detector better than another.

The pairs of LLVIP come from one fixed camera: its training and validation pairs show the same street. 25 validation
pairs lie in ``train`` folders; no training sees a labelled pair (``unlabelled``).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError, naming
from ldfusion_models.language.facts import LIGHTS, PLACES, SIDES
from ldfusion_training.data.pairs import PairSource, images_by_name

FILE = Path(__file__).with_name('real_pairs.json')
IGNORE = 'ignore'
SPLITS = ('training', 'validation')
OTHER_PLACE = 'other'
CAMERAS = ('both', 'visible', 'thermal')


@dataclass(frozen=True)
class SeenObject:
    """One object, or a region to ignore; ``box`` is xmin, ymin, xmax, ymax in pixels; a region has no distance."""

    name: str
    box: tuple[int, int, int, int]
    where: str
    distance_m: float | None = None
    visible_in: str = 'both'
    difficult: bool = False


@dataclass(frozen=True)
class SeenPair:
    """One pair and what is in it; ``size`` is width, height in pixels."""

    name: str
    set: str
    split: str
    size: tuple[int, int]
    place: str
    light: str
    weather: str
    text: str
    objects: tuple[SeenObject, ...]


def read_real_pairs(file: Path = FILE) -> list[SeenPair]:
    """All labelled pairs.

    Raises:
        InputError: the file can't be read, or an entry breaks the schema above; the message names it.
    """
    try:
        entries = json.loads(file.read_text(encoding='utf-8'))['pairs']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file}: no labelled pairs ({error}); it holds {{"pairs": [...]}}') from error
    pairs = []
    for number, entry in enumerate(entries):
        with naming(f'{file}, pair {number}'):
            pairs.append(_pair(entry))
    repeated = [key for key, count in Counter((pair.set, pair.name) for pair in pairs).items() if count > 1]
    if repeated:
        raise InputError(f'{file}: {"/".join(repeated[0])} is labelled twice; keep one, in one split')
    return pairs


@dataclass(frozen=True)
class LabelledPair:
    """What is in a pair, and where its images lie."""

    seen: SeenPair
    source: PairSource


def open_labelled(pairs: Sequence[SeenPair], folder: Path) -> list[LabelledPair]:
    """The files of labelled pairs, ``SET/vi/NAME.*`` and ``SET/ir/NAME.*`` below ``folder``.

    Raises:
        InputError: one of them is missing, or none is asked for.
    """
    if not pairs:
        raise InputError('no labelled pair is left; choose another split or other sets')
    opened = []
    for seen in pairs:
        files = [images_by_name(folder / seen.set / kind).get(seen.name) for kind in ('vi', 'ir')]
        if files[0] is None or files[1] is None:
            raise InputError(
                f'{folder / seen.set}: no pair {seen.name} in vi and ir; name the folder of data by --data'
            )
        opened.append(LabelledPair(seen, PairSource(seen.name, files[0], files[1])))
    return opened


def unlabelled(sources: Sequence[PairSource], folder: Path) -> list[PairSource]:
    """Those pairs of ``folder``, the last two parts of whose path name the set, that may be trained on."""
    known = {pair.name for pair in read_real_pairs() if pair.set == '/'.join(folder.parts[-2:])}
    return [source for source in sources if source.name not in known]


def _pair(entry: Mapping[str, Any]) -> SeenPair:
    try:
        size = (int(entry['size'][0]), int(entry['size'][1]))
        objects = tuple(_object(item, size) for item in entry['objects'])
        pair = SeenPair(
            size=size,
            objects=objects,
            **{name: entry[name] for name in ('name', 'set', 'split', 'place', 'light', 'weather', 'text')},
        )
        counts = dict(entry['counts'])
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f'{error} is missing or of the wrong kind; see the schema in real_pairs.py') from error
    _one_of('split', pair.split, SPLITS)
    _one_of('place', pair.place, (*PLACES, OTHER_PLACE))
    _one_of('light', pair.light, LIGHTS)
    seen = Counter(item.name for item in objects if item.name != IGNORE)
    if counts != seen:
        raise InputError(f'counts are {counts}, but the objects are {dict(seen)}; correct one of them')
    return pair


def _object(item: Mapping[str, Any], size: tuple[int, int]) -> SeenObject:
    left, top, right, bottom = item['box']
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise InputError(f'box {item["box"]} is empty or outside {size[0]}x{size[1]} pixels')
    _one_of('where', item['where'], SIDES)
    if item['name'] == IGNORE:
        return SeenObject(IGNORE, (left, top, right, bottom), item['where'])
    _one_of('visible_in', item['visible_in'], CAMERAS)
    distance = item['distance_m']
    if not distance > 0:
        raise InputError(f'distance_m is {distance}; it is above 0')
    return SeenObject(
        item['name'], (left, top, right, bottom), item['where'], distance, item['visible_in'], item['difficult']
    )


def _one_of(field: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f'{field} is {value!r}; it is one of {", ".join(known)}')
