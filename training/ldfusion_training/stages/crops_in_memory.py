"""Crops of pairs with the fusion's features and what is known to be where, made once: for stage ``modulation``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ldfusion_models.camera.images import as_uint8
from ldfusion_models.errors import InputError
from ldfusion_models.networks.fusion import known_of
from ldfusion_training.data.augment import LightConfig, change_light
from ldfusion_training.data.pairs import Image8, Pair
from ldfusion_training.data.simulated import open_simulation
from ldfusion_training.language.real_pairs import IGNORE
from ldfusion_training.language.taught_images import believed_pairs
from ldfusion_training.language.teacher_labels import Detector, TaughtBox
from ldfusion_training.simulation.scenery.things import CLASSES
from ldfusion_training.stages.pairs_in_memory import as_tensors

# Side in pixels of a cell: the grid of the coarsest features.
CELL = 8
# The simulator's classes that boxes of a detector tell.
TAUGHT = {
    'person': 'person',
    'car': 'car',
    'truck': 'truck',
    'bus': 'truck',
    'train': 'truck',
    'bicycle': 'bicycle',
    'motorcycle': 'bicycle',
}
Planes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CropConfig:
    """Which pairs.

    Attributes:
        folders: simulated data sets.
        crops: number of crops of those.
        real: real pairs, any layout of ``ldfusion_training.data.pairs``; people and vehicles are known by a detector.
        real_crops: number of crops of those.
        detector: as ``ldfusion_training.language.teacher_labels.Detector`` takes it.
        labels: folder where the detector's boxes are kept.
        crop: side of the square crops in pixels.
        zoom: least and largest factor by which pairs are enlarged first.
        relit: part of the crops whose visible light is changed.
    """

    folders: tuple[str, ...] = ()
    crops: int = 0
    real: tuple[str, ...] = ()
    real_crops: int = 0
    detector: str = '../shared/data/teachers/yolox_nano.onnx'
    labels: str = 'runs/modulation'
    crop: int = 256
    zoom: tuple[float, float] = (0.6, 1.6)
    relit: float = 0.3

    def __post_init__(self) -> None:
        """Raises InputError for pairs that would not be drawn, or crops of none."""
        for pairs, number in (('folders', 'crops'), ('real', 'real_crops')):
            if bool(getattr(self, pairs)) != (getattr(self, number) > 0):
                raise InputError(f'data.{pairs} and data.{number}: give both or neither')
        if self.crop % (2 * CELL) or self.crop <= 0:
            raise InputError(f'data.crop is {self.crop}; give a multiple of {2 * CELL}')


@dataclass(frozen=True)
class Crop:
    """A part of a pair.

    Attributes:
        features: (C, h, w) float16, as ``ldfusion_models.networks.fusion.known_of`` gives them.
        cells: (classes, h, w), whether each cell shows each class.
        known: (classes, h, w), where that is known.
        visible: (side, side, 3), for pictures.
    """

    features: npt.NDArray[np.float16]
    cells: Planes
    known: Planes
    visible: Image8


@dataclass(frozen=True)
class LabelledImage:
    """A pair, and by class (classes, H, W) where it is, and where that is known."""

    pair: Pair
    shown: Planes
    known: Planes


def make_crops(config: CropConfig, seed: int, extractors: Sequence[nn.Module]) -> list[Crop]:
    """All crops of simulated and of real pairs, with the features of each extractor in turn.

    Raises:
        InputError: data sets or the detector are missing or damaged.
    """
    turns = cycle(extractors)
    frames = [frame for folder in config.folders for frame in open_simulation(Path(folder))]
    crops = []
    for number, row in enumerate(_rows(config.crops, len(frames), seed)):
        classes = frames[row].read_classes()
        shown = np.stack([classes == each for each in range(len(CLASSES))])
        labelled = LabelledImage(frames[row].read_pair(), shown, np.ones_like(shown))
        crops.append(_crop(config, labelled, np.random.default_rng([seed, 1, number]), next(turns)))
    if config.real:
        detector = Detector(Path(config.detector))
        pairs = [each for folder in config.real for each in believed_pairs(Path(folder), detector, Path(config.labels))]
        for number, row in enumerate(_rows(config.real_crops, len(pairs), seed)):
            crops.append(_crop(config, _labelled(*pairs[row]), np.random.default_rng([seed, 2, number]), next(turns)))
    return crops


def _rows(count: int, available: int, seed: int) -> Iterator[int]:
    """``count`` numbers in random order, all once before one comes again."""
    order = np.random.default_rng([seed, 0]).permutation(available)
    for number in range(count):
        yield int(order[number % available])


def _labelled(pair: Pair, boxes: Sequence[TaughtBox]) -> LabelledImage:
    """Where a detector saw people and vehicles; of a box that is not sure nothing is known."""
    shown = np.zeros((len(CLASSES), *pair.thermal.shape), bool)
    known = np.zeros_like(shown)
    taught = [CLASSES.index(name) for name in sorted(set(TAUGHT.values()))]
    known[taught] = True
    for each in boxes:
        left, top, right, bottom = (max(0, round(value)) for value in each.box)
        if each.name in TAUGHT:
            shown[CLASSES.index(TAUGHT[each.name]), top:bottom, left:right] = True
        elif each.name == IGNORE:
            known[taught, top:bottom, left:right] = False
    return LabelledImage(pair, shown, known | shown)


def _crop(config: CropConfig, labelled: LabelledImage, generator: np.random.Generator, extractor: nn.Module) -> Crop:
    pair, side = labelled.pair, config.crop
    height, width = pair.thermal.shape
    # A pair is never made smaller than a crop.
    zoom = max(float(np.exp(generator.uniform(*np.log(config.zoom)))), side / min(height, width))
    part = min(height, width, round(side / zoom))
    top, left = int(generator.integers(height - part + 1)), int(generator.integers(width - part + 1))
    rows, columns = slice(top, top + part), slice(left, left + part)
    turn = -1 if generator.random() < 0.5 else 1

    def cut(image: Image8) -> Image8:
        method = cv2.INTER_AREA if part > side else cv2.INTER_LINEAR
        return np.ascontiguousarray(
            as_uint8(cv2.resize(image[rows, columns], (side, side), interpolation=method))[:, ::turn]
        )

    visible, thermal = cut(pair.visible), cut(pair.thermal)
    if generator.random() < config.relit:
        visible = change_light(generator, visible, LightConfig(noise=0.0))
    with torch.no_grad():
        images = as_tensors(Pair(visible, thermal))
        features = known_of(*images, extractor(*images))[0].half().numpy()
    planes = [
        _in_cells(each[:, rows, columns][..., ::turn], side // CELL) for each in (labelled.shown, ~labelled.known)
    ]
    # A sixth of a cell shows that something is there; where some of it is not known, nothing is.
    return Crop(features, planes[0] > 1 / 6, planes[1] == 0, visible)


def _in_cells(planes: Planes, count: int) -> npt.NDArray[np.float32]:
    """The part of each of ``count`` x ``count`` cells that each plane (classes, H, W) covers."""
    return np.stack(
        [
            cv2.resize(plane.astype(np.float32), (count, count), interpolation=cv2.INTER_AREA)
            if plane.any()
            else np.zeros((count, count), np.float32)
            for plane in planes
        ]
    )
