"""Training pairs, decoded once: the data sets of this field fit into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ldfusion_models.errors import InputError
from ldfusion_models.networks.depth import DepthConfig
from ldfusion_training.data.augment import LightConfig, View, change_light, misalign, random_view
from ldfusion_training.data.depth import Depth
from ldfusion_training.data.pairs import Faults, Pair, open_pairs, read_each
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.language.real_pairs import unlabelled
from ldfusion_training.runs.trainer import Sample

CANONICAL_FOCAL = DepthConfig().canonical_focal


@dataclass(frozen=True)
class PairDataConfig:
    """Which pairs, and how they are varied.

    Attributes:
        folders: data sets, any layout of ``ldfusion_training.data.pairs``, or what ``ldfusion simulate`` writes; pairs
            of ``real_pairs.json`` are left out.
        held_out: every so many-th real pair of a folder, from the first, is left out for choosing; 0 for none.
        weights: how often each folder is drawn, relative; empty for evenly by pairs.
        crop: side of the square training crops.
        zoom: output pixels per source pixel, smallest and largest.
        misaligned: part of the samples whose thermal image is moved a little, as by a calibration that is not perfect.
        relit: part of the samples whose light is changed.
        faults: ``refuse`` or ``skip`` unreadable and unpaired files.
    """

    folders: tuple[str, ...] = ()
    held_out: int = 0
    weights: tuple[float, ...] = ()
    crop: int = 128
    zoom: tuple[float, float] = (0.5, 1.5)
    misaligned: float = 0.0
    relit: float = 0.0
    faults: Faults = 'refuse'


@dataclass(frozen=True)
class KnownPair:
    """A pair and, if it is simulated, its canonical depth (H, W): metres for a focal length of ``CANONICAL_FOCAL``."""

    pair: Pair
    depth: Depth | None = None


class PairSampler:
    """Draws random crops of random pairs."""

    def __init__(self, config: PairDataConfig, with_depth: bool = False) -> None:
        """Read all pairs.

        Args:
            config: which.
            with_depth: samples also hold ``depth``.

        Raises:
            InputError: as ``open_pairs`` and ``open_simulation``.
        """
        self.config = config
        self._with_depth = with_depth
        sets = [_read_pairs(Path(folder), config, with_depth) for folder in config.folders]
        self.pairs = [pair for pairs in sets for pair in pairs]
        self._probability = draw_probabilities([len(pairs) for pairs in sets], config.weights)

    def __call__(self, generator: np.random.Generator) -> Sample:
        """``visible`` (3, crop, crop) and ``thermal`` (1, crop, crop), float32 in [0, 1].

        With depth also ``depth`` (1, crop, crop), canonical metres for the crop; NaN where unknown.
        """
        known = self.pairs[int(generator.choice(len(self.pairs), p=self._probability))]
        pair = known.pair
        side = self.config.crop
        height, width = pair.thermal.shape
        view = random_view(generator, (width, height), (side, side), self.config.zoom)
        visible, thermal = view.of_image(pair.visible), view.of_image(pair.thermal)
        if generator.random() < self.config.misaligned:
            thermal = misalign(generator, thermal)
        if generator.random() < self.config.relit:
            visible = change_light(generator, visible, LightConfig(noise=0.0))
        sample = {'visible': as_planes(visible), 'thermal': as_planes(thermal[..., None])}
        return {**sample, 'depth': _depth_of(known, view)} if self._with_depth else sample


def _read_pairs(folder: Path, config: PairDataConfig, with_depth: bool) -> list[KnownPair]:
    if not (folder / 'dataset.yaml').is_file():
        sources = open_pairs(folder, faults=config.faults).pairs
        left = [each for number, each in enumerate(sources) if not config.held_out or number % config.held_out]
        return [KnownPair(source.read()) for source in unlabelled(left, folder)]
    frames = open_simulation(folder)
    if not all(frame.is_aligned for frame in frames):
        raise InputError(f'{folder}: its images are not aligned; simulate without a baseline')
    return read_each(frames, partial(_read_known_pair, with_depth=with_depth), config.faults)


def _read_known_pair(frame: SimulatedFrame, with_depth: bool) -> KnownPair:
    # Frames without any known depth are faulty either way, so that both kinds of training see the same pairs.
    depth: Depth = frame.read_depth() * np.float32(CANONICAL_FOCAL / frame.visible_camera.fx)
    return KnownPair(frame.read_pair(), depth if with_depth else None)


def _depth_of(known: KnownPair, view: View) -> Depth:
    if known.depth is None:
        return np.full((1, view.output_height, view.output_width), np.nan, np.float32)
    # A view that enlarges has a longer focal length, and so its canonical depth is shorter.
    depth: Depth = view.of_depth(known.depth)[None] * np.float32(view.width / view.output_width)
    return depth


def as_planes(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(H, W, C) uint8 to (C, H, W) float32 in [0, 1]."""
    planes: npt.NDArray[np.float32] = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    planes /= np.float32(255.0)
    return planes


def as_tensors(pair: Pair) -> tuple[Tensor, Tensor]:
    """The visible (1, 3, H, W) and the thermal image (1, 1, H, W), float32 in [0, 1]."""
    visible, thermal = (torch.from_numpy(as_planes(image))[None] for image in (pair.visible, pair.thermal[..., None]))
    return visible, thermal


def draw_probabilities(sizes: Sequence[int], weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """How often each item of several sets is drawn, if the sets are drawn by ``weights`` (empty: by their sizes)."""
    relative = np.asarray(weights or sizes, float)
    per_pair = np.repeat(relative / relative.sum() / np.asarray(sizes), sizes)
    probability: npt.NDArray[np.float64] = per_pair / per_pair.sum()
    return probability
