"""Stage ``student``: a small network learns to give the fusion the features that the frozen denoiser gives it.

Each channel counts alike, however little it varies, for the modulation reads all of them and tells classes apart by
little. Further they are compared as the fusion and the modulation read them.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ldfusion_models.graph.manifest import PAPER, load_frame_graph
from ldfusion_models.networks.fusion import known_of
from ldfusion_models.networks.student import FeatureStudent, StudentConfig
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.pairs_in_memory import PairDataConfig, PairSampler

# Of the variance of all channels of a scale: what varies less than this is not worth much.
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True)
class StudentLossConfig:
    """Weights of the losses.

    Attributes:
        features: square error of each channel, relative to its variance.
        known: the same of what the modulation reads.
        projected: the same behind the layers through which the fusion reads them.
    """

    features: float = 1.0
    known: float = 1.0
    projected: float = 1.0


@dataclass(frozen=True)
class StudentStageConfig:
    """Settings of the stage.

    Attributes:
        weights: folder with the denoiser and the fusion; empty for those that came with the package.
        initial_weights: of the student, as ``runs/starting_weights.py`` takes them; empty for fresh ones.
    """

    weights: str = ''
    initial_weights: str = ''
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: PairDataConfig = field(default_factory=PairDataConfig)
    loss: StudentLossConfig = field(default_factory=StudentLossConfig)
    student: StudentConfig = field(default_factory=StudentConfig)


CONFIG = StudentStageConfig


class StudentStage(Stage):
    """Distillation of the features, pair by pair."""

    def __init__(self, config: StudentStageConfig) -> None:
        super().__init__()
        self.settings = dataclasses.asdict(config)
        self.config = config
        graph, _ = load_frame_graph(Path(config.weights) / PAPER)
        self.teacher, self.fusion = graph.extractor.requires_grad_(False), graph.fusion.requires_grad_(False)
        self.student = FeatureStudent(config.student, graph.config.fusion.all_feature_widths)
        if config.initial_weights:
            load_weights(self.student, 'student', config.initial_weights)
        self.parts = {'student': self.student}
        self._pairs = PairSampler(config.data)

    def sample(self, generator: np.random.Generator) -> Sample:
        """The crop of a pair."""
        return self._pairs(generator)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms."""
        images = batch['visible'], batch['thermal']
        with torch.no_grad():
            wanted = self.teacher(*images)
        found = self.student(*images)
        terms = {
            'features': _mean_error(wanted, found),
            'known': _mean_error([known_of(*images, wanted)], [known_of(*images, found)]),
            'projected': _mean_error(self._projected(wanted), self._projected(found)),
        }
        weights = dataclasses.asdict(self.config.loss)
        return {'loss': torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Visible, fused with the denoiser's features, with the student's, and 10 times their difference."""
        columns = []
        for index in range(6):
            sample = self.sample(np.random.default_rng([self.config.trainer.seed, index]))
            images = tuple(torch.from_numpy(sample[name])[None] for name in ('visible', 'thermal'))
            wanted, found = (self._fused(images, part(*images)).clamp(0, 1) for part in (self.teacher, self.student))
            column = torch.cat([images[0], wanted, found, (0.5 + 10.0 * (found - wanted)).clamp(0, 1)], dim=2)
            columns.append((column[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
        return np.hstack(columns)

    def _projected(self, features: list[Tensor]) -> list[Tensor]:
        return [layer(each) for layer, each in zip(self.fusion.lateral, features, strict=True)]

    def _fused(self, images: tuple[Tensor, ...], features: list[Tensor]) -> Tensor:
        no_text = images[0].new_zeros((len(images[0]), self.fusion.config.text_dim))
        fused: Tensor = self.fusion(*images, features, no_text)
        return fused


def _mean_error(wanted: list[Tensor], found: list[Tensor]) -> Tensor:
    """Square error over the variance of what is wanted, channel by channel; the mean of all scales."""
    errors = []
    for a, b in zip(wanted, found, strict=True):
        variance = a.var(dim=(0, 2, 3))
        scale = variance + _LEAST_VARIANCE * variance.mean()
        errors.append(((b - a).square().mean(dim=(0, 2, 3)) / scale).mean())
    return torch.stack(errors).mean()


def create(config: StudentStageConfig) -> Stage:
    """The stage with fresh weights of the student."""
    torch.manual_seed(config.trainer.seed)
    return StudentStage(config)
