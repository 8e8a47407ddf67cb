"""The fusion network: diffusion features and the two images in, one three-channel image out.

The features decide, scale by scale and pixel by pixel, how much of each source's detail goes into the fused image; the
details themselves come from the sources' Laplacian pyramids. So nothing is blurred by what the network has not
learned, and what is left to learn are smooth maps. A thin layer at full resolution corrects the result.
"""

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
    """From coarse to fine: gather features, let the text modulate them, weigh both pyramids, correct the sum."""

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
        # A weight for each source and level of the pyramids. The finest features weigh two levels, full size and half;
        # the coarsest weigh what is left below the last level, and offset it.
        outputs = [4, *(2 for _ in widths[1:-1]), 3]
        self.weigh = nn.ModuleList(nn.Conv2d(width, out, 1) for width, out in zip(widths, outputs, strict=True))
        inputs = [4, *(2 for _ in widths[1:])]
        self.activity = nn.ModuleList(
            nn.Conv2d(a, width, 3, padding=1) for a, width in zip(inputs, widths, strict=True)
        )
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
        luma = luminance(visible)
        levels = pyramids(torch.cat([luma, thermal], dim=1), len(self.weigh))
        activities = activity(levels)
        maps: list[Tensor] = []
        coarser: Tensor | None = None
        for scale in reversed(range(len(self.lateral))):
            x = self.lateral[scale](features[scale]) + self.activity[scale](activities[scale])
            if coarser is not None:
                x = x + F.interpolate(self.descend[scale](coarser), scale_factor=2.0, mode='nearest')
            if scale == 0:
                x = x + self.images(images)
            x = F.relu(x)
            x = x + F.relu(self.mix[scale](x))
            coarser = self.modulation[scale](x, text)
            maps.append(self.weigh[scale](coarser))
        assert coarser is not None
        lift = weigh_pyramids(levels, maps) - luma
        fine = F.pixel_shuffle(F.relu(self.refine(coarser)), 2)
        full = F.relu(self.full(torch.cat([fine, images], dim=1)))
        correction: Tensor = self.head(full)
        return visible + lift + correction


def luminance(rgb: Tensor) -> Tensor:
    """BT.601 luma (B, 1, H, W) of RGB (B, 3, H, W)."""
    red, green, blue = rgb.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def pyramids(sources: Tensor, count: int) -> list[Tensor]:
    """Laplacian pyramids of ``sources`` (B, 2, H, W): ``count`` levels of detail, finest first, then what is left."""
    levels = []
    for _ in range(count):
        smaller = F.avg_pool2d(sources, 2)
        levels.append(sources - enlarged(smaller))
        sources = smaller
    return [*levels, sources]


def activity(levels: list[Tensor]) -> list[Tensor]:
    """What classic pyramid fusion compares: how strong both sources' details are, as logarithms.

    Returns:
        Per scale of the features, finest first: the two finest levels at half size (B, 4, H / 2, W / 2), then one level
        each (B, 2, h, w), and last what is left of both sources itself.
    """
    finest, *finer, rest = levels
    strengths = [F.avg_pool2d(finest.abs(), 2), *(level.abs() for level in finer)]
    logarithms = [(strength + 0.01).log() for strength in strengths]
    return [torch.cat(logarithms[:2], dim=1), *logarithms[2:], rest]


def weigh_pyramids(levels: list[Tensor], maps: list[Tensor]) -> Tensor:
    """Fused luminance (B, 1, H, W): a weighted sum of both Laplacian pyramids.

    Args:
        levels: from ``pyramids``.
        maps: coarsest first; logits of both weights (B, 2, h, w) of each level that size, but for the first also an
            offset (B, 3, h, w), and the last for two levels, its own size and twice it (B, 4, H / 2, W / 2).
    """
    *details, rest = levels
    fused = weighed(maps[0][:, :2], rest) + maps[0][:, 2:]
    for logits, level in zip((*maps[1:], enlarged(maps[-1][:, 2:])), reversed(details), strict=True):
        fused = enlarged(fused) + weighed(logits[:, :2], level)
    return fused


def weighed(logits: Tensor, sources: Tensor) -> Tensor:
    """Sum (B, 1, H, W) of both ``sources`` (B, 2, H, W), each times a weight between 0 and 2."""
    return (2.0 * torch.sigmoid(logits) * sources).sum(dim=1, keepdim=True)


def enlarged(image: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return F.interpolate(image, scale_factor=2.0, mode='bilinear', align_corners=False)
