"""The fusion network: diffusion features and the two images in, one three-channel image out."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.modulation import SemanticModulation

# ITU-R BT.601, as in MATLAB's rgb2gray and the metrics of the field.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class FusionConfig:
    """Size of the fusion network.

    Attributes:
        timesteps: where the denoiser is asked for features; one pass each.
        feature_widths: channels of the denoiser's features, finest first.
        widths: channels of the fusion at the same scales.
        full_width: channels of the thin layers at full resolution.
        text_dim: length of the text embedding.
    """

    timesteps: tuple[int, ...] = (50,)
    feature_widths: tuple[int, ...] = (32, 64, 96)
    widths: tuple[int, ...] = (32, 48, 64)
    full_width: int = 16
    text_dim: int = 64


class FusionNetwork(nn.Module):
    """From coarse to fine: gather features, let the text modulate them, then correct the brighter of both images."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.lateral = nn.ModuleList(
            nn.Conv2d(width * len(config.timesteps), out, 1)
            for width, out in zip(config.feature_widths, widths, strict=True)
        )
        self.descend = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths)
        self.modulation = nn.ModuleList(SemanticModulation(config.text_dim, width) for width in widths)
        self.images = nn.Conv2d(4, widths[0], 6, stride=2, padding=2)
        self.refine = nn.Conv2d(widths[0], config.full_width // 2 * 4, 3, padding=1)
        self.full = nn.Conv2d(config.full_width // 2 + 4, config.full_width, 3, padding=1)
        self.head = nn.Conv2d(config.full_width, 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, visible: Tensor, thermal: Tensor, features: list[Tensor], text: Tensor) -> Tensor:
        """Fuse.

        Args:
            visible: (B, 3, H, W) RGB in [0, 1].
            thermal: (B, 1, H, W) in [0, 1].
            features: per scale, finest first, (B, feature_widths[i] * len(timesteps), H / s, W / s).
            text: (B, text_dim); zeros for none.

        Returns:
            (B, 3, H, W) RGB, about [0, 1], not clipped, so that training sees a gradient everywhere.
        """
        images = torch.cat([visible, thermal], dim=1)
        coarser: Tensor | None = None
        for scale in reversed(range(len(self.lateral))):
            x = self.lateral[scale](features[scale])
            if coarser is not None:
                x = x + F.interpolate(self.descend[scale](coarser), scale_factor=2.0, mode='nearest')
            if scale == 0:
                x = x + self.images(images)
            x = F.relu(x)
            x = x + F.relu(self.mix[scale](x))
            coarser = self.modulation[scale](x, text)
        assert coarser is not None
        fine = F.pixel_shuffle(F.relu(self.refine(coarser)), 2)
        full = F.relu(self.full(torch.cat([fine, images], dim=1)))
        correction: Tensor = self.head(full)
        return brighter(visible, thermal) + correction


def luminance(rgb: Tensor) -> Tensor:
    """BT.601 luma (B, 1, H, W) of RGB (B, 3, H, W)."""
    red, green, blue = rgb.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def brighter(visible: Tensor, thermal: Tensor) -> Tensor:
    """The visible image (B, 3, H, W), lifted in all channels alike where the thermal image (B, 1, H, W) is brighter."""
    return visible + F.relu(thermal - luminance(visible))
