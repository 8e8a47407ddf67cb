"""Stage ``diffusion``: the denoiser learns to predict the noise in 4-channel images (eq. 8)."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ldfusion_models.errors import InputError
from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig
from ldfusion_models.networks.diffusion import Diffusion, DiffusionConfig
from ldfusion_training.losses import noise_prediction
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.pairs_in_memory import PairDataConfig, PairSampler


@dataclass(frozen=True)
class DiffusionStageConfig:
    """Settings of the stage.

    Attributes:
        objective: ``noise`` (eq. 8), or ``image`` for an autoencoder of the same architecture, which gives back what it
            sees, without noise (an ablation).
        initial_weights: of the denoiser, as ``runs/starting_weights.py`` takes them; empty for fresh ones.
    """

    objective: str = 'noise'
    initial_weights: str = ''
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: PairDataConfig = field(default_factory=PairDataConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)


CONFIG = DiffusionStageConfig


class DiffusionStage(Stage):
    """Noise prediction at uniformly drawn timesteps."""

    def __init__(self, config: DiffusionStageConfig) -> None:
        super().__init__()
        self.settings = dataclasses.asdict(config)
        if config.objective not in ('noise', 'image'):
            raise InputError(f'objective is {config.objective!r}; noise or image')
        self.objective = config.objective
        self.diffusion = Diffusion(config.diffusion)
        self.denoiser = Denoiser(config.denoiser)
        if config.initial_weights:
            load_weights(self.denoiser, 'denoiser', config.initial_weights)
        self.parts = {'denoiser': self.denoiser}
        self._pairs = PairSampler(config.data)
        self._side, self._steps = config.data.crop, config.trainer.steps

    def sample(self, generator: np.random.Generator) -> Sample:
        """Adds ``noise`` (4, crop, crop) and ``timestep`` () to the pair's crop."""
        pair = self._pairs(generator)
        shape = (4, *pair['thermal'].shape[1:])
        timestep = generator.integers(self.diffusion.config.timesteps)
        return {**pair, 'noise': generator.standard_normal(shape, np.float32), 'timestep': np.asarray(timestep)}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mean square error of the predicted noise, or of the image that the autoencoder gives back."""
        image = torch.cat([batch['visible'], batch['thermal']], dim=1) * 2.0 - 1.0
        if self.objective == 'image':
            timestep = torch.zeros_like(batch['timestep'])
            return {'loss': F.mse_loss(self.denoiser(image, timestep).float(), image)}
        noisy = self.diffusion.add_noise(image, batch['noise'], batch['timestep'])
        return {'loss': noise_prediction(self.denoiser(noisy, batch['timestep']).float(), batch['noise'])}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Samples drawn from pure noise: visible above, thermal below."""
        shape = (8, 4, self._side, self._side)
        # What a run of a few steps draws is noise however long it takes.
        steps = min(100, self._steps)
        *_, images = self.diffusion.sample(self.denoiser, shape, torch.Generator().manual_seed(0), steps=steps)
        levels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        visible = torch.cat(list(levels[:, :3]), dim=2)
        thermal = torch.cat(list(levels[:, 3:].expand(-1, 3, -1, -1)), dim=2)
        return torch.cat([visible, thermal], dim=1).permute(1, 2, 0).numpy()


def create(config: DiffusionStageConfig) -> Stage:
    """The stage with fresh weights."""
    torch.manual_seed(config.trainer.seed)
    return DiffusionStage(config)
