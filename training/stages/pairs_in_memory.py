"""Training pairs, decoded once: the data sets of this field fit into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ldfusion_training.data.augment import LightConfig, change_light, misalign, random_view
from ldfusion_training.data.pairs import Pair, open_pairs
from ldfusion_training.trainer import Sample


@dataclass(frozen=True)
class PairDataConfig:
    """Which pairs, and how they are varied.

    Attributes:
        folders: data sets, any layout of ``ldfusion_training.data.pairs``.
        weights: how often each folder is drawn, relative; empty for evenly by pairs.
        crop: side of the square training crops.
        zoom: output pixels per source pixel, smallest and largest.
        misaligned: part of the samples whose thermal image is moved a little, as by a calibration that is not perfect.
        relit: part of the samples whose light is changed.
        faults: ``refuse`` or ``skip`` unreadable and unpaired files.
    """

    folders: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    crop: int = 128
    zoom: tuple[float, float] = (0.5, 1.5)
    misaligned: float = 0.0
    relit: float = 0.0
    faults: str = 'refuse'


class PairSampler:
    """Draws random crops of random pairs."""

    def __init__(self, config: PairDataConfig) -> None:
        self.config = config
        sets = [open_pairs(Path(folder), faults=config.faults) for folder in config.folders]  # type: ignore[arg-type]
        self.pairs: list[Pair] = [source.read() for pairs in sets for source in pairs.pairs]
        self._probability = draw_probabilities([len(pairs) for pairs in sets], config.weights)

    def __call__(self, generator: np.random.Generator) -> Sample:
        """``visible`` (3, crop, crop) and ``thermal`` (1, crop, crop), float32 in [0, 1]."""
        pair = self.pairs[int(generator.choice(len(self.pairs), p=self._probability))]
        side = self.config.crop
        height, width = pair.thermal.shape
        view = random_view(generator, (width, height), (side, side), self.config.zoom)
        visible, thermal = view.of_image(pair.visible), view.of_image(pair.thermal)
        if generator.random() < self.config.misaligned:
            thermal = misalign(generator, thermal)
        if generator.random() < self.config.relit:
            visible = change_light(generator, visible, LightConfig(noise=0.0))
        return {'visible': as_planes(visible), 'thermal': as_planes(thermal[..., None])}


def as_planes(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(H, W, C) uint8 to (C, H, W) float32 in [0, 1]."""
    planes: npt.NDArray[np.float32] = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    planes /= np.float32(255.0)
    return planes


def draw_probabilities(sizes: Sequence[int], weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """How often each item of several sets is drawn, if the sets are drawn by ``weights`` (empty: by their sizes)."""
    relative = np.asarray(weights or sizes, float)
    per_pair = np.repeat(relative / relative.sum() / np.asarray(sizes), sizes)
    probability: npt.NDArray[np.float64] = per_pair / per_pair.sum()
    return probability
