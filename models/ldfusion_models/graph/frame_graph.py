"""The whole way of a frame as one network: the graph that every engine runs."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.errors import InputError
from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig
from ldfusion_models.networks.depth import DepthConfig, DepthNetwork, DepthOutput, combine
from ldfusion_models.networks.diffusion import Diffusion, DiffusionConfig
from ldfusion_models.networks.fusion import FusionConfig, FusionNetwork, luminance
from ldfusion_models.networks.published_depth import VARIANCE
from ldfusion_models.networks.student import FeatureStudent, StudentConfig

# Who gives the fusion its features: the paper's denoiser, or the small network that was taught by it.
FEATURES = ('student', 'denoiser')


@dataclass(frozen=True)
class FrameConfig:
    """All settings of the frame graph, part by part.

    Attributes:
        features: who gives the fusion its features, one of ``FEATURES``; the other one is not a part of the graph.
    """

    features: str = FEATURES[0]
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    visible_depth: DepthConfig = field(default_factory=DepthConfig)
    thermal_depth: DepthConfig = field(default_factory=lambda: DepthConfig(image_channels=1))

    def __post_init__(self) -> None:
        """Raises InputError for features of nobody."""
        if self.features not in FEATURES:
            raise InputError(f'features is {self.features!r}; {" or ".join(FEATURES)}')


class FeatureExtractor(nn.Module):
    """The frozen denoiser as the fusion sees it: features of the noise-free mean at fixed timesteps."""

    def __init__(self, denoiser: Denoiser, diffusion: Diffusion, timesteps: tuple[int, ...]) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.timesteps = timesteps
        self.scales = tuple(diffusion.mean_scale(timestep) for timestep in timesteps)

    def forward(self, visible: Tensor, thermal: Tensor, noise: Tensor | None = None) -> list[Tensor]:
        """Features of ``visible`` (B, 3, H, W) and ``thermal`` (B, 1, H, W) in [0, 1], all timesteps concatenated.

        ``noise`` (B, 4, H, W), standard normal, makes them features of the noisy image (eq. 3) for comparison.
        """
        image = torch.cat([visible, thermal], dim=1) * 2.0 - 1.0
        passes = []
        for timestep, scale in zip(self.timesteps, self.scales, strict=True):
            mean = scale * image
            state = mean if noise is None else mean + (1.0 - scale**2) ** 0.5 * noise
            # One for all images: what is computed of it is constant, and engines fold it into the convolutions' biases.
            steps = torch.full((1,), timestep, device=image.device)
            passes.append(self.denoiser.features(state, steps))
        return [torch.cat(scale, dim=1) if len(scale) > 1 else scale[0] for scale in zip(*passes, strict=True)]


class FrameGraph(nn.Module):
    """uint8 images in, uint8 fused image and float32 metres out: inputs and outputs of every engine."""

    def __init__(self, config: FrameConfig) -> None:
        super().__init__()
        self.config = config
        self.diffusion = Diffusion(config.diffusion)
        self.extractor: FeatureStudent | FeatureExtractor
        if config.features == 'student':
            self.student = FeatureStudent(config.student, config.fusion.all_feature_widths)
            self.extractor = self.student
        else:
            self.denoiser = Denoiser(config.denoiser)
            self.extractor = FeatureExtractor(self.denoiser, self.diffusion, config.fusion.timesteps)
        self.fusion = FusionNetwork(config.fusion)
        self.visible_depth = DepthNetwork(config.visible_depth)
        self.thermal_depth = DepthNetwork(config.thermal_depth)
        # Of another's depth network, in place of the two: metres (1, H, W) of levels (1, 3, H, W) from 0 to 255.
        self.published: nn.Module | None = None
        self.depth_source = 'fused'
        # Engines may let features and fusion be computed with 16 bits.
        self.fusion_type: torch.dtype | None = None

    def fuse(self, visible: Tensor, thermal: Tensor, text: Tensor) -> Tensor:
        """Fused (B, 3, H, W), not clipped, of ``visible`` (B, 3, H, W) and ``thermal`` (B, 1, H, W) in [0, 1]."""
        kind = self.fusion_type
        with torch.autocast(visible.device.type, kind, cache_enabled=False) if kind else nullcontext():
            fused: Tensor = self.fusion(visible, thermal, self.extractor(visible, thermal), text)
        return fused.float()

    def depth_of_fused(self, fused: Tensor) -> DepthOutput:
        """Of ``fused`` (B, 3, H, W): the visible branch reads the colours, the thermal branch the luminance."""
        return combine(self.visible_depth(fused), self.thermal_depth(luminance(fused)))

    def forward(self, visible: Tensor, thermal: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run one frame.

        Args:
            visible: (1, H, W, 3) uint8 RGB.
            thermal: (1, H, W, 1) uint8.
            text: (1, D) float32; zeros for none.

        Returns:
            fused (1, H, W, 3) uint8, depth (1, H, W) float32, metres for the canonical focal length, and uncertainty
            (1, H, W) float32, the standard deviation of log depth.
        """
        # TensorRT knows uint8 at the graph's border only: nothing but a cast may touch it, not even for its shape.
        colours, heat = visible.float(), thermal.float()
        height, width = colours.shape[1], colours.shape[2]
        planes = (_channels_first(image) * (1.0 / 255.0) for image in (colours, heat))
        rgb, grey = (_pad(image, self.config.denoiser.stride) for image in planes)
        fused = self.fuse(rgb, grey, text).clamp(0.0, 1.0)[:, :, :height, :width]
        levels = (fused * 255.0).round()
        if self.published is None:
            estimate = self.depth_of_fused(fused)
            depth, uncertainty = estimate.log_depth[:, 0].exp(), estimate.variance[:, 0].sqrt()
        else:
            sources = {'fused': levels, 'visible': _channels_first(colours), 'thermal': _channels_first(heat)}
            depth = self.published(sources[self.depth_source].expand(1, 3, height, width))
            uncertainty = torch.full_like(depth, VARIANCE**0.5)
        return levels.flatten(2).transpose(1, 2).reshape(1, height, width, 3).to(torch.uint8), depth, uncertainty


def _channels_first(image: Tensor) -> Tensor:
    """(1, H, W, C) to (1, C, H, W)."""
    _, height, width, channels = image.shape
    # With the pixels along one axis: a transpose of four axes ONNX Runtime moves on into the fusion, which would then
    # compute with channels last, and slowly.
    return image.flatten(1, 2).transpose(1, 2).reshape(1, channels, height, width)


def _pad(image: Tensor, stride: int) -> Tensor:
    """(1, C, H, W) to the next multiple of ``stride``, by repeating the border."""
    height, width = image.shape[2], image.shape[3]
    return F.pad(image, (0, (-width) % stride, 0, (-height) % stride), mode='replicate')
