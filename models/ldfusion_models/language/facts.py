"""Facts of a scene, as far as they are told: the place, the light, the weather, and what is where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Things that the captioner finds, by their number among COCO's classes.
THINGS = {
    'person': 0, 'bicycle': 1, 'car': 2, 'motorcycle': 3, 'bus': 5, 'train': 6, 'truck': 7, 'boat': 8,
    'traffic light': 9, 'fire hydrant': 10, 'stop sign': 11, 'bench': 13, 'bird': 14, 'cat': 15, 'dog': 16,
    'horse': 17, 'sheep': 18, 'cow': 19, 'backpack': 24, 'suitcase': 28, 'bottle': 39, 'chair': 56, 'couch': 57,
    'plant': 58, 'bed': 59, 'table': 60, 'screen': 62, 'laptop': 63, 'refrigerator': 72,
}  # fmt: skip
# What else captions of simulated scenes name.
SIMULATED_THINGS = (
    'forklift', 'lamp post', 'sign', 'tree', 'door', 'shelf', 'crate', 'guard rail', 'building', 'pipe',
)  # fmt: skip
NAMES = (*THINGS, *SIMULATED_THINGS)
SIDES = ('left', 'ahead', 'right')
# Where these end in an image that is 1 wide, as in the simulator's descriptions.
BORDERS = (0.38, 0.62)
LIGHTS = ('day', 'dusk', 'night')
WEATHERS = ('clear', 'overcast', 'fog', 'smoke')
INDOOR_PLACES = ('warehouse aisle', 'corridor', 'tunnel', 'room')
PLACES = ('street', 'parking lot', 'campus path', *INDOOR_PLACES)


@dataclass(frozen=True)
class Mention:
    """One object.

    Attributes:
        name: its class.
        side: of ``SIDES``; empty: not told.
        distance_m: in metres; 0: not told.
        warm: whether it is warmer than what is about it.
        score: how sure it is, 0 to 1.
        box: left, top, right, bottom as parts of the image's width and height; empty: not told.
    """

    name: str
    side: str = ''
    distance_m: float = 0.0
    warm: bool = False
    score: float = 1.0
    box: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As fields; a distance that is not told is null."""
        return {
            'class': self.name,
            'side': self.side,
            'distance_m': round(self.distance_m, 1) or None,
            'warm': self.warm,
            'score': round(self.score, 2),
            'box': [round(value, 4) for value in self.box],
        }


@dataclass(frozen=True)
class Facts:
    """What a text tells; an empty field is not told.

    Attributes:
        place, light, weather: of ``PLACES``, ``LIGHTS``, ``WEATHERS``.
        mentions: objects, nearest first.
        topics: classes and surfaces without any place, as in the prompt "people".
    """

    place: str = ''
    light: str = ''
    weather: str = ''
    mentions: tuple[Mention, ...] = ()
    topics: tuple[str, ...] = ()

    @property
    def indoors(self) -> bool:
        """Whether the place has a roof."""
        return self.place in INDOOR_PLACES

    def as_json(self) -> dict[str, Any]:
        """As fields; what is not told is null."""
        scene = {name: getattr(self, name) or None for name in ('place', 'light', 'weather')}
        return {**scene, 'objects': [each.as_json() for each in self.mentions]}


@dataclass(frozen=True)
class Description:
    """What a captioner says of one image; ``facts`` if it knows them as fields."""

    text: str = ''
    facts: Facts | None = None


def groups_of(mentions: Sequence[Mention]) -> list[list[Mention]]:
    """Mentions of one class on one side, in the order in which they are first named."""
    groups: dict[tuple[str, str], list[Mention]] = {}
    for each in mentions:
        groups.setdefault((each.name, each.side), []).append(each)
    return list(groups.values())


def side_of(place: float) -> str:
    """Left, ahead or right of a place between 0 and 1."""
    return 'left' if place < BORDERS[0] else 'right' if place > BORDERS[1] else 'ahead'
