"""A small network that gives the fusion what the denoiser would: features distilled for the time of a frame.

It is taught by the frozen denoiser (stage ``student``; features of a network as targets: FitNets, Romero et al. 2015)
and sees the noise-free images themselves. A fifth of the denoiser's operations: thin at half the image's
resolution, with most of its layers below.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class StudentConfig:
    """Size of the student.

    Attributes:
        widths: channels at each scale, from the finest; as many as the denoiser's.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)


class Block(nn.Module):
    """x + conv(relu(conv(x))): two 3x3 convolutions; the second starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + residual


class FeatureStudent(nn.Module):
    """Features like those of ``FeatureExtractor``, in one pass without timestep or noise."""

    def __init__(self, config: StudentConfig, feature_widths: tuple[int, ...]) -> None:
        """``feature_widths``: channels of the features, finest first, all timesteps together."""
        super().__init__()
        widths = config.widths
        self.stem = nn.Conv2d(4, widths[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(Block(width) for width in widths[2:])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[:-1])
        self.heads = nn.ModuleList(
            nn.Conv2d(2 * width, out, 1) for width, out in zip(widths[:-1], feature_widths, strict=True)
        )

    def forward(self, visible: Tensor, thermal: Tensor) -> list[Tensor]:
        """Features of ``visible`` (B, 3, H, W) and ``thermal`` (B, 1, H, W) in [0, 1], finest first.

        H and W are multiples of the denoiser's stride.
        """
        x = self.stem(torch.cat([visible, thermal], dim=1))
        skips = [x]
        x = self.down[0](x)
        for down, block in zip(self.down[1:], self.encode, strict=True):
            skips.append(x)
            x = block(down(x))
        features: list[Tensor] = []
        for scale in reversed(range(len(skips))):
            x = skips[scale] + F.interpolate(self.up[scale](x), scale_factor=2.0, mode='nearest')
            residual = F.relu(self.mix[scale](x))
            # Side by side: as a sum they would hold fewer independent channels than the features do.
            features.insert(0, self.heads[scale](torch.cat([x, residual], dim=1)))
            x = x + residual
        return features
