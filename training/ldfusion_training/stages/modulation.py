"""Stage ``modulation``: the MLPs that turn a text embedding into scales and shifts, and what texts look around with.

The target of a pair and a text is the fused image without text, in which what the text names stands out more
(``language/prompt_effect.py``). So meaning matters: the same pair has another target for another text. Texts were
written once beside the data (``language/pair_texts.py``), and each is embedded once, so that another text encoder
is a matter of minutes. Denoiser and fusion stay frozen, and without text nothing can change: no layer of the MLPs has a
bias, and the context is only seen through them. Which classes are where is learned as a further task, for texts alone
teach it slowly.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.graph.frame_graph import FrameGraph
from ldfusion_models.graph.manifest import load_frame_graph
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_models.networks.fusion import FusionNetwork
from ldfusion_training.data.pairs import Image8
from ldfusion_training.language.pair_texts import PairText
from ldfusion_training.language.prompt_effect import mask_of, raise_contrast
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.simulation.scenery.things import CLASSES
from ldfusion_training.stages.crops_in_memory import UNKNOWN, Crop, CropConfig, CropMaker


@dataclass(frozen=True)
class EffectConfig:
    """What a text should do.

    Attributes:
        gain: of the contrast of what a prompt names.
        caption_gain: of the contrast of what a caption or a description names: most things, so gentler.
        reach: standard deviation in pixels of the surroundings that contrast is with.
        named_weight: of the error where something is named.
        rest_weight: of the error elsewhere.
        cells_weight: of a further task: which classes each cell of the context holds.
        floor: added to each pixel's own contrast, its weight in the error.
    """

    gain: float = 1.8
    caption_gain: float = 1.8
    reach: float = 12.0
    named_weight: float = 1.0
    rest_weight: float = 1.0
    cells_weight: float = 0.0
    floor: float = 0.02


@dataclass(frozen=True)
class ModulationStageConfig:
    """Settings of the stage.

    Attributes:
        weights: folder of weights whose fusion is modulated; empty for those that came with the package.
        text_encoder: as ``ldfusion_models.language.text.load_text_encoder`` takes it.
        context: channels of what texts look around with (``ldfusion_models.networks.modulation``); 0 for none.
        initial_run: checkpoint of a run of this stage that is gone on with, as after a new fusion; empty for a fresh
            modulation.
    """

    weights: str = ''
    text_encoder: str = 'embedded'
    context: int = 0
    initial_run: str = ''
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: CropConfig = field(default_factory=CropConfig)
    effect: EffectConfig = field(default_factory=EffectConfig)


CONFIG = ModulationStageConfig


class ModulationStage(Stage):
    """Distance of the fused image with text to the one without text in which the named things stand out."""

    def __init__(self, config: ModulationStageConfig, encoder: TextEncoder) -> None:
        super().__init__()
        self.config = config
        graph, manifest = load_frame_graph(Path(config.weights) if config.weights else None)
        self.fusion = with_fresh_modulation(graph, encoder.dim, config.context)
        self.cells = nn.Conv2d(self.fusion.config.widths[-1], len(CLASSES), 1)
        self.parts = {'fusion': self.fusion, 'cells': self.cells}
        if config.initial_run:
            load_weights(self.fusion.modulation, 'fusion.modulation', config.initial_run)
            load_weights(self.cells, 'cells', config.initial_run)
        # What the context last saw.
        self._known = torch.empty(0)
        if self.fusion.modulation.emphasis is not None:
            self.fusion.modulation.emphasis.context.register_forward_hook(self._remember)
        self.settings = {
            **dataclasses.asdict(config),
            'fusion': dataclasses.asdict(self.fusion.config),
            'encoder_name': encoder.name,
            'weights_id': manifest.weights_id,
        }
        maker = CropMaker(config.data, config.trainer.seed, graph, config.effect.reach)
        self.crops = [*maker.simulated_crops(), *maker.real_crops()]
        self.embeddings = encoder.encode(maker.texts)

    def sample(self, generator: np.random.Generator) -> Sample:
        """A crop's arrays, and ``text`` (D,).

        Further ``named`` (1, side, side), where the things are that the text names, ``cells`` (classes, h, w), whether
        a cell shows the class, and ``cells_weight`` (classes, h, w) in the error of telling so.
        """
        crop, effect = self.crops[int(generator.integers(len(self.crops)))], self.config.effect
        text, row = self._draw_text(generator, crop)
        named, plain = mask_of(text.names, crop.classes), crop.plain.astype(np.float32)
        gain = effect.gain if text.kind == 'prompt' else effect.caption_gain
        images = {
            'visible': crop.visible,
            'thermal': crop.thermal,
            'plain': plain,
            'target': raise_contrast(plain, named, gain, effect.reach) if named.any() else plain,
            'named': named[None],
            # What has no contrast shows no change of it.
            'weight': (crop.contrast + np.float32(effect.floor)) * _known_pixels(crop.classes, text.names),
            'cells': crop.cells,
            # Rare classes would drown among empty cells.
            'cells_weight': (1.0 + 4.0 * crop.cells) * _known_classes(crop.classes)[:, None, None],
        }
        images |= {f'features{scale}': feature for scale, feature in enumerate(crop.features)}
        return {name: image.astype(np.float32) for name, image in images.items()} | {'text': self.embeddings[row]}

    def _draw_text(self, generator: np.random.Generator, crop: Crop) -> tuple[PairText, int]:
        kinds = [text.kind for text, _ in crop.texts]
        # A kind is drawn by its weight, however many texts of it there are.
        weights = np.array([getattr(self.config.data, f'{kind}s') / kinds.count(kind) for kind in kinds])
        return crop.texts[int(generator.choice(len(weights), p=weights / weights.sum()))]

    def fuse(self, batch: dict[str, Tensor]) -> Tensor:
        """Fused (B, 3, side, side), not clipped."""
        features = [batch[f'features{scale}'] for scale in range(len(self.fusion.config.widths))]
        fused: Tensor = self.fusion(batch['visible'], batch['thermal'], features, batch['text'])
        return fused.float()

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms.

        Mean square errors, weighted by contrast, where something is named and elsewhere, and the cross-entropy of the
        cells' classes.
        """
        fused = self.fuse(batch)
        error = 100.0 * ((fused - batch['target']) ** 2).mean(dim=1, keepdim=True)
        named = batch['weight'] * batch['named']
        terms = {'named': _mean(error, named), 'rest': _mean(error, batch['weight'] - named)}
        if self.config.context:
            terms['cells'] = self._cells_loss(batch)
        weights = dataclasses.asdict(self.config.effect)
        total = torch.stack([weights[f'{name}_weight'] * term for name, term in terms.items()]).sum()
        return {'loss': total, **terms}

    def _remember(self, _module: nn.Module, _inputs: tuple[Tensor, ...], known: Tensor) -> None:
        self._known = known

    def _cells_loss(self, batch: dict[str, Tensor]) -> Tensor:
        logits = self.cells(self._known).float()
        error = F.binary_cross_entropy_with_logits(logits, batch['cells'], weight=batch['cells_weight'])
        return 10.0 * error

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Eight crops: what is named, the fused image without text, the target, the fused image with text."""
        generator = np.random.default_rng(0)
        columns = []
        for _ in range(8):
            batch = {name: torch.from_numpy(array)[None] for name, array in self.sample(generator).items()}
            fused = self.fuse(batch).clamp(0, 1)
            column = torch.cat([batch['named'].expand(-1, 3, -1, -1), batch['plain'], batch['target'], fused], dim=2)
            columns.append((column[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
        return np.hstack(columns)


def create(config: ModulationStageConfig) -> Stage:
    """The stage with fresh modulation."""
    torch.manual_seed(config.trainer.seed)
    weights = Path(config.weights) if config.weights else None
    return ModulationStage(config, load_text_encoder(config.text_encoder, weights))


def with_fresh_modulation(graph: FrameGraph, text_dim: int, context: int) -> FusionNetwork:
    """The graph's fusion with a fresh modulation for embeddings of that length; only the modulation can be trained."""
    fusion = FusionNetwork(dataclasses.replace(graph.config.fusion, text_dim=text_dim, context=context))
    kept = {name: value for name, value in graph.fusion.state_dict().items() if not name.startswith('modulation.')}
    fusion.load_state_dict(kept, strict=False)
    fusion.requires_grad_(False)
    fusion.modulation.requires_grad_(True)
    return fusion


def _known_pixels(classes: Image8, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Where (side, side) it is known whether a text names what is there; of real pairs only people are known."""
    known: npt.NDArray[np.bool_] = (classes != UNKNOWN) | ('person' in names)
    return known


def _known_classes(classes: Image8) -> npt.NDArray[np.float32]:
    """Which classes (classes,) are known to be there or not."""
    known = np.ones(len(CLASSES), np.float32)
    if (classes == UNKNOWN).any():
        known[np.arange(len(CLASSES)) != CLASSES.index('person')] = 0.0
    return known


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean of the images' weighted means, so that small things count as large ones; nearly nothing where next to
    nothing counts."""
    totals = weight.sum(dim=(1, 2, 3)).clamp(min=1.0)
    return ((error * weight).sum(dim=(1, 2, 3)) / totals).mean()
