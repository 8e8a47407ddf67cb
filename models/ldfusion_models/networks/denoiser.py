"""The denoising U-Net: predicts the noise in a 4-channel image and lends its decoder's features to the fusion.

The shape is SR3's (residual blocks, additive noise-level embedding, skip connections by concatenation), made for a
per-frame budget: the image enters at half resolution, blocks carry no normalisation (as in DRUNet: the residual
branch starts at zero instead), and there is no attention. Without normalisation the output at a pixel does not
depend on the image's size or padding, and at a fixed timestep the embedding folds into the convolutions' biases.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class DenoiserConfig:
    """Size of the U-Net.

    Attributes:
        image_channels: red, green, blue, thermal.
        widths: channels at each scale, from the finest.
        embedding: length of the timestep embedding.
    """

    image_channels: int = 4
    widths: tuple[int, ...] = (32, 64, 96, 128)
    embedding: int = 128

    @property
    def stride(self) -> int:
        """Image height and width must be multiples of this."""
        return 1 << len(self.widths)


class TimestepEmbedding(nn.Module):
    """Sinusoidal embedding of the timestep, then two linear layers: (B,) -> (B, embedding)."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        frequencies = torch.exp(torch.arange(embedding // 2) * (-math.log(10000.0) / (embedding // 2)))
        self.register_buffer('frequencies', frequencies, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

    def forward(self, timestep: Tensor) -> Tensor:
        assert isinstance(self.frequencies, Tensor)
        angle = timestep.to(self.frequencies.dtype)[:, None] * self.frequencies[None]
        embedded: Tensor = self.mlp(torch.cat([angle.sin(), angle.cos()], dim=1))
        return embedded


class ResidualBlock(nn.Module):
    """x + conv(act(conv(x) + e)): two 3x3 convolutions, e from the timestep; the second starts at zero."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shift = nn.Linear(embedding, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = F.silu(self.conv1(x) + self.shift(embedding)[:, :, None, None])
        residual: Tensor = self.conv2(hidden)
        return x + residual


class Denoiser(nn.Module):
    """epsilon_theta(I_t, t) of eq. 7 and 8, and its decoder's features."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        widths, embedding = config.widths, config.embedding
        self.embed = TimestepEmbedding(embedding)
        # The same function as pixel-unshuffle by 2 and a 3x3 convolution, without moving the pixels first.
        self.stem = nn.Conv2d(config.image_channels, widths[0], 6, stride=2, padding=2)
        self.encode = nn.ModuleList(ResidualBlock(width, embedding) for width in widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = ResidualBlock(widths[-1], embedding)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.decode = nn.ModuleList(ResidualBlock(width, embedding) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4 * config.image_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def features(self, noisy: Tensor, timestep: Tensor) -> list[Tensor]:
        """Decoder features for ``noisy`` (B, 4, H, W) in [-1, 1] at ``timestep`` (B,).

        Returns:
            One tensor per scale but the coarsest, finest first: (B, widths[i], H / s, W / s) with
            s = 2^(i + 1). H and W must be multiples of ``config.stride``.
        """
        embedding = F.silu(self.embed(timestep))
        x = self.stem(noisy)
        skips = []
        for block, down in zip(self.encode, self.down, strict=True):
            x = block(x, embedding)
            skips.append(x)
            x = down(x)
        x = self.middle(x, embedding)
        features: list[Tensor] = []
        for scale in reversed(range(len(skips))):
            # The 1x1 convolution goes before the upsampling: the same result at a quarter of the cost.
            x = F.interpolate(self.up[scale](x), scale_factor=2.0, mode='nearest')
            x = self.merge[scale](torch.cat([x, skips[scale]], dim=1))
            x = self.decode[scale](x, embedding)
            features.insert(0, x)
        return features

    def forward(self, noisy: Tensor, timestep: Tensor) -> Tensor:
        """Predict the noise (B, 4, H, W) in ``noisy`` (B, 4, H, W) at ``timestep`` (B,)."""
        finest = self.features(noisy, timestep)[0]
        return F.pixel_shuffle(self.head(finest), 2)
