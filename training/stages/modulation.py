"""Stage ``modulation``: the MLPs that turn a text embedding into scales and shifts; all else stays frozen.

The target of a pair and a text is the fused image without text, in which what the text names stands out more
(``ldfusion_training.prompt_effect``). So meaning matters: the same pair has another target for another text. Texts were
written once beside the data (``ldfusion_training.pair_texts``), and each is embedded once, so that another text encoder
is a matter of minutes. Without text nothing can change: no layer of the MLPs has a bias.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ldfusion_models.errors import InputError
from ldfusion_models.frame_graph import FrameGraph
from ldfusion_models.fusion import FusionNetwork
from ldfusion_models.manifest import load_frame_graph
from ldfusion_models.text import TextEncoder, load_text_encoder
from ldfusion_training.data.pairs import Image8
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.pair_texts import PairText, read_texts
from ldfusion_training.prompt_effect import mask_of, raised
from ldfusion_training.stages.pairs_in_memory import as_planes
from ldfusion_training.trainer import Sample, Stage, TrainerConfig


@dataclass(frozen=True)
class ModulationDataConfig:
    """Which pairs and texts.

    Attributes:
        folders: simulated data sets with ``texts.json``.
        crops: number of crops, each of another frame as far as there are frames; their features are kept in memory.
        crop: side of the square crops.
        captions, descriptions, prompts: how often a text of each kind is drawn, relative.
        centred: part of the crops that show something that a text of their frame names.
    """

    folders: tuple[str, ...] = ()
    crops: int = 640
    crop: int = 128
    captions: float = 0.3
    descriptions: float = 0.1
    prompts: float = 0.6
    centred: float = 0.9


@dataclass(frozen=True)
class EffectConfig:
    """What a text should do.

    Attributes:
        gain: of the contrast of what it names.
        reach: standard deviation in pixels of the surroundings that contrast is with.
        named_weight: of the error where something is named.
        rest_weight: of the error elsewhere.
        floor: added to each pixel's own contrast, its weight in the error.
    """

    gain: float = 1.8
    reach: float = 12.0
    named_weight: float = 1.0
    rest_weight: float = 1.0
    floor: float = 0.02


@dataclass(frozen=True)
class ModulationStageConfig:
    """Settings of the stage.

    Attributes:
        weights: folder of weights whose fusion is modulated; empty for those that came with the package.
        text_encoder: as ``ldfusion_models.text.load_text_encoder`` takes it.
    """

    weights: str = ''
    text_encoder: str = 'embedded'
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: ModulationDataConfig = field(default_factory=ModulationDataConfig)
    effect: EffectConfig = field(default_factory=EffectConfig)


CONFIG = ModulationStageConfig
Half = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Crop:
    """A part of a pair with all that is frozen, float16 to save memory.

    Attributes:
        visible, thermal: (3, side, side) and (1, side, side) in [0, 1].
        plain: (3, side, side), fused without text.
        features: of the denoiser, finest first.
        classes: (side, side) class of each pixel.
        texts: of the frame, and their rows in the table of embeddings.
    """

    visible: Half
    thermal: Half
    plain: Half
    features: tuple[Half, ...]
    classes: Image8
    texts: tuple[tuple[PairText, int], ...]


class ModulationStage(Stage):
    """Distance of the fused image with text to the one without text in which the named things stand out."""

    def __init__(self, config: ModulationStageConfig, encoder: TextEncoder) -> None:
        super().__init__()
        self.config = config
        graph, manifest = load_frame_graph(Path(config.weights) if config.weights else None)
        self.fusion = with_text_of(graph, encoder.dim)
        self.parts = {'fusion': self.fusion}
        self.settings = {
            **dataclasses.asdict(config),
            'fusion': dataclasses.asdict(self.fusion.config),
            'encoder_name': encoder.name,
            'weights_id': manifest.weights_id,
        }
        rows: dict[str, int] = {}
        self.crops = [
            _crop(frame, texts, rows, graph, generator, config.data)
            for frame, texts, generator in drawn_frames(config.data, config.trainer.seed)
        ]
        self.embeddings = encoder.encode(list(rows))

    def sample(self, generator: np.random.Generator) -> Sample:
        """A crop's arrays, ``named`` (1, side, side) where the things are that the text names, and ``text`` (D,)."""
        crop = self.crops[int(generator.integers(len(self.crops)))]
        kinds = [text.kind for text, _ in crop.texts]
        # A kind is drawn by its weight, however many texts of it there are.
        weights = np.array([getattr(self.config.data, f'{kind}s') / kinds.count(kind) for kind in kinds])
        text, row = crop.texts[int(generator.choice(len(weights), p=weights / weights.sum()))]
        named, plain = mask_of(text.names, crop.classes), crop.plain.astype(np.float32)
        effect = self.config.effect
        everywhere = raised(plain, np.ones_like(named), 2.0, effect.reach)
        images = {
            'visible': crop.visible,
            'thermal': crop.thermal,
            'plain': plain,
            'target': raised(plain, named, effect.gain, effect.reach),
            'named': named[None],
            # What has no contrast shows no change of it.
            'weight': np.abs(everywhere - plain).mean(axis=0, keepdims=True) + np.float32(effect.floor),
        }
        images |= {f'features{scale}': feature for scale, feature in enumerate(crop.features)}
        return {name: image.astype(np.float32) for name, image in images.items()} | {'text': self.embeddings[row]}

    def fuse(self, batch: dict[str, Tensor], text: Tensor) -> Tensor:
        """Fused (B, 3, side, side), not clipped."""
        features = [batch[f'features{scale}'] for scale in range(len(self.fusion.config.widths))]
        fused: Tensor = self.fusion(batch['visible'], batch['thermal'], features, text)
        return fused.float()

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms: weighted mean square error where something is named, and elsewhere."""
        fused = self.fuse(batch, batch['text'])
        error = 100.0 * ((fused - batch['target']) ** 2).mean(dim=1, keepdim=True)
        named = batch['weight'] * batch['named']
        rest = batch['weight'] - named
        terms = {
            'named': (error * named).sum() / named.sum().clamp(min=1.0),
            'rest': (error * rest).sum() / rest.sum().clamp(min=1.0),
        }
        effect = self.config.effect
        return {'loss': effect.named_weight * terms['named'] + effect.rest_weight * terms['rest'], **terms}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Eight crops: what is named, the fused image without text, the target, the fused image with text."""
        generator = np.random.default_rng(0)
        columns = []
        for _ in range(8):
            batch = {name: torch.from_numpy(array)[None] for name, array in self.sample(generator).items()}
            fused = self.fuse(batch, batch['text']).clamp(0, 1)
            column = torch.cat([batch['named'].expand(-1, 3, -1, -1), batch['plain'], batch['target'], fused], dim=2)
            columns.append((column[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
        return np.hstack(columns)


def create(config: ModulationStageConfig) -> Stage:
    """The stage with fresh modulation."""
    torch.manual_seed(config.trainer.seed)
    return ModulationStage(config, load_text_encoder(config.text_encoder))


def with_text_of(graph: FrameGraph, text_dim: int) -> FusionNetwork:
    """The graph's fusion with a fresh modulation for embeddings of that length; only the modulation can be trained."""
    fusion = FusionNetwork(dataclasses.replace(graph.config.fusion, text_dim=text_dim))
    kept = {name: value for name, value in graph.fusion.state_dict().items() if not name.startswith('modulation.')}
    fusion.load_state_dict(kept, strict=False)
    fusion.requires_grad_(False)
    fusion.modulation.requires_grad_(True)
    return fusion


def drawn_frames(
    config: ModulationDataConfig, seed: int
) -> Iterator[tuple[SimulatedFrame, list[PairText], np.random.Generator]]:
    """Frames with their texts, in random order, each with a source of randomness; all once before one comes again.

    Raises:
        InputError: no such data set, or no texts.
    """
    frames: list[tuple[SimulatedFrame, list[PairText]]] = []
    for folder in map(Path, config.folders):
        texts = read_texts(folder)
        frames += [(frame, texts[frame.name]) for frame in open_simulation(folder) if frame.name in texts]
    if not frames:
        raise InputError('data.folders: name simulated data sets with texts')
    order = np.random.default_rng([seed, 0]).permutation(len(frames))
    for number in range(config.crops):
        yield *frames[order[number % len(frames)]], np.random.default_rng([seed, 1, number])


@torch.no_grad()
def _crop(
    frame: SimulatedFrame,
    texts: list[PairText],
    rows: dict[str, int],
    graph: FrameGraph,
    generator: np.random.Generator,
    config: ModulationDataConfig,
) -> Crop:
    classes, pair = frame.read_classes(), frame.read_pair()
    names = texts[int(generator.integers(len(texts)))].names
    window = _window(generator, mask_of(names, classes), config.crop, generator.random() < config.centred)
    visible, thermal = (
        torch.from_numpy(as_planes(image))[None] for image in (pair.visible[window], pair.thermal[window][..., None])
    )
    features = graph.extractor(visible, thermal)
    plain = graph.fusion(visible, thermal, features, torch.zeros(1, graph.config.fusion.text_dim)).clamp(0.0, 1.0)
    visible, thermal, plain, *features = (tensor[0].half().numpy() for tensor in (visible, thermal, plain, *features))
    numbered = tuple((text, rows.setdefault(text.text, len(rows))) for text in texts)
    return Crop(visible, thermal, plain, tuple(features), classes[window], numbered)


def _window(
    generator: np.random.Generator, named: npt.NDArray[np.bool_], side: int, centred: bool
) -> tuple[slice, slice]:
    """A square of the image; around a pixel of what is named if ``centred`` and there is any."""
    height, width = named.shape
    top, left = int(generator.integers(height - side + 1)), int(generator.integers(width - side + 1))
    places = np.flatnonzero(named) if centred else np.empty(0, np.int64)
    if places.size:
        row, column = divmod(int(places[generator.integers(places.size)]), width)
        # Not just in the middle, or the network would learn that named things are there.
        top = int(np.clip(row - generator.integers(side // 4, 3 * side // 4), 0, height - side))
        left = int(np.clip(column - generator.integers(side // 4, 3 * side // 4), 0, width - side))
    return slice(top, top + side), slice(left, left + side)
