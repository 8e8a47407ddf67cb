"""Images with boxes and facts for the captioner: taught by a detector, drawn in data sets, or simulated."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image, written_whole
from ldfusion_models.language.facts import LIGHTS, PLACES, WEATHERS
from ldfusion_training.data.pairs import Image8, Pair, as_thermal8, images_by_name, open_pairs
from ldfusion_training.language.real_pairs import IGNORE, unlabelled
from ldfusion_training.language.scenes import read_scenes, stands_out
from ldfusion_training.language.teacher_labels import (
    Detector,
    TaughtBox,
    VoteConfig,
    label_image,
    label_pair,
    read_hit_uav,
)

# Longest side of an image that is kept.
LONGEST_SIDE = 640
# Looks that must agree before a box is believed: of the three at one image, of the nine at a pair.
BELIEVED_OF_IMAGE, BELIEVED_OF_PAIR = 2, 3


@dataclass(frozen=True)
class TaughtImage:
    """One image (H, W, 3) of one camera; ``ignore`` boxes may hold anything; an empty fact is not known."""

    image: Image8
    is_thermal: bool
    boxes: tuple[TaughtBox, ...]
    place: str = ''
    light: str = ''
    weather: str = ''


@dataclass(frozen=True)
class TaughtFolder:
    """Real images of a folder, and what is true of all of them.

    Attributes:
        folder: of pairs, or of visible images.
        names: patterns of their names, such as ``*N``; empty for all.
        every: one in so many of these is used.
        place, light, weather: as in captions; empty if not known.
    """

    folder: str
    names: tuple[str, ...] = ()
    every: int = 1
    place: str = ''
    light: str = ''
    weather: str = ''

    def __post_init__(self) -> None:
        """Raises InputError for a word that captions don't have."""
        for name, known in (('place', PLACES), ('light', LIGHTS), ('weather', WEATHERS)):
            if (value := getattr(self, name)) not in ('', *known):
                raise InputError(f'{self.folder}: {name} {value!r} is unknown; choose one of {", ".join(known)}')

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that are used."""
        fitting = [name for name in names if not self.names or any(fnmatchcase(name, each) for each in self.names)]
        return fitting[:: self.every]


def read_taught_pairs(folder: TaughtFolder, detector: Detector, labels: Path) -> list[TaughtImage]:
    """Both images of the pairs of a folder; none that ``real_pairs.json`` knows.

    Boxes of a thing that can't be told from its surroundings in one camera are ignored there.
    """
    path, found = Path(folder.folder), []
    for pair, boxes in believed_pairs(path, detector, labels, folder.chosen):
        for image, thermal in ((pair.visible, False), (np.repeat(pair.thermal[..., None], 3, 2), True)):
            seen = tuple(box if _is_seen(image, box) else replace(box, name=IGNORE) for box in boxes)
            found.append(_small(TaughtImage(image, thermal, seen, folder.place, folder.light, folder.weather)))
    return _some(found, path)


def believed_pairs(
    folder: Path, detector: Detector, labels: Path, chosen: Callable[[Iterable[str]], Iterable[str]] = list
) -> Iterator[tuple[Pair, tuple[TaughtBox, ...]]]:
    """Pairs of a folder, none that ``real_pairs.json`` knows, with the detector's boxes, which are kept in ``labels``.

    Boxes that too few of its looks agree on are ignored ones. ``chosen`` picks from the pairs' names.
    """
    name = '/'.join(folder.parts[-2:])
    sources = {each.name: each for each in unlabelled(open_pairs(folder, faults='skip').pairs, folder)}
    for each in chosen(sources):
        pair = sources[each].read()
        yield pair, _kept(labels / name / f'{each}.json', partial(_believed, detector, pair))


def read_taught_images(folder: TaughtFolder, detector: Detector, labels: Path) -> list[TaughtImage]:
    """Visible images of a folder."""
    path = Path(folder.folder)
    files = images_by_name(path)
    found = []
    for each in folder.chosen(files):
        image = as_rgb8(read_image(files[each]))
        file = labels / '/'.join(path.parts[-3:]) / f'{each}.json'
        boxes = _kept(file, partial(_believed_of_image, detector, image))
        found.append(_small(TaughtImage(image, False, boxes, folder.place, folder.light, folder.weather)))
    return _some(found, path)


def read_boxed_thermal(folder: Path) -> list[TaughtImage]:
    """Thermal images of HIT-UAV with its boxes; raises InputError if there are none, or their boxes are damaged."""
    found = []
    for name, path in images_by_name(folder / 'ir').items():
        boxes = read_hit_uav(folder / 'boxes' / f'{name}.json')
        grey = as_thermal8(read_image(path))
        found.append(_small(TaughtImage(np.repeat(grey[..., None], 3, 2), True, tuple(boxes))))
    return _some(found, folder)


def read_simulated(folders: Iterable[str], known: Iterable[str]) -> Iterator[TaughtImage]:
    """Both images of simulated frames; things of other classes than ``known`` are left out, hidden ones ignored."""
    names = set(known)
    for scene in read_scenes(list(folders)):
        for thermal in (False, True):
            boxes = []
            for each in scene.objects:
                if each.name not in names:
                    continue
                left, top, width, height = cv2.boundingRect((scene.instances == each.instance).astype(np.uint8))
                seen = (each.seen_thermal if thermal else each.seen_visible) and min(width, height) >= 3
                boxes.append(TaughtBox(each.name if seen else IGNORE, (left, top, left + width, top + height), 1.0))
            facts = scene.place, '' if thermal else scene.light, '' if thermal else scene.weather
            yield TaughtImage(scene.image(thermal), thermal, tuple(boxes), *facts)


def _some(found: list[TaughtImage], folder: Path) -> list[TaughtImage]:
    """All of them; raises InputError if there are none."""
    if not found:
        raise InputError(f'{folder}: no images here, or none of the names asked for')
    return found


def _believed(detector: Detector, pair: Pair) -> tuple[TaughtBox, ...]:
    return _sorted_out(label_pair(detector, pair, VoteConfig(votes=1)), BELIEVED_OF_PAIR)


def _believed_of_image(detector: Detector, image: Image8) -> tuple[TaughtBox, ...]:
    return _sorted_out(label_image(detector, image, VoteConfig(votes=1)), BELIEVED_OF_IMAGE)


def _sorted_out(boxes: Iterable[TaughtBox], votes: int) -> tuple[TaughtBox, ...]:
    """Boxes with fewer votes become ignored ones."""
    return tuple(box if box.votes >= votes else replace(box, name=IGNORE) for box in boxes)


def _is_seen(image: Image8, box: TaughtBox) -> bool:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    left, top, right, bottom = (round(value) for value in box.box)
    window = (slice(max(0, top - 4), bottom + 4), slice(max(0, left - 4), right + 4))
    mask = np.zeros(grey.shape, bool)
    mask[top:bottom, left:right] = True
    inside = mask[window]
    return stands_out(np.asarray(grey[window], np.uint8), inside, ~inside)


def _small(taught: TaughtImage) -> TaughtImage:
    height, width = taught.image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return taught
    size = round(width * scale), round(height * scale)
    image = np.asarray(cv2.resize(taught.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    boxes = tuple(replace(box, box=tuple(value * scale for value in box.box)) for box in taught.boxes)
    return replace(taught, image=image, boxes=boxes)


def _kept(file: Path, teach: Callable[[], tuple[TaughtBox, ...]]) -> tuple[TaughtBox, ...]:
    """The boxes in ``file``, which is written if it is not there.

    Raises:
        InputError: the file is damaged.
    """
    if not file.exists():
        boxes = teach()
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as temporary:
            temporary.write_text(json.dumps([[box.name, *box.box, box.score, box.votes] for box in boxes]))
        return boxes
    try:
        return tuple(
            TaughtBox(name, tuple(box), score, votes) for name, *box, score, votes in json.loads(file.read_text())
        )
    except (ValueError, TypeError) as error:
        raise InputError(f'{file}: damaged labels ({error}); remove it, it is made again') from error
