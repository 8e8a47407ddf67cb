"""Stage ``modulation``: which classes are where, and which of them a text names.

The context learns the classes of each cell from the frozen features, half of the crops with the student's and half
with the denoiser's, for it serves both; of simulated pairs from their labels, of real ones from a detector's boxes.
sigma learns to be 1 for the classes that a text names and 0 for others, mu to be 0, so that F' - F is the likelihood of
what is named; any text will do, so they are made up (``language/named.py``) and embedded once, and another text encoder
is a matter of minutes. What the named things then gain is not learned (``networks/fusion.py``): so the rest stays as it
is, and without text nothing can change.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ldfusion_models.graph.frame_graph import FrameGraph
from ldfusion_models.graph.manifest import PAPER, load_frame_graph
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_models.networks.fusion import FusionNetwork
from ldfusion_models.networks.modulation import SemanticModulation
from ldfusion_training.language.named import made_names, text_of
from ldfusion_training.language.prompt_effect import classes_named
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.simulation.scenery.things import CLASSES
from ldfusion_training.stages.crops_in_memory import CropConfig, make_crops

# Texts beside each crop; they cost next to nothing.
TEXTS_OF_CROP = 32


@dataclass(frozen=True)
class ModulationStageConfig:
    """Settings of the stage.

    Attributes:
        weights: folder of weights whose fusion is modulated; empty for those that came with the package.
        text_encoder: as ``ldfusion_models.language.text.load_text_encoder`` takes it.
        context: channels of what texts look around with (``ldfusion_models.networks.modulation``).
        initial_run: checkpoint of a run of this stage that is gone on with, as after a new denoiser; empty for a fresh
            modulation.
        texts: number of texts that are made up; most differ.
        shown_weight: of the error where something is, against that where it is not: things are small.
        real: part of the samples that are real crops.
    """

    weights: str = ''
    text_encoder: str = 'embedded'
    context: int = 96
    initial_run: str = ''
    texts: int = 4000
    shown_weight: float = 4.0
    real: float = 0.6
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: CropConfig = field(default_factory=CropConfig)


CONFIG = ModulationStageConfig


class ModulationStage(Stage):
    """Cross-entropy of the cells' classes, and square error of sigma and mu."""

    def __init__(self, config: ModulationStageConfig, encoder: TextEncoder) -> None:
        super().__init__()
        self.config = config
        graph, manifest = load_frame_graph(Path(config.weights) if config.weights else None)
        paper, _ = load_frame_graph(Path(config.weights) / PAPER)
        self.fusion = with_fresh_modulation(graph, encoder.dim, config.context)
        self.parts = {'fusion': self.fusion}
        if config.initial_run:
            load_weights(self.fusion.modulation, 'fusion.modulation', config.initial_run)
        self.settings = {
            **dataclasses.asdict(config),
            'fusion': dataclasses.asdict(self.fusion.config),
            'encoder_name': encoder.name,
            'weights_id': manifest.weights_id,
        }
        crops = make_crops(config.data, config.trainer.seed, (graph.extractor, paper.extractor))
        self.crops = crops[: config.data.crops], crops[config.data.crops :]
        names = made_names(config.texts, config.trainer.seed)
        self.embeddings = encoder.encode_named([text_of(each) for each in names])
        self.names = np.stack([classes_named(each) for each in names])

    def sample(self, generator: np.random.Generator) -> Sample:
        """A crop's ``features`` (C, h, w), ``cells`` and ``known`` (classes, h, w); ``texts`` and ``names`` of some."""
        simulated, real = self.crops
        crops = real if not simulated or (real and generator.random() < self.config.real) else simulated
        crop = crops[int(generator.integers(len(crops)))]
        rows = generator.integers(len(self.names), size=TEXTS_OF_CROP)
        return {
            'features': crop.features.astype(np.float32),
            'cells': crop.cells.astype(np.float32),
            'known': crop.known.astype(np.float32),
            'texts': self.embeddings[rows],
            'names': self.names[rows].astype(np.float32),
        }

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms: ``cells``, the classes of what is known, and ``named``, those of the texts."""
        cells, known = batch['cells'], batch['known']
        logits = self.fusion.modulation.context(batch['features']).float()
        weight = known * (1.0 + (self.config.shown_weight - 1.0) * cells)
        error = F.binary_cross_entropy_with_logits(logits, cells, weight=weight, reduction='sum') / known.sum()
        semantics = self.fusion.modulation.semantics
        named = error_of_names(semantics, batch['texts'].flatten(0, 1), batch['names'].flatten(0, 1)).mean()
        return {'loss': error + named, 'cells': error, 'named': named}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Eight crops: the visible image, where the first of its texts names something, and where that is found."""
        generator = np.random.default_rng(0)
        columns = []
        for number in range(8):
            crops = self.crops[number % 2] or self.crops[1 - number % 2]
            crop = crops[int(generator.integers(len(crops)))]
            shown = np.flatnonzero(self.names[:, crop.cells.any(axis=(1, 2))].any(axis=1))
            row = generator.choice(shown if shown.size else len(self.names))
            features, text = torch.from_numpy(crop.features[None]).float(), torch.from_numpy(self.embeddings[[row]])
            found = self.fusion.modulation(features, text)[0, 0].clamp(0, 1).numpy()
            wanted = crop.cells[self.names[row]].any(axis=0)
            side = crop.visible.shape[0]
            masks = [
                cv2.resize((255 * mask).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
                for mask in (wanted.astype(np.float32), found)
            ]
            columns.append(np.vstack([crop.visible, *(np.repeat(mask[..., None], 3, 2) for mask in masks)]))
        return np.hstack(columns)


def create(config: ModulationStageConfig) -> Stage:
    """The stage with fresh modulation."""
    torch.manual_seed(config.trainer.seed)
    weights = Path(config.weights) if config.weights else None
    return ModulationStage(config, load_text_encoder(config.text_encoder, weights))


def error_of_names(semantics: SemanticModulation, texts: Tensor, names: Tensor) -> Tensor:
    """How far (B,) sigma and mu of embeddings ``texts`` (B, D) are from naming just the classes ``names`` (B, C)."""
    sigma, mu = semantics.of_text(texts)
    return ((sigma - names) ** 2 + mu**2).sum(dim=1)


def with_fresh_modulation(graph: FrameGraph, text_dim: int, context: int) -> FusionNetwork:
    """The graph's fusion with a fresh modulation for embeddings of that length; only the modulation can be trained."""
    config = dataclasses.replace(graph.config.fusion, text_dim=text_dim, context=context, classes=len(CLASSES))
    fusion = FusionNetwork(config)
    kept = {name: value for name, value in graph.fusion.state_dict().items() if not name.startswith('modulation.')}
    fusion.load_state_dict(kept, strict=False)
    fusion.requires_grad_(False)
    fusion.modulation.requires_grad_(True)
    return fusion
