"""Stage ``fusion``: the fusion network learns from both source images; the denoiser that feeds it stays frozen.

Settings for ablations: an autoencoder's features or fresh ones instead of a denoiser's, several timesteps, noise.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.graph.frame_graph import FeatureExtractor
from ldfusion_models.language.facts import LIGHTS, PLACES, THINGS, WEATHERS
from ldfusion_models.networks.captioner import CaptionerConfig, CaptionNetwork, SceneOutput
from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig
from ldfusion_models.networks.diffusion import Diffusion, DiffusionConfig
from ldfusion_models.networks.fusion import FusionConfig, FusionNetwork, luminance
from ldfusion_training import losses
from ldfusion_training.language.detection_loss import agreement_loss
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.depth_supervision import DepthSupervisionConfig, create_supervision
from ldfusion_training.stages.pairs_in_memory import PairDataConfig, PairSampler


@dataclass(frozen=True)
class FusionLossConfig:
    """Weights of the terms; the paper has intensity and gradient at 1 and none of the others.

    Attributes:
        intensity: eq. 10.
        gradient: eq. 9.
        complement: 1 - SCD / 2 on luminance: what each source adds must look like that source.
        edges: 1 - Qabf on luminance.
        contrast: local contrast is weaker than it should be, see ``losses.wanted_contrast``.
        darkening: large parts are darker than in the visible image.
        information: 1 - mean VIF of both sources on luminance.
        out_of_range: values outside of [0, 1], which clipping would flatten.
        depth: the depth-driven loss, see ``ldfusion_training.stages.depth_supervision``.
        scale: large parts of the pair at half its size become brighter or darker than at its whole size.
        detection: a detector finds other things than in the surest of visible, thermal and average; ``data.crop`` is a
            multiple of 32 then.
    """

    intensity: float = 1.0
    gradient: float = 1.0
    complement: float = 0.0
    edges: float = 0.0
    contrast: float = 0.0
    darkening: float = 0.0
    information: float = 0.0
    out_of_range: float = 1.0
    depth: float = 0.0
    scale: float = 0.0
    detection: float = 0.0


@dataclass(frozen=True)
class FusionStageConfig:
    """Settings of the stage.

    Attributes:
        denoiser_checkpoint: what stage ``diffusion`` wrote, or released weights (see
            ``ldfusion_training.runs.starting_weights``); empty for fresh weights.
        initial_weights: of the fusion network but its modulation, named the same way; empty for fresh ones.
        train_denoiser: let the denoiser learn too (an ablation: the same network without or after its own task).
        noisy_features: features of the noisy image instead of the noise-free mean (an ablation).
        captioner: the detector, if ``loss.detection`` has a weight; named the same way.
        depth: who judges the fused image, if ``loss.depth`` has a weight.
    """

    denoiser_checkpoint: str = 'runs/diffusion/checkpoint.pt'
    initial_weights: str = ''
    train_denoiser: bool = False
    noisy_features: bool = False
    captioner: str = 'runs/captioner/checkpoint.pt'
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: PairDataConfig = field(default_factory=PairDataConfig)
    loss: FusionLossConfig = field(default_factory=FusionLossConfig)
    depth: DepthSupervisionConfig = field(default_factory=DepthSupervisionConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)


CONFIG = FusionStageConfig
# Language comes later, in the stage of that name: without text this part does nothing.
MODULATION = 'modulation.'


class FusionNetworks(nn.Module):
    """Denoiser and fusion as this stage joins them; what a run is evaluated with, too."""

    def __init__(self, config: FusionStageConfig) -> None:
        super().__init__()
        self.config = config
        self.denoiser = Denoiser(config.denoiser)
        self.extractor = FeatureExtractor(self.denoiser, Diffusion(config.diffusion), config.fusion.timesteps)
        self.fusion = FusionNetwork(config.fusion)

    def forward(self, visible: Tensor, thermal: Tensor, noise: Tensor | None = None) -> Tensor:
        """Fused (B, 3, H, W), not clipped, without text.

        Args:
            visible: (B, 3, H, W) in [0, 1].
            thermal: (B, 1, H, W) in [0, 1].
            noise: (B, 4, H, W) standard normal, for noisy features.
        """
        with torch.set_grad_enabled(self.config.train_denoiser and torch.is_grad_enabled()):
            features = self.extractor(visible, thermal, noise)
        text = torch.zeros(visible.shape[0], self.config.fusion.text_dim, device=visible.device)
        fused: Tensor = self.fusion(visible, thermal, features, text)
        return fused


class FusionStage(Stage):
    """Losses between the fused image and its two sources."""

    def __init__(self, config: FusionStageConfig) -> None:
        super().__init__()
        self.settings = dataclasses.asdict(config)
        self.config = config
        networks = FusionNetworks(config)
        if config.denoiser_checkpoint:
            load_weights(networks.denoiser, 'denoiser', config.denoiser_checkpoint)
        if config.initial_weights:
            load_weights(networks.fusion, 'fusion', config.initial_weights, kept=MODULATION)
        networks.denoiser.requires_grad_(config.train_denoiser)
        networks.fusion.modulation.requires_grad_(False)
        self.networks = networks
        self.parts = {'fusion': networks.fusion}
        if config.train_denoiser:
            self.parts['denoiser'] = networks.denoiser
        self.detector = _frozen_detector(config.captioner) if config.loss.detection > 0 else None
        self.judge = create_supervision(config.depth) if config.loss.depth > 0 else None
        self._pairs = PairSampler(config.data, with_depth=self.judge is not None)

    def sample(self, generator: np.random.Generator) -> Sample:
        """A crop of a pair; with the depth-driven loss also ``depth`` (1, crop, crop), canonical metres or NaN."""
        drawn = self._pairs(generator)
        if self.config.noisy_features:
            drawn['noise'] = generator.standard_normal((4, *drawn['thermal'].shape[1:]), np.float32)
        return drawn

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms."""
        fused = self._fuse(batch)
        half = self._fuse(_halve(batch)) if self.config.loss.scale > 0 else None
        # Local variances as differences of squares don't survive half precision.
        with torch.autocast(fused.device.type, enabled=False):
            return self._losses(fused, half, batch)

    def _fuse(self, batch: dict[str, Tensor]) -> Tensor:
        fused: Tensor = self.networks(batch['visible'], batch['thermal'], batch.get('noise'))
        return fused.float()

    def _losses(self, fused: Tensor, half: Tensor | None, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        visible, thermal = batch['visible'], batch['thermal']
        clipped = fused.clamp(0.0, 1.0)
        grey, luma = luminance(fused), luminance(visible)
        named: dict[str, Callable[[], Tensor]] = {
            'intensity': lambda: losses.multi_channel_intensity(fused, visible, thermal),
            'gradient': lambda: losses.multi_channel_gradient(fused, visible, thermal),
            'complement': lambda: losses.correlation_of_differences(grey, luma, thermal),
            'edges': lambda: losses.edge_loss(grey, luma, thermal),
            'contrast': lambda: losses.contrast_loss(grey, luma, thermal),
            'darkening': lambda: losses.darkening_loss(grey, luma),
            'information': lambda: losses.information_loss(grey, luma, thermal),
            'out_of_range': lambda: (fused - clipped).abs().mean(),
        }
        if half is not None:
            named['scale'] = lambda: losses.brightness_change(grey, luminance(half))
        detector, judge = self.detector, self.judge
        if detector is not None:
            named['detection'] = lambda: agreement_loss(detector(clipped), _found(detector, visible, thermal))
        if judge is not None:
            named['depth'] = lambda: judge(clipped, judge.complete(batch['depth'], visible, thermal))
        weights = {name: weight for name, weight in dataclasses.asdict(self.config.loss).items() if weight > 0}
        terms = {name: named[name]() for name in weights}
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {'loss': total, **terms}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Eight training crops: visible, thermal, fused."""
        generator = np.random.default_rng(0)
        columns = []
        for _ in range(8):
            sample = {name: torch.from_numpy(array)[None] for name, array in self.sample(generator).items()}
            fused = self.networks(sample['visible'], sample['thermal'], sample.get('noise')).clamp(0, 1)
            column = torch.cat([sample['visible'], sample['thermal'].expand(-1, 3, -1, -1), fused], dim=2)
            columns.append((column[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
        return np.hstack(columns)


def _halve(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The images at half their size; noise stays as strong as it was."""
    halved = {name: F.avg_pool2d(batch[name], 2) for name in ('visible', 'thermal')}
    return {**halved, 'noise': batch['noise'][..., ::2, ::2]} if 'noise' in batch else halved


def _frozen_detector(weights: str) -> CaptionNetwork:
    detector = CaptionNetwork(CaptionerConfig(tuple(THINGS), PLACES, LIGHTS, WEATHERS))
    load_weights(detector, 'captioner', weights)
    return detector.requires_grad_(False)


@torch.no_grad()
def _found(detector: CaptionNetwork, visible: Tensor, thermal: Tensor) -> list[SceneOutput]:
    """What is found in visible, thermal and average images."""
    return [detector(image) for image in (visible, thermal.expand_as(visible), (visible + thermal) / 2.0)]


def create(config: FusionStageConfig) -> Stage:
    """The stage with fresh fusion weights."""
    torch.manual_seed(config.trainer.seed)
    return FusionStage(config)
