"""Crops of pairs with all that is frozen, made once: what stage ``modulation`` learns from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ldfusion_models.errors import InputError
from ldfusion_models.graph.frame_graph import FrameGraph
from ldfusion_training.data.augment import LightConfig, change_light
from ldfusion_training.data.pairs import Image8, Pair, open_pairs
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.language.cells import classes_in_cells
from ldfusion_training.language.pair_texts import PairText, prompts_about_people, read_texts
from ldfusion_training.language.prompt_effect import Mask, hot_spots, mask_of, raise_contrast
from ldfusion_training.simulation.scenery.things import CLASSES
from ldfusion_training.stages.pairs_in_memory import as_planes

# Larger than any class.
UNKNOWN = 255
Half = npt.NDArray[np.float16]


@dataclass(frozen=True)
class CropConfig:
    """Which pairs and texts.

    Attributes:
        folders: simulated data sets with ``texts.json``.
        crops: number of crops, each of another frame as far as there are frames; their features are kept in memory.
        real: real pairs, any layout of ``ldfusion_training.data.pairs``; hot spots are people, all else is unknown.
        real_crops: number of crops of those.
        crop: side of the square crops.
        captions, descriptions, prompts: how often a text of each kind is drawn, relative.
        centred: part of the crops that show something that a text of their frame names.
        relit: part of the crops whose visible light is changed.
    """

    folders: tuple[str, ...] = ()
    crops: int = 640
    real: tuple[str, ...] = ()
    real_crops: int = 0
    crop: int = 128
    captions: float = 0.3
    descriptions: float = 0.1
    prompts: float = 0.6
    centred: float = 0.9
    relit: float = 0.0

    def __post_init__(self) -> None:
        """Raises InputError for pairs that would not be drawn, or crops of none."""
        if bool(self.real) != (self.real_crops > 0):
            raise InputError('data.real and data.real_crops: give both or neither')


@dataclass(frozen=True)
class Crop:
    """A part of a pair with all that is frozen, float16 to save memory.

    Attributes:
        visible, thermal: (3, side, side) and (1, side, side) in [0, 1].
        plain: (3, side, side), fused without text.
        contrast: (1, side, side), each pixel's difference to its surroundings there.
        features: of the denoiser, finest first.
        classes: (side, side) class of each pixel; ``UNKNOWN`` where nobody knows.
        cells: (classes, h, w), which classes each cell shows.
        texts: of the frame, and their rows in the table of embeddings.
    """

    visible: Half
    thermal: Half
    plain: Half
    contrast: Half
    features: tuple[Half, ...]
    classes: Image8
    cells: npt.NDArray[np.bool_]
    texts: tuple[tuple[PairText, int], ...]


class CropMaker:
    """Makes crops with what a frame graph says of them without text."""

    def __init__(self, config: CropConfig, seed: int, graph: FrameGraph, reach: float) -> None:
        """Take over what is frozen; ``reach`` in pixels is how far surroundings go."""
        self._config, self._seed, self._graph, self._reach = config, seed, graph, reach
        self._rows: dict[str, int] = {}

    @property
    def texts(self) -> list[str]:
        """The texts of all crops so far; a text's place is its row in the table of embeddings."""
        return list(self._rows)

    def simulated_crops(self) -> Iterator[Crop]:
        """Crops of labelled frames.

        Raises:
            InputError: no such data set, or no texts.
        """
        for frame, texts, generator in self._draw_frames():
            yield self._of_frame(frame, texts, generator)

    def _draw_frames(self) -> Iterator[tuple[SimulatedFrame, list[PairText], np.random.Generator]]:
        """Frames in random order, each with a source of randomness; all once before one comes again."""
        frames: list[tuple[SimulatedFrame, list[PairText]]] = []
        for folder in map(Path, self._config.folders):
            texts = read_texts(folder)
            frames += [(frame, texts[frame.name]) for frame in open_simulation(folder) if frame.name in texts]
        if not frames:
            raise InputError('data.folders: name simulated data sets with texts')
        order = np.random.default_rng([self._seed, 0]).permutation(len(frames))
        for number in range(self._config.crops):
            yield *frames[order[number % len(frames)]], np.random.default_rng([self._seed, 1, number])

    def real_crops(self) -> Iterator[Crop]:
        """Crops of real pairs that have hot spots.

        Raises:
            InputError: as ``open_pairs``, or no pair has any.
        """
        config = self._config
        pairs = [source.read() for folder in config.real for source in open_pairs(Path(folder)).pairs]
        labelled = [(pair, spots) for pair in pairs if (spots := hot_spots(pair.thermal) > 0).any()]
        if pairs and not labelled:
            raise InputError('data.real: no pair has hot spots; name real pairs with people')
        for number in range(config.real_crops):
            generator = np.random.default_rng([self._seed, 2, number])
            pair, spots = labelled[number % len(labelled)]
            classes = np.where(spots, CLASSES.index('person'), UNKNOWN).astype(np.uint8)
            yield self._of_pair(pair, classes, prompts_about_people(number), spots, generator)

    def _of_frame(self, frame: SimulatedFrame, texts: Sequence[PairText], generator: np.random.Generator) -> Crop:
        classes = frame.read_classes()
        names = texts[int(generator.integers(len(texts)))].names
        return self._of_pair(frame.read_pair(), classes, texts, mask_of(names, classes), generator)

    def _of_pair(
        self, pair: Pair, classes: Image8, texts: Sequence[PairText], shown: Mask, generator: np.random.Generator
    ) -> Crop:
        config = self._config
        window = _window(generator, shown, config.crop, generator.random() < config.centred)
        visible, thermal = pair.visible[window], pair.thermal[window][..., None]
        if generator.random() < config.relit:
            visible = change_light(generator, visible, LightConfig(noise=0.0))
        numbered = tuple((text, self._rows.setdefault(text.text, len(self._rows))) for text in texts)
        return self._crop(as_planes(visible), as_planes(thermal), classes[window], numbered)

    @torch.no_grad()
    def _crop(
        self,
        visible: npt.NDArray[np.float32],
        thermal: npt.NDArray[np.float32],
        classes: Image8,
        texts: tuple[tuple[PairText, int], ...],
    ) -> Crop:
        images = torch.from_numpy(visible)[None], torch.from_numpy(thermal)[None]
        features = self._graph.extractor(*images)
        plain = self._graph.fusion(*images, features, torch.zeros(1, self._graph.config.fusion.text_dim)).clamp(0, 1)
        fused = plain[0].numpy()
        twice = raise_contrast(fused, np.ones(fused.shape[1:], bool), 2.0, self._reach)
        contrast = np.abs(twice - fused).mean(axis=0, keepdims=True).astype(np.float16)
        halves = [_half(tensor) for tensor in (*images, plain, *features)]
        cells = classes_in_cells(classes, len(CLASSES))
        return Crop(halves[0], halves[1], halves[2], contrast, tuple(halves[3:]), classes, cells, texts)


def _half(tensor: Tensor) -> Half:
    half: Half = tensor[0].half().numpy()
    return half


def _window(generator: np.random.Generator, shown: Mask, side: int, centred: bool) -> tuple[slice, slice]:
    """A square of the image; around a pixel of what is ``shown`` (H, W) if ``centred`` and there is any."""
    height, width = shown.shape
    if side > min(height, width):
        raise InputError(f'an image of {width}x{height} pixels is smaller than data.crop={side}; set a smaller one')
    top, left = int(generator.integers(height - side + 1)), int(generator.integers(width - side + 1))
    places = np.flatnonzero(shown) if centred else np.empty(0, np.int64)
    if places.size:
        row, column = divmod(int(places[generator.integers(places.size)]), width)
        # Not just in the middle, or the network would learn that named things are there.
        top = int(np.clip(row - generator.integers(side // 4, 3 * side // 4), 0, height - side))
        left = int(np.clip(column - generator.integers(side // 4, 3 * side // 4), 0, width - side))
    return slice(top, top + side), slice(left, left + side)
