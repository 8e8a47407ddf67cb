"""Images with depth and the objects in them, small and decoded once: what captions are learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.language.facts import Facts, Mention, side_of
from ldfusion_training.data.depth import Depth
from ldfusion_training.data.pairs import Image8, read_each
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.language.facts import CLASSES, place_of

# Size at which images are kept.
WIDTH, HEIGHT = 320, 240
# Objects with a smaller part of the image can't be told.
SMALLEST_PART = 0.0006
# Grey levels by which an object must differ from what is around it, or nobody sees it in this image.
LEAST_CONTRAST = 5.0
# Smaller objects are not kept.
FEWEST_PIXELS = 20


@dataclass(frozen=True)
class SceneObject:
    """An object of a scene.

    Attributes:
        name: its class.
        distance_m: median distance in metres.
        instance: its number in the instance image.
        warm: whether its heat stands out.
        seen_visible, seen_thermal: whether it differs from its surroundings in that image.
    """

    name: str
    distance_m: float
    instance: int
    warm: bool
    seen_visible: bool
    seen_thermal: bool


@dataclass(frozen=True)
class LabelledScene:
    """One aligned pair with all that is to tell of it, ``WIDTH`` x ``HEIGHT`` pixels.

    Attributes:
        name: of the frame.
        visible: (H, W, 3) uint8.
        thermal: (H, W) uint8.
        place, light, weather: as in ``Facts``.
        depth: (H, W) float32 metres, NaN where nothing is.
        instances: (H, W) uint16.
        objects: what the instances are.
        focal: focal length in pixels at this size.
    """

    name: str
    visible: Image8
    thermal: Image8
    place: str
    light: str
    weather: str
    depth: Depth
    instances: npt.NDArray[np.uint16]
    objects: tuple[SceneObject, ...]
    focal: float

    def image(self, thermal: bool) -> Image8:
        """The thermal or the visible image as (H, W, 3)."""
        return np.repeat(self.thermal[..., None], 3, axis=2) if thermal else self.visible


def read_scenes(folders: Sequence[str | Path], every: Sequence[int] = ()) -> list[LabelledScene]:
    """All frames of simulated data sets, or one in ``every`` of each.

    A frame that can't be used (a lens against a wall) is left out and logged.

    Raises:
        InputError: no such data set, or a damaged one.
    """
    steps = every or [1] * len(folders)
    frames = [
        frame for folder, step in zip(folders, steps, strict=True) for frame in open_simulation(Path(folder))[::step]
    ]
    return read_each(frames, _read, 'skip')


def facts_seen(scene: LabelledScene, thermal: bool) -> Facts:
    """What the thermal or the visible image shows."""
    numbers = scene.instances
    standing_out = [each for each in scene.objects if (each.seen_thermal if thermal else each.seen_visible)]
    flat = numbers.reshape(-1)
    counts = np.bincount(flat, minlength=1)
    columns = np.bincount(flat, weights=np.tile(np.arange(numbers.shape[1]), numbers.shape[0]))
    mentions = []
    for each in sorted(standing_out, key=lambda each: each.distance_m):
        count = counts[each.instance] if each.instance < len(counts) else 0
        if count >= SMALLEST_PART * numbers.size:
            side = side_of(columns[each.instance] / count / numbers.shape[1])
            mentions.append(Mention(each.name, side, each.distance_m, each.warm))
    return Facts(scene.place, scene.light, scene.weather, tuple(mentions))


def stands_out(grey: Image8, inside: npt.NDArray[np.bool_], around: npt.NDArray[np.bool_]) -> bool:
    """Whether an object's grey levels or their spread differ from those around it."""
    own, other = grey[inside], grey[around]
    if own.size == 0 or other.size == 0:
        return own.size > 0
    return float(abs(own.mean() - other.mean()) + 0.5 * abs(own.std() - other.std())) >= LEAST_CONTRAST


def _read(frame: SimulatedFrame) -> LabelledScene:
    text = frame.read_text()
    size = (WIDTH, HEIGHT)
    numbers = cv2.resize(frame.read_instances().astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)
    instances = numbers.astype(np.uint16)
    visible = np.asarray(cv2.resize(frame.read_visible(), size, interpolation=cv2.INTER_AREA), np.uint8)
    thermal = np.asarray(cv2.resize(frame.read_thermal(), size, interpolation=cv2.INTER_AREA), np.uint8)
    counts = np.bincount(instances.reshape(-1))
    described = [
        each
        for each in text['objects']
        if each['class'] in CLASSES and each['instance'] < len(counts) and counts[each['instance']] >= FEWEST_PIXELS
    ]
    greys = np.asarray(cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY), np.uint8), thermal
    return LabelledScene(
        name=frame.name,
        visible=visible,
        thermal=thermal,
        depth=np.asarray(cv2.resize(frame.read_depth(), size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32),
        instances=instances,
        objects=tuple(_object(each, instances, greys) for each in described),
        place=place_of(frame.kind),
        light=frame.light,
        weather=frame.weather,
        focal=frame.visible_camera.fx * WIDTH / frame.visible_camera.width,
    )


def _object(described: dict[str, Any], instances: npt.NDArray[np.uint16], greys: tuple[Image8, Image8]) -> SceneObject:
    number = int(described['instance'])
    mask = (instances == number).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    window = (slice(max(0, top - 4), top + height + 4), slice(max(0, left - 4), left + width + 4))
    inside = mask[window].astype(bool)
    around = cv2.dilate(mask[window], np.ones((7, 7), np.uint8)).astype(bool) & ~inside
    visible, thermal = (stands_out(grey[window], inside, around) for grey in greys)
    warm = described['thermal'] == 'warm'
    return SceneObject(described['class'], float(described['distance_m']), number, warm, visible, thermal)
